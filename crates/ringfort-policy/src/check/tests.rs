//! One row per kind of problem, each with the legal spelling beside it.

use proptest::{prelude::*, sample::select};
use ringfort_model::{
    Name,
    snapshot::{PolicySlice, Protocol},
};

use super::*;
use crate::{Authorizer, NamedEdge, NamedRoute, NamedService};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn yaml(line: u32) -> Span {
    Span { file: "shop.yaml".to_owned(), line, column: 9, offset: 100, len: 6 }
}

/// public -> orders -> payments, ledger (tcp, pci); web -> orders; batch only calls.
fn names() -> SchemaNames {
    let service = |protocol: Option<Protocol>, labels: &[&str]| NamedService {
        protocol,
        labels: labels.iter().map(|label| name(label)).collect(),
    };
    let route = |has_user| NamedRoute {
        service: Some(name("orders")),
        gateway: name("public"),
        has_user,
        required: None,
    };
    let edge = |from: &str, to: &str| ((name(from), name(to)), NamedEdge::default());
    SchemaNames {
        labels: [name("pci"), name("front")].into(),
        groups: [name("customers")].into(),
        clients: [name("web-app")].into(),
        gateways: [(name("public"), vec![name("front")])].into(),
        services: [
            (name("web"), service(Some(Protocol::Http1), &["front"])),
            (name("orders"), service(Some(Protocol::Http1), &[])),
            (name("payments"), service(Some(Protocol::Grpc), &["pci"])),
            (name("ledger"), service(Some(Protocol::Tcp), &["pci"])),
            (name("batch"), service(None, &[])),
        ]
        .into(),
        routes: [(name("stock"), route(false)), (name("pay"), route(true))].into(),
        edges: [
            edge("web", "orders"),
            edge("orders", "payments"),
            edge("orders", "ledger"),
            edge("public", "orders"),
        ]
        .into(),
    }
}

fn covered<'a>(text: &'a str, span: &Span) -> &'a str {
    text.get(span.offset..span.offset + span.len).unwrap()
}

/// Each problem as `CODE LINE "what the span covers" message | help`.
fn render(files: &[PolicyFile], problems: &[PolicyProblem]) -> Vec<String> {
    let line = |problem: &PolicyProblem| {
        let span = &problem.span;
        let file = files.iter().find(|file| file.path == span.file);
        let part = file.map_or("", |file| covered(&file.text, span));
        let help = problem.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
        let code = problem.kind.code();
        format!("{code} {} {part:?} {}{help}", span.line, problem.message)
    };
    problems.iter().map(line).collect()
}

#[track_caller]
fn check_in(names: &SchemaNames, text: &str, expected: &[&str]) {
    let files = [PolicyFile { path: "shop.cedar".to_owned(), text: text.to_owned() }];
    assert_eq!(render(&files, &check(names, &files)), expected, "{text}");
}

#[track_caller]
fn check_one(text: &str, expected: &[&str]) {
    check_in(&names(), text, expected);
}

fn call(condition: &str) -> String {
    format!(
        r#"permit (principal == Workload::"web", action == Action::"call", resource == Service::"orders") when {{ {condition} }};"#
    )
}

#[test]
fn a_good_file_has_no_problems() {
    check_one(
        r#"
// orders may charge, and do nothing else there: "quoted", ; and { in a comment
@id("orders-charges-for-customer")
permit (
  principal == Workload::"orders", // trailing; comment
  action == Action::"call",
  resource == Service::"payments"
) when {
  context has operation && context.operation == "shop.Payments/Charge" &&
  context has acting && context.acting.user in Group::"customers" &&
  context.acting.auth has mfa_age_s && context.acting.auth.mfa_age_s <= 300
};
@id("customers-pay")
permit (principal in Group::"customers", action == Action::"invoke", resource == Route::"pay")
when { context.auth has mfa_age_s && context.auth.mfa_age_s <= 300 };
@id("pci-is-closed")
forbid (principal, action == Action::"call", resource in Label::"pci")
unless { principal in Label::"pci" || principal == Workload::"orders" };
@id("no-known-exploited-caller")
forbid (principal, action == Action::"call", resource) when { context.source.known_exploited };
@id("no-deletes")
forbid (principal, action == Action::"call", resource) when { context has http && context.http.method == "DELETE" };
permit (principal in Group::"customers", action == Action::"tap", resource == Fleet::"fleet");
permit (principal, action == Action::"visit", resource == Route::"stock")
when { context.http.path like "/api/*" && context.client_ip.isInRange(ip("10.0.0.0/8")) };
"#,
        &[],
    );
    check_one("", &[]);
    check_in(&SchemaNames::default(), "// nothing\n", &[]);
}

