//! What the tests of this crate share: a fixed time, a repeatable generator, an authority and its workloads.

use std::time::Duration;

use ringfort_model::{SecureRandom, SpiffeId, TrustDomain, WallTime};

use crate::{
    CertificateAuthority, CreateAuthority, IssuedCertificate, KeyPair, RequestedKey,
    SignLeafOptions, Svid,
};

/// 2026-11-22T18:04:05Z.
pub(crate) fn now() -> WallTime {
    WallTime::from_unix(Duration::from_secs(1_795_370_645))
}

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// Bytes that only look random and repeat on every run.
pub(crate) struct Counting(pub(crate) u64);

impl SecureRandom for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

pub(crate) fn domain() -> TrustDomain {
    "shop.example".parse().unwrap()
}

pub(crate) fn id(service: &str) -> SpiffeId {
    format!("spiffe://shop.example/svc/{service}").parse().unwrap()
}

/// An authority and the keys it was made of.
pub(crate) struct Keyed {
    pub(crate) authority: CertificateAuthority,
    pub(crate) root_key: KeyPair,
    pub(crate) issuing_key: KeyPair,
}

pub(crate) fn keyed(trust_domain: TrustDomain) -> Keyed {
    let (root_key, issuing_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let options = CreateAuthority {
        trust_domain,
        root_key: root_key.clone(),
        issuing_key: issuing_key.clone(),
        now: now(),
    };
    let authority = CertificateAuthority::create(options, &mut Counting(1)).unwrap();
    Keyed { authority, root_key, issuing_key }
}

pub(crate) fn authority() -> CertificateAuthority {
    keyed(domain()).authority
}

pub(crate) fn requested(key: &KeyPair) -> RequestedKey {
    RequestedKey::from_csr(&key.csr_der().unwrap()).unwrap()
}

pub(crate) fn sign(
    authority: &CertificateAuthority,
    id: &SpiffeId,
    key: &KeyPair,
) -> IssuedCertificate {
    sign_at(authority, id, key, now())
}

pub(crate) fn sign_at(
    authority: &CertificateAuthority,
    id: &SpiffeId,
    key: &KeyPair,
    now: WallTime,
) -> IssuedCertificate {
    let options = SignLeafOptions { key: &requested(key), id, now, ttl: 12 * HOUR };
    authority.sign_leaf(options, &mut Counting(2)).unwrap()
}

pub(crate) fn svid(authority: &CertificateAuthority, id: &SpiffeId) -> Svid {
    let key = KeyPair::generate().unwrap();
    Svid::new(sign(authority, id, &key).chain_der, key).unwrap()
}
