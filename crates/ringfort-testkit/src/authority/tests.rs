//! Identities of the test authority are believed by its own bundle and by no other.

use std::time::Duration;

use ringfort_identity::{CertificateDer, Purpose, verify_peer};
use ringfort_model::{WallClock, spiffe::WorkloadKind};

use crate::{TestAuthority, TestClock};

#[test]
fn its_own_bundle_believes_it_and_no_other_does() {
    let now = TestClock::new().now();
    let authority = TestAuthority::new("test.example", now);
    let svid = authority.svid(WorkloadKind::Service, "orders", now, Duration::from_secs(3600));
    let chain: Vec<CertificateDer<'_>> = svid.chain_der().map(CertificateDer::from).collect();
    let verify =
        |authority: &TestAuthority| verify_peer(&chain, &authority.bundle(), now, Purpose::Client);
    assert_eq!(verify(&authority).unwrap().as_str(), "spiffe://test.example/svc/orders");
    assert!(verify(&TestAuthority::new("test.example", now)).is_err());
}
