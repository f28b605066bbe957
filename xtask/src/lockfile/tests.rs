use super::{duplicates, packages};

const LOCK: &str = r#"version = 4

[[package]]
name = "old-user"
version = "1.0.0"
source = "registry+https://example.org"
checksum = "00"
dependencies = [
 "syn 2.0.9",
 "serde",
]

[[package]]
name = "ringfort"
version = "0.0.0"
dependencies = [
 "syn 2.0.10",
]

[[package]]
name = "syn"
version = "2.0.10"
source = "registry+https://example.org"

[[package]]
name = "syn"
version = "2.0.9"
source = "registry+https://example.org"
"#;

#[test]
fn reads_packages() {
    let packages = packages(LOCK);
    let sourced: Vec<bool> = packages.iter().map(|p| p.source.is_some()).collect();
    assert_eq!(sourced, [true, false, true, true]);
    let old_user = &packages[0];
    assert_eq!((old_user.name, old_user.version), ("old-user", "1.0.0"));
    assert_eq!(old_user.dependencies, ["syn 2.0.9", "serde"]);
    assert!(old_user.needs("serde", "9.9.9"), "an unambiguous name has no version");
    assert!(!old_user.needs("syn", "2.0.10"));
}

#[test]
fn finds_duplicates_by_number_not_by_letter() {
    let packages = packages(LOCK);
    let found = duplicates(&packages);
    let found: Vec<_> =
        found.iter().map(|d| (d.name, d.versions, d.oldest, d.needed_by.clone())).collect();
    assert_eq!(found, [("syn", 2, "2.0.9", vec!["old-user"])]);
}
