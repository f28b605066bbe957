//! The generated code belongs to the `.proto` files beside it.

use std::{fs, path::Path};

/// The digest `tools/protogen` writes into each header: 64-bit FNV-1a over name and text of each file.
fn proto_digest() -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "proto"));
    files.sort();
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for byte in name.bytes().chain([0]).chain(fs::read(path).unwrap()).chain([0]) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    digest
}

#[test]
fn is_fresh() {
    let expected = format!("//! proto digest: {:016x}\n", proto_digest());
    for (name, text) in [
        ("discovery", include_str!("discovery.rs")),
        ("protobuf", include_str!("protobuf.rs")),
        ("rpc", include_str!("rpc.rs")),
        ("v1", include_str!("v1.rs")),
        ("workload", include_str!("workload.rs")),
    ] {
        assert!(
            text.contains(&expected),
            "{name} is stale: run `cargo run --manifest-path tools/protogen/Cargo.toml`"
        );
    }
}
