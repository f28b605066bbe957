//! The Cedar schema of a fleet: which entities, actions and context attributes policies may use.
//!
//! One text serves `ringfort schema --cedar` and the strict validation of `check`.

use std::fmt::Display;

use crate::SchemaNames;

/// Entity types, actions and contexts that are the same in every fleet.
const FIXED: &str = r#"entity User in [Group];
entity Workload in [Label];
entity Service in [Label] = { protocol: String };
entity Route = { service: Service, gateway: Gateway };
type Source = { posture: String, attested: Bool, known_exploited: Bool };
type Http = { method: String, host: String, path: String };
type Auth = { client: Client, scopes: Set<String>, acr: String, bound: Bool, login_age_s: Long, mfa_age_s?: Long };
type Acting = { user: User, auth: Auth };
action call appliesTo { principal: Workload, resource: Service, context: { source: Source, operation?: String, http?: Http, acting?: Acting } };
action invoke appliesTo { principal: [User, Client], resource: Route, context: { http: Http, operation?: String, client_ip: ipaddr, auth: Auth } };
action visit appliesTo { principal: Visitor, resource: Route, context: { http: Http, operation?: String, client_ip: ipaddr } };
action administer;
action view, apply, approve, tap, fault, manage_identity, issue_token in [administer] appliesTo { principal: User, resource: Fleet, context: { auth: Auth } };
"#;

/// The schema of a fleet with these names, in Cedar's own syntax; an empty enumeration is a plain entity.
#[must_use]
pub fn schema_text(names: &SchemaNames) -> String {
    let mut text = String::new();
    push_entity(&mut text, "Label", &names.labels);
    push_entity(&mut text, "Group", &names.groups);
    push_entity(&mut text, "Client", &names.clients);
    push_entity(&mut text, "Gateway", names.gateways.keys());
    push_entity(&mut text, "Fleet", ["fleet"]);
    push_entity(&mut text, "Visitor", [crate::VISITOR]);
    text.push_str(FIXED);
    text
}

fn push_entity(text: &mut String, kind: &str, ids: impl IntoIterator<Item = impl Display>) {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("\"{id}\"")).collect();
    text.push_str("entity ");
    text.push_str(kind);
    if !ids.is_empty() {
        text.push_str(" enum [");
        text.push_str(&ids.join(", "));
        text.push(']');
    }
    text.push_str(";\n");
}

#[cfg(test)]
mod tests;
