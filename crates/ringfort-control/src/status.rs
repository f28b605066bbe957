//! What is in force, as reported and as expected: never assumed.

use ringfort_model::Ring;
use ringfort_wire::v1;

use crate::{link::millis, registry::Entry, server::Server, world::World};

/// The whole report.
pub(crate) fn report(server: &Server) -> v1::StatusResponse {
    let world = server.world();
    let proxies = {
        let registry = server.registry();
        registry.entries().iter().map(|(id, entry)| proxy(&world, id, entry)).collect()
    };
    let built = |ring: &Ring| !ring.is_built();
    let not_in_force = Ring::ALL.iter().filter(|ring| built(ring));
    let trust = world.trust.as_ref();
    let mut status = v1::StatusResponse {
        proxies,
        authorities: authorities(server),
        renew_epoch: trust.map_or(0, |trust| trust.message.renew_epoch),
        started_at_ms: millis(server.started_at),
        rings_not_in_force: not_in_force.map(|ring| ring.as_str().to_owned()).collect(),
        ..v1::StatusResponse::default()
    };
    if let Some(in_force) = &world.in_force {
        status.revision = in_force.record.revision.number();
        status.digest = in_force.record.digest.as_bytes().to_vec().into();
        status.trust_domain = in_force.rules.trust_domain.to_string();
        status.applied_at_ms = millis(in_force.record.applied_at);
        status.author.clone_from(&in_force.record.author);
        status.message.clone_from(&in_force.record.message);
    }
    status
}

fn proxy(world: &World, id: &str, entry: &Entry) -> v1::ProxyStatus {
    let class = world.in_force.as_ref().and_then(|in_force| in_force.classes.get(&entry.class));
    let mut status = v1::ProxyStatus {
        instance: id.to_owned(),
        workload: entry.workload.to_string(),
        spiffe_id: entry.class.to_string(),
        address: entry.address.map(|address| address.to_string()).unwrap_or_default(),
        link: entry.link.as_str().to_owned(),
        ..v1::ProxyStatus::default()
    };
    if let Some(class) = class {
        status.expected_revision = class.revision.number();
        status.expected_digest = class.digest.as_bytes().to_vec().into();
    }
    if let Some(report) = &entry.report {
        status.state.clone_from(&report.state);
        status.revision = report.revision.number();
        let digest = report.digest.map(|digest| digest.as_bytes().to_vec().into());
        status.digest = digest.unwrap_or_default();
        status.current =
            report.digest.is_some() && report.digest == class.map(|class| class.digest);
        status.certificate_not_after_ms = millis(report.certificate_not_after);
        status.nack.clone_from(&report.nack);
        status.last_report_ms = millis(report.heard_at);
    }
    status
}

fn authorities(server: &Server) -> Vec<v1::CaStatus> {
    let mut list = Vec::new();
    if let Some(authority) = server.authority() {
        let both = [("root", authority.root_facts()), ("issuing", authority.issuing_facts())];
        list.extend(both.map(|(kind, facts)| v1::CaStatus {
            kind: kind.to_owned(),
            id: facts.serial.clone(),
            not_before_ms: millis(facts.not_before),
            not_after_ms: millis(facts.not_after),
        }));
    }
    list.push(v1::CaStatus {
        kind: "config".to_owned(),
        id: server.config_key.public().id().to_owned(),
        ..v1::CaStatus::default()
    });
    list
}
