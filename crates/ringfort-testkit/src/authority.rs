//! A certificate authority whose identities tests hand to both sides of a connection.

use std::time::Duration;

use ringfort_identity::{
    CertificateAuthority, CreateAuthority, KeyPair, RequestedKey, SignLeafOptions, Svid,
    SystemRandom, TrustBundle,
};
use ringfort_model::{Name, SpiffeId, TrustDomain, WallTime, spiffe::WorkloadKind};

/// The authority of one trust domain.
#[derive(Debug)]
pub struct TestAuthority {
    authority: CertificateAuthority,
}

impl TestAuthority {
    /// A new root and issuing certificate for `trust_domain`, valid from `now` on.
    ///
    /// # Panics
    /// `trust_domain` is none.
    #[must_use]
    pub fn new(trust_domain: &str, now: WallTime) -> Self {
        let options = CreateAuthority {
            trust_domain: trust_domain.parse().expect("a trust domain"),
            root_key: KeyPair::generate().expect("a root key"),
            issuing_key: KeyPair::generate().expect("an issuing key"),
            now,
        };
        let authority = CertificateAuthority::create(options, &mut SystemRandom);
        Self { authority: authority.expect("an authority") }
    }

    /// The trust domain.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        self.authority.trust_domain()
    }

    /// The roots that verify this authority's identities.
    ///
    /// # Panics
    /// Never with an authority of this crate.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        self.authority.bundle().expect("a bundle")
    }

    /// The identity of a service or gateway, valid from `now` for `ttl`.
    ///
    /// # Panics
    /// `name` is none, or `ttl` is not one the authority grants.
    #[must_use]
    pub fn svid(&self, kind: WorkloadKind, name: &str, now: WallTime, ttl: Duration) -> Svid {
        let name: Name = name.parse().expect("a name");
        let id = SpiffeId::of(self.trust_domain(), kind, &name);
        let key = KeyPair::generate().expect("a key");
        let csr = key.csr_der().expect("a request");
        let requested = RequestedKey::from_csr(&csr).expect("a requested key");
        let options = SignLeafOptions { key: &requested, id: &id, now, ttl };
        let issued = self.authority.sign_leaf(options, &mut SystemRandom).expect("a certificate");
        Svid::new(issued.chain_der, key).expect("an identity")
    }
}

#[cfg(test)]
mod tests;
