//! What is remembered, for how long, and what never is.

use ringfort_model::{
    Name,
    snapshot::{Place, PolicyService, PolicySlice, PolicySource, Protocol},
};

use super::*;
use crate::{Authorizer, Question};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn authorizer(policy: &str) -> Authorizer {
    let place = Place { file: "a.cedar".to_owned(), line: 1 };
    let source =
        PolicySource { id: "p".to_owned(), text: policy.to_owned(), place, generated: false };
    let service = PolicyService { protocol: Protocol::Http1, labels: Vec::new() };
    let slice = PolicySlice {
        policies: vec![source],
        workload_labels: [(name("web"), Vec::new())].into(),
        services: [(name("orders"), service)].into(),
        ..PolicySlice::default()
    };
    Authorizer::new(&slice).unwrap()
}

fn ask(authorizer: &Authorizer, memo: &mut Memo, operation: Option<&str>) -> &'static str {
    let (caller, service) = (name("web"), name("orders"));
    let question = Question::Call { caller: &caller, service: &service, operation, http: None };
    authorizer.decide_with(memo, &question).reason()
}

#[test]
fn an_answer_never_outlives_its_policies() {
    let permit = authorizer("permit (principal, action, resource);");
    let forbid = authorizer("forbid (principal, action, resource);");
    let mut memo = Memo::new();
    for _ in 0..3 {
        assert_eq!(ask(&permit, &mut memo, None), "permit");
        assert_eq!(ask(&forbid, &mut memo, None), "forbid");
    }
}

#[test]
fn memory_is_bounded() {
    let permit = authorizer(
        r#"permit (principal, action, resource) when { context has operation && context.operation == "7" };"#,
    );
    let mut memo = Memo::new();
    for number in 0..3 * ANSWERS_MAX {
        let expected = if number == 7 { "permit" } else { "no_permit" };
        assert_eq!(ask(&permit, &mut memo, Some(&number.to_string())), expected);
        assert!(memo.count <= ANSWERS_MAX);
        let held = memo.pairs.values().flatten().map(|answers| answers.by_operation.len());
        assert_eq!(held.sum::<usize>(), memo.count);
    }
    assert!(memo.count > 0);
}

#[test]
fn what_depends_on_the_request_and_what_fails_is_not_remembered() {
    for policy in [
        "permit (principal, action, resource) when { context has http && context.http.path == \"/\" };",
        "permit (principal, action, resource) when { context.acting.auth.bound };",
    ] {
        let mut memo = Memo::new();
        let authorizer = authorizer(policy);
        for _ in 0..2 {
            assert_ne!(ask(&authorizer, &mut memo, Some("x")), "permit");
            assert_ne!(ask(&authorizer, &mut memo, None), "permit");
        }
        assert_eq!(memo.count, 0);
        assert!(memo.pairs.values().flatten().all(|answers| answers.without.is_none()));
    }
}
