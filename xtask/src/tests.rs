use super::{COMMANDS, Failure, dispatch, distance, help};

#[track_caller]
fn check_usage(args: &[&str], expected: &str) {
    let Err(Failure::Usage(why)) = dispatch(args) else { panic!("understood {args:?}") };
    assert!(why.starts_with(expected), "{why}");
}

#[test]
fn an_unknown_command_is_named_with_the_nearest() {
    check_usage(&["tset"], "there is no command `tset`; did you mean `test`?");
    check_usage(&["tets"], "there is no command `tets`; did you mean `test`?");
    check_usage(&["tidi"], "there is no command `tidi`; did you mean `tidy`?");
    check_usage(&["frobnicate"], "there is no command `frobnicate`\n\ncargo xtask COMMAND");
    check_usage(&[], "which command?");
}

#[test]
fn wrong_arguments_are_named_with_the_form() {
    for (args, expected) in [
        (&["setup", "now"][..], "`setup` does not take `now`; write `cargo xtask setup`"),
        (
            &["ci", "--fast"],
            "`ci` does not take `--fast`; write `cargo xtask ci [--no-clean-start]`",
        ),
        (&["test", "--all"], "`test` does not take `--all`; write `cargo xtask test [FILTER]`"),
        (&["tidy", "T7"], "`tidy` does not take `T7`; write `cargo xtask tidy [--explain [RULE]]`"),
        (&["tidy", "--explain", "T0"], "there is no rule `T0`"),
        (&["deps", "x"], "`deps` does not take `x`; write `cargo xtask deps`"),
    ] {
        check_usage(args, expected);
    }
}

#[test]
fn help_lists_each_command() {
    let help = help();
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {}", command.name)), "{}", command.name);
    }
    assert_eq!(dispatch(&["--help"]), Ok(()));
    assert_eq!(dispatch(&["test", "--help"]), Ok(()));
}

#[test]
fn counts_letters_that_differ() {
    for (a, b, expected) in [
        ("test", "test", 0),
        ("test", "tset", 1),
        ("deps", "tets", 2),
        ("ci", "", 2),
        ("", "ci", 2),
    ] {
        assert_eq!(distance(a, b), expected, "{a} {b}");
    }
}
