use super::{NEXTEST_LIST, TEST_LIST, TEST_RUN, can_run, groups, names, summary, with};

#[test]
fn reads_the_lists_of_both_runners() {
    let nextest = "ringfort-fleet parse::tests::opens\nringfort::it gateway::netns_drops\n";
    assert_eq!(names(nextest), ["opens", "netns_drops"]);
    let cargo = "parse::tests::opens: test\nmeasures: benchmark\n\nnetns_drops: test\n";
    assert_eq!(names(cargo), ["opens", "netns_drops"]);
}

#[test]
fn counts_groups_and_names_each() {
    let groups = groups(&["opens", "netns_drops", "pg_applies", "opens_slow_path", "netns_b"]);
    assert_eq!(
        summary(&groups),
        "2 netns_ (root, for network namespaces), 1 pg_ (a PostgreSQL server program), \
         2 plain, 0 slow_ (more than 5 s)"
    );
}

#[test]
fn nothing_is_left_out_in_silence() {
    let check = |names: &[&str], filter, is_root| can_run(&groups(names), filter, is_root);
    assert_eq!(check(&["netns_drops"], None, true), Ok(()));
    assert_eq!(check(&["opens"], None, false), Ok(()));
    let refused = check(&["opens", "netns_drops"], None, false).unwrap_err();
    assert!(refused.starts_with("tests with the prefix netns_ (1) need root; run:\n  sudo"));
    let empty = check(&[], Some("nothing"), true).unwrap_err();
    assert_eq!(empty, "no test has `nothing` in its path; `cargo nextest list` lists them");
    assert_eq!(check(&[], None, true), Err("there is no test".to_owned()));
}

#[test]
fn the_filter_has_its_place() {
    assert_eq!(with(TEST_RUN, None), ["test", "--workspace", "--no-fail-fast"]);
    assert_eq!(with(NEXTEST_LIST, Some("a")).last(), Some(&"a"));
    assert_eq!(with(TEST_LIST, Some("a")).get(2..4), Some(&["a", "--"][..]));
}
