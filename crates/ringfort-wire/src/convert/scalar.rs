//! The small conversions: names, numbers, durations, addresses, enums.

use std::{collections::BTreeMap, net::SocketAddr, str::FromStr as _, time::Duration};

use ringfort_model::{Name, Normalization, PathPattern, Percent, SpiffeId, snapshot::Protocol};

use super::ConvertError;
use crate::v1;

pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, ConvertError> {
    value.ok_or(ConvertError::Missing { field })
}

pub(crate) fn name(field: &'static str, text: &str) -> Result<Name, ConvertError> {
    Name::from_str(text).map_err(|source| ConvertError::Name { field, source })
}

pub(crate) fn names(field: &'static str, texts: &[String]) -> Result<Vec<Name>, ConvertError> {
    texts.iter().map(|text| name(field, text)).collect()
}

pub(crate) fn spiffe_id(field: &'static str, text: &str) -> Result<SpiffeId, ConvertError> {
    SpiffeId::from_str(text).map_err(|source| ConvertError::Spiffe { field, source })
}

pub(crate) fn path(field: &'static str, text: &str) -> Result<PathPattern, ConvertError> {
    PathPattern::from_str(text).map_err(|source| ConvertError::Path { field, source })
}

pub(crate) fn address(field: &'static str, text: &str) -> Result<SocketAddr, ConvertError> {
    SocketAddr::from_str(text).map_err(|source| ConvertError::Address { field, source })
}

pub(crate) fn percent(field: &'static str, value: u32) -> Result<Percent, ConvertError> {
    let value = u8::try_from(value).ok().and_then(Percent::new);
    value.ok_or(ConvertError::Range { field })
}

pub(crate) fn port(field: &'static str, value: u32) -> Result<u16, ConvertError> {
    u16::try_from(value).map_err(|_too_large| ConvertError::Range { field })
}

/// Milliseconds, capped at the largest: half a billion years.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn insert<K: Ord + ToString, V>(
    field: &'static str,
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
) -> Result<(), ConvertError> {
    let text = key.to_string();
    match map.insert(key, value) {
        None => Ok(()),
        Some(_earlier) => Err(ConvertError::Twice { field, key: text }),
    }
}

impl From<Protocol> for v1::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1,
            Protocol::Http2 => Self::Http2,
            Protocol::Grpc => Self::Grpc,
            Protocol::Tcp => Self::Tcp,
        }
    }
}

pub(crate) fn protocol(field: &'static str, value: i32) -> Result<Protocol, ConvertError> {
    match v1::Protocol::try_from(value) {
        Ok(v1::Protocol::Http1) => Ok(Protocol::Http1),
        Ok(v1::Protocol::Http2) => Ok(Protocol::Http2),
        Ok(v1::Protocol::Grpc) => Ok(Protocol::Grpc),
        Ok(v1::Protocol::Tcp) => Ok(Protocol::Tcp),
        Ok(v1::Protocol::Unspecified) | Err(_) => Err(ConvertError::Range { field }),
    }
}

impl From<Normalization> for v1::Normalization {
    fn from(normalization: Normalization) -> Self {
        match normalization {
            Normalization::Strict => Self::Strict,
            Normalization::MergeSlashes => Self::MergeSlashes,
            Normalization::EncodedSlash => Self::EncodedSlash,
            Normalization::MatrixParams => Self::MatrixParams,
        }
    }
}

pub(crate) fn normalization(
    field: &'static str,
    value: i32,
) -> Result<Normalization, ConvertError> {
    match v1::Normalization::try_from(value) {
        Ok(v1::Normalization::Strict) => Ok(Normalization::Strict),
        Ok(v1::Normalization::MergeSlashes) => Ok(Normalization::MergeSlashes),
        Ok(v1::Normalization::EncodedSlash) => Ok(Normalization::EncodedSlash),
        Ok(v1::Normalization::MatrixParams) => Ok(Normalization::MatrixParams),
        Ok(v1::Normalization::Unspecified) | Err(_) => Err(ConvertError::Range { field }),
    }
}
