//! The client side between workloads: the callee must prove exactly the identity that was called.

use std::sync::Arc;

use ringfort_model::SpiffeId;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption, WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::verify_tls13_signature,
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::SingleCertAndKey,
    version::TLS13,
};

use super::{
    BuildTlsError, Refusals, RefusePeerError, TLS12_NEVER, Tls, WORKLOAD_ALGORITHMS, alpn_names,
    settings, wall_time,
};
use crate::{Purpose, Svid, TrustBundle, verify::verify_leaf};

/// What a call to one callee needs.
#[derive(Debug)]
pub struct OutboundOptions<'a> {
    /// Who this workload is.
    pub svid: &'a Svid,
    /// The roots the callee is verified with.
    pub bundle: Arc<TrustBundle>,
    /// The only identity accepted: the callee's, never "any of the fleet".
    pub expected: SpiffeId,
    /// Protocols in order of preference: `h2`, `http/1.1`; none for bytes.
    pub alpn: &'a [&'a str],
    /// Hears why a callee was refused.
    pub refusals: Arc<Refusals>,
}

/// What the client side of somebody without an identity needs.
#[derive(Debug)]
pub struct StrangerOptions<'a> {
    /// The roots the callee is verified with.
    pub bundle: Arc<TrustBundle>,
    /// The only identity accepted.
    pub expected: SpiffeId,
    /// Protocols in order of preference.
    pub alpn: &'a [&'a str],
}

impl Tls {
    /// The client side between workloads; connect with [`super::workload_server_name`].
    ///
    /// # Errors
    /// [`BuildTlsError::Settings`]: the library refuses the settings.
    pub fn outbound_client_config(
        &self,
        options: OutboundOptions<'_>,
    ) -> Result<Arc<ClientConfig>, BuildTlsError> {
        let OutboundOptions { svid, bundle, expected, alpn, refusals } = options;
        let resolver = SingleCertAndKey::from(Arc::clone(svid.certified()));
        let config = self
            .callee_verified(CalleeVerifier { bundle, expected, refusals })?
            .with_client_cert_resolver(Arc::new(resolver));
        Ok(finish(config, alpn))
    }

    /// The client side of somebody without an identity: what drills and the tour send against a workload's listener,
    /// which must refuse it. The callee is verified all the same.
    ///
    /// # Errors
    /// [`BuildTlsError::Settings`]: the library refuses the settings.
    pub fn stranger_client_config(
        &self,
        options: StrangerOptions<'_>,
    ) -> Result<Arc<ClientConfig>, BuildTlsError> {
        let StrangerOptions { bundle, expected, alpn } = options;
        let refusals = Arc::default();
        let verifier = CalleeVerifier { bundle, expected, refusals };
        Ok(finish(self.callee_verified(verifier)?.with_no_client_auth(), alpn))
    }

    fn callee_verified(
        &self,
        verifier: CalleeVerifier,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, BuildTlsError> {
        let builder =
            ClientConfig::builder_with_details(Arc::clone(&self.workload), Arc::clone(&self.time))
                .with_protocol_versions(&[&TLS13])
                .map_err(settings)?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
    }
}

fn finish(mut config: ClientConfig, alpn: &[&str]) -> Arc<ClientConfig> {
    config.alpn_protocols = alpn_names(alpn);
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    Arc::new(config)
}

#[derive(Debug)]
struct CalleeVerifier {
    bundle: Arc<TrustBundle>,
    expected: SpiffeId,
    refusals: Arc<Refusals>,
}

impl CalleeVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), RefusePeerError> {
        let id = verify_leaf(leaf, intermediates, &self.bundle, wall_time(now), Purpose::Server)?;
        if id == self.expected {
            return Ok(());
        }
        Err(RefusePeerError::WrongCallee { id, expected: self.expected.clone() })
    }
}

impl ServerCertVerifier for CalleeVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verify(leaf, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
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
