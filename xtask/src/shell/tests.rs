use std::process::Command;
use std::time::Duration;

use super::{Project, output, run, spent, succeeds, typed};

#[test]
fn says_which_command_failed() {
    let mut fails = Command::new("sh");
    fails.args(["-c", "exit 3"]);
    assert_eq!(run(&mut fails), Err("`sh -c 'exit 3'`: exit status: 3".to_owned()));
    assert_eq!(output(&mut fails), Err("`sh -c 'exit 3'`: exit status: 3".to_owned()));
    assert!(!succeeds(&mut fails));
    let missing = run(&mut Command::new("no-such-program")).unwrap_err();
    assert!(missing.starts_with("cannot start `no-such-program`: "), "{missing}");
}

#[test]
fn passes_place_and_variables_on() {
    let mut project = Project::here().expect("the repository is here");
    project.variables.push(("GREETING", "hello".to_owned()));
    let mut command = project.command("sh");
    command.args(["-c", "echo $GREETING; test -d xtask"]);
    assert_eq!(output(&mut command), Ok("hello\n".to_owned()));
    assert_eq!(typed(&project.cargo(&["fmt", "--all"])), "cargo fmt --all");
}

#[test]
fn durations_are_short() {
    let check = |millis, text: &str| assert_eq!(spent(Duration::from_millis(millis)), text);
    check(3_249, "3.2 s");
    check(59_999, "59.9 s");
    check(125_000, "2 min 5 s");
}
