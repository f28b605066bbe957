//! Names of the resource types and of the metadata of the control link.
#![warn(missing_docs, unreachable_pub, unused_qualifications, missing_debug_implementations)]
#![warn(clippy::missing_errors_doc, clippy::wildcard_imports)]

/// What every type URL of ours begins with.
pub const TYPE_PREFIX: &str = "type.googleapis.com/ringfort.v1.";

/// Type URL of [`crate::v1::Class`].
pub const CLASS: &str = "type.googleapis.com/ringfort.v1.Class";
/// Type URL of [`crate::v1::Peer`].
pub const PEER: &str = "type.googleapis.com/ringfort.v1.Peer";
/// Type URL of [`crate::v1::Policies`].
pub const POLICIES: &str = "type.googleapis.com/ringfort.v1.Policies";
/// Type URL of [`crate::v1::Manifest`].
pub const MANIFEST: &str = "type.googleapis.com/ringfort.v1.Manifest";
/// Type URL of [`crate::v1::Endpoints`].
pub const ENDPOINTS: &str = "type.googleapis.com/ringfort.v1.Endpoints";
/// Type URL of [`crate::v1::Trust`].
pub const TRUST: &str = "type.googleapis.com/ringfort.v1.Trust";

/// Every type a proxy subscribes to. The manifest comes last, so that what it seals is there when it arrives.
pub const ALL: [&str; 6] = [TRUST, CLASS, PEER, POLICIES, ENDPOINTS, MANIFEST];

/// The types a manifest seals.
pub const SEALED: [&str; 3] = [CLASS, PEER, POLICIES];

/// The one name of the [`TRUST`] resource.
pub const TRUST_NAME: &str = "trust";

/// Binary metadata that carries an encoded [`crate::v1::Selectors`] from an agent to a server.
pub const SELECTORS_METADATA: &str = "ringfort-selectors-bin";

/// Largest message of the control link in bytes: the usual limit of gRPC.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
