//! Which roots make a bundle.

use super::{BuildBundleError, ROOTS_MAX, TrustBundle};
use crate::tests::{authority, domain};

#[track_caller]
fn check(roots: Vec<Vec<u8>>, expected: Result<usize, BuildBundleError>) {
    let bundle = TrustBundle::new(domain(), roots);
    assert_eq!(bundle.map(|bundle| bundle.roots_der().len()), expected);
}

#[test]
fn roots_are_certificates_and_count_once() {
    let (a, b) = (authority().root_der().to_vec(), authority().root_der().to_vec());
    check(vec![], Ok(0));
    check(vec![a.clone(), b.clone(), a.clone()], Ok(2));
    let source = webpki::Error::TrailingData(webpki::DerTypeId::SignedData);
    check(vec![a.clone(), vec![1, 2, 3]], Err(BuildBundleError::Root { index: 1, source }));
    check(vec![a.clone(); ROOTS_MAX + 1], Ok(1));
    let many = (0..=ROOTS_MAX).map(|_| authority().root_der().to_vec()).collect();
    check(many, Err(BuildBundleError::TooMany));
}
