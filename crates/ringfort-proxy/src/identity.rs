//! Who this proxy is, as it holds it: its key, its certificate, what it trusts, and when all that is renewed.
//!
//! Keys are made here and never leave the process but for one file, readable by its owner alone, from which a
//! restarted proxy serves before any server answers.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use prost::Message as _;
use ringfort_identity::{
    BuildBundleError, BuildSvidError, BuildTlsError, CertificateDer, ConfigKeys, ConfigPublicKey,
    KeyError, KeyPair, PublicCertificate, Purpose, SignCertificateError, Svid, SystemRandom, Tls,
    TrustBundle, VerifyPeerError, pem, renewal_time, verify_peer,
};
use ringfort_model::{
    Name, ParseSpiffeError, Percent, Secret, WallTime,
    snapshot::{Gateway, Listener, ListenerTls},
};
use ringfort_wire::v1;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::credentials::Credentials;

/// Largest identity file.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;

/// What verifies peers and configuration.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    pub(crate) message: v1::Trust,
    pub(crate) bundle: Arc<TrustBundle>,
    pub(crate) keys: Arc<ConfigKeys>,
}

/// This workload's identity and its public certificates.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) svid: Svid,
    pub(crate) trust: Trust,
    /// With jitter.
    pub(crate) renew_at: WallTime,
    /// The epoch of renewal that was in force when the certificate was signed.
    pub(crate) epoch: u64,
    /// Certificates of `tls: internal` listeners, by configured address.
    pub(crate) public: BTreeMap<SocketAddr, Public>,
}

/// One public certificate of the fleet's own authority.
#[derive(Debug, Clone)]
pub(crate) struct Public {
    pub(crate) hosts: Vec<String>,
    chain_der: Vec<Vec<u8>>,
    key: KeyPair,
    pub(crate) renew_at: WallTime,
    pub(crate) not_after: WallTime,
}

