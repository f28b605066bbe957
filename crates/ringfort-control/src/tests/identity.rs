//! Who gets which certificate.

use std::time::Duration;

use ringfort_identity::{
    CertificateDer, KeyPair, Purpose, TrustBundle, VerifyPeerError, inspect, verify_peer,
};
use ringfort_model::{SpiffeId, WallClock as _};
use ringfort_wire::v1;
use tonic::{Code, Request, Status};

use super::fixture::{Fixture, SHOP, attested, child};

fn verified(fixture: &Fixture, signed: &v1::SignResponse) -> Result<SpiffeId, VerifyPeerError> {
    let trust = signed.trust.as_ref().unwrap();
    let roots = trust.root_der.iter().map(|root| root.to_vec());
    let bundle = TrustBundle::new(trust.trust_domain.parse().unwrap(), roots).unwrap();
    let chain: Vec<CertificateDer<'static>> =
        signed.chain_der.iter().map(|one| one.to_vec().into()).collect();
    verify_peer(&chain, &bundle, fixture.clock.now(), Purpose::Client)
}

#[tokio::test]
async fn an_attested_proxy_gets_its_own_identity() {
    let fixture = Fixture::shop().await;
    let signed = fixture.sign("orders").await.unwrap();
    assert_eq!(signed.spiffe_id, "spiffe://ringfort.internal/svc/orders");
    assert_eq!(signed.workload, "orders");
    assert_eq!(verified(&fixture, &signed).unwrap().as_str(), signed.spiffe_id);
    let half = signed.not_before_ms + (signed.not_after_ms - signed.not_before_ms) / 2;
    assert_eq!(signed.renew_at_ms, half);
    let gateway = fixture.sign("public").await.unwrap();
    assert_eq!(gateway.spiffe_id, "spiffe://ringfort.internal/gateway/public");
}

#[track_caller]
fn check(refused: Result<impl std::fmt::Debug, Status>, code: Code, message: &str) {
    let status = refused.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, message));
}

#[tokio::test]
async fn nobody_gets_an_identity_without_attestation_or_place() {
    let fixture = Fixture::empty().await;
    check(fixture.sign("orders").await, Code::Unavailable, "no fleet is in force yet");
    fixture.apply(SHOP).await;
    assert!(fixture.sign("orders").await.is_ok(), "control");
    let unknown = "the fleet has no service or gateway `mallory`";
    check(fixture.sign("mallory").await, Code::PermissionDenied, unknown);

    let csr_der: bytes::Bytes = KeyPair::generate().unwrap().csr_der().unwrap().into();
    let request = |csr_der| v1::SignRequest { csr_der, for_foreign: false };
    let bare = fixture.link().sign(Request::new(request(csr_der.clone()))).await;
    check(bare, Code::Unauthenticated, "the call carries no attestation");
    let mut twice = attested(request(csr_der.clone()), &child("orders"));
    let other = attested((), &child("payments"));
    let name = ringfort_wire::resource::SELECTORS_METADATA;
    twice.metadata_mut().append_bin(name, other.metadata().get_bin(name).unwrap().clone());
    let twice = fixture.link().sign(twice).await;
    check(twice, Code::Unauthenticated, "the call carries no attestation");

    let mut forged = csr_der.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = fixture.link().sign(attested(request(forged.into()), &child("orders"))).await;
    assert_eq!(forged.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_program_that_fits_no_workload_gets_none() {
    let fixture = Fixture::shop().await;
    let csr_der: bytes::Bytes = KeyPair::generate().unwrap().csr_der().unwrap().into();
    let request = v1::SignRequest { csr_der, for_foreign: true };
    let mut program = child("orders");
    program.started_as = None;
    program.unix_user = Some("mallory".to_owned());
    let refused = fixture.link().sign(attested(request.clone(), &program)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    program.unix_user = Some("orders".to_owned());
    let signed = fixture.link().sign(attested(request, &program)).await.unwrap().into_inner();
    assert_eq!(signed.workload, "orders", "control");
}

#[tokio::test]
async fn a_gateway_gets_certificates_for_its_own_hosts_alone() {
    let fixture = Fixture::shop().await;
    let ask = async |workload: &str, hosts: &[&str]| {
        let request = v1::PublicCertificateRequest {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            csr_der: KeyPair::generate().unwrap().csr_der().unwrap().into(),
        };
        fixture.link().public_certificate(attested(request, &child(workload))).await
    };
    let issued = ask("public", &["shop.test"]).await.unwrap().into_inner();
    assert_eq!(inspect(&issued.chain_der[0]).unwrap().spiffe_id, None);
    let message = "only hosts of the gateway's own `tls: internal` listeners are certified";
    check(ask("public", &["shop.test", "bank.test"]).await, Code::PermissionDenied, message);
    check(ask("public", &[]).await, Code::PermissionDenied, message);
    check(ask("orders", &["shop.test"]).await, Code::PermissionDenied, message);
}

#[tokio::test]
async fn the_authority_outlives_restarts_and_renews_itself() {
    let mut fixture = Fixture::shop().await;
    let before = fixture.sign("orders").await.unwrap();
    fixture.stop().await;
    fixture.start().await;
    let same = fixture.sign("orders").await.unwrap();
    assert_eq!(same.chain_der[1], before.chain_der[1]);
    fixture.stop().await;
    fixture.clock.advance(Duration::from_hours(4 * 24));
    fixture.start().await;
    let after = fixture.sign("orders").await.unwrap();
    assert_ne!(after.chain_der[1], before.chain_der[1], "half its life is over");
    assert_eq!(after.trust, before.trust, "the root stays");
    assert_eq!(verified(&fixture, &after).unwrap().as_str(), after.spiffe_id);
}
