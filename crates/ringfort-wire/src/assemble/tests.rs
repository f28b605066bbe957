//! A snapshot is handed out when, and only when, a signed manifest equals what is held.

use proptest::prelude::*;
use ringfort_model::{
    Limits, Normalization, Percent, Resilience,
    limits::CertificateTerms,
    snapshot::{Peer, PolicySlice, Protocol, Role, Sidecar},
};

use super::*;
use crate::{convert::encode, disk, protobuf::Any};

/// A digest good enough to tell test data apart; the real one is handed in by the shells.
pub(crate) struct TestDigester;

impl Digester for TestDigester {
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut words = [0x9e37_79b9_7f4a_7c15_u64, 1, 2, 3];
        let lengths: Vec<_> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        for (length, part) in lengths.iter().zip(parts) {
            for byte in length.iter().chain(*part) {
                for word in &mut words {
                    *word = (*word ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
                    *word ^= *word >> 29;
                }
            }
        }
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        Digest::new(bytes)
    }
}

/// Takes the digest followed by the key's name for its signature.
struct TestVerifier;

fn sign(digest: &Digest) -> Vec<u8> {
    [digest.as_bytes().as_slice(), b"key-1"].concat()
}

impl ConfigVerifier for TestVerifier {
    fn verify(
        &self,
        key: &str,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), VerifyConfigError> {
        match key {
            "key-1" if signature == sign(digest) => Ok(()),
            "key-1" => Err(VerifyConfigError::Signature(key.to_owned())),
            _ => Err(VerifyConfigError::UnknownKey(key.to_owned())),
        }
    }
}

const CHECKS: Checks<'static> = Checks { digester: &TestDigester, verifier: &TestVerifier };
const CLASS: &str = "spiffe://shop.internal/svc/orders";

fn peer(name: &str, concurrency: u32) -> Arc<Peer> {
    Arc::new(Peer {
        name: name.parse().unwrap(),
        id: format!("spiffe://shop.internal/svc/{name}").parse().unwrap(),
        protocol: Protocol::Http1,
        normalization: Normalization::Strict,
        resilience: Resilience { concurrency, ..Resilience::STANDARD },
        limits: Limits::STANDARD,
        subsets: Vec::new(),
        static_endpoints: Vec::new(),
    })
}

fn snapshot(revision: u64, peers: &[(&str, u32)]) -> Snapshot {
    let peers = peers.iter().map(|(name, load)| (name.parse().unwrap(), peer(name, *load)));
    Snapshot {
        revision: Revision::new(revision),
        class: CLASS.parse().unwrap(),
        trust_domain: "shop.internal".parse().unwrap(),
        workload: "orders".parse().unwrap(),
        role: Role::Sidecar(Sidecar {
            local: None,
            callers: BTreeMap::new(),
            outbound: BTreeMap::new(),
            http_proxy: None,
        }),
        peers: peers.collect(),
        policies: PolicySlice::default(),
        certificates: CertificateTerms {
            ttl: std::time::Duration::from_secs(60),
            renew_at: Percent::new(50).unwrap(),
        },
        access_log_2xx: Percent::new(10).unwrap(),
    }
}

fn manifest(snapshot: &Snapshot) -> v1::Manifest {
    let entries = encode(snapshot).into_iter().map(|one| v1::manifest::Entry {
        r#type: one.type_url.strip_prefix(resource::TYPE_PREFIX).unwrap().to_owned(),
        name: one.name,
        version: version(&one.bytes, &TestDigester).as_bytes().to_vec().into(),
    });
    let mut manifest = v1::Manifest {
        revision: snapshot.revision.number(),
        class: snapshot.class.to_string(),
        signed_at_unix_ms: 1,
        entries: entries.collect(),
        config_key_id: "key-1".to_owned(),
        ..v1::Manifest::default()
    };
    seal(&mut manifest);
    manifest
}

fn seal(manifest: &mut v1::Manifest) {
    let digest = manifest_digest(manifest, &TestDigester);
    manifest.digest = digest.as_bytes().to_vec().into();
    manifest.signature = sign(&digest).into();
}

fn one(type_url: &str, name: &str, bytes: Bytes) -> DeltaDiscoveryResponse {
    let version = version(&bytes, &TestDigester).to_string();
    let any = Any { type_url: type_url.to_owned(), value: bytes };
    DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        resources: vec![Resource {
            version,
            resource: Some(any),
            name: name.to_owned(),
            aliases: Vec::new(),
        }],
        ..DeltaDiscoveryResponse::default()
    }
}

fn message<M: prost::Message>(type_url: &str, name: &str, message: &M) -> DeltaDiscoveryResponse {
    one(type_url, name, message.encode_to_vec().into())
}

fn removal(type_url: &str, name: &str) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        removed_resources: vec![name.to_owned()],
        ..DeltaDiscoveryResponse::default()
    }
}

