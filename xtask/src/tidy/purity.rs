//! T3 and T4: crates that decide do not act, and one crate knows cryptography.

use super::lex::{line_of, uses_of, words};
use super::{Finding, Tree, manifest};

/// Crates that turn arguments into values and do nothing else.
const PURE: &[&str] = &[
    "ringfort-model",
    "ringfort-policy",
    "ringfort-traffic",
    "ringfort-identity",
    "ringfort-firewall",
    "ringfort-http1",
    "ringfort-oidc",
    "ringfort-scan",
    "ringfort-fleet",
];

/// Beginnings of package names that bring IO, time, randomness or logging.
const IMPURE_PACKAGES: &[&str] = &[
    "tokio",
    "hyper",
    "reqwest",
    "axum",
    "tower",
    "tonic",
    "mio",
    "socket2",
    "rustix",
    "nix",
    "libc",
    "async-",
    "sqlx",
    "rusqlite",
    "redis",
    "rand",
    "getrandom",
    "fastrand",
    "notify",
    "tempfile",
    "tracing",
    "log",
];

/// Paths whose use is an effect; also found behind `use std::{...}`.
const IMPURE_PATHS: &[&str] = &["std::fs", "std::env", "std::process", "std::thread"];

const IMPURE_WORDS: &[&str] = &[
    "thread_local!",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "async fn",
    ".await",
    "static mut",
];

/// Pure crates stay pure (I2).
///
/// model, policy, traffic, identity, firewall, http1, oidc, scan and fleet do no IO and read neither
/// clock, environment nor global randomness: they decide, shells act. So their tests need no world,
/// and the same input gives the same answer. They depend on no runtime, socket, SQL, randomness or
/// logging package (they return reasons; shells log), and their source outside tests names no file,
/// process, thread, environment or socket and awaits nothing.
pub(super) fn pure_crates_stay_pure(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_pure = |member: &str| PURE.contains(&member);
    for manifest in manifest::members(tree).iter().filter(|m| is_pure(m.member)) {
        for (name, line) in manifest.dependencies("dependencies") {
            if IMPURE_PACKAGES.iter().any(|prefix| name.starts_with(prefix)) {
                let message = format!("{} is pure and must not use `{name}`", manifest.member);
                found.push(Finding::error(manifest.path(), line, message));
            }
        }
    }
    for file in tree.rust().filter(|f| !f.is_test() && f.member().is_some_and(is_pure)) {
        let of_paths = IMPURE_PATHS
            .iter()
            .flat_map(|p| uses_of(&file.code, p).into_iter().map(move |at| (at, p)));
        let of_words =
            IMPURE_WORDS.iter().flat_map(|w| words(&file.code, w).map(move |at| (at, w)));
        for (at, what) in of_paths.chain(of_words) {
            let message = format!("`{what}` in a pure crate: take the value as an argument");
            found.push(Finding::error(&file.path, line_of(&file.text, at), message));
        }
    }
    found
}

const CRYPTO: &[&str] = &[
    "aws-lc",
    "ring",
    "openssl",
    "native-tls",
    "rustls",
    "webpki",
    "rcgen",
    "x509",
    "jsonwebtoken",
    "jose",
    "sha1",
    "sha2",
    "sha3",
    "md-5",
    "md5",
    "blake2",
    "blake3",
    "hmac",
    "hkdf",
    "aes",
    "chacha20",
    "poly1305",
    "ed25519",
    "curve25519",
    "p256",
    "p384",
    "k256",
    "ecdsa",
    "rsa",
    "argon2",
    "scrypt",
    "bcrypt",
    "pbkdf2",
    "password-hash",
    "totp",
    "webauthn",
];

const MOVES_TLS_BYTES: &[&str] =
    &["ringfort-proxy", "ringfort-agent", "ringfort-control", "ringfort-drill", "ringfort"];

/// Only `identity` names a crypto library (I3).
///
/// One crate to review when a primitive, a protocol version or a provider changes, and none that
/// composes primitives on the side. Everywhere else a package whose name (or a part of it behind a
/// hyphen) is that of a crypto library is an error, and so are `aws_lc_rs::` and `rustls::crypto` in
/// source. `tokio-rustls` may stand in proxy, agent, control, drill and ringfort: it moves bytes,
/// and every `ServerConfig` and `ClientConfig` comes from identity. Who needs a digest, a MAC or a
/// random number takes it as an argument: a trait in model, implemented in identity. `zeroize` and
/// `subtle` are not crypto.
pub(super) fn one_crate_names_crypto(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for manifest in manifest::members(tree).iter().filter(|m| m.member != "ringfort-identity") {
        for (name, line) in manifest.all_dependencies().filter(|(name, _)| is_crypto(name)) {
            if name == "tokio-rustls" && MOVES_TLS_BYTES.contains(&manifest.member) {
                continue;
            }
            let message = format!("`{name}` is cryptography, which only ringfort-identity names");
            found.push(Finding::error(manifest.path(), line, message));
        }
    }
    for file in tree.rust().filter(|f| f.member().is_some_and(|m| m != "ringfort-identity")) {
        for path in ["aws_lc_rs", "rustls::crypto"] {
            for at in uses_of(&file.code, path) {
                let message = format!("`{path}` outside ringfort-identity");
                found.push(Finding::error(&file.path, line_of(&file.text, at), message));
            }
        }
    }
    found
}

/// Is a listed name the package's, or the beginning of a part of it, up to a hyphen or a digit?
fn is_crypto(package: &str) -> bool {
    let starts = std::iter::once(package)
        .chain(package.match_indices('-').filter_map(|(at, _)| package.get(at + 1..)));
    starts.into_iter().any(|part| {
        CRYPTO.iter().any(|name| {
            part.strip_prefix(name).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            })
        })
    })
}

#[cfg(test)]
mod tests;
