//! This workload's identity in use: TLS settings towards callers and callees.
//!
//! Each handshake gets settings of its own, a few microseconds, so that the reason of a refusal belongs to exactly
//! that handshake. All cryptography is `ringfort-identity`'s.

use std::{collections::BTreeSet, sync::Arc};

use ringfort_identity::{
    BuildTlsError, InboundOptions, OutboundOptions, Refusals, Svid, Tls, TrustBundle,
};
use ringfort_model::SpiffeId;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

/// Who this workload is and whom it believes.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Makes the settings.
    pub tls: Tls,
    /// Chain and key.
    pub svid: Svid,
    /// Roots.
    pub bundle: Arc<TrustBundle>,
}

impl Credentials {
    /// Settings for one connection of a caller out of `allowed`.
    pub(crate) fn for_callers(
        &self,
        allowed: &Arc<BTreeSet<SpiffeId>>,
        alpn: &[&str],
    ) -> Result<(Arc<ServerConfig>, Arc<Refusals>), BuildTlsError> {
        let refusals = Arc::<Refusals>::default();
        let config = self.tls.inbound_server_config(InboundOptions {
            svid: &self.svid,
            bundle: Arc::clone(&self.bundle),
            allowed: Arc::clone(allowed),
            alpn,
            refusals: Arc::clone(&refusals),
        })?;
        Ok((config, refusals))
    }

    /// Settings for one connection to exactly `expected`.
    pub(crate) fn towards(
        &self,
        expected: &SpiffeId,
        alpn: &str,
    ) -> Result<(Arc<ClientConfig>, Arc<Refusals>), BuildTlsError> {
        let refusals = Arc::<Refusals>::default();
        let config = self.tls.outbound_client_config(OutboundOptions {
            svid: &self.svid,
            bundle: Arc::clone(&self.bundle),
            expected: expected.clone(),
            alpn: &[alpn],
            refusals: Arc::clone(&refusals),
        })?;
        Ok((config, refusals))
    }
}
