use super::is_crypto;
use crate::tidy::tests::check;

#[test]
fn a_pure_crate_has_pure_dependencies() {
    let path = "crates/ringfort-traffic/Cargo.toml";
    let clean = "[dependencies]\nthiserror.workspace = true\n\n[dev-dependencies]\ntempfile.workspace = true\n";
    for name in ["tracing", "tokio-util", "async-trait", "rand_core", "log"] {
        let fault = format!("[dependencies]\n{name}.workspace = true\n");
        let expected = format!("{path}:2: T3: ringfort-traffic is pure and must not use `{name}`");
        check("T3", &[(path, clean)], (path, &fault), &expected);
    }
    let shell = "crates/ringfort-proxy/Cargo.toml";
    let tokio = "[dependencies]\ntokio.workspace = true\n";
    let expected = format!("{path}:2: T3: ringfort-traffic is pure and must not use `tokio`");
    check("T3", &[(shell, tokio), (path, clean)], (path, tokio), &expected);
}

#[test]
fn a_pure_crate_has_no_effects() {
    let path = "crates/ringfort-policy/src/lib.rs";
    let clean =
        "//! Never calls std::fs.\nuse std::{collections::BTreeMap, fmt};\nlet s = \".await\";\n";
    for (line, what) in [
        ("std::fs::read(p)", "std::fs"),
        ("use std::{fmt, env};", "std::env"),
        ("use std::{\n    thread::sleep,\n};", "std::thread"),
        ("async fn f() {}", "async fn"),
        ("x.await", ".await"),
        ("static mut X: u8 = 0;", "static mut"),
        ("fn f(s: &TcpStream) {}", "TcpStream"),
        ("thread_local! {}", "thread_local!"),
    ] {
        let fault = format!("//! A header.\n{line}\n");
        let expected =
            format!("{path}:2: T3: `{what}` in a pure crate: take the value as an argument");
        check("T3", &[(path, clean)], (path, &fault), &expected);
        let tests = "crates/ringfort-policy/src/index/tests.rs";
        check("T3", &[(path, clean), (tests, &fault)], (path, &fault), &expected);
    }
}

#[test]
fn one_crate_names_crypto() {
    let identity =
        ("crates/ringfort-identity/Cargo.toml", "[dependencies]\nsha2.workspace = true\n");
    let path = "crates/ringfort-store/Cargo.toml";
    for section in ["dependencies", "dev-dependencies"] {
        for name in ["sha2", "tokio-rustls", "rustls-webpki"] {
            let fault = format!("[{section}]\n{name}.workspace = true\n");
            let expected = format!(
                "{path}:2: T4: `{name}` is cryptography, which only ringfort-identity names"
            );
            let shell = (
                "crates/ringfort-proxy/Cargo.toml",
                "[dependencies]\ntokio-rustls.workspace = true\n",
            );
            check("T4", &[identity, shell], (path, &fault), &expected);
        }
    }
}

#[test]
fn one_crate_uses_crypto() {
    let path = "crates/ringfort-proxy/src/tls.rs";
    let clean = "//! Not rustls::crypto.\nuse tokio_rustls::rustls::ServerConfig;\n";
    for (line, what) in [
        ("use tokio_rustls::rustls::crypto::ring;", "rustls::crypto"),
        ("let d = aws_lc_rs::digest::digest(a, b);", "aws_lc_rs"),
    ] {
        let fault = format!("//! A header.\n{line}\n");
        let expected = format!("{path}:2: T4: `{what}` outside ringfort-identity");
        let identity = "crates/ringfort-identity/src/ca.rs";
        check("T4", &[(path, clean), (identity, &fault)], (path, &fault), &expected);
    }
}

#[test]
fn knows_crypto_by_its_name() {
    for name in ["ring", "aws-lc-rs", "x509-parser", "p256", "tokio-rustls", "sha2", "openssl-sys"]
    {
        assert!(is_crypto(name), "{name}");
    }
    for name in ["ringfort-model", "zeroize", "subtle", "string-cache", "cedar-policy", "aesthetic"]
    {
        assert!(!is_crypto(name), "{name}");
    }
}
