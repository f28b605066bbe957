use std::process::Command;
use std::time::Duration;

use super::{DEADLINE, Folder, LIMIT, MARK, verdict, watch};
use crate::shell;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn notes_the_first_request() {
    let start = shell::now();
    let script = format!("echo building; echo '  {MARK}3 s'; echo '{MARK}9 s'");
    let first = watch(&mut sh(&script), MARK, start + DEADLINE).expect("the script succeeds");
    assert!(first.is_some_and(|at| start <= at && at <= shell::now()));
    assert_eq!(watch(&mut sh("echo building"), MARK, start + DEADLINE), Ok(None));
}

#[test]
fn a_failed_tour_is_a_failure_even_after_its_first_request() {
    let failed =
        watch(&mut sh(&format!("echo '{MARK}3 s'; exit 1")), MARK, shell::now() + DEADLINE);
    assert!(failed.is_err_and(|why| why.ends_with("exit status: 1")));
}

#[test]
fn a_tour_that_hangs_is_stopped() {
    let soon = shell::now() + Duration::from_millis(50);
    let hangs = watch(&mut sh("exec tail -f /dev/null"), MARK, soon);
    assert!(hangs.is_err_and(|why| why.ends_with("did not end in time")));
}

#[test]
fn the_limit_is_a_bar() {
    assert_eq!(verdict(Some(LIMIT)), Ok(LIMIT));
    let late = verdict(Some(LIMIT + Duration::from_secs(1)));
    let expected = "the first request came 6 min 1 s after the clone; the limit is 6 min 0 s";
    assert_eq!(late, Err(expected.to_owned()));
    assert_eq!(
        verdict(None),
        Err("the demo printed no line with `first request after `".to_owned())
    );
}

#[test]
fn the_folder_goes_with_its_owner() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.0.join("target")).expect("a temporary folder can be made");
    let path = folder.0.clone();
    drop(folder);
    assert!(!path.exists());
}
