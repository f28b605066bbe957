//! The index against the engine: for random policies and questions, both give the same answer.

use std::collections::HashSet;

use cedar_policy::{
    Context, Decision, Entities, Entity, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression,
};
use proptest::{prelude::*, sample::select};
use ringfort_model::{
    Label, Name,
    snapshot::{Place, PolicyRoute, PolicyService, PolicySlice, PolicySource, Protocol},
};

use crate::{Authorizer, HttpFacts, Memo, Question, Verdict, parse};

const WORKLOADS: [&str; 3] = ["web", "batch", "public"];
const SERVICES: [&str; 3] = ["orders", "ledger", "web"];
const LABELS: [&str; 2] = ["pci", "front"];
const ROUTES: [&str; 2] = ["stock", "old"];

/// A question that owns its texts.
#[derive(Debug, Clone)]
struct Asked {
    visit: bool,
    who: Name,
    what: Name,
    operation: Option<&'static str>,
    method: &'static str,
    ip: [u8; 4],
    is_http: bool,
}

impl Asked {
    fn question(&self) -> Question<'_> {
        let http = HttpFacts { method: self.method, host: "shop.example", path: "/a/b" };
        if self.visit {
            let (operation, client_ip) = (self.operation, self.ip.into());
            return Question::Visit { route: &self.what, operation, http, client_ip };
        }
        Question::Call {
            caller: &self.who,
            service: &self.what,
            operation: self.operation,
            http: self.is_http.then_some(http),
        }
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn head(
    variable: &'static str,
    kinds: &'static [(&'static str, &'static [&'static str])],
) -> BoxedStrategy<String> {
    let entity = select(kinds)
        .prop_flat_map(|(kind, ids)| select(ids).prop_map(move |id| format!("{kind}::\"{id}\"")));
    let kind = select(kinds).prop_map(|(kind, _)| kind);
    prop_oneof![
        2 => Just(variable.to_owned()),
        3 => entity.clone().prop_map(move |uid| format!("{variable} == {uid}")),
        2 => entity.clone().prop_map(move |uid| format!("{variable} in {uid}")),
        1 => kind.clone().prop_map(move |kind| format!("{variable} is {kind}")),
        1 => (kind, entity).prop_map(move |(kind, uid)| format!("{variable} is {kind} in {uid}")),
    ]
    .boxed()
}

fn policy() -> impl Strategy<Value = String> {
    let effect = select(&["permit", "permit", "forbid"][..]);
    let principal = head(
        "principal",
        &[
            ("Workload", &WORKLOADS),
            ("Label", &LABELS),
            ("Visitor", &["anonymous"]),
            ("User", &["u"]),
        ],
    );
    let action = select(
        &[
            "action",
            r#"action == Action::"call""#,
            r#"action == Action::"visit""#,
            r#"action == Action::"tap""#,
            r#"action in [Action::"call", Action::"invoke"]"#,
            r#"action in [Action::"visit", Action::"call"]"#,
        ][..],
    );
    let resource =
        head("resource", &[("Service", &SERVICES), ("Label", &LABELS), ("Route", &ROUTES)]);
    let condition = select(
        &[
            "",
            "",
            r#"when { context has operation && context.operation == "GET /a" }"#,
            r#"when { context has operation && ["GET /a", "PUT /a"].contains(context.operation) }"#,
            r#"when { context has http && context.http.method == "GET" }"#,
            r#"when { context.http.method == "GET" }"#,
            r#"unless { context has source && context.source.known_exploited }"#,
            r#"when { context.source.attested }"#,
            r#"when { context has client_ip && context.client_ip.isInRange(ip("10.0.0.0/8")) }"#,
            r#"when { principal in Label::"front" || resource in Label::"pci" }"#,
            r#"when { resource has protocol && resource.protocol == "tcp" }"#,
            r#"when { resource.service in Label::"pci" }"#,
            r#"when { context == {source: {posture: "unknown", attested: true, known_exploited: false}} }"#,
            r#"when { context has acting }"#,
            r#"unless { context has http.path && context.http.path like "/a/*" }"#,
        ][..],
    );
    (effect, principal, action, resource, condition)
        .prop_map(|(effect, p, a, r, c)| format!("{effect} ({p}, {a}, {r}) {c};"))
}

