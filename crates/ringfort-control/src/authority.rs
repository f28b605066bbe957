//! The fleet's keys at work: made once, kept sealed, used to sign certificates and manifests.
//!
//! Decides nothing about who gets what: `issue.rs` does. A certificate is recorded before it leaves.

use std::{path::Path, sync::Arc, time::Duration};

use ringfort_identity::{
    BuildBundleError, CertificateAuthority, ConfigKey, CreateAuthority, ImportAuthorityError,
    IssuePublicOptions, IssuedCertificate, KeyError, KeyPair, OpenSealedError, ReadConfigKeyError,
    ReadCsrError, RequestedKey, SealError, Sealer, SignCertificateError, SignLeafOptions,
    SystemRandom,
};
use ringfort_model::{Digester, Secret, SecureRandom as _, TrustDomain, WallClock, WallTime};
use ringfort_store::{Issuance, IssuancePurpose, QueryStoreError, Store};

use crate::issue::IssueVerdict;

/// How long ended certificates stay in the log.
pub(crate) const ISSUANCES_KEPT: Duration = Duration::from_hours(24 * 90);

/// Name of the sealed config key in the store.
const CONFIG_KEY: &str = "config-key";

/// Why the keys of the fleet cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeepKeysError {
    /// A key could not be made.
    #[error("cannot make a key")]
    Make(#[source] KeyError),
    /// The config key is damaged, or could not be made.
    #[error("cannot use the config key")]
    ConfigKey(#[source] ReadConfigKeyError),
    /// A key could not be sealed.
    #[error("cannot seal a key")]
    Seal(#[source] SealError),
    /// The config key stays shut.
    #[error("cannot open the config key with this sealing key")]
    Open(#[source] OpenSealedError),
    /// The authority stays shut or is damaged.
    #[error("cannot use the stored authority")]
    Import(#[source] ImportAuthorityError),
    /// The authority's own certificates could not be made.
    #[error("cannot make the authority's certificates")]
    Create(#[source] SignCertificateError),
    /// The roots make no bundle.
    #[error("cannot make the trust bundle")]
    Bundle(#[source] BuildBundleError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] QueryStoreError),
}

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueCertificateError {
    /// The request proves no key.
    #[error("the signing request cannot be used")]
    Request(#[source] ReadCsrError),
    /// The authority refused.
    #[error("the authority cannot sign")]
    Sign(#[source] SignCertificateError),
    /// The issuance could not be recorded, so the certificate was thrown away.
    #[error("the issuance cannot be recorded")]
    Record(#[source] QueryStoreError),
}

/// The store with the key that opens its secrets.
#[derive(Clone)]
pub(crate) struct KeyKeeper {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) digester: Arc<dyn Digester>,
}

impl std::fmt::Debug for KeyKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyKeeper")
    }
}

impl KeyKeeper {
    /// The key that signs manifests, made on the first start.
    pub(crate) async fn config_key(&self) -> Result<ConfigKey, KeepKeysError> {
        if let Some(sealed) = self.store.secret(CONFIG_KEY).await? {
            let seed = self.sealer.open(CONFIG_KEY, &sealed).map_err(KeepKeysError::Open)?;
            let seed = <[u8; 32]>::try_from(seed.expose().as_slice())
                .map_err(|_length| KeepKeysError::ConfigKey(ReadConfigKeyError))?;
            return ConfigKey::from_seed(Secret::new(seed)).map_err(KeepKeysError::ConfigKey);
        }
        let key = ConfigKey::generate(&mut SystemRandom).map_err(KeepKeysError::ConfigKey)?;
        let seed = Secret::new(key.seed().expose().to_vec());
        let sealed = self.sealer.seal(CONFIG_KEY, &seed, &mut SystemRandom);
        self.store.put_secret(CONFIG_KEY, &sealed.map_err(KeepKeysError::Seal)?).await?;
        Ok(key)
    }

    /// The authority of a trust domain, made when there is none; its issuing certificate is renewed when due.
    pub(crate) async fn authority(
        &self,
        trust_domain: &TrustDomain,
    ) -> Result<CertificateAuthority, KeepKeysError> {
        let now = self.clock.now();
        let Some(sealed) = self.store.secret(&secret_name(trust_domain)).await? else {
            let options = CreateAuthority {
                trust_domain: trust_domain.clone(),
                root_key: KeyPair::generate().map_err(KeepKeysError::Make)?,
                issuing_key: KeyPair::generate().map_err(KeepKeysError::Make)?,
                now,
            };
            let authority = CertificateAuthority::create(options, &mut SystemRandom)
                .map_err(KeepKeysError::Create)?;
            self.keep(&authority).await?;
            return Ok(authority);
        };
        let mut authority =
            CertificateAuthority::import_sealed(trust_domain.clone(), &self.sealer, &sealed)
                .map_err(KeepKeysError::Import)?;
        if authority.issuing_due_at() <= now {
            let key = KeyPair::generate().map_err(KeepKeysError::Make)?;
            authority
                .reissue_issuing(key, now, &mut SystemRandom)
                .map_err(KeepKeysError::Create)?;
            self.keep(&authority).await?;
        }
        Ok(authority)
    }

    /// Records the issuing certificate and keeps the sealed authority.
    async fn keep(&self, authority: &CertificateAuthority) -> Result<(), KeepKeysError> {
        let facts = authority.issuing_facts();
        self.store
            .record_issuance(&Issuance {
                serial: facts.serial.clone(),
                subject: authority.trust_domain().to_string(),
                purpose: IssuancePurpose::Issuing,
                key_hash: self.digester.digest(&[authority.issuing_der()]),
                evidence: "the fleet's own authority".to_owned(),
                issued_at: self.clock.now(),
                not_before: facts.not_before,
                not_after: facts.not_after,
            })
            .await?;
        let sealed = authority.export_sealed(&self.sealer, &mut SystemRandom);
        let sealed = sealed.map_err(KeepKeysError::Seal)?;
        let name = secret_name(authority.trust_domain());
        self.store.put_secret(&name, &sealed).await?;
        Ok(())
    }

    /// Issues an SVID and records it.
    pub(crate) async fn issue_svid(
        &self,
        authority: &CertificateAuthority,
        csr_der: &[u8],
        verdict: &IssueVerdict,
        why: Why,
    ) -> Result<IssuedCertificate, IssueCertificateError> {
        let key = RequestedKey::from_csr(csr_der).map_err(IssueCertificateError::Request)?;
        let options = SignLeafOptions {
            key: &key,
            id: &verdict.id,
            now: self.clock.now(),
            ttl: verdict.terms.ttl,
        };
        let issued =
            authority.sign_leaf(options, &mut SystemRandom).map_err(IssueCertificateError::Sign)?;
        self.record(&issued, &key, verdict.id.to_string(), why).await?;
        Ok(issued)
    }

    /// Issues a server certificate for public hosts and records it.
    pub(crate) async fn issue_public(
        &self,
        authority: &CertificateAuthority,
        csr_der: &[u8],
        hosts: &[String],
        verdict: &IssueVerdict,
        why: Why,
    ) -> Result<IssuedCertificate, IssueCertificateError> {
        let key = RequestedKey::from_csr(csr_der).map_err(IssueCertificateError::Request)?;
        let options =
            IssuePublicOptions { key: &key, hosts, now: self.clock.now(), ttl: verdict.terms.ttl };
        let issued = authority
            .issue_public(options, &mut SystemRandom)
            .map_err(IssueCertificateError::Sign)?;
        self.record(&issued, &key, hosts.join(" "), why).await?;
        Ok(issued)
    }

    async fn record(
        &self,
        issued: &IssuedCertificate,
        key: &RequestedKey,
        subject: String,
        why: Why,
    ) -> Result<(), IssueCertificateError> {
        let issuance = Issuance {
            serial: issued.serial.clone(),
            subject,
            purpose: why.purpose,
            key_hash: self.digester.digest(&[key.public_point()]),
            evidence: why.evidence,
            issued_at: self.clock.now(),
            not_before: issued.not_before,
            not_after: issued.not_after,
        };
        self.store.record_issuance(&issuance).await.map_err(IssueCertificateError::Record)
    }
}

/// Why a certificate is issued, for the log.
#[derive(Debug)]
pub(crate) struct Why {
    pub(crate) purpose: IssuancePurpose,
    pub(crate) evidence: String,
}

/// When a certificate shall be renewed, before jitter.
pub(crate) fn renew_at(issued: &IssuedCertificate, verdict: &IssueVerdict) -> WallTime {
    let life = issued.not_after.since(issued.not_before);
    let share = u32::from(verdict.terms.renew_at.as_u8());
    let wait = life.saturating_mul(share).checked_div(100).unwrap_or(life);
    issued.not_before.plus(wait)
}

fn secret_name(trust_domain: &TrustDomain) -> String {
    format!("authority/{trust_domain}")
}

/// Why the sealing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// The file cannot be read or created.
    #[error("cannot open the sealing key `{path}`")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("others can read the sealing key `{path}`: run `chmod 600` on it")]
    Readable {
        /// The file.
        path: std::path::PathBuf,
    },
    /// It is not a sealing key.
    #[error("`{path}` is no sealing key: it has not exactly 32 bytes")]
    Length {
        /// The file.
        path: std::path::PathBuf,
    },
    /// It is gone although the store has secrets.
    #[error("the sealing key `{path}` is missing; without it the secrets of the store stay shut")]
    Missing {
        /// The file.
        path: std::path::PathBuf,
    },
    /// The library does not take it.
    #[error("cannot use the sealing key")]
    Use(#[source] SealError),
}

/// Reads the sealing key, or makes one (mode 0600) when the store holds nothing sealed yet.
pub(crate) fn sealing_key(path: &Path, has_secrets: bool) -> Result<Sealer, SealingKeyError> {
    use std::{
        fs::{File, OpenOptions},
        io::{ErrorKind, Read as _, Write as _},
        os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    };
    let failed = |source| SealingKeyError::File { path: path.to_owned(), source };
    let mut bytes = Secret::new([0_u8; 32]);
    match File::open(path) {
        Ok(mut file) => {
            let facts = file.metadata().map_err(failed)?;
            if facts.mode() & 0o077 != 0 {
                return Err(SealingKeyError::Readable { path: path.to_owned() });
            }
            if facts.len() != 32 {
                return Err(SealingKeyError::Length { path: path.to_owned() });
            }
            file.read_exact(bytes.expose_mut()).map_err(failed)?;
        }
        Err(source) if source.kind() == ErrorKind::NotFound && !has_secrets => {
            SystemRandom.fill(bytes.expose_mut());
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            file.write_all(bytes.expose()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        Err(source) if source.kind() == ErrorKind::NotFound => {
            return Err(SealingKeyError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(failed(source)),
    }
    Sealer::new(bytes).map_err(SealingKeyError::Use)
}
