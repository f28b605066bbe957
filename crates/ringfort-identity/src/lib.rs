//! Who is this: keys, the fleet's certificate authority, trust bundles, verification of peers, TLS settings.
//!
//! Decides what an identity document must look like and whether a presented one is believed. The only crate that names
//! a library of cryptography; there is no primitive or protocol of our own in it. Does **not** read files, sockets or a
//! clock: key material, time and randomness are arguments. Two exceptions lie inside the library itself: it
//! draws the randomness of new keys and of ECDSA signatures, and it rotates the ticket keys of public listeners.
//!
//! # Invariants
//! - A peer has exactly one name, and that name lies in the trust domain whose roots verified it.
//! - Between workloads there is TLS 1.3 with certificates on both sides, no resumption and no early data.
//! - A private key is never printed and is zeroed when it is dropped.

pub mod authority;
pub mod bundle;
pub mod config_key;
pub mod csr;
pub mod digest;
pub mod inspect;
pub mod key;
pub mod pem;
pub mod random;
pub mod renewal;
pub mod seal;
pub mod svid;
pub mod tls;
pub mod verify;

/// A certificate in DER, as TLS libraries hand it over.
pub use rustls::pki_types::CertificateDer;

pub use authority::{
    CertificateAuthority, CreateAuthority, ImportAuthorityError, IssuePublicOptions,
    IssuedCertificate, SignCertificateError, SignLeafOptions,
};
pub use bundle::{BuildBundleError, TrustBundle};
pub use config_key::{ConfigKey, ConfigKeys, ConfigPublicKey, ReadConfigKeyError};
pub use csr::{ReadCsrError, RequestedKey};
pub use digest::{ContentSha256, Sha256Digester};
pub use inspect::{CertificateFacts, InspectError, inspect};
pub use key::{KeyError, KeyPair};
pub use random::SystemRandom;
pub use renewal::renewal_time;
pub use seal::{OpenSealedError, SealError, Sealer};
pub use svid::{BuildSvidError, Svid};
pub use tls::{
    BuildTlsError, InboundOptions, OutboundOptions, PublicCertificate, PublicOptions, Refusals,
    RefusePeerError, StrangerOptions, Tls, VisitorOptions, workload_server_name,
};
pub use verify::{Purpose, VerifyPeerError, peer_id, verify_peer};

#[cfg(test)]
mod tests;
