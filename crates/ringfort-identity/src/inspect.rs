//! What a certificate says about itself, for status, logs and the command line. Nothing here is a verdict.

use std::time::Duration;

use ringfort_model::{SpiffeId, WallTime};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

/// Facts read from one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its identity, if it has exactly one URI name and that is a SPIFFE ID of a workload.
    pub spiffe_id: Option<SpiffeId>,
    /// Start of its life.
    pub not_before: WallTime,
    /// End of its life.
    pub not_after: WallTime,
    /// Serial number, lower-case hex.
    pub serial: String,
}

/// The bytes are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate in DER")]
pub struct InspectError;

/// Reads the facts of one certificate in DER.
///
/// # Errors
/// [`InspectError`]: the bytes are not exactly one certificate with a life after 1970.
pub fn inspect(der: &[u8]) -> Result<CertificateFacts, InspectError> {
    let certificate = parse(der).ok_or(InspectError)?;
    let validity = certificate.validity();
    let spiffe_id = match uri_names(&certificate).as_deref() {
        Some([UriName::Text(uri)]) => uri.parse().ok(),
        Some(_) | None => None,
    };
    Ok(CertificateFacts {
        spiffe_id,
        not_before: wall_time(validity.not_before.timestamp())?,
        not_after: wall_time(validity.not_after.timestamp())?,
        serial: format!("{:032x}", certificate.tbs_certificate.serial),
    })
}

/// A URI among the names of a certificate.
pub(crate) enum UriName<'a> {
    /// Readable text; whether it is a SPIFFE ID is decided later.
    Text(&'a str),
    /// Bytes that are no UTF-8. They count, or a second name could hide in them.
    Unreadable,
}

/// Tag of `uniformResourceIdentifier` in `GeneralName`.
///
/// # Source
/// RFC 5280 section 4.2.1.6.
const URI_TAG: u32 = 6;

/// Parses exactly one certificate.
pub(crate) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// Every URI in every subject-alternative-name extension; `None` if such an extension cannot be read.
pub(crate) fn uri_names<'a>(certificate: &'a X509Certificate<'_>) -> Option<Vec<UriName<'a>>> {
    use x509_parser::{extensions::ParsedExtension, oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME};
    let mut uris = Vec::new();
    for extension in certificate.extensions() {
        if extension.oid != OID_X509_EXT_SUBJECT_ALT_NAME {
            continue;
        }
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            return None;
        };
        for name in &names.general_names {
            if let GeneralName::URI(text) = name {
                uris.push(UriName::Text(text));
            } else if let GeneralName::Invalid(tag, _) = name
                && tag.0 == URI_TAG
            {
                uris.push(UriName::Unreadable);
            }
        }
    }
    Some(uris)
}

fn wall_time(unix_seconds: i64) -> Result<WallTime, InspectError> {
    let seconds = u64::try_from(unix_seconds).map_err(|_before_1970| InspectError)?;
    Ok(WallTime::from_unix(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests;
