//! The fleet's own certificate authority: a root, an issuing certificate under it, and what they sign.
//!
//! Decides the form of every certificate of the fleet. Who may have one is decided by the caller, before it asks.

use std::{fmt, net::IpAddr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
use ringfort_model::{Secret, SecureRandom, SpiffeId, TrustDomain, WallTime};
use rustls::pki_types::{CertificateDer, DnsName};
use time::OffsetDateTime;

use crate::{
    BuildBundleError, CertificateFacts, KeyError, KeyPair, OpenSealedError, RequestedKey,
    SealError, Sealer, TrustBundle, inspect, inspect::parse,
};

/// Life of a root: 5 years.
pub const ROOT_LIFE: Duration = Duration::from_hours(24 * (5 * 365 + 1));

/// Life of an issuing certificate: 7 days, so that a stolen issuing key ages fast.
pub const ISSUING_LIFE: Duration = Duration::from_hours(24 * 7);

/// How far certificates begin in the past, for clocks that are behind.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// Most hosts of one public certificate.
pub const HOSTS_MAX: usize = 100;

/// A root and the issuing certificate that signs in its name.
pub struct CertificateAuthority {
    trust_domain: TrustDomain,
    root: Signer,
    issuing: Signer,
}

/// A certificate that signs others, with its key.
struct Signer {
    der: Vec<u8>,
    facts: CertificateFacts,
    issuer: Issuer<'static, KeyPair>,
}

/// What a new authority is made of.
#[derive(Debug)]
pub struct CreateAuthority {
    /// The domain it vouches for.
    pub trust_domain: TrustDomain,
    /// Key of the root.
    pub root_key: KeyPair,
    /// Key of the first issuing certificate.
    pub issuing_key: KeyPair,
    /// When it begins.
    pub now: WallTime,
}

/// What an SVID is made of.
#[derive(Debug, Clone, Copy)]
pub struct SignLeafOptions<'a> {
    /// The workload's public key.
    pub key: &'a RequestedKey,
    /// The workload.
    pub id: &'a SpiffeId,
    /// When it is issued.
    pub now: WallTime,
    /// How long it lives; cut to the end of the issuing certificate.
    pub ttl: Duration,
}

/// What a public listener's certificate is made of.
#[derive(Debug, Clone, Copy)]
pub struct IssuePublicOptions<'a> {
    /// The listener's public key.
    pub key: &'a RequestedKey,
    /// Its hosts: DNS names, `*.` names, IP addresses.
    pub hosts: &'a [String],
    /// When it is issued.
    pub now: WallTime,
    /// How long it lives; cut to the end of the issuing certificate.
    pub ttl: Duration,
}

/// A certificate just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Leaf and issuing certificate in DER; the root is not sent.
    pub chain_der: Vec<Vec<u8>>,
    /// Start of its life.
    pub not_before: WallTime,
    /// End of its life.
    pub not_after: WallTime,
    /// Serial number, lower-case hex.
    pub serial: String,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignCertificateError {
    /// The identity belongs to another trust domain.
    #[error("`{id}` is not of trust domain `{trust_domain}`")]
    ForeignDomain {
        /// What was asked for.
        id: SpiffeId,
        /// What this authority vouches for.
        trust_domain: TrustDomain,
    },
    /// The signing certificate has ended or not begun.
    #[error("the signing certificate is valid from {not_before} to {not_after}, not at {now}")]
    SignerNotValid {
        /// When it was asked.
        now: WallTime,
        /// When it begins.
        not_before: WallTime,
        /// When it ends.
        not_after: WallTime,
    },
    /// No host was given, or more than [`HOSTS_MAX`].
    #[error("a public certificate names 1 to {HOSTS_MAX} hosts")]
    HostCount,
    /// A host is neither a DNS name nor an IP address.
    #[error("`{host}` is neither a DNS name nor an IP address")]
    Host {
        /// As given.
        host: String,
    },
    /// A time outside what certificates can say.
    #[error("a time is outside the range of certificates")]
    Time,
    /// The certificate just made cannot be read back.
    #[error("the certificate just made cannot be read back")]
    Unreadable,
    /// The library could not encode or sign.
    #[error("cannot encode or sign the certificate")]
    Encode {
        /// What it met.
        #[source]
        source: rcgen::Error,
    },
}