/// Why an answer of the server is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadIdentityError {
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    #[error("cannot make a signing request")]
    Request(#[from] SignCertificateError),
    #[error("the certificate cannot be used")]
    Svid(#[from] BuildSvidError),
    #[error("the certificate does not verify")]
    Verify(#[from] VerifyPeerError),
    #[error("the certificate is another workload's: `{0}`")]
    Foreign(String),
    #[error("the bundle names no trust domain")]
    Domain(#[from] ParseSpiffeError),
    #[error("the bundle has an unusable root")]
    Bundle(#[from] BuildBundleError),
    #[error("the bundle has an unusable config key `{0}`")]
    ConfigKey(String),
    #[error("no bundle came with the certificate")]
    NoTrust,
    #[error("the public certificate cannot be used")]
    Public(#[from] BuildTlsError),
    #[error("the identity file cannot be read: {0}")]
    File(String),
}

impl Trust {
    pub(crate) fn new(message: v1::Trust) -> Result<Self, ReadIdentityError> {
        let domain = message.trust_domain.parse()?;
        let roots = message.root_der.iter().map(|root| root.to_vec());
        let bundle = TrustBundle::new(domain, roots)?;
        let keys = message.config_keys.iter().map(|key| {
            let read = ConfigPublicKey::read(&key.ed25519_public).ok();
            let read = read.filter(|read| read.id() == key.id);
            read.ok_or_else(|| ReadIdentityError::ConfigKey(key.id.clone()))
        });
        let keys = keys.collect::<Result<ConfigKeys, _>>()?;
        Ok(Self { bundle: Arc::new(bundle), keys: Arc::new(keys), message })
    }
}

impl Identity {
    /// Reads the answer to a signing request; what it names must be this workload, verified by what came with it.
    pub(crate) fn signed(
        name: &Name,
        key: KeyPair,
        answer: v1::SignResponse,
        now: WallTime,
    ) -> Result<Self, ReadIdentityError> {
        let trust = Trust::new(answer.trust.ok_or(ReadIdentityError::NoTrust)?)?;
        let chain = answer.chain_der.iter().map(|der| der.to_vec()).collect();
        let svid = Svid::new(chain, key)?;
        let (begin, end) = (svid.not_before(), svid.not_after());
        let wished = wall(answer.renew_at_ms);
        let identity = Self {
            renew_at: with_jitter(begin, end, wished),
            epoch: trust.message.renew_epoch,
            trust,
            svid,
            public: BTreeMap::new(),
        };
        identity.check(name, now)?;
        Ok(identity)
    }

    fn check(&self, name: &Name, now: WallTime) -> Result<(), ReadIdentityError> {
        let chain: Vec<_> = self.svid.chain_der().map(CertificateDer::from).collect();
        let id = verify_peer(&chain, &self.trust.bundle, now, Purpose::Client)?;
        match id.workload() {
            Some((_, own)) if own == *name => Ok(()),
            Some(_) | None => Err(ReadIdentityError::Foreign(id.to_string())),
        }
    }

    /// The identity in use.
    pub(crate) fn credentials(&self, tls: &Tls) -> Arc<Credentials> {
        let bundle = Arc::clone(&self.trust.bundle);
        Arc::new(Credentials { tls: tls.clone(), svid: self.svid.clone(), bundle })
    }

    /// The content of the identity file.
    pub(crate) fn to_file(&self) -> Result<Secret<Vec<u8>>, ReadIdentityError> {
        let public = self.public.iter().map(|(bind, public)| PublicDocument {
            bind: *bind,
            hosts: public.hosts.clone(),
            key: pem::encode_key(&public.key).expose().clone(),
            chain: pem::encode_certificates(public.chain_der.iter().map(Vec::as_slice)),
            renew_at_ms: millis(public.renew_at),
            not_after_ms: millis(public.not_after),
        });
        let mut document = Document {
            format: FORMAT,
            key: pem::encode_key(self.svid.key()).expose().clone(),
            chain: pem::encode_certificates(self.svid.chain_der()),
            trust: hex(&self.trust.message.encode_to_vec()),
            renew_at_ms: millis(self.renew_at),
            epoch: self.epoch,
            public: public.collect(),
        };
        let bytes = serde_json::to_vec(&document).map(Secret::new);
        document.wipe();
        bytes.map_err(|error| ReadIdentityError::File(error.to_string()))
    }

    /// Reads an identity file; an expired identity is none.
    pub(crate) fn from_file(
        name: &Name,
        bytes: &Secret<Vec<u8>>,
        now: WallTime,
    ) -> Result<Self, ReadIdentityError> {
        let unusable = |error: &dyn std::fmt::Display| ReadIdentityError::File(error.to_string());
        let mut document: Document =
            serde_json::from_slice(bytes.expose()).map_err(|error| unusable(&error))?;
        if document.format != FORMAT {
            return Err(unusable(&"another format"));
        }
        let trust = unhex(&document.trust).ok_or_else(|| unusable(&"the bundle is no hex"))?;
        let trust = v1::Trust::decode(trust.as_slice()).map_err(|error| unusable(&error))?;
        let read = |key: &mut String, chain: &str| {
            let key = pem::decode_key(&Secret::new(std::mem::take(key)));
            let key = key.map_err(|error| unusable(&error))?;
            let chain = pem::decode_certificates(chain).map_err(|error| unusable(&error))?;
            Ok::<_, ReadIdentityError>((key, chain))
        };
        let (key, chain) = read(&mut document.key, &document.chain)?;
        let mut public = BTreeMap::new();
        for one in &mut document.public {
            let (key, chain_der) = read(&mut one.key, &one.chain)?;
            let (renew_at, not_after) = (wall(one.renew_at_ms), wall(one.not_after_ms));
            let hosts = std::mem::take(&mut one.hosts);
            public.insert(one.bind, Public { hosts, chain_der, key, renew_at, not_after });
        }
        let identity = Self {
            svid: Svid::new(chain, key)?,
            trust: Trust::new(trust)?,
            renew_at: wall(document.renew_at_ms),
            epoch: document.epoch,
            public,
        };
        identity.check(name, now)?;
        Ok(identity)
    }
}

impl Public {
    /// Reads the answer to a request for a public certificate.
    pub(crate) fn signed(
        hosts: Vec<String>,
        key: KeyPair,
        answer: v1::PublicCertificateResponse,
    ) -> Result<Self, ReadIdentityError> {
        let (begin, end) = (wall(answer.not_before_ms), wall(answer.not_after_ms));
        let chain_der = answer.chain_der.iter().map(|der| der.to_vec()).collect();
        let renew_at = with_jitter(begin, end, wall(answer.renew_at_ms));
        let public = Self { hosts, chain_der, key, renew_at, not_after: end };
        public.certificate()?;
        Ok(public)
    }

    pub(crate) fn certificate(&self) -> Result<PublicCertificate, ReadIdentityError> {
        Ok(PublicCertificate::new(self.chain_der.clone(), &self.key)?)
    }

    /// Whether it can still be shown for these hosts.
    pub(crate) fn serves(&self, hosts: &[String], now: WallTime) -> bool {
        self.hosts == hosts && now < self.not_after
    }
}

/// The listeners that need a certificate of the fleet's own authority.
pub(crate) fn internal_listeners(gateway: &Gateway) -> impl Iterator<Item = &Listener> {
    let is_internal =
        |listener: &&Listener| matches!(listener.tls, Some(ListenerTls::Internal { .. }));
    gateway.listeners.iter().filter(is_internal)
}

/// The wished time of renewal as a share of the life, moved by jitter.
fn with_jitter(begin: WallTime, end: WallTime, wished: WallTime) -> WallTime {
    let life = end.since(begin).as_secs().max(1);
    let share = wished.since(begin).as_secs().saturating_mul(100) / life;
    let share = u8::try_from(share.min(100)).ok().and_then(Percent::new);
    share.map_or(wished, |share| renewal_time(begin, end, share, &mut SystemRandom))
}

fn wall(ms: u64) -> WallTime {
    WallTime::from_unix(Duration::from_millis(ms))
}

/// Milliseconds since the epoch.
pub(crate) fn millis(time: WallTime) -> u64 {
    u64::try_from(time.since_unix().as_millis()).unwrap_or(u64::MAX)
}

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    key: String,
    chain: String,
    trust: String,
    renew_at_ms: u64,
    epoch: u64,
    public: Vec<PublicDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicDocument {
    bind: SocketAddr,
    hosts: Vec<String>,
    key: String,
    chain: String,
    renew_at_ms: u64,
    not_after_ms: u64,
}

impl Document {
    fn wipe(&mut self) {
        self.key.zeroize();
        for public in &mut self.public {
            public.key.zeroize();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks_exact(2).map(pair).collect()
}

#[cfg(test)]
mod tests;
