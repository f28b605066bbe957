use std::collections::BTreeSet;

use super::{PACKAGES, exists, is_debian, is_root, left_running, may_install, missing, ports};

#[test]
fn each_package_has_a_probe_and_a_reason() {
    for package in PACKAGES {
        assert!(!package.reason.is_empty());
        assert!(package.programs.iter().all(|p| p.starts_with('/')), "{}", package.name);
    }
}

#[test]
fn only_what_is_missing_is_installed() {
    let names = |found: Vec<&super::Package>| found.iter().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!(names(missing(|_| true)), Vec::<&str>::new());
    assert_eq!(names(missing(|p| p != "/usr/sbin/nginx")), ["nginx-light"]);
    assert_eq!(names(missing(|p| p != "/usr/sbin/ip")), Vec::<&str>::new());
}

#[test]
fn a_pattern_names_a_part_of_a_folder() {
    assert!(exists("/proc/self/status"));
    assert!(exists("/proc/sel*/status") && exists("/proc/*elf/status") && exists("/pro*"));
    assert!(!exists("/proc/sel*/no-such-file") && !exists("/proc/no-such*/status"));
}

#[test]
fn who_may_not_install_is_told_the_exact_command() {
    let nginx = missing(|p| p != "/usr/sbin/nginx");
    assert_eq!(may_install(&nginx, true, true), Ok(()));
    for (is_debian, is_root, command) in [
        (
            true,
            false,
            "sudo apt-get update && \
             sudo apt-get install --yes --no-install-recommends nginx-light && \
             sudo systemctl disable --now nginx",
        ),
        (
            false,
            true,
            "docker run --rm -it -v \"$PWD:/src\" -w /src rust:1.95-bookworm cargo xtask test",
        ),
    ] {
        let sentence = may_install(&nginx, is_debian, is_root).unwrap_err();
        assert!(sentence.ends_with(&format!("run:\n  {command}")), "{sentence}");
        assert!(sentence.contains("nginx-light: an HTTP server behind a sidecar"), "{sentence}");
    }
}

#[test]
fn a_package_without_a_service_leaves_nothing_to_stop() {
    let curl = missing(|p| p != "/usr/bin/curl");
    let sentence = may_install(&curl, true, false).unwrap_err();
    assert!(sentence.ends_with("--no-install-recommends curl"), "{sentence}");
}

#[test]
fn knows_the_user_and_the_system() {
    assert!(is_root("Name:\tx\nUid:\t1000\t0\t0\t0\n"), "the effective user counts");
    assert!(!is_root("Uid:\t0\t1000\t0\t0\n") && !is_root(""));
    assert!(is_debian("NAME=x\nID=debian\n") && is_debian("ID=ubuntu\nID_LIKE=\"debian\"\n"));
    assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel\"\n") && !is_debian("VERSION_ID=debian\n"));
}

const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n\
    0: 0100007F:1538 00000000:0000 0A 00000000:00000000\n\
    1: 0100007F:0050 0100007F:1538 01 00000000:00000000\n";

#[test]
fn a_service_left_running_is_a_failure() {
    assert_eq!(ports(TABLE), [5432]);
    let postgresql = missing(|p| p != "/usr/lib/postgresql/*/bin/initdb");
    let (none, one) = (BTreeSet::new(), BTreeSet::from([5432]));
    let expected = "installing started services that no test uses; \
                    stop and disable them: postgresql (port 5432)";
    assert_eq!(left_running(&postgresql, &none, &one), Err(expected.to_owned()));
    assert_eq!(left_running(&postgresql, &one, &one), Ok(()), "it ran before");
    assert_eq!(left_running(&postgresql, &none, &BTreeSet::from([80])), Ok(()));
}
