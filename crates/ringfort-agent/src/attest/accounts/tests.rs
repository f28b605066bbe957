//! Entries of account files, good and odd.

use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# nobody:x:9:9::/:\n+nis:x:10::::\n\nbroken\n:x:11:0::/:\n\
    orders:x:1001:1001::/srv/orders:/bin/false\nalias:x:1001:1001::/:\nbig:x:4294967295:0::/:\nneg:x:-1:0::/:\n";

#[track_caller]
fn check(id: u32, expected: Option<&str>) {
    assert_eq!(name_of(PASSWD, id), expected, "id {id}");
}

#[test]
fn the_first_entry_of_an_id_names_it() {
    check(0, Some("root"));
    check(1001, Some("orders"));
    check(u32::MAX, Some("big"));
    check(9, None);
    check(10, None);
    check(11, None);
    check(12, None);
}

#[test]
fn a_missing_file_gives_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = Accounts { passwd: dir.path().join("passwd"), group: dir.path().join("group") };
    assert_eq!(accounts.user(0), None);
    std::fs::write(&accounts.group, "wheel:x:0:\n").unwrap();
    assert_eq!(accounts.group(0).as_deref(), Some("wheel"));
}
