//! Peers: services a class may call.

use ringfort_model::snapshot::{Peer, Subset};

use super::{ConvertError, scalar};
use crate::v1;

impl From<&Peer> for v1::Peer {
    fn from(peer: &Peer) -> Self {
        Self {
            name: peer.name.to_string(),
            spiffe_id: peer.id.to_string(),
            protocol: v1::Protocol::from(peer.protocol).into(),
            normalization: v1::Normalization::from(peer.normalization).into(),
            resilience: Some(peer.resilience.into()),
            limits: Some(peer.limits.into()),
            subsets: peer
                .subsets
                .iter()
                .map(|subset| v1::Subset {
                    name: subset.name.to_string(),
                    labels: subset.labels.clone(),
                    weight_percent: subset.weight.as_u8().into(),
                })
                .collect(),
            static_endpoints: peer.static_endpoints.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::Peer> for Peer {
    type Error = ConvertError;

    fn try_from(peer: v1::Peer) -> Result<Self, ConvertError> {
        let subsets = peer.subsets.into_iter().map(|subset| {
            Ok(Subset {
                name: scalar::name("subset.name", &subset.name)?,
                labels: subset.labels,
                weight: scalar::percent("subset.weight_percent", subset.weight_percent)?,
            })
        });
        let addresses =
            peer.static_endpoints.iter().map(|text| scalar::address("peer.static_endpoints", text));
        Ok(Self {
            name: scalar::name("peer.name", &peer.name)?,
            id: scalar::spiffe_id("peer.spiffe_id", &peer.spiffe_id)?,
            protocol: scalar::protocol("peer.protocol", peer.protocol)?,
            normalization: scalar::normalization("peer.normalization", peer.normalization)?,
            resilience: scalar::required("peer.resilience", peer.resilience)?.into(),
            limits: scalar::required("peer.limits", peer.limits)?.into(),
            subsets: subsets.collect::<Result<_, ConvertError>>()?,
            static_endpoints: addresses.collect::<Result<_, _>>()?,
        })
    }
}
