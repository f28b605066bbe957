//! Walks, memory and the file of refusals.

use super::*;

fn decision(id: DecisionId) -> Decision {
    Decision {
        id: id.to_string(),
        time: "2026-11-22T18:00:00.000Z".to_owned(),
        permits: false,
        ring: "policy",
        reason: "no_permit",
        detail: "a line\nand \u{1b}[31mred".to_owned(),
        status: 403,
        revision: 1,
        ingress: "inbound",
        peer: "127.0.0.1:9".to_owned(),
        source: "web".to_owned(),
        destination: "orders".to_owned(),
        route: None,
        operation: None,
        request: None,
        policy: None,
        walk: Decision::walk(Ring::Policy, false, &[]),
    }
}

#[test]
fn a_walk_ends_at_the_ring_that_refused() {
    let walk = Decision::walk(Ring::Policy, false, &[(Ring::Transport, "mTLS".to_owned())]);
    let outcomes: Vec<_> = walk.iter().map(|step| (step.ring, step.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("firewall", "not in force"),
            ("transport", "passed"),
            ("protocol", "passed"),
            ("user", "not in force"),
            ("contract", "not in force"),
            ("policy", "refused"),
            ("load", "not reached"),
            ("supply", "not in force"),
            ("witness", "not reached"),
        ]
    );
    assert_eq!(walk[1].detail, "mTLS");
}

#[test]
fn only_the_newest_are_kept() {
    let decisions = Decisions::new();
    let id = |number: usize| DecisionId::new(0, u64::try_from(number).unwrap());
    for number in 0..=KEPT_MAX {
        decisions.insert(Arc::new(decision(id(number))));
    }
    assert!(decisions.find(id(0)).is_none());
    assert!(decisions.find(id(1)).is_some());
    assert!(decisions.find(id(KEPT_MAX)).is_some());
}

#[test]
fn the_file_is_bounded_and_one_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.decisions.jsonl");
    let mut file = DecisionFile::new(path.clone());
    let one = decision(DecisionId::new(0, 1));
    let length = serde_json::to_vec(&one).unwrap().len() + 1;
    let fits = usize::try_from(FILE_BYTES_MAX).unwrap() / length;
    for _ in 0..=fits {
        file.append(&one).unwrap();
    }
    let (now, before) =
        (std::fs::read_to_string(&path).unwrap(), std::fs::read(older(&path)).unwrap());
    assert_eq!(now.lines().count(), 1);
    assert!(!now.contains('\u{1b}'));
    assert_eq!(before.len(), fits * length);
}