fn responses(snapshot: &Snapshot) -> Vec<DeltaDiscoveryResponse> {
    let mut all: Vec<_> =
        encode(snapshot).into_iter().map(|r| one(r.type_url, &r.name, r.bytes)).collect();
    all.push(message(resource::MANIFEST, CLASS, &manifest(snapshot)));
    all
}

fn empty() -> Assembly {
    Assembly::new(CLASS.parse().unwrap(), Revision::NONE)
}

fn serving(snapshot: &Snapshot) -> Assembly {
    let mut assembly = empty();
    for response in responses(snapshot) {
        assembly.accept(&response, CHECKS).unwrap();
    }
    assembly.put_in_force();
    assembly
}

/// The snapshot a change completes.
fn completed(change: &Change) -> Option<&Snapshot> {
    match change {
        Change::Complete(snapshot) => Some(snapshot),
        Change::Staged | Change::Endpoints(_) | Change::Trust(_) => None,
    }
}

proptest! {
    #[test]
    fn order_of_arrival_does_not_matter(
        order in Just(responses(&snapshot(3, &[("payments", 1), ("ledger", 2)]))).prop_shuffle(),
    ) {
        let wanted = snapshot(3, &[("payments", 1), ("ledger", 2)]);
        let mut assembly = empty();
        for (index, response) in order.iter().enumerate() {
            let change = assembly.accept(response, CHECKS).unwrap();
            let is_last = index + 1 == order.len();
            prop_assert_eq!(completed(&change), is_last.then_some(&wanted));
        }
    }
}

#[test]
fn a_torn_set_is_never_handed_out() {
    let (old, new) =
        (snapshot(3, &[("payments", 1), ("ledger", 1)]), snapshot(4, &[("payments", 9)]));
    let mut assembly = serving(&old);
    let in_force = assembly.in_force();
    let changed = &responses(&new)[1];
    assert!(completed(&assembly.accept(changed, CHECKS).unwrap()).is_none());
    let sealed = message(resource::MANIFEST, CLASS, &manifest(&new));
    assert!(completed(&assembly.accept(&sealed, CHECKS).unwrap()).is_none(), "ledger is left");
    assert_eq!(assembly.in_force(), in_force);
    let last = assembly.accept(&removal(resource::PEER, "ledger"), CHECKS).unwrap();
    assert_eq!(completed(&last), Some(&new));
    assembly.put_in_force();
    assert_eq!(assembly.in_force().unwrap().0, Revision::new(4));
}

#[test]
fn a_set_in_force_is_not_completed_again() {
    let wanted = snapshot(3, &[("payments", 1)]);
    let mut assembly = serving(&wanted);
    for response in responses(&wanted) {
        assert!(matches!(assembly.accept(&response, CHECKS).unwrap(), Change::Staged));
    }
}

/// Serves revision 3, then takes `response`, which must be refused with `expected` and change nothing.
#[track_caller]
fn check(response: &DeltaDiscoveryResponse, expected: &str) {
    let mut assembly = serving(&snapshot(3, &[("payments", 1)]));
    let before = format!("{assembly:?}");
    let refusal = assembly.accept(response, CHECKS).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
    assert_eq!(format!("{assembly:?}"), before, "a refused response changes nothing");
}

#[test]
fn foreign_old_and_forged_manifests_are_refused() {
    let altered = |change: fn(&mut v1::Manifest), sealed: bool| {
        let mut altered = manifest(&snapshot(4, &[("payments", 1)]));
        change(&mut altered);
        if sealed {
            seal(&mut altered);
        }
        message(resource::MANIFEST, CLASS, &altered)
    };
    let legal = altered(|_| (), true);
    assert!(serving(&snapshot(3, &[("payments", 1)])).accept(&legal, CHECKS).is_ok(), "control");
    let foreign = "spiffe://shop.internal/svc/payments";
    check(
        &altered(|m| m.class = "spiffe://shop.internal/svc/payments".to_owned(), true),
        &format!("this is configuration of `{foreign}`, not of `{CLASS}`"),
    );
    check(&altered(|m| m.revision = 2, true), "revision 2 lies below 3, which was seen already");
    check(
        &altered(|m| m.revision = 5, false),
        "the digest of the manifest is not that of its entries",
    );
    check(
        &altered(|m| m.entries[0].name.push('x'), false),
        "the digest of the manifest is not that of its entries",
    );
    check(
        &altered(|m| m.config_key_id = "key-2".to_owned(), true),
        "the manifest is not signed by a trusted server",
    );
    check(
        &altered(|m| m.signature = Bytes::from_static(b"forged"), false),
        "the manifest is not signed by a trusted server",
    );
}