/// Why a stored authority cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportAuthorityError {
    /// The sealed bytes stay shut.
    #[error("cannot open the sealed authority of trust domain `{trust_domain}`")]
    Open {
        /// The domain asked for.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: OpenSealedError,
    },
    /// What was sealed is no authority.
    #[error("the sealed bytes are no authority")]
    Malformed,
    /// A key cannot be read.
    #[error("a key of the authority cannot be read")]
    Key {
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A certificate belongs to another key.
    #[error("a certificate of the authority belongs to another key")]
    ForeignKey,
}

impl CertificateAuthority {
    /// Makes a new authority: root for [`ROOT_LIFE`], issuing certificate for [`ISSUING_LIFE`].
    ///
    /// # Errors
    /// [`SignCertificateError::Encode`] or [`SignCertificateError::Time`].
    pub fn create(
        options: CreateAuthority,
        random: &mut dyn SecureRandom,
    ) -> Result<Self, SignCertificateError> {
        let CreateAuthority { trust_domain, root_key, issuing_key, now } = options;
        let (not_before, not_after) = (now.minus(BACKDATE), now.plus(ROOT_LIFE));
        let mut params = signer_params(&trust_domain, "root", 1, random)?;
        set_life(&mut params, not_before, not_after)?;
        let der = params.self_signed(&root_key).map_err(encode)?.der().to_vec();
        let root = Signer::read(der, root_key)?;
        let issuing = sign_issuing(&trust_domain, &root, issuing_key, now, random)?;
        Ok(Self { trust_domain, root, issuing })
    }

    /// Replaces the issuing certificate; what the old one signed stays valid, since it travels in those chains.
    ///
    /// # Errors
    /// - [`SignCertificateError::SignerNotValid`]: the root has ended.
    /// - [`SignCertificateError::Encode`]: the library failed. The old one stays in use.
    pub fn reissue_issuing(
        &mut self,
        key: KeyPair,
        now: WallTime,
        random: &mut dyn SecureRandom,
    ) -> Result<(), SignCertificateError> {
        self.issuing = sign_issuing(&self.trust_domain, &self.root, key, now, random)?;
        Ok(())
    }

    /// When the issuing certificate is replaced: at half its life, so that no leaf is ever cut short by it.
    #[must_use]
    pub fn issuing_due_at(&self) -> WallTime {
        let facts = &self.issuing.facts;
        let half = facts.not_after.since(facts.not_before).checked_div(2).unwrap_or_default();
        facts.not_before.plus(half)
    }