fn asked() -> impl Strategy<Value = Asked> {
    let operation = select(&[None, Some("GET /a"), Some("PUT /a"), Some("DELETE /a")][..]);
    let whats = [&SERVICES[..], &ROUTES[..], &["stranger"]].concat();
    let who = select(&["web", "batch", "public", "stranger"][..]);
    let ip = select(&[[10, 1, 2, 3], [192, 0, 2, 1]][..]);
    (any::<bool>(), who, select(whats), operation, select(&["GET", "PUT"][..]), ip, any::<bool>())
        .prop_map(|(visit, who, what, operation, method, ip, is_http)| Asked {
            visit,
            who: name(who),
            what: name(what),
            operation,
            method,
            ip,
            is_http,
        })
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    proptest::sample::subsequence(LABELS.to_vec(), 0..=LABELS.len())
        .prop_map(|labels| labels.into_iter().map(name).collect())
}

fn slice() -> impl Strategy<Value = PolicySlice> {
    let policies = prop::collection::vec(policy(), 0..12);
    let of_workloads = prop::collection::vec(labels(), WORKLOADS.len());
    let of_services = prop::collection::vec(labels(), SERVICES.len());
    (policies, of_workloads, of_services).prop_map(|(policies, of_workloads, of_services)| {
        let source = |(number, text)| PolicySource {
            id: format!("p{number}"),
            text,
            place: Place { file: "a.cedar".to_owned(), line: 1 },
            generated: false,
        };
        let service = |(id, labels): (&&str, Vec<Label>)| {
            let protocol = if *id == "ledger" { Protocol::Tcp } else { Protocol::Http1 };
            (name(id), PolicyService { protocol, labels })
        };
        let route = |id: &&str| {
            let service = (*id == "stock").then(|| name("orders"));
            (name(id), PolicyRoute { service, gateway: name("public") })
        };
        let workloads = WORKLOADS.iter().map(|id| name(id));
        PolicySlice {
            policies: policies.into_iter().enumerate().map(source).collect(),
            workload_labels: workloads.zip(of_workloads).collect(),
            services: SERVICES.iter().zip(of_services).map(service).collect(),
            routes: ROUTES.iter().map(route).collect(),
        }
    })
}

fn uid(kind: &str, id: &str) -> EntityUid {
    format!("{kind}::\"{id}\"").parse().unwrap()
}

/// The same slice for the engine alone, written a second time on purpose.
fn plain_entities(slice: &PolicySlice) -> Entities {
    let parents = |labels: &[Label]| -> HashSet<EntityUid> {
        labels.iter().map(|label| uid("Label", label.as_str())).collect()
    };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let refer = |kind, id| RestrictedExpression::new_entity_uid(uid(kind, id));
    let workloads = slice.workload_labels.iter().map(|(name, labels)| {
        Entity::new_no_attrs(uid("Workload", name.as_str()), parents(labels))
    });
    let services = slice.services.iter().map(|(name, service)| {
        let attributes = [("protocol".to_owned(), text(service.protocol.as_str()))];
        let uid = uid("Service", name.as_str());
        Entity::new(uid, attributes.into(), parents(&service.labels)).unwrap()
    });
    let routes = slice.routes.iter().map(|(name, route)| {
        let service = route.service.as_ref().map_or("ringfort", Name::as_str);
        let attributes = [
            ("service".to_owned(), refer("Service", service)),
            ("gateway".to_owned(), refer("Gateway", route.gateway.as_str())),
        ];
        Entity::new(uid("Route", name.as_str()), attributes.into(), HashSet::new()).unwrap()
    });
    Entities::from_entities(workloads.chain(services).chain(routes), None).unwrap()
}

