//! Who becomes whom, row by row.

use std::{collections::BTreeSet, time::Duration};

use ringfort_model::{Digest, Percent, TrustDomain, selectors::KubernetesAccount};

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn demanding() -> WorkloadSelectors {
    WorkloadSelectors {
        unix_user: None,
        unix_group: None,
        exe_sha256: None,
        systemd_unit: None,
        kubernetes: None,
    }
}

fn rule(kind: WorkloadKind, workload: &str, selectors: WorkloadSelectors) -> (Name, IssueRule) {
    let domain: TrustDomain = "shop.internal".parse().unwrap();
    let certificates =
        CertificateTerms { ttl: Duration::from_secs(3600), renew_at: Percent::new(50).unwrap() };
    let id = SpiffeId::of(&domain, kind, &name(workload));
    (name(workload), IssueRule { kind, id, selectors, certificates, runs_on: None })
}

fn user(user: &str) -> WorkloadSelectors {
    WorkloadSelectors { unix_user: Some(user.to_owned()), ..demanding() }
}

/// orders: user; web: user, group and executable; twin-a and twin-b: the same user; unit, pod and bare: never.
fn rules() -> IssueRules {
    let service = |workload, selectors| rule(WorkloadKind::Service, workload, selectors);
    let account =
        KubernetesAccount { namespace: "shop".to_owned(), service_account: "pod".to_owned() };
    let mut workloads: std::collections::BTreeMap<_, _> = [
        service("orders", user("orders")),
        service(
            "web",
            WorkloadSelectors {
                unix_group: Some("www".to_owned()),
                exe_sha256: Some(Digest::new([7; 32])),
                ..user("web")
            },
        ),
        service("twin-a", user("twin")),
        service("twin-b", user("twin")),
        service("unit", WorkloadSelectors { systemd_unit: Some("u".to_owned()), ..user("unit") }),
        service("pod", WorkloadSelectors { kubernetes: Some(account), ..user("pod") }),
        service("bare", demanding()),
        service(
            "digest",
            WorkloadSelectors { exe_sha256: Some(Digest::new([9; 32])), ..demanding() },
        ),
        rule(WorkloadKind::Gateway, "public", user("public")),
    ]
    .into();
    workloads.get_mut("public").unwrap().runs_on = Some(BTreeSet::from([name("edge-1")]));
    IssueRules { trust_domain: "shop.internal".parse().unwrap(), workloads }
}

fn process(unix_user: &str, unix_group: &str, exe: u8) -> Selectors {
    Selectors {
        pid: 7,
        uid: 1000,
        gid: 1000,
        unix_user: Some(unix_user.to_owned()),
        unix_group: Some(unix_group.to_owned()),
        exe: "/usr/bin/it".to_owned(),
        exe_sha256: Digest::new([exe; 32]),
        started_as: None,
    }
}

fn child(workload: &str, part: Part, exe: u8) -> Selectors {
    let started_as = Some(StartedAs { workload: name(workload), part });
    Selectors { started_as, ..process("root", "root", exe) }
}

#[track_caller]
fn check(selectors: &Selectors, expected: &str) {
    let said = match decide(&rules(), selectors, &name("host-1")) {
        Ok(verdict) => verdict.id.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(said, expected);
}

#[test]
fn a_process_is_what_its_facts_say() {
    let nobody = |user| {
        format!(
            "no workload of the fleet fits the process (user `{user}`, executable `/usr/bin/it`)"
        )
    };
    check(&process("orders", "any", 1), "spiffe://shop.internal/svc/orders");
    check(&process("web", "www", 7), "spiffe://shop.internal/svc/web");
    check(&process("web", "www", 8), &nobody("web"));
    check(&process("web", "other", 7), &nobody("web"));
    check(&process("mallory", "www", 7), &nobody("mallory"));
    check(&process("unit", "any", 1), &nobody("unit"));
    check(&process("pod", "any", 1), &nobody("pod"));
    check(&process("bare", "any", 1), &nobody("bare"));
    // Anyone may run the genuine executable: its digest alone proves nothing.
    check(&process("mallory", "any", 9), &nobody("mallory"));
    check(
        &process("twin", "any", 1),
        "the process fits `twin-a` and `twin-b`: it could take either identity",
    );
    let unnamed = Selectors { unix_user: None, ..process("x", "x", 1) };
    check(&unnamed, &nobody("1000"));
}

#[test]
fn a_child_is_what_it_was_started_as() {
    check(&child("orders", Part::Proxy, 1), "spiffe://shop.internal/svc/orders");
    check(&child("orders", Part::Program, 1), "spiffe://shop.internal/svc/orders");
    check(&child("twin-a", Part::Proxy, 1), "spiffe://shop.internal/svc/twin-a");
    check(&child("bare", Part::Proxy, 1), "spiffe://shop.internal/svc/bare");
    check(&child("gone", Part::Proxy, 1), "the fleet has no service or gateway `gone`");
    check(&child("web", Part::Proxy, 1), "spiffe://shop.internal/svc/web");
    check(&child("web", Part::Program, 7), "spiffe://shop.internal/svc/web");
    check(&child("web", Part::Program, 1), "`web` demands another executable than `/usr/bin/it`");
}

#[test]
fn a_host_gets_only_its_own_workloads() {
    let gateway = child("public", Part::Proxy, 1);
    check(&gateway, "`public` does not run on host `host-1`");
    check(&process("public", "any", 1), "`public` does not run on host `host-1`");
    let verdict = decide(&rules(), &gateway, &name("edge-1")).unwrap();
    assert_eq!(verdict.id.as_str(), "spiffe://shop.internal/gateway/public");
    assert_eq!(verdict.kind, WorkloadKind::Gateway);
}