    /// Signs an SVID: valid from [`BACKDATE`] ago for `ttl`, never past the issuing certificate's end.
    ///
    /// # Errors
    /// - [`SignCertificateError::ForeignDomain`]: the identity is not of this authority's domain.
    /// - [`SignCertificateError::SignerNotValid`]: the issuing certificate has ended.
    ///
    /// # Source
    /// SPIFFE X509-SVID sections 2 to 4.
    pub fn sign_leaf(
        &self,
        options: SignLeafOptions<'_>,
        random: &mut dyn SecureRandom,
    ) -> Result<IssuedCertificate, SignCertificateError> {
        let SignLeafOptions { key, id, now, ttl } = options;
        if id.trust_domain() != self.trust_domain.as_str() {
            return Err(SignCertificateError::ForeignDomain {
                id: id.clone(),
                trust_domain: self.trust_domain.clone(),
            });
        }
        let mut params = leaf_params(random);
        params.subject_alt_names = vec![uri(id.as_str())?];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, key, now, ttl)
    }

    /// Signs a server certificate for a public listener.
    ///
    /// # Errors
    /// - [`SignCertificateError::HostCount`], [`SignCertificateError::Host`]: the hosts cannot be named.
    /// - [`SignCertificateError::SignerNotValid`]: the issuing certificate has ended.
    pub fn issue_public(
        &self,
        options: IssuePublicOptions<'_>,
        random: &mut dyn SecureRandom,
    ) -> Result<IssuedCertificate, SignCertificateError> {
        let IssuePublicOptions { key, hosts, now, ttl } = options;
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            return Err(SignCertificateError::HostCount);
        }
        let mut params = leaf_params(random);
        params.subject_alt_names =
            hosts.iter().map(|host| host_name(host)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, key, now, ttl)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        key: &RequestedKey,
        now: WallTime,
        ttl: Duration,
    ) -> Result<IssuedCertificate, SignCertificateError> {
        self.issuing.check_life(now)?;
        let not_after = now.plus(ttl).min(self.issuing.facts.not_after);
        set_life(&mut params, now.minus(BACKDATE), not_after)?;
        let certificate = params.signed_by(key, &self.issuing.issuer).map_err(encode)?;
        let leaf = certificate.der().to_vec();
        let facts = inspect(&leaf).map_err(|_unreadable| SignCertificateError::Unreadable)?;
        let CertificateFacts { spiffe_id: _, not_before, not_after, serial } = facts;
        let chain_der = vec![leaf, self.issuing.der.clone()];
        Ok(IssuedCertificate { chain_der, not_before, not_after, serial })
    }

    /// The domain it vouches for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The bundle that verifies what it signs.
    ///
    /// # Errors
    /// [`BuildBundleError::Root`]: the root cannot be read; an authority of ours never has such a root.
    pub fn bundle(&self) -> Result<TrustBundle, BuildBundleError> {
        TrustBundle::new(self.trust_domain.clone(), [self.root.der.clone()])
    }

    /// The root in DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root.der
    }

    /// The issuing certificate in DER.
    #[must_use]
    pub fn issuing_der(&self) -> &[u8] {
        &self.issuing.der
    }

    /// Life and serial of the root.
    #[must_use]
    pub const fn root_facts(&self) -> &CertificateFacts {
        &self.root.facts
    }

    /// Life and serial of the issuing certificate.
    #[must_use]
    pub const fn issuing_facts(&self) -> &CertificateFacts {
        &self.issuing.facts
    }

    /// Seals certificates and keys for the store; they open only for the same trust domain.
    ///
    /// # Errors
    /// [`SealError`]: the library failed.
    pub fn export_sealed(
        &self,
        sealer: &Sealer,
        random: &mut dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let parts = [
            self.root.der.as_slice(),
            self.root.issuer.key().pkcs8().expose(),
            &self.issuing.der,
            self.issuing.issuer.key().pkcs8().expose(),
        ];
        // Sized beforehand: a vector that grows leaves unzeroed copies behind.
        let bytes = parts.iter().map(|part| part.len().saturating_add(4)).sum();
        let mut framed = Secret::new(Vec::with_capacity(bytes));
        for part in parts {
            let length = u32::try_from(part.len()).map_err(|_too_long| SealError)?;
            framed.expose_mut().extend_from_slice(&length.to_be_bytes());
            framed.expose_mut().extend_from_slice(part);
        }
        sealer.seal(&purpose(&self.trust_domain), &framed, random)
    }

    /// Opens what [`Self::export_sealed`] made.
    ///
    /// # Errors
    /// - [`ImportAuthorityError::Open`]: another sealing key or trust domain, or changed bytes.
    /// - the other variants: what was sealed is no authority.
    pub fn import_sealed(
        trust_domain: TrustDomain,
        sealer: &Sealer,
        sealed: &[u8],
    ) -> Result<Self, ImportAuthorityError> {
        let framed = match sealer.open(&purpose(&trust_domain), sealed) {
            Ok(framed) => framed,
            Err(source) => return Err(ImportAuthorityError::Open { trust_domain, source }),
        };
        let mut rest = framed.expose().as_slice();
        let root = Signer::import(&mut rest)?;
        let issuing = Signer::import(&mut rest)?;
        if !rest.is_empty() {
            return Err(ImportAuthorityError::Malformed);
        }
        Ok(Self { trust_domain, root, issuing })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("trust_domain", &self.trust_domain)
            .field("root", &self.root.facts)
            .field("issuing", &self.issuing.facts)
            .finish()
    }
}

impl Signer {
    fn read(der: Vec<u8>, key: KeyPair) -> Result<Self, SignCertificateError> {
        let facts = inspect(&der).map_err(|_unreadable| SignCertificateError::Unreadable)?;
        let certificate = CertificateDer::from(der.as_slice());
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(encode)?;
        Ok(Self { der, facts, issuer })
    }

