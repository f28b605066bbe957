//! Addresses two parts of one host would both want: what reaches the one was meant for the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use ringfort_model::Name;

use super::Checker;
use crate::{document::Document, source::Span};

struct Claim<'d> {
    address: SocketAddr,
    span: Span,
    owner: String,
    runs_on: Option<&'d BTreeSet<Name>>,
}

impl Checker<'_, '_> {
    pub(super) fn addresses(&mut self) {
        let mut by_port: BTreeMap<u16, Vec<Claim<'_>>> = BTreeMap::new();
        for claim in claims(self.document) {
            by_port.entry(claim.address.port()).or_default().push(claim);
        }
        for claims in by_port.values() {
            for (number, claim) in claims.iter().enumerate() {
                let earlier = claims.iter().take(number);
                if let Some(first) = earlier.into_iter().find(|first| collide(first, claim)) {
                    let message =
                        format!("{} and {} both use {}", first.owner, claim.owner, claim.address);
                    let help = "give one of them another port, or a host of its own by `runs_on`";
                    let problem = self.problems.error("RF0307", claim.span, message);
                    problem.second(first.span, "first here").help(help).done();
                }
            }
        }
    }
}

/// Every address a part of the fleet opens, in the order of the files.
fn claims(document: &Document) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    for (name, service) in &document.services {
        let runs_on = service.runs_on.as_ref();
        // A pod has a network of its own.
        if service.workload.selectors.kubernetes.is_some() {
            continue;
        }
        let mut claim = |address, span, owner| claims.push(Claim { address, span, owner, runs_on });
        if let Some(listen) = service.listen {
            claim(listen.address, listen.span, format!("`{name}`"));
        }
        if let Some((address, span)) = service.bind {
            claim(address, span, format!("`bind` of `{name}`"));
        }
        if let Some((port, span)) = service.proxy_port {
            claim(SocketAddr::new(LOOPBACK, port), span, format!("`proxy_port` of `{name}`"));
        }
        for call in &service.calls {
            if let Some((port, span)) = call.port {
                let owner = format!("the call of `{name}` to `{}`", call.to);
                claim(SocketAddr::new(LOOPBACK, port), span, owner);
            }
        }
    }
    for (name, gateway) in &document.gateways {
        for listener in &gateway.listeners {
            claims.push(Claim {
                address: listener.bind,
                span: listener.span,
                owner: format!("a listener of `{name}`"),
                runs_on: gateway.runs_on.as_ref(),
            });
        }
    }
    if let Some(span) = document.metrics_span {
        let owner = "`observability.metrics`".to_owned();
        claims.push(Claim { address: document.metrics_bind, span, owner, runs_on: None });
    }
    claims.sort_by_key(|claim| claim.span);
    claims
}

fn collide(a: &Claim<'_>, b: &Claim<'_>) -> bool {
    let (ip_a, ip_b) = (a.address.ip(), b.address.ip());
    let same = ip_a == ip_b || ip_a.is_unspecified() || ip_b.is_unspecified();
    let same_host = match (a.runs_on, b.runs_on) {
        (Some(a), Some(b)) => !a.is_disjoint(b),
        (None, _) | (_, None) => true,
    };
    same && same_host
}

/// Where ports for the workload's own program are opened.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
