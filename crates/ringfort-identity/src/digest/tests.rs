//! Digests against the published vectors, and the framing of parts.

use ringfort_model::{ContentDigester as _, Digester as _};

use super::{ContentSha256, Sha256Digester};

/// # Source
/// FIPS 180-4 example vectors.
#[test]
fn plain_digests_are_sha_256() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Sha256Digester.plain(text.as_bytes()).to_string(), expected);
        let mut pieces = Box::new(ContentSha256::new());
        for byte in text.bytes() {
            pieces.update(&[byte]);
        }
        assert_eq!(pieces.finish().to_string(), expected);
    };
    check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn different_lists_of_parts_have_different_digests() {
    let lists: [&[&[u8]]; 5] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"ab", b""]];
    for (i, a) in lists.iter().enumerate() {
        for (j, b) in lists.iter().enumerate() {
            assert_eq!(Sha256Digester.digest(a) == Sha256Digester.digest(b), i == j, "{i} {j}");
        }
    }
    let framed = [0, 0, 0, 0, 0, 0, 0, 2, b'a', b'b'];
    assert_eq!(Sha256Digester.digest(&[b"ab"]), Sha256Digester.plain(&framed));
}
