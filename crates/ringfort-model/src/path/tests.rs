//! Which paths a pattern covers, and which of two patterns is more specific.

use super::{ParsePathError, PathPattern};

#[track_caller]
fn covers(pattern: &str, yes: &[&str], no: &[&str]) {
    let parsed: PathPattern = pattern.parse().unwrap();
    for key in yes {
        assert!(parsed.matches(key), "{pattern} should cover {key}");
    }
    for key in no {
        assert!(!parsed.matches(key), "{pattern} should not cover {key}");
    }
}

#[test]
fn matches_at_segment_borders() {
    covers("/", &["/"], &["/a"]);
    covers("/*", &["/", "/a", "/a/b"], &[]);
    covers("/a/*", &["/a", "/a/", "/a/b", "/a/b/c"], &["/ab", "/", "/b"]);
    covers("/a/{x}/c", &["/a/b/c", "/a/b/c/"], &["/a/c", "/a/b/d", "/a/b/c/d", "/a//c"]);
    covers("/a", &["/a", "/a/"], &["/A", "/a/b"]);
}

#[test]
fn refuses_what_no_canonical_path_has() {
    let check = |text: &str, expected: ParsePathError| {
        assert_eq!(text.parse::<PathPattern>(), Err(expected), "{text}");
    };
    check("", ParsePathError::NoSlash);
    check("a", ParsePathError::NoSlash);
    check("/a//b", ParsePathError::Segment);
    check("/a/../b", ParsePathError::Segment);
    check("/a*", ParsePathError::Star);
    check("/*/a", ParsePathError::Star);
    check("/a/{}", ParsePathError::Brace);
    check("/a{x}", ParsePathError::Brace);
    check("/a%2f", ParsePathError::Character);
    check("/a?b", ParsePathError::Character);
    check(&"/a".repeat(65), ParsePathError::TooLong);
}

#[test]
fn the_more_specific_pattern_is_greater() {
    for (low, high) in [
        ("/*", "/a/*"),
        ("/*", "/"),
        ("/a/*", "/a/{x}"),
        ("/a/*", "/a"),
        ("/a/{x}", "/a/b"),
        ("/{x}/b", "/a/*"),
        ("/a/{x}/*", "/a/b/*"),
        ("/a/{x}", "/a/{x}/c"),
    ] {
        let (low_pattern, high_pattern): (PathPattern, PathPattern) =
            (low.parse().unwrap(), high.parse().unwrap());
        if low_pattern.overlaps(&high_pattern) {
            assert!(low_pattern < high_pattern, "{low} < {high}");
        }
    }
}

#[test]
fn overlap_is_symmetric_and_found() {
    let check = |a: &str, b: &str, expected: bool| {
        let (a, b): (PathPattern, PathPattern) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!((a.overlaps(&b), b.overlaps(&a)), (expected, expected), "{a} {b}");
    };
    check("/a/*", "/a/b", true);
    check("/a/{x}", "/{y}/b", true);
    check("/a/{x}", "/a/b/c", false);
    check("/a", "/b", false);
    check("/a/b/*", "/a/*", true);
    check("/{x}", "/", false);
}

#[test]
fn covers_what_it_contains() {
    let check = |wide: &str, narrow: &str, expected: bool| {
        let (a, b): (PathPattern, PathPattern) = (wide.parse().unwrap(), narrow.parse().unwrap());
        assert_eq!(a.covers(&b), expected, "{wide} covers {narrow}");
    };
    check("/*", "/a/*", true);
    check("/a/*", "/a", true);
    check("/a", "/a/*", false);
    check("/a/{x}", "/a/b", true);
    check("/a/{x}", "/a/{y}", true);
    check("/a/b", "/a/{x}", false);
    check("/a/{x}", "/a/b/*", false);
    check("/{x}/b", "/a/{y}", false);
    check("/a/b/*", "/a/*", false);
}
