//! The server side between workloads: a caller must prove one identity of a given set.

use std::{collections::BTreeSet, sync::Arc};

use ringfort_model::SpiffeId;
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::verify_tls13_signature,
    pki_types::{CertificateDer, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::SingleCertAndKey,
    version::TLS13,
};

use super::{
    BuildTlsError, Refusals, RefusePeerError, TLS12_NEVER, Tls, WORKLOAD_ALGORITHMS, alpn_names,
    settings, wall_time,
};
use crate::{Purpose, Svid, TrustBundle, verify::verify_leaf};

/// What a sidecar's inbound listener needs.
#[derive(Debug)]
pub struct InboundOptions<'a> {
    /// Who this workload is.
    pub svid: &'a Svid,
    /// The roots callers are verified with.
    pub bundle: Arc<TrustBundle>,
    /// Who may call.
    pub allowed: Arc<BTreeSet<SpiffeId>>,
    /// Protocols in order of preference: `h2`, `http/1.1`; none for bytes.
    pub alpn: &'a [&'a str],
    /// Hears why a caller was refused.
    pub refusals: Arc<Refusals>,
}

impl Tls {
    /// The server side between workloads. Reads no key and no certificate, so a connection may have its own.
    ///
    /// # Errors
    /// [`BuildTlsError::Settings`]: the library refuses the settings.
    pub fn inbound_server_config(
        &self,
        options: InboundOptions<'_>,
    ) -> Result<Arc<ServerConfig>, BuildTlsError> {
        let InboundOptions { svid, bundle, allowed, alpn, refusals } = options;
        let verifier = Arc::new(CallerVerifier { bundle, allowed, refusals });
        let resolver = SingleCertAndKey::from(Arc::clone(svid.certified()));
        let mut config =
            ServerConfig::builder_with_details(Arc::clone(&self.workload), Arc::clone(&self.time))
                .with_protocol_versions(&[&TLS13])
                .map_err(settings)?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = alpn_names(alpn);
        config.ignore_client_order = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Ok(Arc::new(config))
    }
}

#[derive(Debug)]
struct CallerVerifier {
    bundle: Arc<TrustBundle>,
    allowed: Arc<BTreeSet<SpiffeId>>,
    refusals: Arc<Refusals>,
}

impl CallerVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), RefusePeerError> {
        let id = verify_leaf(leaf, intermediates, &self.bundle, wall_time(now), Purpose::Client)?;
        if self.allowed.contains(&id) {
            return Ok(());
        }
        Err(RefusePeerError::NotAllowed { id })
    }
}

impl ClientCertVerifier for CallerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.verify(leaf, intermediates, now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(reason) => Err(self.refusals.keep(reason)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(TLS12_NEVER)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signature, &WORKLOAD_ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        WORKLOAD_ALGORITHMS.supported_schemes()
    }
}