    fn import(rest: &mut &[u8]) -> Result<Self, ImportAuthorityError> {
        let der = take_part(rest)?.to_vec();
        let key = KeyPair::from_pkcs8(Secret::new(take_part(rest)?.to_vec()))
            .map_err(|source| ImportAuthorityError::Key { source })?;
        let certificate = parse(&der).ok_or(ImportAuthorityError::Malformed)?;
        if *certificate.public_key().subject_public_key.data != *key.public_point() {
            return Err(ImportAuthorityError::ForeignKey);
        }
        Self::read(der, key).map_err(|_unreadable| ImportAuthorityError::Malformed)
    }

    fn check_life(&self, now: WallTime) -> Result<(), SignCertificateError> {
        let CertificateFacts { not_before, not_after, .. } = self.facts;
        if not_before <= now && now < not_after {
            return Ok(());
        }
        Err(SignCertificateError::SignerNotValid { now, not_before, not_after })
    }
}

/// Parameters that name nothing; [`CertificateParams::default`] would name the library.
pub(crate) fn unnamed() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
}

fn sign_issuing(
    trust_domain: &TrustDomain,
    root: &Signer,
    key: KeyPair,
    now: WallTime,
    random: &mut dyn SecureRandom,
) -> Result<Signer, SignCertificateError> {
    root.check_life(now)?;
    let not_after = now.plus(ISSUING_LIFE).min(root.facts.not_after);
    let mut params = signer_params(trust_domain, "issuing", 0, random)?;
    set_life(&mut params, now.minus(BACKDATE), not_after)?;
    params.use_authority_key_identifier_extension = true;
    let der = params.signed_by(&key, &root.issuer).map_err(encode)?.der().to_vec();
    Signer::read(der, key)
}

/// A certificate that signs others. Its URI is that of the trust domain, without a path.
fn signer_params(
    trust_domain: &TrustDomain,
    kind: &str,
    path_len: u8,
    random: &mut dyn SecureRandom,
) -> Result<CertificateParams, SignCertificateError> {
    let mut params = unnamed();
    params.serial_number = Some(serial(random));
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Ringfort {kind} CA of {trust_domain}"));
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A certificate that signs handshakes only; empty subject, so its names are critical.
fn leaf_params(random: &mut dyn SecureRandom) -> CertificateParams {
    let mut params = unnamed();
    params.serial_number = Some(serial(random));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// 128 random bits. The library's own serial is a hash of the public key and would repeat with a key.
fn serial(random: &mut dyn SecureRandom) -> SerialNumber {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes);
    SerialNumber::from_slice(&bytes)
}

fn set_life(
    params: &mut CertificateParams,
    not_before: WallTime,
    not_after: WallTime,
) -> Result<(), SignCertificateError> {
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    Ok(())
}

fn date(time: WallTime) -> Result<OffsetDateTime, SignCertificateError> {
    let seconds =
        i64::try_from(time.unix_seconds()).map_err(|_too_late| SignCertificateError::Time)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_too_late| SignCertificateError::Time)
}

fn uri(text: &str) -> Result<SanType, SignCertificateError> {
    text.try_into().map(SanType::URI).map_err(encode)
}

fn host_name(host: &str) -> Result<SanType, SignCertificateError> {
    let refused = || SignCertificateError::Host { host: host.to_owned() };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    if DnsName::try_from(name).is_err() {
        return Err(refused());
    }
    host.try_into().map(SanType::DnsName).map_err(|_not_ascii: rcgen::Error| refused())
}

const fn encode(source: rcgen::Error) -> SignCertificateError {
    SignCertificateError::Encode { source }
}

fn purpose(trust_domain: &TrustDomain) -> String {
    format!("ringfort authority of {trust_domain}")
}

/// Takes one part written as its length in 4 bytes, then its bytes.
fn take_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ImportAuthorityError> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(ImportAuthorityError::Malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length))
        .map_err(|_too_long| ImportAuthorityError::Malformed)?;
    let (part, tail) = tail.split_at_checked(length).ok_or(ImportAuthorityError::Malformed)?;
    *rest = tail;
    Ok(part)
}

#[cfg(test)]
mod tests;
