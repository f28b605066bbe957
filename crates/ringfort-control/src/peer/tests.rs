//! Only the server's own user and root are heard, and only one well-formed attestation counts.

use ringfort_model::{
    Digest,
    selectors::{Part, StartedAs},
};
use tonic::{Code, metadata::MetadataValue};

use super::*;

#[test]
fn only_the_own_user_and_root_are_admitted() {
    for (own, peer, expected) in
        [(1000, 1000, true), (1000, 0, true), (1000, 1001, false), (0, 1000, false), (0, 0, true)]
    {
        assert_eq!(admits(own, peer), expected, "{own} {peer}");
    }
}

fn message() -> v1::Selectors {
    (&Selectors {
        pid: 1,
        uid: 2,
        gid: 3,
        unix_user: None,
        unix_group: None,
        exe: "/bin/it".to_owned(),
        exe_sha256: Digest::new([4; 32]),
        started_as: Some(StartedAs { workload: "orders".parse().unwrap(), part: Part::Proxy }),
    })
        .into()
}

#[track_caller]
fn check(values: &[Vec<u8>], expected: Option<Code>) {
    let mut request = Request::new(());
    for value in values {
        let value = MetadataValue::from_bytes(value);
        request.metadata_mut().append_bin(resource::SELECTORS_METADATA, value);
    }
    assert_eq!(selectors(&request).err().map(|status| status.code()), expected);
}

#[test]
fn one_well_formed_attestation_counts() {
    let good = message().encode_to_vec();
    let mut reserved = message();
    reserved.started_as.as_mut().unwrap().workload = "ringfort".to_owned();
    let long = v1::Selectors { exe: "x".repeat(SELECTORS_BYTES_MAX), ..message() };
    check(std::slice::from_ref(&good), None);
    check(&[], Some(Code::Unauthenticated));
    check(&[good.clone(), good], Some(Code::Unauthenticated));
    check(&[b"\xff\xff".to_vec()], Some(Code::InvalidArgument));
    check(&[Vec::new()], Some(Code::InvalidArgument));
    check(&[reserved.encode_to_vec()], Some(Code::InvalidArgument));
    check(&[long.encode_to_vec()], Some(Code::InvalidArgument));
}

#[test]
fn evidence_names_the_facts() {
    let facts = Selectors::try_from(message()).unwrap();
    let expected = format!(
        "pid 1 uid 2 gid 3 exe /bin/it sha256 {} started as orders (Proxy)",
        Digest::new([4; 32])
    );
    assert_eq!(evidence(&facts), expected);
}