#[test]
fn names_that_do_not_exist() {
    check_one(
        r#"forbid (principal, action, resource == Service::"paymets");"#,
        &[
            r#"RF0004 1 "Service::\"paymets\"" no service named `paymets` | there is a service named `payments`"#,
        ],
    );
    check_one(
        r#"forbid (principal in Label::"pic", action, resource);"#,
        &[r#"RF0004 1 "Label::\"pic\"" no label named `pic`"#],
    );
    check_one(
        r#"forbid (principal, action, resource) unless { principal in Label::"frnt" || principal == Workload::"publik" };"#,
        &[
            r#"RF0004 1 "Label::\"frnt\"" no label named `frnt` | there is a label named `front`"#,
            r#"RF0004 1 "Workload::\"publik\"" no workload named `publik` | there is a workload named `public`"#,
        ],
    );
    check_one(
        r#"forbid (principal, action == Action::"cal", resource);"#,
        &[r#"RF0004 1 "Action::\"cal\"" no action named `cal` | there is an action named `call`"#],
    );
    check_one(
        r#"forbid (principal == Wrkload::"web", action, resource);"#,
        &[
            r#"RF0004 1 "Wrkload::\"web\"" no entity type named `Wrkload` | there is an entity type `Workload`"#,
        ],
    );
    check_one(
        r#"permit (principal in Group::"custmers", action == Action::"invoke", resource == Route::"pya");"#,
        &[
            r#"RF0004 1 "Group::\"custmers\"" no group named `custmers` | there is a group named `customers`"#,
            r#"RF0004 1 "Route::\"pya\"" no route named `pya`"#,
        ],
    );
    check_one(
        r#"forbid (principal, action == Action::"invoke", resource) when { context.auth.client == Client::"wep-app" || resource.gateway == Gateway::"pubic" };"#,
        &[
            r#"RF0004 1 "Client::\"wep-app\"" no client named `wep-app` | there is a client named `web-app`"#,
            r#"RF0004 1 "Gateway::\"pubic\"" no gateway named `pubic` | there is a gateway named `public`"#,
        ],
    );
    check_one(r#"forbid (principal == User::"anybody", action == Action::"tap", resource);"#, &[]);
    check_one(
        r#"forbid (principal == Workload::"plaintext", action == Action::"call", resource);"#,
        &[],
    );
}

#[test]
fn attributes_that_no_request_has() {
    check_one(
        &call("context has htp && context.source.attested"),
        &[r#"RF0604 1 "htp" policy can never apply: no attribute `htp` | `http`"#],
    );
    check_one(
        r#"forbid (principal, action == Action::"call", resource) when { context.source.known_exploited || context has htp };"#,
        &[r#"RF0604 1 "htp" policy can never apply: no attribute `htp` | `http`"#],
    );
    check_one(
        &call(r#"context["sorce"].attested"#),
        &[r#"RF0604 1 "\"sorce\"" policy can never apply: no attribute `sorce` | `source`"#],
    );
    check_one(
        &call("context has client_ip || context.source.attested"),
        &[r#"RF0604 1 "client_ip" policy can never apply: no attribute `client_ip`"#],
    );
    check_one(
        &call("context has acting.auth.mfa_age && context.source.attested"),
        &[r#"RF0604 1 "mfa_age" policy can never apply: no attribute `mfa_age` | `mfa_age_s`"#],
    );
    check_one(
        r#"forbid (principal, action == Action::"call", resource) when { context.source.posture == "qarantined" };"#,
        &[
            r#"RF0604 1 "\"qarantined\"" `context.source.posture` is never `qarantined` | `"quarantined"`"#,
        ],
    );
    check_one(
        r#"forbid (principal, action == Action::"call", resource) when { ["unknown", "dirty"].contains(context.source.posture) };"#,
        &[r#"RF0604 1 "\"dirty\"" `context.source.posture` is never `dirty`"#],
    );
    check_one(
        r#"forbid (principal, action == Action::"visit", resource) when { context.http.method == "delete" };"#,
        &[
            r#"RF0604 1 "\"delete\"" `context.http.method` is upper case, never `delete` | `"DELETE"`"#,
        ],
    );
    check_one(
        &call("context.source.attested && !context.source.attested && false"),
        &[
            r#"RF0604 1 "permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"orders\") when { context.source.attested && !context.source.attested && false };" policy can never apply: no request meets its head and its conditions"#,
        ],
    );
    check_one(
        r#"forbid (principal == User::"u", action == Action::"call", resource);"#,
        &[
            r#"RF0604 1 "forbid (principal == User::\"u\", action == Action::\"call\", resource);" policy can never apply: no request meets its head and its conditions"#,
        ],
    );
}

#[test]
fn attributes_that_a_request_may_lack() {
    check_one(
        &call(r#"context.http.method == "GET""#),
        &[
            r#"RF0601 1 "context.http.method" access to optional attribute `http` is not guarded | `context has http && ...`"#,
        ],
    );
    check_one(&call(r#"context has http && context.http.method == "GET""#), &[]);
    check_one(
        r#"forbid (principal, action in [Action::"call", Action::"visit"], resource) when { context.source.attested };"#,
        &[
            r#"RF0601 1 "context.source.attested" access to attribute `source` is not guarded | some requests of this policy have none: `context has source && ...`"#,
        ],
    );
}

#[test]
fn demands_that_cannot_be_enforced() {
    let on = |resource: &str, condition: &str| {
        format!(
            r#"forbid (principal, action == Action::"call", resource {resource}) when {{ {condition} }};"#
        )
    };
    let test = r#"context has http && context.http.method == "GET""#;
    check_one(
        &on(r#"== Service::"ledger""#, test),
        &[
            r#"RF0602 1 "Service::\"ledger\"" policy tests `context.http` on `ledger` (tcp): cannot be enforced"#,
        ],
    );
    check_one(
        &on(r#"in Label::"pci""#, r#"context has operation && context.operation == "x""#),
        &[
            r#"RF0602 1 "Label::\"pci\"" policy tests `context.operation` on `ledger` (tcp): cannot be enforced | say `resource.protocol != "tcp" && ...` if bytes are not meant"#,
        ],
    );
    check_one(&on(r#"in Label::"pci""#, &format!(r#"resource.protocol != "tcp" && {test}"#)), &[]);
    check_one(&on(r#"== Service::"payments""#, test), &[]);
    check_one(&on("", test), &[]);
}

#[test]
fn permits_that_are_never_asked() {
    let permit = |from: &str, to: &str| {
        format!(r#"permit (principal {from}, action == Action::"call", resource {to});"#)
    };
    check_one(
        &permit(r#"== Workload::"web""#, r#"== Service::"ledger""#),
        &[
            r#"RF0603 1 "Service::\"ledger\"" permit `web` -> `ledger` is outside the graph and never asked | add `ledger` to `calls` of `web`"#,
        ],
    );
    check_one(
        &permit(r#"== Workload::"public""#, r#"== Service::"ledger""#),
        &[
            r#"RF0603 1 "Service::\"ledger\"" permit `public` -> `ledger` is outside the graph and never asked | add a route of `public` to `ledger`"#,
        ],
    );
    check_one(
        &permit(r#"in Label::"front""#, r#"in Label::"pci""#),
        &[r#"RF0603 1 "permit" permit is outside the graph and never asked"#],
    );
    check_one(&permit(r#"in Label::"front""#, ""), &[]);
    check_one(&permit(r#"== Workload::"public""#, r#"== Service::"orders""#), &[]);
    check_one(
        &permit(r#"== Workload::"web""#, r#"== Service::"ledger""#).replace("permit", "forbid"),
        &[],
    );
    check_one(
        r#"permit (principal, action == Action::"visit", resource == Route::"pay");"#,
        &[
            r#"RF0603 1 "Route::\"pay\"" permit on route `pay` (who signs in) is never asked | the action of this route is `invoke`"#,
        ],
    );
    check_one(
        r#"permit (principal, action == Action::"invoke", resource == Route::"stock");"#,
        &[
            r#"RF0603 1 "Route::\"stock\"" permit on route `stock` (`user: none`) is never asked | the action of this route is `visit`"#,
        ],
    );
}

#[test]
fn lines_that_demand_a_policy() {
    let mut names = names();
    let edge = (name("orders"), name("payments"));
    names.edges.insert(edge, NamedEdge { required: Some(yaml(38)) });
    names.routes.get_mut("stock").unwrap().required = Some(yaml(70));
    names.routes.get_mut("pay").unwrap().required = Some(yaml(80));
    let help = "write a permit for it in a `.cedar` file, or drop `policy: required`";
    let problem = |line: u32, what: &str| {
        format!(
            r#"RF0605 {line} "" {what} is `policy: required` and no permit allows it: always denied | {help}"#
        )
    };
    let all = [
        problem(38, "`orders` -> `payments`"),
        problem(70, "route `stock`"),
        problem(80, "route `pay`"),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    check_in(&names, "", &all);
    check_in(&names, r#"forbid (principal, action, resource);"#, &all);
    check_in(
        &names,
        r#"permit (principal, action == Action::"visit", resource);"#,
        &[all[0], all[2]],
    );
    check_in(
        &names,
        r#"permit (principal in Label::"front", action == Action::"call", resource);"#,
        &all,
    );
    check_in(&names, "permit (principal, action, resource);", &[]);
}

#[test]
fn patterns_that_cut_segments() {
    let like = |pattern: &str| {
        format!(
            r#"forbid (principal, action == Action::"visit", resource) when {{ context.http.path like "{pattern}" }};"#
        )
    };
    check_one(
        &like("/res*"),
        &[r#"RF0606 1 "\"/res*\"" `like "/res*"` also matches `/resold` | `"/res/*"`"#],
    );
    check_one(
        &like("/a/b*"),
        &[r#"RF0606 1 "\"/a/b*\"" `like "/a/b*"` also matches `/a/b-other` | `"/a/b/*"`"#],
    );
    check_one(
        &like("/a*/b"),
        &[r#"RF0606 1 "\"/a*/b\"" `like "/a*/b"` cuts a path segment in two | `"/a/*"`"#],
    );
    for good in ["/res/*", "/res", "*", "/a/*/b", r"/a\*", "*.pdf"] {
        check_one(&like(good), &[]);
    }
    check_one(
        r#"forbid (principal, action == Action::"visit", resource) when { context.http.host like "shop*" };"#,
        &[],
    );
}

#[test]
fn texts_that_are_no_policies() {
    check_one(
        "permit (principal, action, resource)\nwhen { context.http. };",
        &[r#"RF0607 2 "}" unexpected token `}`"#],
    );
    check_one("\n permit (", &[r#"RF0607 2 "permit" this policy does not end with `;`"#]);
    check_one("@id(\"x);", &[r#"RF0607 1 "\"" this string does not end"#]);
    check_one(
        &call(&format!("{}true{}", "(".repeat(100), ")".repeat(100))),
        &[r#"RF0607 1 "p" policy `shop.cedar:1` nests deeper than 24"#],
    );
    check_one(
        &call(&vec!["true"; 600].join(" && ")),
        &[
            r#"RF0607 1 "p" policy `shop.cedar:1` has more than 96 of `&& || if` (`+ - *` count three), or more than 12 names in a row"#,
        ],
    );
    check_one(
        &call(&format!("\"{}\" == \"\"", "x".repeat(300_000))),
        &[r#"RF0607 1 "p" policy `shop.cedar:1` is longer than 262144 bytes"#],
    );
    check_one(
        "permit (principal == ?principal, action, resource);",
        &[
            r#"RF0607 1 "?principal" expected a static policy, got a template containing the slot ?principal | try removing the template slot(s) from this policy"#,
        ],
    );
}

#[test]
fn types_that_do_not_fit() {
    check_one(
        &call("context.source.posture < 5"),
        &[r#"RF0608 1 "context.source.posture" unexpected type: expected Long but saw String"#],
    );
    check_one(
        &call(r#"context.source.posture == "p\u{202e}x""#),
        &[
            r#"RF0604 1 "\"p\\u{202e}x\"" `context.source.posture` is never `p\u{202e}x`"#,
            r#"RF0608 1 "\"p\\u{202e}x\"" string `"p\u{202e}x"` contains BIDI control characters"#,
        ],
    );
}

#[test]
fn ids_are_plain_and_unique() {
    check_one(
        "@id(\"a\") forbid (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);",
        &[r#"RF0609 2 "@id" policy id `a` is taken at shop.cedar:1"#],
    );
    for bad in ["", "shop.yaml:3", "a b", "a\\n", &"x".repeat(65)] {
        check_one(
            &format!("@id(\"{bad}\") forbid (principal, action, resource);"),
            &[r#"RF0609 1 "@id" a policy id has 1 to 64 letters, digits, `-`, `_` and `.`"#],
        );
    }
}

#[test]
fn columns_count_characters() {
    let text = "// é\r\n forbid (principal, action, resource) when { \"é\" == Label::\"x\" };";
    let files = [PolicyFile { path: "shop.cedar".to_owned(), text: text.to_owned() }];
    let problems = check(&names(), &files);
    let unknown = problems.iter().find(|problem| problem.kind == ProblemKind::UnknownName);
    let span = &unknown.unwrap().span;
    assert_eq!((span.line, span.column, span.len), (2, 53, 10));
    assert_eq!(covered(text, span), "Label::\"x\"");
}

#[test]
fn comments_do_not_break_a_file() {
    check_one("/**/", &[r#"RF0607 1 "/" this policy does not end with `;`"#]);
    check_one("// permit (;\rforbid (principal, action, resource);// \"", &[]);
}

#[test]
fn every_kind_has_a_code_of_its_own() {
    let codes: BTreeSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), ProblemKind::ALL.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file holds, its problems lie inside it, and a file without problems can be enforced.
    #[test]
    fn any_text_is_answered(
        words in prop::collection::vec(select(&SOUP[..]), 0..40),
        whole in any::<bool>(),
    ) {
        let soup = words.concat();
        let text = if whole {
            format!("permit (principal, action == Action::\"call\", resource) when {{ {soup} }};")
        } else {
            soup
        };
        let file = PolicyFile { path: "shop.cedar".to_owned(), text };
        let problems = check(&names(), std::slice::from_ref(&file));
        for problem in &problems {
            let span = &problem.span;
            prop_assert!(file.text.get(span.offset..span.offset + span.len).is_some(), "{problem:?}");
            let line = file.text.get(..span.offset).unwrap().matches('\n').count() + 1;
            prop_assert_eq!(usize::try_from(span.line).unwrap(), line);
        }
        if problems.is_empty() {
            let policies = crate::split(&file).unwrap();
            let slice = PolicySlice { policies, ..PolicySlice::default() };
            prop_assert!(Authorizer::new(&slice).is_ok());
        }
    }
}

const SOUP: [&str; 32] = [
    "permit ",
    "forbid ",
    "(principal, action, resource)",
    ";",
    "when ",
    "unless ",
    "{ ",
    " }",
    "(",
    ")",
    "[",
    "]",
    "context",
    ".http",
    ".source",
    " has ",
    "http ",
    "é ",
    " && ",
    " || ",
    "!",
    " == ",
    "\"é\\\"\" ",
    "\"/a*\" ",
    " like ",
    "Service::\"x\" ",
    "principal ",
    " in ",
    "// c;\n",
    "\r\n",
    "\"",
    "@id(\"a\") ",
];
