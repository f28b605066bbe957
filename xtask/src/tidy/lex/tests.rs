use super::{line_of, uses_of, views, words};

#[track_caller]
fn check(text: &str, code: &str) {
    let views = views(text);
    assert_eq!(views.code, code);
    assert_eq!(views.comments.len(), text.len(), "offsets are kept");
}

#[test]
fn blanks_comments_and_literals() {
    check("a // b\nc", "a     \nc");
    check("a /* /* b */ */ c", "a               c");
    check(r#"f("unsafe \" {", 'x')"#, r#"f("           ", ' ')"#);
    check("r#\"a\"b\"# + br\"c\"", "r#\"   \"# + br\" \"");
    check("'\\u{1F600}' '\\'' 'é' 'a", "'         ' '  ' '  ' 'a");
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("for_r = r + br;", "for_r = r + br;");
    check("x = \"http://é\"; y", "x = \"         \"; y");
}

#[test]
fn keeps_comments_apart() {
    assert_eq!(views("a // é\n\"// no\"").comments, "  // é\n       ");
}

#[test]
fn finds_whole_words_only() {
    let found = |text, needle| words(text, needle).collect::<Vec<_>>();
    assert_eq!(found("unsafe unsafe_code x.unsafe", "unsafe"), [0, 21]);
    assert_eq!(found("a.await b.awaiting", ".await"), [1]);
    assert_eq!(line_of("a\nb\nc", 4), 3);
}

#[test]
fn sees_through_use_lists() {
    let uses = |code: &str| uses_of(code, "std::fs").len();
    assert_eq!(uses("use std::fs;"), 1);
    assert_eq!(uses("use std::{io, fs::{self, File}};"), 1);
    assert_eq!(uses("use std::{\n  io::Read,\n  fs as disk,\n};"), 1);
    assert_eq!(uses("use std as s;"), 1);
    assert_eq!(uses("use std::{io, fsync}; std::fsx::f()"), 0);
    assert_eq!(uses_of("env!(\"A\") std::env!(\"B\")", "std::env"), Vec::<usize>::new());
}