#[test]
fn damaged_and_unknown_resources_are_refused() {
    let mut damaged = one(resource::PEER, "ledger", Bytes::from_static(b"x"));
    damaged.resources[0].version = "00".repeat(32);
    check(&damaged, "the bytes of resource `ledger` differ from its version");
    let unknown = one("type.googleapis.com/ringfort.v1.Blob", "b", Bytes::new());
    check(&unknown, "unknown resource type `type.googleapis.com/ringfort.v1.Blob`");
    let list = v1::Endpoints { service: "payments".to_owned(), endpoints: Vec::new() };
    check(
        &message(resource::ENDPOINTS, "ledger", &list),
        "resource `ledger` calls itself `payments`",
    );
}

#[test]
fn a_peer_under_a_foreign_name_is_refused_on_completion() {
    let wanted = snapshot(4, &[("payments", 1)]);
    let mut assembly = empty();
    for response in &responses(&wanted)[..2] {
        let mut response = response.clone();
        if response.type_url == resource::PEER {
            response.resources[0].name = "ledger".to_owned();
        }
        assembly.accept(&response, CHECKS).unwrap();
    }
    assembly.accept(&responses(&wanted)[2], CHECKS).unwrap();
    let mut sealed = manifest(&wanted);
    sealed.entries[1].name = "ledger".to_owned();
    seal(&mut sealed);
    let refusal =
        assembly.accept(&message(resource::MANIFEST, CLASS, &sealed), CHECKS).unwrap_err();
    assert_eq!(refusal.to_string(), "resource `ledger` calls itself `payments`");
}

#[test]
fn trust_only_grows() {
    let mut assembly = empty();
    let trust = |sequence| v1::Trust { sequence, ..v1::Trust::default() };
    let send = |n| message(resource::TRUST, resource::TRUST_NAME, &trust(n));
    assert!(matches!(assembly.accept(&send(2), CHECKS).unwrap(), Change::Trust(_)));
    let refusal = assembly.accept(&send(1), CHECKS).unwrap_err();
    assert_eq!(refusal, AssembleError::OlderTrust { got: 1, held: 2 });
    assert!(assembly.accept(&send(2), CHECKS).is_ok(), "control");
}

#[test]
fn a_resumed_stream_names_everything_held() {
    let mut assembly = serving(&snapshot(3, &[("payments", 1), ("ledger", 1)]));
    let endpoint = v1::Endpoint { address: "127.0.0.1:9".to_owned(), labels: BTreeMap::new() };
    let list = v1::Endpoints { service: "ledger".to_owned(), endpoints: vec![endpoint] };
    let change = assembly.accept(&message(resource::ENDPOINTS, "ledger", &list), CHECKS).unwrap();
    assert!(matches!(change, Change::Endpoints(map) if map["ledger"].len() == 1));
    let names = |type_url| assembly.versions(type_url).into_keys().collect::<Vec<_>>();
    assert_eq!(names(resource::PEER), ["ledger", "payments"]);
    assert_eq!(names(resource::CLASS), [CLASS]);
    assert_eq!(names(resource::MANIFEST), [CLASS]);
    assert_eq!(names(resource::ENDPOINTS), ["ledger"]);
    assert!(names(resource::TRUST).is_empty());
}

#[test]
fn the_stored_snapshot_is_the_one_in_force() {
    let old = snapshot(3, &[("payments", 1)]);
    let mut assembly = serving(&old);
    let newer = &responses(&snapshot(4, &[("payments", 7)]))[1];
    assembly.accept(newer, CHECKS).unwrap();
    let file = disk::write(&assembly.stored().unwrap(), &TestDigester).unwrap();
    let stored = disk::read(&file, &TestDigester).unwrap();
    let (restored, snapshot) = Assembly::restore(CLASS.parse().unwrap(), stored, CHECKS).unwrap();
    assert_eq!(*snapshot, old, "what was on its way is not stored");
    assert_eq!(restored.in_force(), assembly.in_force());
}

#[test]
fn a_stored_snapshot_is_checked_like_one_from_the_server() {
    let stored = serving(&snapshot(3, &[("payments", 1)])).stored().unwrap();
    let own: SpiffeId = CLASS.parse().unwrap();
    assert!(Assembly::restore(own.clone(), stored.clone(), CHECKS).is_ok(), "control");
    let foreign = "spiffe://shop.internal/svc/ledger".parse().unwrap();
    let refusal = Assembly::restore(foreign, stored.clone(), CHECKS).unwrap_err();
    assert!(matches!(refusal, AssembleError::ForeignClass { .. }));
    let older = v1::StoredSnapshot { revision_floor: 4, ..stored.clone() };
    let refusal = Assembly::restore(own.clone(), older, CHECKS).unwrap_err();
    assert!(matches!(refusal, AssembleError::Older { .. }));
    let mut torn = stored.clone();
    torn.resources.pop();
    assert_eq!(Assembly::restore(own.clone(), torn, CHECKS).unwrap_err(), AssembleError::Digest);
    let mut forged = stored;
    forged.manifest.as_mut().unwrap().signature = Bytes::from_static(b"no");
    let refusal = Assembly::restore(own, forged, CHECKS).unwrap_err();
    assert!(matches!(refusal, AssembleError::Signature(_)));
}
