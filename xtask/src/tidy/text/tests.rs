use super::SIZE_MAX;
use crate::tidy::File;
use crate::tidy::tests::{check, findings, tree};

const CLEAN: &[(&str, &str)] = &[
    ("README.md", "Words, and https://example.org/home/x.\n"),
    ("Makefile", "all:\n\tcargo build\n"),
    ("empty", ""),
    ("logo.png", "no newline"),
    ("crates/ringfort/tests/it/main.rs", "let p = \"/tmp/x\";\n"),
];

#[test]
fn text_reads_the_same_everywhere() {
    for (text, expected) in [
        ("a", "a.md:1: T16: ends with one newline"),
        ("a\n\n", "a.md:2: T16: ends with one newline"),
        ("a\r\nb\n", "a.md:1: T16: a carriage return: lines end with LF"),
        ("a \nb\n", "a.md:1: T16: trailing blanks"),
        ("b\na\tb\n", "a.md:2: T16: a tab"),
        ("<<<<<<< ours\n", "a.md:1: T16: a conflict mark"),
        ("in /home/me/x\n", "a.md:1: T16: a path of one machine"),
        ("\"/var/tmp/x\"\n", "a.md:1: T16: a path of one machine"),
    ] {
        check("T16", CLEAN, ("a.md", text), expected);
    }
}

#[test]
fn a_large_file_has_a_reason() {
    let text = |size: usize| format!("{}\n", "a".repeat(size - 1));
    let (clean, fault) = (text(SIZE_MAX), text(SIZE_MAX + 1));
    let expected = "data.txt: T16: 256 KiB; list it in LARGE with a reason";
    check("T16", &[("data.txt", &clean)], ("data.txt", &fault), expected);
}

#[test]
fn bytes_and_bits_are_checked() {
    let found = |bytes: &[u8], is_executable| {
        let mut tree = tree(&[]);
        tree.files.push(File::new("run", bytes.to_vec(), is_executable));
        findings("T16", &tree)
    };
    assert_eq!(found(b"\xff\n", false), ["run: T16: not UTF-8"]);
    assert_eq!(found(b"#!/bin/sh\n", true), Vec::<String>::new());
    let expected = "run: T16: executable, but it does not start with `#!`";
    assert_eq!(found(b"words\n", true), [expected]);
    assert_eq!(found(b"words\n", false), Vec::<String>::new());
}
