//! Public listeners and their visitors: ordinary TLS, the server proves its host names, the client nothing.

use std::sync::Arc;

use ringfort_model::{Secret, snapshot::TlsVersion};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::{Resumption, WebPkiServerVerifier},
    crypto::aws_lc_rs::{Ticketer, sign::any_supported_type},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use webpki::EndEntityCert;
use zeroize::Zeroize as _;

use super::{BuildTlsError, Tls, alpn_names, settings};
use crate::{BuildSvidError, KeyPair, svid::certified_key};

/// Tickets given after a handshake; with one, parallel clients miss (measured).
const TICKETS: usize = 2;

/// A chain and key a public listener proves its hosts with. Cheap to clone.
#[derive(Clone)]
pub struct PublicCertificate(Arc<CertifiedKey>);

/// What a public listener needs.
#[derive(Debug)]
pub struct PublicOptions<'a> {
    /// Its certificates: the first that covers the name the client asks for is shown, and the very first to
    /// clients that ask for none.
    pub certificates: Vec<PublicCertificate>,
    /// Lowest TLS version.
    pub min: TlsVersion,
    /// Protocols in order of preference: `h2`, `http/1.1`.
    pub alpn: &'a [&'a str],
}

/// What a visitor of a public listener needs.
#[derive(Debug)]
pub struct VisitorOptions<'a> {
    /// The roots it trusts, in DER.
    pub roots_der: &'a [Vec<u8>],
    /// Protocols in order of preference.
    pub alpn: &'a [&'a str],
}

impl PublicCertificate {
    /// A chain of the fleet's own authority and its key.
    ///
    /// # Errors
    /// [`BuildTlsError::Key`], [`BuildTlsError::ForeignKey`]: the key does not fit.
    pub fn new(chain_der: Vec<Vec<u8>>, key: &KeyPair) -> Result<Self, BuildTlsError> {
        let chain = chain_der.into_iter().map(CertificateDer::from).collect();
        match certified_key(chain, key) {
            Ok(certified) => Ok(Self(Arc::new(certified))),
            Err(BuildSvidError::ForeignKey) => Err(BuildTlsError::ForeignKey),
            Err(
                BuildSvidError::Key | BuildSvidError::Identity { .. } | BuildSvidError::Malformed,
            ) => Err(BuildTlsError::Key),
        }
    }

    /// A chain and key of another authority, as files hold them: RSA, ECDSA or Ed25519; PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// - [`BuildTlsError::Pem`], [`BuildTlsError::NoCertificate`]: a text cannot be read or has no certificate.
    /// - [`BuildTlsError::Key`], [`BuildTlsError::ForeignKey`]: the key does not fit.
    pub fn from_pem(chain_pem: &str, key_pem: &Secret<String>) -> Result<Self, BuildTlsError> {
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_malformed| BuildTlsError::Pem { part: "certificate chain" })?;
        if chain.is_empty() {
            return Err(BuildTlsError::NoCertificate);
        }
        let mut key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes())
            .map_err(|_malformed| BuildTlsError::Pem { part: "private key" })?;
        let signing = any_supported_type(&key);
        key.zeroize();
        let certified =
            CertifiedKey::new(chain, signing.map_err(|_unsupported| BuildTlsError::Key)?);
        certified.keys_match().map_err(|_mismatch| BuildTlsError::ForeignKey)?;
        Ok(Self(Arc::new(certified)))
    }

    fn covers(&self, name: &ServerName<'_>) -> bool {
        let leaf = self.0.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok());
        leaf.is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
    }
}

impl std::fmt::Debug for PublicCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicCertificate")
    }
}

impl Tls {
    /// The server side of a public listener. Resumption is allowed, since there is no peer to verify again; one
    /// configuration serves all threads of a listener, so that they know each other's tickets.
    ///
    /// # Errors
    /// - [`BuildTlsError::NoCertificate`]: there is no certificate.
    /// - [`BuildTlsError::Settings`]: the library refuses the settings.
    pub fn public_server_config(
        &self,
        options: PublicOptions<'_>,
    ) -> Result<Arc<ServerConfig>, BuildTlsError> {
        let PublicOptions { certificates, min, alpn } = options;
        if certificates.is_empty() {
            return Err(BuildTlsError::NoCertificate);
        }
        let versions: &[&SupportedProtocolVersion] = match min {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let mut config =
            ServerConfig::builder_with_details(Arc::clone(&self.public), Arc::clone(&self.time))
                .with_protocol_versions(versions)
                .map_err(settings)?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(ByName(certificates)));
        config.alpn_protocols = alpn_names(alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(settings)?;
        config.send_tls13_tickets = TICKETS;
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        config.require_ems = true;
        Ok(Arc::new(config))
    }

    /// The client side towards a public listener: verifies the host name, shows no certificate.
    ///
    /// # Errors
    /// - [`BuildTlsError::Root`]: a root is no certificate, or there is none.
    /// - [`BuildTlsError::Settings`]: the library refuses the settings.
    pub fn visitor_client_config(
        &self,
        options: &VisitorOptions<'_>,
    ) -> Result<Arc<ClientConfig>, BuildTlsError> {
        let mut roots = RootCertStore::empty();
        for root in options.roots_der {
            let root = CertificateDer::from(root.as_slice()).into_owned();
            roots.add(root).map_err(|_malformed| BuildTlsError::Root)?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.public))
                .build()
                .map_err(|_no_roots| BuildTlsError::Root)?;
        let mut config =
            ClientConfig::builder_with_details(Arc::clone(&self.public), Arc::clone(&self.time))
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(settings)?
                .with_webpki_verifier(verifier)
                .with_no_client_auth();
        config.alpn_protocols = alpn_names(options.alpn);
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(Arc::new(config))
    }
}

/// Chooses the certificate by the name the client asks for.
#[derive(Debug)]
struct ByName(Vec<PublicCertificate>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = match hello.server_name() {
            None => self.0.first(),
            Some(asked) => {
                let name = ServerName::try_from(asked).ok()?;
                self.0.iter().find(|certificate| certificate.covers(&name))
            }
        };
        chosen.map(|certificate| Arc::clone(&certificate.0))
    }
}
