//! Reads a service: where it listens, whom it calls, how its process is recognised.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use ringfort_model::{
    Name, Normalization, Resilience,
    limits::CertificateTerms,
    selectors::{KubernetesAccount, WorkloadSelectors},
    snapshot::{Protocol, Subset},
};

use super::{certificates_over, limits, object_view};
use crate::{
    document::{Call, Listen, Run, Service, Workload},
    language::{CALL, CERTIFICATES, RESILIENCE, SERVICE},
    scalar,
    source::Span,
    view::View,
    yaml::{Entry, Node},
};

/// One service.
pub(super) fn service(name: &Name, entry: &Entry, fleet: CertificateTerms) -> Option<Service> {
    let view = View::new(Some(&entry.value), &SERVICE);
    let proxy_port = match view.node("proxy_port") {
        Some(node) => Some((view.port("proxy_port")?, node.span)),
        None => None,
    };
    let bind = match view.node("bind") {
        Some(node) => Some((scalar::socket(node.text()?).ok()?, node.span)),
        None => None,
    };
    let contract = object_view(view, "contract")?;
    Some(Service {
        span: entry.key_span,
        listen: listen(view)?,
        run: run(view)?,
        calls: view.items("calls").iter().map(call).collect::<Option<_>>()?,
        proxy_port,
        workload: workload(view, name, entry.key_span)?,
        runs_on: view.names("runs_on"),
        static_endpoints: static_endpoints(view)?,
        instances_span: view.span("instances"),
        bind,
        normalization: normalization(view.text("normalization")?)?,
        normalization_span: view.span("normalization"),
        subsets: subsets(view)?,
        subsets_span: view.key_span("subsets"),
        labels: view.names("labels").unwrap_or_default().into_iter().collect(),
        limits: limits(view)?,
        resilience: resilience(view.child("resilience", &RESILIENCE))?,
        certificates: certificates_over(view.child("certificates", &CERTIFICATES), fleet)?,
        is_builtin: view.node("builtin").is_some(),
        has_contract: view.node("contract").is_some() && contract.text("mode")? == "enforce",
    })
}

/// `None` when it cannot be read; the inner one when it is not written.
#[expect(clippy::option_option, reason = "unreadable and unwritten are different answers")]
fn listen(view: View<'_>) -> Option<Option<Listen>> {
    let Some(node) = view.node("listen") else { return Some(None) };
    let long = object_view(view, "listen")?;
    let port = match node.text() {
        Some(text) => text.parse().ok()?,
        None => long.port("port")?,
    };
    let address: IpAddr = long.text("address")?.parse().ok()?;
    let span = long.span("port").unwrap_or(node.span);
    let protocol = match long.text("protocol")? {
        "http1" => Protocol::Http1,
        "http2" => Protocol::Http2,
        "grpc" => Protocol::Grpc,
        "tcp" => Protocol::Tcp,
        _ => return None,
    };
    Some(Some(Listen { span, address: SocketAddr::new(address, port), protocol }))
}

#[expect(clippy::option_option, reason = "unreadable and unwritten are different answers")]
fn run(view: View<'_>) -> Option<Option<Run>> {
    if view.node("run").is_none() {
        return Some(None);
    }
    let run = object_view(view, "run")?;
    let mut env = BTreeMap::new();
    for entry in run.node("env").map_or(&[][..], Node::entries) {
        env.insert(entry.key.clone(), entry.value.text()?.to_owned());
    }
    let command = run.texts("command").into_iter().map(str::to_owned).collect();
    Some(Some(Run { command, env, dir: run.text("dir").map(str::to_owned) }))
}

fn call(node: &Node) -> Option<Call> {
    if let Some(text) = node.text() {
        let to = text.parse().ok()?;
        return Some(Call { span: node.span, to, port: None, only: None, policy_required: false });
    }
    let view = View::new(Some(node), &CALL);
    let port = match view.node("port") {
        Some(node) => Some((view.port("port")?, node.span)),
        None => None,
    };
    let only = match view.node("only") {
        None => None,
        Some(list) => {
            let mut operations = Vec::new();
            for item in list.items() {
                // An operationId covers nothing until contracts are read: the edge only shrinks.
                if let Some(operation) = scalar::operation(item.text()?).ok()? {
                    operations.push((operation, item.span));
                }
            }
            Some(operations)
        }
    };
    Some(Call {
        span: view.node("to")?.span,
        to: view.name("to")?,
        port,
        only,
        policy_required: view.text("policy")? == "required",
    })
}

/// What the process of a workload must look like; by default it runs as the Unix user of its name.
pub(super) fn workload(view: View<'_>, name: &Name, at: Span) -> Option<Workload> {
    if view.node("workload").is_none() {
        let selectors = WorkloadSelectors {
            unix_user: Some(name.to_string()),
            unix_group: None,
            exe_sha256: None,
            systemd_unit: None,
            kubernetes: None,
        };
        return Some(Workload { span: at, selectors });
    }
    let workload = object_view(view, "workload")?;
    let text = |name: &str| workload.text(name).map(str::to_owned);
    let exe_sha256 = match workload.text("exe_sha256") {
        Some(text) => Some(scalar::sha256(text).ok()?),
        None => None,
    };
    let kubernetes = match workload.node("kubernetes") {
        Some(_) => {
            let account = object_view(workload, "kubernetes")?;
            Some(KubernetesAccount {
                namespace: account.text("namespace")?.to_owned(),
                service_account: account.text("service_account")?.to_owned(),
            })
        }
        None => None,
    };
    let selectors = WorkloadSelectors {
        unix_user: text("unix_user"),
        unix_group: text("unix_group"),
        exe_sha256,
        systemd_unit: text("systemd_unit"),
        kubernetes,
    };
    Some(Workload { span: view.span("workload")?, selectors })
}

fn static_endpoints(view: View<'_>) -> Option<Vec<SocketAddr>> {
    let instances = object_view(view, "instances")?;
    instances.texts("static").into_iter().map(|text| scalar::socket(text).ok()).collect()
}

fn normalization(word: &str) -> Option<Normalization> {
    match word {
        "strict" => Some(Normalization::Strict),
        "merge-slashes" => Some(Normalization::MergeSlashes),
        "encoded-slash" => Some(Normalization::EncodedSlash),
        "matrix-params" => Some(Normalization::MatrixParams),
        _ => None,
    }
}

fn subsets(view: View<'_>) -> Option<Vec<Subset>> {
    let mut subsets = Vec::new();
    for entry in view.node("subsets").map_or(&[][..], Node::entries) {
        let subset = View::new(Some(&entry.value), view.object_of("subsets")?);
        let mut labels = BTreeMap::new();
        for label in subset.node("labels")?.entries() {
            labels.insert(label.key.clone(), label.value.text()?.to_owned());
        }
        let name = entry.key.parse().ok()?;
        subsets.push(Subset { name, labels, weight: subset.percent("weight")? });
    }
    Some(subsets)
}

fn resilience(view: View<'_>) -> Option<Resilience> {
    Some(Resilience {
        timeout: view.duration("timeout")?,
        connect: view.duration("connect")?,
        concurrency: view.count("concurrency")?,
    })
}
