//! Whole fleets: as files in memory, and as folders on disk.

use std::fs;

use ringfort_fleet::FleetFile;
use tempfile::TempDir;

/// A whole fleet in five lines: valid, and closed to everything it does not say.
#[must_use]
pub fn five_lines() -> Vec<FleetFile> {
    let text = "ringfort: v1
services:
  web:    { listen: 8080, calls: [orders] }
  orders: { listen: 8081, calls: [ledger] }
  ledger: { listen: { port: 5432, protocol: tcp } }
";
    vec![file("fleet.yaml", text)]
}

/// A bookshop that writes every field of the language once; no build enforces all of it.
#[must_use]
pub fn bookshop() -> Vec<FleetFile> {
    let files = [
        ("shop.yaml", include_str!("../../ringfort-fleet/fixtures/shop/shop.yaml")),
        ("edge.yaml", include_str!("../../ringfort-fleet/fixtures/shop/edge.yaml")),
        ("shop.cedar", include_str!("../../ringfort-fleet/fixtures/shop/shop.cedar")),
        (
            "contracts/checkout.openapi.yaml",
            include_str!("../../ringfort-fleet/fixtures/shop/contracts/checkout.openapi.yaml"),
        ),
        (
            "contracts/delivery.openapi.yaml",
            include_str!("../../ringfort-fleet/fixtures/shop/contracts/delivery.openapi.yaml"),
        ),
        (
            "contracts/billing.binpb",
            include_str!("../../ringfort-fleet/fixtures/shop/contracts/billing.binpb"),
        ),
        ("keys/anna.pub", include_str!("../../ringfort-fleet/fixtures/shop/keys/anna.pub")),
        ("keys/forge.pub", include_str!("../../ringfort-fleet/fixtures/shop/keys/forge.pub")),
        (
            "keys/wholesaler.jwks.json",
            include_str!("../../ringfort-fleet/fixtures/shop/keys/wholesaler.jwks.json"),
        ),
        ("keys/partners.pem", include_str!("../../ringfort-fleet/fixtures/shop/keys/partners.pem")),
        (
            "keys/partners-ca.pem",
            include_str!("../../ringfort-fleet/fixtures/shop/keys/partners-ca.pem"),
        ),
    ];
    files.iter().map(|(path, text)| file(path, text)).collect()
}

/// One file of a fleet.
#[must_use]
pub fn file(path: &str, text: &str) -> FleetFile {
    FleetFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

/// Writes files into a new temporary folder, which is removed with the returned value.
///
/// # Panics
/// The folder cannot be written.
#[must_use]
pub fn folder(files: &[FleetFile]) -> TempDir {
    let folder = tempfile::Builder::new().prefix("fleet").tempdir().expect("a temporary folder");
    for file in files {
        let path = folder.path().join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a folder of the fleet");
        }
        fs::write(&path, &file.bytes).expect("a file of the fleet");
    }
    folder
}

#[cfg(test)]
mod tests;
