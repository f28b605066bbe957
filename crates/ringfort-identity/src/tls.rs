//! TLS settings: between workloads, for public listeners, and for visitors of those.
//!
//! Between workloads: TLS 1.3 only, certificates on both sides, AES-128-GCM first (SHA-384 has no hardware path on
//! common CPUs; measured 14 % per handshake), the hybrid X25519MLKEM768 first among the key exchanges. No tickets, no
//! session cache and no early data: a resumed session would skip the verification of the peer.

mod inbound;
mod outbound;
mod public;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ringfort_model::{SpiffeId, WallClock, WallTime};
use rustls::{
    CertificateError, PeerIncompatible, SignatureScheme,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms,
        aws_lc_rs::{cipher_suite, default_provider, kx_group},
    },
    pki_types::{ServerName, UnixTime},
    time_provider::TimeProvider,
};

use crate::{VerifyPeerError, verify::CHAIN_ALGORITHMS};

pub use inbound::InboundOptions;
pub use outbound::{OutboundOptions, StrangerOptions};
pub use public::{PublicCertificate, PublicOptions, VisitorOptions};

/// Makes TLS configurations over one clock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    workload: Arc<CryptoProvider>,
    public: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
}

/// Why no configuration was made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BuildTlsError {
    /// The library refuses the combination of settings.
    #[error("the TLS library refuses the settings")]
    Settings {
        /// What it says.
        #[source]
        source: rustls::Error,
    },
    /// A public listener needs at least one certificate.
    #[error("a public listener needs a certificate")]
    NoCertificate,
    /// A chain or key in PEM cannot be read.
    #[error("cannot read the {part} in PEM")]
    Pem {
        /// `certificate chain` or `private key`.
        part: &'static str,
    },
    /// The library does not take the private key.
    #[error("the private key cannot be used for TLS")]
    Key,
    /// The certificate belongs to another key.
    #[error("the certificate belongs to another key")]
    ForeignKey,
    /// A root is no certificate.
    #[error("a root is no certificate")]
    Root,
}

/// Why a handshake with a peer was broken off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusePeerError {
    /// Its chain proves no identity of this trust domain.
    #[error(transparent)]
    Chain(#[from] VerifyPeerError),
    /// It is a workload of the fleet, but not one that may call here.
    #[error("`{id}` may not call here")]
    NotAllowed {
        /// Who called.
        id: SpiffeId,
    },
    /// It is a workload of the fleet, but not the one that was called.
    #[error("called `{expected}`, but `{id}` answered")]
    WrongCallee {
        /// Who answered.
        id: SpiffeId,
        /// Who was called.
        expected: SpiffeId,
    },
}

/// Keeps why the last handshake of a configuration was refused: the peer gets an alert, the log the reason.
///
/// One per configuration; give each connection its own configuration where the reasons must not mix.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Option<RefusePeerError>>);

impl Refusals {
    /// Takes the reason, leaving none.
    #[must_use]
    pub fn take(&self) -> Option<RefusePeerError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the reason and says which alert the peer gets.
    fn keep(&self, reason: RefusePeerError) -> rustls::Error {
        let alert = certificate_error(&reason);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        rustls::Error::InvalidCertificate(alert)
    }
}

impl Tls {
    /// Settings whose certificates are judged by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn WallClock>) -> Self {
        Self {
            workload: Arc::new(workload_provider()),
            public: Arc::new(public_provider()),
            time: Arc::new(Clock(clock)),
        }
    }
}

/// The name a client between workloads must hand to the library. It is neither sent nor compared: the peer's identity
/// is.
#[must_use]
pub fn workload_server_name() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The clock of the model as the library reads it.
#[derive(Debug)]
struct Clock(Arc<dyn WallClock>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().since_unix()))
    }
}

fn wall_time(time: UnixTime) -> WallTime {
    WallTime::from_unix(Duration::from_secs(time.as_secs()))
}

fn unix_time(time: WallTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.since_unix())
}

/// Signatures of handshakes and chains between workloads: ECDSA alone.
static WORKLOAD_ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: CHAIN_ALGORITHMS,
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::aws_lc_rs::ECDSA_P256_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[webpki::aws_lc_rs::ECDSA_P384_SHA384]),
    ],
};

fn workload_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        signature_verification_algorithms: WORKLOAD_ALGORITHMS,
        ..default_provider()
    }
}

/// Public listeners also speak TLS 1.2, with forward secrecy and authenticated encryption only.
fn public_provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    }
}

/// What a verifier answers to a TLS 1.2 signature, which no handshake between workloads has.
const TLS12_NEVER: rustls::Error =
    rustls::Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig);

fn settings(source: rustls::Error) -> BuildTlsError {
    BuildTlsError::Settings { source }
}

fn alpn_names(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

/// The alert a refused peer gets, in the library's words.
///
/// # Source
/// RFC 8446 section 6.2; the library maps these errors to `access_denied`, `certificate_expired`, `unknown_ca`,
/// `unsupported_certificate` and `bad_certificate`.
fn certificate_error(reason: &RefusePeerError) -> CertificateError {
    use VerifyPeerError as Chain;
    match reason {
        RefusePeerError::NotAllowed { .. } => CertificateError::ApplicationVerificationFailure,
        RefusePeerError::WrongCallee { .. } => CertificateError::NotValidForName,
        RefusePeerError::Chain(fault) => match fault {
            Chain::Expired { now, not_after } => CertificateError::ExpiredContext {
                time: unix_time(*now),
                not_after: unix_time(*not_after),
            },
            Chain::NotYetValid { now, not_before } => CertificateError::NotValidYetContext {
                time: unix_time(*now),
                not_before: unix_time(*not_before),
            },
            Chain::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
            Chain::ExtendedKeyUsage | Chain::NoDigitalSignature | Chain::Authority => {
                CertificateError::InvalidPurpose
            }
            Chain::NoCertificate
            | Chain::TooManyCertificates
            | Chain::TooLarge
            | Chain::Malformed
            | Chain::NameConstraint
            | Chain::Path { .. }
            | Chain::NoUri
            | Chain::ManyUris { .. }
            | Chain::UnreadableUri
            | Chain::SpiffeId { .. }
            | Chain::ForeignDomain { .. } => CertificateError::BadEncoding,
        },
    }
}

#[cfg(test)]
mod tests;