fn plain_request(asked: &Asked) -> Request {
    let http = format!(
        r#""http": {{"method": "{}", "host": "shop.example", "path": "/a/b"}}"#,
        asked.method
    );
    let mut parts = Vec::new();
    if asked.visit {
        let [a, b, c, d] = asked.ip;
        parts.push(format!(
            r#""client_ip": {{"__extn": {{"fn": "ip", "arg": "{a}.{b}.{c}.{d}"}}}}"#
        ));
        parts.push(http);
    } else {
        parts.push(
            r#""source": {"posture": "unknown", "attested": true, "known_exploited": false}"#
                .to_owned(),
        );
        parts.extend(asked.is_http.then_some(http));
    }
    parts.extend(asked.operation.map(|operation| format!(r#""operation": "{operation}""#)));
    let context = Context::from_json_str(&format!("{{{}}}", parts.join(", ")), None).unwrap();
    let (principal, action, resource) = if asked.visit {
        (uid("Visitor", "anonymous"), "visit", uid("Route", asked.what.as_str()))
    } else {
        (uid("Workload", asked.who.as_str()), "call", uid("Service", asked.what.as_str()))
    };
    Request::new(principal, uid("Action", action), resource, context, None).unwrap()
}

fn plain_policies(slice: &PolicySlice) -> PolicySet {
    let policies = slice.policies.iter().map(|source| {
        parse::policy(&source.id, &source.text).unwrap().new_id(PolicyId::new(&source.id))
    });
    PolicySet::from_policies(policies).unwrap()
}

/// The engine's answer over all policies, with our rule for failures; `None` for parties the slice does not have.
fn plain(
    slice: &PolicySlice,
    (policies, entities): (&PolicySet, &Entities),
    asked: &Asked,
) -> &'static str {
    let is_known = if asked.visit {
        slice.routes.contains_key(&asked.what)
    } else {
        slice.services.contains_key(&asked.what) && slice.workload_labels.contains_key(&asked.who)
    };
    if !is_known {
        return "no_permit";
    }
    let response =
        cedar_policy::Authorizer::new().is_authorized(&plain_request(asked), policies, entities);
    let has_reason = response.diagnostics().reason().next().is_some();
    match (response.decision(), has_reason) {
        (Decision::Deny, true) => "forbid",
        _ if response.diagnostics().errors().next().is_some() => "policy_failed",
        (Decision::Allow, _) => "permit",
        (Decision::Deny, false) => "no_permit",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_engine_over_all_policies(
        slices in prop::collection::vec(slice(), 1..3),
        asked in prop::collection::vec(asked(), 12),
    ) {
        let mut memo = Memo::new();
        for slice in &slices {
            let authorizer = Authorizer::new(slice).unwrap();
            let (policies, entities) = (plain_policies(slice), plain_entities(slice));
            // Twice, so that the second round is answered from memory.
            for asked in asked.iter().chain(&asked) {
                let verdict = authorizer.decide(&asked.question());
                prop_assert_eq!(verdict.reason(), plain(slice, (&policies, &entities), asked), "{:?} {:#?}", asked, slice);
                prop_assert_eq!(authorizer.decide_with(&mut memo, &asked.question()), verdict.clone());
                prop_assert_eq!(authorizer.explain(&asked.question()).verdict, verdict);
            }
        }
    }
}

/// As many permits as callers: each question meets the one of its caller and none of the others.
#[track_caller]
fn check_candidates(count: usize) {
    let callers: Vec<Name> = (0..count).map(|number| name(&format!("c-{number}"))).collect();
    let source = |(number, caller): (usize, &Name)| PolicySource {
        id: caller.to_string(),
        text: format!(
            "permit (principal == Workload::\"{caller}\", action == Action::\"call\", resource == Service::\"orders\") when {{ context.source.attested }};"
        ),
        place: Place { file: "a.yaml".to_owned(), line: u32::try_from(number).unwrap() },
        generated: true,
    };
    let service = PolicyService { protocol: Protocol::Http1, labels: Vec::new() };
    let slice = PolicySlice {
        policies: callers.iter().enumerate().map(source).collect(),
        workload_labels: callers.iter().map(|caller| (caller.clone(), Vec::new())).collect(),
        services: [(name("orders"), service)].into(),
        ..PolicySlice::default()
    };
    let authorizer = Authorizer::new(&slice).unwrap();
    let service = name("orders");
    for (number, caller) in callers.iter().enumerate().step_by(97) {
        let question = Question::Call { caller, service: &service, operation: None, http: None };
        let evaluated = authorizer.evaluated(&question);
        assert_eq!(evaluated, 1);
        let Verdict::Permit { policy } = authorizer.decide(&question) else { panic!("{caller}") };
        assert_eq!(usize::try_from(policy.place.line).unwrap(), number);
    }
}

#[test]
fn policies_of_others_are_no_candidates() {
    check_candidates(200);
}

#[test]
fn slow_ten_thousand_policies_of_others_are_no_candidates() {
    check_candidates(10_000);
}
