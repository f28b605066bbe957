//! Reads gateways, their listeners, and routes.

use std::collections::BTreeMap;

use ringfort_model::{
    Name,
    snapshot::{HeaderEdit, HeaderEdits, ListenerTls, Rewrite, RouteMatch, TlsVersion},
};

use super::{limits, object_view, service::workload};
use crate::{
    document::{Condition, Factor, Gateway, KnownUser, Listener, Route, Target, Tls, User},
    language::{LISTENER, ROUTE, ROUTE_MATCH},
    scalar,
    view::View,
    yaml::{Entry, Node},
};

/// One gateway.
pub(super) fn gateway(name: &Name, entry: &Entry) -> Option<Gateway> {
    let view = View::new(Some(&entry.value), &crate::language::GATEWAY);
    let networks = view.texts("trusted_proxies").into_iter();
    Some(Gateway {
        span: entry.key_span,
        workload: workload(view, name, entry.key_span)?,
        runs_on: view.names("runs_on"),
        labels: view.names("labels").unwrap_or_default().into_iter().collect(),
        listeners: view.items("listeners").iter().map(listener).collect::<Option<_>>()?,
        trusted_proxies: networks.map(|text| scalar::network(text).ok()).collect::<Option<_>>()?,
        limits: limits(view)?,
    })
}

fn listener(node: &Node) -> Option<Listener> {
    let view = View::new(Some(node), &LISTENER);
    let hosts = view.items("hosts").iter().map(|host| Some((host.text()?.to_owned(), host.span)));
    Some(Listener {
        span: view.node("bind")?.span,
        bind: scalar::socket(view.text("bind")?).ok()?,
        hosts: hosts.collect::<Option<_>>()?,
        tls: tls(view)?,
        redirect_to_https: view.flag("redirect_to_https")?,
        has_client_ca: object_view(view, "tls")?.node("client_ca").is_some(),
    })
}

fn tls(listener: View<'_>) -> Option<Tls> {
    let Some(node) = listener.node("tls") else { return Some(Tls::None) };
    let view = object_view(listener, "tls")?;
    let min = match view.text("min")? {
        "1.2" => TlsVersion::V1_2,
        "1.3" => TlsVersion::V1_3,
        _ => return None,
    };
    if node.text().is_some() || view.node("internal").is_some() {
        return Some(Tls::Built(ListenerTls::Internal { min }));
    }
    if view.node("files").is_some() {
        let files = object_view(view, "files")?;
        let (chain, key) = (files.text("chain")?.to_owned(), files.text("key")?.to_owned());
        return Some(Tls::Built(ListenerTls::Files { chain, key, min }));
    }
    view.node("acme").map(|_| Tls::Acme)
}

/// One route.
pub(super) fn route(entry: &Entry) -> Option<Route> {
    let view = View::new(Some(&entry.value), &ROUTE);
    let contract = object_view(view, "contract")?;
    let timeout = match view.node("timeout") {
        Some(_) => Some(view.duration("timeout")?),
        None => None,
    };
    let gateway = match view.node("gateway") {
        Some(_) => Some(view.name("gateway")?),
        None => None,
    };
    let origins = object_view(view, "cors")?.texts("origins");
    Some(Route {
        span: entry.key_span,
        gateway,
        matches: view.items("match").iter().map(condition).collect::<Option<_>>()?,
        target: target(view)?,
        user: user(view)?,
        policy_required: view.text("policy")? == "required",
        has_contract: view.node("contract").is_some() && contract.text("mode")? == "enforce",
        limits: limits(view)?,
        timeout,
        headers: headers(view)?,
        headers_span: view.key_span("headers"),
        upgrade: view.flag("upgrade")?,
        cors_origins: origins.into_iter().map(str::to_owned).collect(),
    })
}

fn condition(node: &Node) -> Option<Condition> {
    let view = View::new(Some(node), &ROUTE_MATCH);
    let methods = view.texts("methods").into_iter().map(str::to_owned).collect();
    let rule = RouteMatch {
        host: view.text("host")?.to_owned(),
        path: scalar::pattern(view.text("path")?).ok()?,
        methods,
        headers: texts(view.node("headers"))?,
    };
    Some(Condition { rule, host_span: view.span("host")?, path_span: view.span("path")? })
}

/// A map of texts.
fn texts(node: Option<&Node>) -> Option<BTreeMap<String, String>> {
    let entries = node.map_or(&[][..], Node::entries).iter();
    entries.map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned()))).collect()
}

fn target(view: View<'_>) -> Option<Target> {
    if view.node("redirect").is_some() {
        let redirect = object_view(view, "redirect")?;
        let to = redirect.text("to")?.to_owned();
        return Some(Target::Redirect { to, status: redirect.text("status")?.parse().ok()? });
    }
    let rewrite = match view.node("rewrite") {
        Some(_) => {
            let rewrite = object_view(view, "rewrite")?;
            let text = |name: &str| rewrite.text(name).map(str::to_owned);
            Some(Rewrite { strip_prefix: text("strip_prefix"), add_prefix: text("add_prefix") })
        }
        None => None,
    };
    Some(Target::Service { name: view.name("to")?, span: view.span("to")?, rewrite })
}

fn user(route: View<'_>) -> Option<User> {
    if route.node("user")?.text().is_some() {
        return Some(User::None);
    }
    let view = object_view(route, "user")?;
    let is_login = view.node("login").is_some();
    let client = view.node(if is_login { "login" } else { "bearer" })?;
    let scopes = view.items("scopes").iter().map(|item| Some((item.text()?.to_owned(), item.span)));
    let mfa = match view.node("mfa") {
        Some(_) if object_view(view, "mfa")?.text("level")? == "passkey" => Some(Factor::Passkey),
        Some(_) => Some(Factor::Mfa),
        None => None,
    };
    Some(User::Known(KnownUser {
        client: client.text()?.to_owned(),
        client_span: client.span,
        is_login,
        scopes: scopes.collect::<Option<_>>()?,
        mfa,
        by_mtls: view.text("sender_constrained") == Some("mtls"),
    }))
}

fn headers(route: View<'_>) -> Option<HeaderEdits> {
    let view = object_view(route, "headers")?;
    let edit = |name: &str| {
        let edit = object_view(view, name)?;
        let remove = edit.texts("remove").into_iter().map(str::to_owned).collect();
        Some(HeaderEdit { set: texts(edit.node("set"))?, remove })
    };
    Some(HeaderEdits { request: edit("request")?, response: edit("response")? })
}
