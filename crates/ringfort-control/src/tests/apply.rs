//! What an operator can do, and that a fault changes nothing.

use std::os::unix::fs::PermissionsExt as _;

use ringfort_wire::v1;
use tonic::Code;

use super::fixture::{Fixture, SHOP};

#[tokio::test]
async fn a_good_fleet_becomes_a_revision_and_reads_back() {
    let fixture = Fixture::empty().await;
    let applied = fixture.apply(SHOP).await;
    assert_eq!(applied.revision, 1);
    assert_eq!(
        applied.classes,
        [
            "spiffe://ringfort.internal/gateway/public",
            "spiffe://ringfort.internal/svc/ledger",
            "spiffe://ringfort.internal/svc/orders",
            "spiffe://ringfort.internal/svc/payments",
        ]
    );
    let again = fixture.apply(SHOP).await;
    assert!(again.unchanged && again.revision == 1, "equal files make no revision");
    let status = fixture.status().await;
    assert_eq!((status.revision, status.author.as_str()), (1, "ada"));
    assert_eq!(status.trust_domain, "ringfort.internal");
    let kinds: Vec<_> = status.authorities.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["root", "issuing", "config"]);
    let export = fixture.admin().export(v1::ExportRequest { revision: None }).await.unwrap();
    let export = export.into_inner();
    assert_eq!(export.files[0].bytes, SHOP.as_bytes());
    assert_eq!(export.digest, applied.digest);
    let history = fixture.admin().history(v1::HistoryRequest { limit: 10 }).await.unwrap();
    assert_eq!(history.into_inner().revisions.len(), 1);
}

/// Applies a faulty fleet over the shop; it must be refused with these words and change nothing.
async fn check(text: &str, words: &[&str]) {
    let fixture = Fixture::shop().await;
    let before = fixture.status().await;
    let rejected = fixture.rejected(text).await;
    assert!(rejected.errors > 0);
    for word in words {
        assert!(rejected.text.contains(word), "no `{word}` in\n{}", rejected.text);
        assert!(rejected.json.contains(word.split('-').next().unwrap()), "{}", rejected.json);
    }
    assert_eq!(fixture.status().await, before);
    let next = fixture.apply(&SHOP.replace("100", "101")).await;
    assert_eq!(next.revision, 2, "control: the number was not lost");
}

#[tokio::test]
async fn a_faulty_fleet_changes_nothing_and_every_fault_is_told() {
    check(&SHOP.replace("- ledger", "- leger"), &["RF0004", "leger"]).await;
    let two = SHOP.replace("- ledger", "- leger").replace("user: none", "usr: none");
    check(&two, &["RF0004", "RF0002", "usr"]).await;
    check("", &["RF0016"]).await;
}

#[tokio::test]
async fn a_demand_this_build_cannot_enforce_is_refused() {
    let text = SHOP.replace("concurrency: 100", "concurrency: 100, queue: 5");
    check(&text, &["queue"]).await;
}

#[tokio::test]
async fn a_stale_base_is_refused() {
    let fixture = Fixture::shop().await;
    let changed = SHOP.replace("100", "101");
    let refusal = fixture.try_apply(&changed, Some(7)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().starts_with("RF1001: base 7 is no longer head (1 by `ada`)"));
    assert!(fixture.try_apply(&changed, Some(1)).await.is_ok(), "control");
}

#[tokio::test]
async fn a_request_is_explained_by_the_revision_in_force() {
    let fixture = Fixture::empty().await;
    let request = |method: &str, target: &str| v1::ExplainRequest {
        r#as: "orders".to_owned(),
        to: "payments".to_owned(),
        method: method.to_owned(),
        target: target.to_owned(),
    };
    let early = fixture.admin().explain(request("POST", "/charge")).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    fixture.apply(SHOP).await;
    let allowed = fixture.admin().explain(request("POST", "/charge")).await.unwrap().into_inner();
    assert!(allowed.allowed, "{}", allowed.text);
    let refused = fixture.admin().explain(request("POST", "/refund")).await.unwrap().into_inner();
    assert!(!refused.allowed);
    assert!(
        refused.text.contains("add `POST /refund` to `only` at shop.yaml:6"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn state_is_for_its_owner_alone_and_serves_one_server() {
    let fixture = Fixture::shop().await;
    for name in ["server.sock", "server.db", "server.key"] {
        let facts = std::fs::metadata(fixture.folder.path().join(name)).unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let second = crate::run(fixture.options(tokio_util::sync::CancellationToken::new()));
    let refusal = second.await.unwrap_err();
    assert_eq!(refusal.to_string(), "cannot open the store");
    assert_eq!(fixture.status().await.revision, 1, "the first one goes on");
}

#[tokio::test]
async fn no_private_key_lies_open_in_the_state_folder() {
    let mut fixture = Fixture::shop().await;
    fixture.sign("orders").await.unwrap();
    fixture.stop().await;
    // How every P-256 key in PKCS#8 begins after its length.
    let mark = [0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    let is_in = |bytes: &[u8]| bytes.windows(mark.len()).any(|part| part == mark);
    let key = ringfort_identity::KeyPair::generate().unwrap();
    assert!(is_in(key.pkcs8().expose()), "control");
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!is_in(&std::fs::read(&path).unwrap()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_lost_or_open_sealing_key_stops_the_start() {
    let mut fixture = Fixture::shop().await;
    fixture.stop().await;
    let key = fixture.folder.path().join("server.key");
    let start = || crate::run(fixture.options(tokio_util::sync::CancellationToken::new()));
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let refusal = start().await.unwrap_err().to_string();
    assert!(refusal.ends_with("without it the secrets of the store stay shut"), "{refusal}");
    assert!(!key.exists(), "no new key is made over old secrets");
    std::fs::write(&key, &kept[1..]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(start().await.unwrap_err().to_string().ends_with("it has not exactly 32 bytes"));
    std::fs::write(&key, [7; 32]).unwrap();
    assert_eq!(start().await.unwrap_err().to_string(), "cannot use the fleet's keys");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(start().await.unwrap_err().to_string().contains("chmod 600"));
    std::fs::write(&key, &kept).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    fixture.start().await;
    assert_eq!(fixture.status().await.revision, 1, "control");
}
