use std::time::Duration;

use super::{CLEAN_START, Check, Outcome, STEPS, run, table};
use crate::shell::Project;

const PASSES: Check = |_| Ok(());
const FAILS: Check = |_| Err("two faults".to_owned());

#[track_caller]
fn check(steps: &[(&str, Check)], with_clean_start: bool, words: &[&str], failure: Option<&str>) {
    let project = Project::here().expect("the repository is here");
    let (outcomes, why) = run(&project, steps, with_clean_start);
    let word = |outcome: &Outcome| match outcome {
        Outcome::Passed(_) => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::LeftOut => "left out",
        Outcome::NotReached => "not reached",
    };
    assert_eq!(outcomes.iter().map(|(_, o)| word(o)).collect::<Vec<_>>(), words);
    assert_eq!(why.as_deref(), failure);
}

#[test]
fn stops_at_the_first_failure_and_says_what_became_of_each() {
    let steps = [("format", PASSES), ("tidy", FAILS), (CLEAN_START, PASSES)];
    check(&steps, true, &["passed", "failed", "not reached"], Some("tidy: two faults"));
    let steps = [("format", PASSES), (CLEAN_START, FAILS)];
    check(&steps, true, &["passed", "failed"], Some("clean start: two faults"));
    check(&steps, false, &["passed", "left out"], None);
}

#[test]
fn the_table_has_a_row_for_each_step() {
    let seconds = Duration::from_secs;
    let outcomes = [
        ("format", Outcome::Passed(seconds(2))),
        ("test", Outcome::Failed(seconds(65))),
        (CLEAN_START, Outcome::NotReached),
    ];
    let expected = "format         passed              2.0 s\n\
                    test           FAILED          1 min 5 s\n\
                    clean start    not reached\n";
    assert_eq!(table(&outcomes), expected);
}

#[test]
fn the_readme_command_and_the_clean_start_are_among_the_steps() {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    let expected = ["format", "tidy", "dependencies", "clippy", "test", "docs", CLEAN_START];
    assert_eq!(names, expected);
}
