//! Turns a tree that fits the language into typed values.
//!
//! Works item by item: an item with a structural problem is left out, so that one fault is reported once. An item
//! that fits the table and still cannot be read is a fault of this crate; it is reported, never skipped.

mod edge;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ringfort_model::{Name, limits::CertificateTerms};

use crate::{
    document::{Document, LimitsWritten},
    language::{CERTIFICATES, Kind, LIMITS, Object, ROOT},
    problem::Problems,
    source::Span,
    view::View,
    yaml::{Entry, Node},
};

/// Reads the whole fleet; `broken` holds the places of the names of items that have structural problems.
pub(crate) fn document(
    root: &Node,
    broken: &BTreeSet<Span>,
    problems: &mut Problems<'_>,
) -> Option<Document> {
    let view = View::new(Some(root), &ROOT);
    let fleet = object_view(view, "fleet")?;
    let certificates = certificates(fleet.child("certificates", &CERTIFICATES))?;
    let observability = object_view(view, "observability")?;
    let metrics = object_view(observability, "metrics")?;
    let metrics_bind: SocketAddr = metrics.text("bind")?.parse().ok()?;
    Some(Document {
        trust_domain: fleet.text("trust_domain")?.parse().ok()?,
        certificates,
        services: items(view, "services", broken, problems, |name, entry| {
            service::service(name, entry, certificates)
        }),
        gateways: items(view, "gateways", broken, problems, edge::gateway),
        routes: items(view, "routes", broken, problems, |_, entry| edge::route(entry)),
        metrics_bind,
        metrics_span: metrics.span("bind"),
        access_log_2xx: object_view(observability, "access_log")?.percent("sample_2xx")?,
    })
}

/// The named items of a section that have no structural problem.
fn items<T>(
    view: View<'_>,
    section: &str,
    broken: &BTreeSet<Span>,
    problems: &mut Problems<'_>,
    read: impl Fn(&Name, &Entry) -> Option<T>,
) -> BTreeMap<Name, T> {
    let mut items = BTreeMap::new();
    for entry in view.node(section).map_or(&[][..], Node::entries) {
        if broken.contains(&entry.key_span) {
            continue;
        }
        let item = entry.key.parse().ok().and_then(|name| Some((read(&name, entry)?, name)));
        if let Some((item, name)) = item {
            items.insert(name, item);
        } else {
            let message = format!("`{section}.{}` cannot be read", entry.key);
            problems.error("RF0010", entry.key_span, message).done();
        }
    }
    items
}

/// The view of an object field, by the object the table gives it.
fn object_view<'n>(view: View<'n>, name: &str) -> Option<View<'n>> {
    Some(view.child(name, view.object_of(name)?))
}

/// The object behind a field's kind: itself, or its long form.
pub(crate) fn object_in(kind: &'static Kind) -> Option<&'static Object> {
    match kind {
        Kind::Object(object) => Some(object),
        Kind::List(item) => object_in(item),
        Kind::Map { value, .. } => object_in(value),
        Kind::Forms(forms) => forms.iter().find_map(object_in),
        Kind::Text(_) => None,
    }
}

fn certificates(view: View<'_>) -> Option<CertificateTerms> {
    Some(CertificateTerms { ttl: view.duration("ttl")?, renew_at: view.percent("renew_at")? })
}

/// Certificate terms of a workload: its own where written, the fleet's elsewhere.
fn certificates_over(view: View<'_>, fleet: CertificateTerms) -> Option<CertificateTerms> {
    let own = certificates(view)?;
    Some(CertificateTerms {
        ttl: view.node("ttl").map_or(fleet.ttl, |_| own.ttl),
        renew_at: view.node("renew_at").map_or(fleet.renew_at, |_| own.renew_at),
    })
}

/// The limits written under `limits`.
fn limits(parent: View<'_>) -> Option<LimitsWritten> {
    let view = parent.child("limits", &LIMITS);
    let headers = object_view(view, "headers")?;
    let written = |view: View<'_>, name: &str| view.node(name).is_some();
    Some(LimitsWritten {
        body: view.bytes("body").filter(|_| written(view, "body")),
        url: view.bytes("url").filter(|_| written(view, "url")),
        header_bytes: headers.bytes("bytes").filter(|_| written(headers, "bytes")),
        header_count: headers.count("count").filter(|_| written(headers, "count")),
        header_timeout: view.duration("header_timeout").filter(|_| written(view, "header_timeout")),
        body_idle: view.duration("body_idle").filter(|_| written(view, "body_idle")),
        idle: view.duration("idle").filter(|_| written(view, "idle")),
        streams: view.count("streams").filter(|_| written(view, "streams")),
        connections: view.count("connections").filter(|_| written(view, "connections")),
        body_span: view.span("body"),
    })
}
