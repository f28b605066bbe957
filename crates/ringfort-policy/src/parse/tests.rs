//! Limits hold before the parser recurses, and what they let through can be evaluated on a small stack.

use std::thread;

use ringfort_model::snapshot::{Place, PolicyService, PolicySlice, PolicySource, Protocol};

use super::*;
use crate::{Authorizer, PolicyFile, Question, SchemaNames, Verdict, check};

fn when(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn what_is_too_much_is_refused_by_name() {
    let long = when(&format!("\"{}\" == \"\"", "x".repeat(POLICY_BYTES_MAX)));
    assert!(matches!(policy("p", &long), Err(ParsePolicyError::TooLong { .. })));
    for (open, close) in [("(", ")"), ("[", "]"), ("{a:", "}")] {
        let deep = when(&format!("{}1{}", open.repeat(100_000 / 3), close.repeat(100_000 / 3)));
        assert!(matches!(policy("p", &deep), Err(ParsePolicyError::TooDeep { .. })));
    }
    for (first, more) in
        [("true", " && true"), ("context", ".a"), ("1", " + 1"), ("", "if true then true else ")]
    {
        let complex = when(&format!("{first}{}", more.repeat(LINKS_MAX + 1)));
        let result = policy("p", &complex);
        assert!(matches!(result, Err(ParsePolicyError::TooComplex { .. })), "{more}");
    }
}

/// The deepest trees that the limits let through, each true, but for one of the wrong type.
fn deepest() -> Vec<String> {
    let nested = |open: &str, inner: &str, close: &str, times| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let depth = DEPTH_MAX - 1;
    let and = vec!["true"; LINKS_MAX + 1].join(" && ");
    let either = format!("{}true", "if true then true else ".repeat(LINKS_MAX));
    let spread = nested("(true && true && true && true && ", "true", ")", depth);
    [
        and.clone(),
        vec!["true"; LINKS_MAX + 1].join(" || "),
        either.clone(),
        format!("1{} == {}", " + 1".repeat(LINKS_MAX / 3), LINKS_MAX / 3 + 1),
        nested("(", &and, ")", depth),
        nested("!!(", &either, ")", depth),
        nested("[", &and, "]", depth - 1) + " != []",
        nested("{a: ", &either, "}", depth - 1) + " != {}",
        spread,
        format!("context.source{} || true", ".isIpv4()".repeat(DOTS_MAX - 1)),
    ]
    .map(|condition| when(&condition))
    .into()
}

#[test]
fn the_limits_fit_a_small_stack() {
    let run = || {
        for text in deepest() {
            let name = |text: &str| text.parse().unwrap();
            let place = Place { file: "p".to_owned(), line: 1 };
            let source =
                PolicySource { id: "p".to_owned(), text: text.clone(), place, generated: false };
            let service = PolicyService { protocol: Protocol::Http1, labels: Vec::new() };
            let slice = PolicySlice {
                policies: vec![source],
                workload_labels: [(name("web"), Vec::new())].into(),
                services: [(name("orders"), service)].into(),
                ..PolicySlice::default()
            };
            let authorizer = Authorizer::new(&slice).unwrap();
            let (caller, service) = (name("web"), name("orders"));
            let question =
                Question::Call { caller: &caller, service: &service, operation: None, http: None };
            let verdict = authorizer.explain(&question).verdict;
            // The engine may run out of the stack it reserves; then it must say so, and the answer is no.
            let is_answered = match &verdict {
                Verdict::Permit { .. } => true,
                Verdict::Failed { reason, .. } => {
                    reason.contains("recursion limit") || text.contains("isIpv4")
                }
                Verdict::Forbid { .. } | Verdict::NoPermit => false,
            };
            assert!(is_answered, "{verdict:?} {text}");
            let file = PolicyFile { path: "p".to_owned(), text };
            // Whatever is found, finding it must not overflow.
            assert!(check(&SchemaNames::default(), &[file]).len() < 10);
        }
    };
    // The default of a spawned thread.
    thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
}
