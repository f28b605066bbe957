//! What travels to proxies, and what does not.

use ringfort_model::{Revision, snapshot::Role};
use ringfort_wire::{assemble::Change, resource};
use tonic::Code;

use super::fixture::{Fixture, Proxy, SHOP, short};

const ORDERS: &str = "spiffe://ringfort.internal/svc/orders";

#[tokio::test]
async fn a_proxy_receives_its_signed_snapshot() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "orders", None).await;
    let (snapshot, heard) = proxy.completed().await;
    assert_eq!(snapshot.class.as_str(), ORDERS);
    let peers: Vec<_> = snapshot.peers.keys().map(|name| name.as_str()).collect();
    assert_eq!(peers, ["ledger", "payments"], "only what it may call");
    assert!(matches!(&snapshot.role, Role::Sidecar(sidecar) if sidecar.callers.len() == 1));
    let manifest = format!("Manifest {ORDERS}");
    assert_eq!(heard.last(), Some(&manifest), "the manifest completes the set");
    assert_eq!(heard.len(), resource::ALL.len());
}

#[tokio::test]
async fn a_second_apply_pushes_only_what_changed() {
    let fixture = Fixture::shop().await;
    let mut orders = Proxy::connect(&fixture, "orders", None).await;
    let mut ledger = Proxy::connect(&fixture, "ledger", None).await;
    orders.completed().await;
    ledger.completed().await;
    assert_eq!(ledger.heard_until_renewal(&fixture).await, Vec::<String>::new());
    let applied = fixture.apply(&SHOP.replace("100", "101")).await;
    let payments = "spiffe://ringfort.internal/svc/payments";
    assert_eq!(applied.classes, [ORDERS, payments]);
    let (snapshot, heard) = orders.completed().await;
    let changes: Vec<_> = heard.iter().filter(|what| !what.starts_with("Trust")).collect();
    assert_eq!(changes, ["Peer payments", &format!("Manifest {ORDERS}")]);
    assert_eq!(snapshot.revision, Revision::new(2));
    assert_eq!(snapshot.peers["payments"].resilience.concurrency, 101);
    assert_eq!(ledger.heard_until_renewal(&fixture).await, Vec::<String>::new());
    assert_eq!(ledger.assembly.in_force().unwrap().0, Revision::new(1));
}

#[tokio::test]
async fn a_restart_resumes_without_a_byte_of_configuration() {
    let mut fixture = Fixture::shop().await;
    fixture.apply(&SHOP.replace("100", "101")).await;
    let mut proxy = Proxy::connect(&fixture, "ledger", None).await;
    proxy.completed().await;
    proxy.heard_until_renewal(&fixture).await;
    fixture.stop().await;
    assert!(proxy.hear().await.is_err(), "the stream ended with the server");
    fixture.start().await;
    let mut resumed = Proxy::connect(&fixture, "ledger", Some(proxy.assembly)).await;
    let heard = resumed.heard_until_renewal(&fixture).await;
    assert_eq!(heard, Vec::<String>::new());
    // Once more: by now every subscription was heard.
    assert_eq!(resumed.heard_until_renewal(&fixture).await, Vec::<String>::new());
    fixture.apply(SHOP).await;
    let mut fresh = Proxy::connect(&fixture, "ledger", None).await;
    assert_eq!(fresh.completed().await.1.len(), 4, "control: a new proxy gets everything");
}

#[tokio::test]
async fn a_stream_never_carries_another_class() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "orders", None).await;
    proxy.completed().await;
    let own = [ORDERS, "payments", "ledger", resource::TRUST_NAME];
    for type_url in resource::ALL {
        for name in proxy.assembly.versions(type_url).into_keys() {
            assert!(own.contains(&name.as_str()), "{name}");
        }
    }
    let mut ledger = Proxy::connect(&fixture, "ledger", None).await;
    let (snapshot, _heard) = ledger.completed().await;
    assert!(snapshot.peers.is_empty(), "not even the address of a service it may not call");
}

#[tokio::test]
async fn what_a_proxy_refused_is_not_pushed_again_unchanged() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "orders", None).await;
    proxy.completed().await;
    fixture.apply(&SHOP.replace("100", "101")).await;
    let response = proxy.hear().await.unwrap();
    assert_eq!(short(&response), "Peer payments");
    proxy.answer(&response, Some("port 80 is taken")).await;
    let heard = proxy.heard_until_renewal(&fixture).await;
    assert!(!heard.iter().any(|what| what.starts_with("Peer")), "{heard:?}");
    fixture.apply(&SHOP.replace("100", "102")).await;
    let (snapshot, _heard) = proxy.completed().await;
    assert_eq!(snapshot.peers["payments"].resilience.concurrency, 102);
}

#[tokio::test]
async fn a_class_that_leaves_the_fleet_loses_its_stream() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "ledger", None).await;
    proxy.completed().await;
    let without = SHOP
        .replace("      - ledger\n", "")
        .replace("  ledger: { listen: { port: 5432, protocol: tcp } }\n", "");
    fixture.apply(&without).await;
    let end = proxy.hear().await.unwrap_err();
    assert_eq!(end.code(), Code::PermissionDenied);
    assert_eq!(fixture.sign("ledger").await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn another_trust_domain_is_another_identity() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "ledger", None).await;
    proxy.completed().await;
    let old_root = fixture.sign("ledger").await.unwrap().trust.unwrap();
    fixture.apply(&format!("{SHOP}fleet: {{ trust_domain: other.test }}\n")).await;
    assert_eq!(proxy.hear().await.unwrap_err().code(), Code::Aborted);
    let signed = fixture.sign("ledger").await.unwrap();
    assert_eq!(signed.spiffe_id, "spiffe://other.test/svc/ledger");
    let trust = signed.trust.unwrap();
    assert_ne!(trust.root_der, old_root.root_der);
    assert!(trust.sequence > old_root.sequence);
}

#[tokio::test]
async fn a_renewal_reaches_every_proxy() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "orders", None).await;
    proxy.completed().await;
    let before = fixture.renew().await.epoch;
    assert_eq!(fixture.renew().await.epoch, before + 1);
    loop {
        let response = proxy.hear().await.unwrap();
        if let Change::Trust(trust) = proxy.take(&response).await
            && trust.renew_epoch == before + 1
        {
            break;
        }
    }
    assert_eq!(fixture.status().await.renew_epoch, before + 1);
}
