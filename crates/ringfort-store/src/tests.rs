//! What is remembered survives, in order and unaltered.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ringfort_model::{Digest, Digester, Revision, SpiffeId, WallTime};
use sqlx::Connection as _;

use super::*;

/// A digest good enough to tell test data apart; the real one is handed in by the shells.
struct TestDigester;

impl Digester for TestDigester {
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut words = [0x9e37_79b9_7f4a_7c15_u64, 1, 2, 3];
        for part in parts {
            for byte in (part.len() as u64).to_be_bytes().iter().chain(*part) {
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

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("server.db")).await.unwrap();
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("server.db")
    }

    /// Closes the store, changes the file behind its back, and opens it again.
    async fn altered(self, statement: &'static str) -> Self {
        let Self { folder, store } = self;
        store.close().await;
        drop(store);
        let path = folder.path().join("server.db");
        let url = format!("sqlite://{}", path.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "the test alters something");
        connection.close().await.unwrap();
        Self { store: open(&path).await.unwrap(), folder }
    }
}

async fn open(path: &Path) -> Result<Store, OpenStoreError> {
    Store::open(path, Arc::new(TestDigester)).await
}

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, body)| ((*path).to_owned(), body.as_bytes().to_vec())).collect()
}

fn at(seconds: u64) -> WallTime {
    WallTime::from_unix(Duration::from_secs(seconds))
}

async fn apply(
    store: &Store,
    base: u64,
    seconds: u64,
    list: &[(&str, &str)],
) -> Result<RevisionRecord, ApplyRevisionError> {
    let files = files(list);
    store
        .apply(Apply {
            files: &files,
            author: "ada",
            message: "why",
            base: Revision::new(base),
            at: at(seconds),
            changed: &[],
            removed: &[],
        })
        .await
}

/// Three revisions: two files, one changed, one removed and one added.
async fn three_revisions() -> Fixture {
    let fixture = Fixture::new().await;
    apply(&fixture.store, 0, 10, &[("a.yaml", "1"), ("b.cedar", "b")]).await.unwrap();
    apply(&fixture.store, 1, 20, &[("a.yaml", "2"), ("b.cedar", "b")]).await.unwrap();
    apply(&fixture.store, 2, 30, &[("a.yaml", "2"), ("c.cedar", "c")]).await.unwrap();
    fixture
}

#[tokio::test]
async fn an_empty_store_has_no_head() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.store.head().await.unwrap(), None);
    assert_eq!(fixture.store.verify().await.unwrap(), Chain::Whole { head: Revision::NONE });
}

#[tokio::test]
async fn every_revision_reads_back() {
    let fixture = three_revisions().await;
    let store = &fixture.store;
    let head = store.head().await.unwrap().unwrap();
    assert_eq!(head.files, files(&[("a.yaml", "2"), ("c.cedar", "c")]));
    assert_eq!(head.record.revision, Revision::new(3));
    assert_eq!(head.record.digest, files_digest(&head.files, &TestDigester));
    let first = store.export(Revision::new(1)).await.unwrap();
    assert_eq!(first.files, files(&[("a.yaml", "1"), ("b.cedar", "b")]));
    let numbers: Vec<_> =
        store.history(10).await.unwrap().iter().map(|one| one.revision.number()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(store.history(1).await.unwrap().len(), 1);
    for unknown in [0, 4, u64::MAX] {
        let refusal = store.export(Revision::new(unknown)).await.unwrap_err();
        assert_eq!(refusal.to_string(), format!("there is no revision {unknown}"));
    }
}

#[tokio::test]
async fn state_survives_a_restart() {
    let fixture = three_revisions().await;
    let before = fixture.store.head().await.unwrap();
    fixture.store.close().await;
    let (path, Fixture { folder, store }) = (fixture.path(), fixture);
    drop(store);
    let store = open(&path).await.unwrap();
    assert_eq!(store.head().await.unwrap(), before);
    assert_eq!(store.verify().await.unwrap(), Chain::Whole { head: Revision::new(3) });
    drop(folder);
}

#[tokio::test]
async fn a_stale_base_changes_nothing() {
    let fixture = three_revisions().await;
    for base in [0, 2, 4] {
        let refusal = apply(&fixture.store, base, 40, &[("a.yaml", "x")]).await.unwrap_err();
        let expected =
            format!("RF1001: base {base} is no longer head (3 by `ada`); run `diff` again");
        assert_eq!(refusal.to_string(), expected);
    }
    let head = fixture.store.head().await.unwrap().unwrap();
    assert_eq!(head.record.revision, Revision::new(3));
    assert!(apply(&fixture.store, 3, 40, &[("a.yaml", "x")]).await.is_ok(), "control");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_applies_leave_no_gap() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 8;
    let fixture = Fixture::new().await;
    let tracker: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = fixture.store.clone();
            async move {
                let mut done = 0;
                while done < EACH {
                    let head = store.head().await.unwrap();
                    let base = head.map_or(0, |head| head.record.revision.number());
                    let body = format!("{writer} {done}");
                    match apply(&store, base, base + 1, &[("a.yaml", &body)]).await {
                        Ok(_record) => done += 1,
                        Err(ApplyRevisionError::Base { .. }) => {}
                        Err(ApplyRevisionError::Query(error)) => panic!("{error}"),
                    }
                }
            }
        })
        .collect();
    let mut set = tokio::task::JoinSet::new();
    for writer in tracker {
        set.spawn(writer);
    }
    set.join_all().await;
    let history = fixture.store.history(1000).await.unwrap();
    let numbers: Vec<_> = history.iter().rev().map(|one| one.revision.number()).collect();
    assert_eq!(numbers, (1..=WRITERS * EACH).collect::<Vec<_>>());
    let whole = Chain::Whole { head: Revision::new(WRITERS * EACH) };
    assert_eq!(fixture.store.verify().await.unwrap(), whole);
}

#[tokio::test]
async fn an_apply_cut_off_leaves_nothing() {
    let fixture = three_revisions().await;
    let before = fixture.store.head().await.unwrap();
    let files = files(&[("a.yaml", "9")]);
    // The second class violates the schema after the revision and its files were written.
    let statement =
        "CREATE TRIGGER cut BEFORE INSERT ON class BEGIN SELECT raise(ABORT, 'cut'); END";
    sqlx::raw_sql(statement).execute(&fixture.store.pool).await.unwrap();
    let class: SpiffeId = "spiffe://shop/svc/orders".parse().unwrap();
    let cut = fixture
        .store
        .apply(Apply {
            files: &files,
            author: "ada",
            message: "",
            base: Revision::new(3),
            at: at(40),
            changed: &[(class, Digest::new([1; 32]))],
            removed: &[],
        })
        .await;
    assert_eq!(cut.unwrap_err().to_string(), "the store cannot apply a revision");
    assert_eq!(fixture.store.head().await.unwrap(), before);
    let next = apply(&fixture.store, 3, 50, &[("a.yaml", "9")]).await.unwrap();
    assert_eq!(next.revision, Revision::new(4), "the number was not lost");
    let whole = Chain::Whole { head: Revision::new(4) };
    assert_eq!(fixture.store.verify().await.unwrap(), whole);
}

/// Alters the file with `statement`; verification must find it at `revision`.
#[track_caller]
fn check(statement: &'static str, revision: u64, what: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let fixture = three_revisions().await;
        let whole = fixture.store.verify().await.unwrap();
        assert_eq!(whole, Chain::Whole { head: Revision::new(3) }, "control");
        fixture.altered(statement).await.store.verify().await.unwrap()
    });
    assert_eq!(found, Chain::Broken { revision: Revision::new(revision), what });
}

#[test]
fn the_chain_finds_every_alteration() {
    let file = "a file differs from its digest";
    let files = "the files differ from the revision's digest";
    let record = "the record differs from its hash";
    check("UPDATE doc SET body = x'39' WHERE path = 'a.yaml' AND rev = 2", 2, file);
    check(
        "UPDATE doc SET digest = zeroblob(32), body = NULL WHERE path = 'a.yaml' AND rev = 1",
        1,
        files,
    );
    check("DELETE FROM doc WHERE path = 'b.cedar' AND rev = 3", 3, files);
    check("UPDATE revision SET author = 'eve' WHERE rev = 2", 2, record);
    check("UPDATE revision SET message = '' WHERE rev = 1", 1, record);
    check("UPDATE revision SET applied_at_ms = 1 WHERE rev = 3", 3, record);
    check("UPDATE revision SET digest = zeroblob(32) WHERE rev = 2", 2, files);
    check("UPDATE revision SET digest = x'00' WHERE rev = 2", 2, "the record is unreadable");
    check("DELETE FROM revision WHERE rev = 2", 2, "the revision is missing");
    check("UPDATE rev SET n = 4", 4, "the revision is missing");
}

#[tokio::test]
async fn a_second_server_is_refused() {
    let fixture = Fixture::new().await;
    let refusal = open(&fixture.path()).await.unwrap_err();
    assert!(matches!(&refusal, OpenStoreError::InUse { path } if *path == fixture.path()));
    let Fixture { folder, store } = fixture;
    let clone = store.clone();
    drop(store);
    assert!(open(&folder.path().join("server.db")).await.is_err(), "a clone still holds it");
    drop(clone);
    assert!(open(&folder.path().join("server.db")).await.is_ok(), "control");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let fixture = Fixture::new().await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&fixture.store.pool).await.unwrap();
    let Fixture { folder, store } = fixture;
    store.close().await;
    drop(store);
    let refusal = open(&folder.path().join("server.db")).await.unwrap_err();
    assert!(matches!(refusal, OpenStoreError::Newer { found: 99, known: 1, .. }));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.db");
    std::fs::write(&path, "trust_domain: shop\n".repeat(100)).unwrap();
    let refusal = open(&path).await.unwrap_err();
    assert!(matches!(refusal, OpenStoreError::Database { .. }));
    let nowhere = folder.path().join("missing/server.db");
    assert!(matches!(open(&nowhere).await.unwrap_err(), OpenStoreError::File { .. }));
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let fixture = three_revisions().await;
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn old_bodies_are_forgotten_and_the_chain_still_holds() {
    let fixture = Fixture::new().await;
    let day = 24 * 3600;
    apply(&fixture.store, 0, day, &[("a.yaml", "1"), ("b.cedar", "b")]).await.unwrap();
    apply(&fixture.store, 1, 2 * day, &[("a.yaml", "2"), ("b.cedar", "b")]).await.unwrap();
    apply(&fixture.store, 2, 92 * day, &[("a.yaml", "3"), ("b.cedar", "b")]).await.unwrap();
    assert!(fixture.store.export(Revision::new(1)).await.is_ok(), "kept for 90 days");
    apply(&fixture.store, 3, 93 * day, &[("a.yaml", "4"), ("b.cedar", "b")]).await.unwrap();
    let refusal = fixture.store.export(Revision::new(1)).await.unwrap_err();
    assert!(matches!(refusal, ExportRevisionError::Compacted(revision) if revision.number() == 1));
    assert!(fixture.store.export(Revision::new(2)).await.is_ok(), "replaced 1 day ago");
    let head = fixture.store.head().await.unwrap().unwrap();
    assert_eq!(head.files, files(&[("a.yaml", "4"), ("b.cedar", "b")]));
    let whole = Chain::Whole { head: Revision::new(4) };
    assert_eq!(fixture.store.verify().await.unwrap(), whole);
}

#[tokio::test]
async fn classes_remember_what_changed_them() {
    let fixture = Fixture::new().await;
    let id = |name: &str| format!("spiffe://shop/svc/{name}").parse::<SpiffeId>().unwrap();
    let files = files(&[("a.yaml", "1")]);
    let one = |base, changed, removed| Apply {
        files: &files,
        author: "ada",
        message: "",
        base: Revision::new(base),
        at: at(base),
        changed,
        removed,
    };
    let (first, second) = (Digest::new([1; 32]), Digest::new([2; 32]));
    let all = [(id("orders"), first), (id("web"), first)];
    fixture.store.apply(one(0, &all, &[])).await.unwrap();
    let web = [(id("web"), second)];
    fixture.store.apply(one(1, &web, &[])).await.unwrap();
    let state = |name, revision, digest, time| ClassState {
        class: id(name),
        revision: Revision::new(revision),
        digest,
        signed_at: at(time),
    };
    let expected = [state("orders", 1, first, 0), state("web", 2, second, 1)];
    assert_eq!(fixture.store.classes().await.unwrap(), expected);
    let orders = [id("orders")];
    fixture.store.apply(one(2, &[], &orders)).await.unwrap();
    assert_eq!(fixture.store.classes().await.unwrap(), expected[1..]);
}

#[tokio::test]
async fn issuances_are_recorded_once_and_forgotten_after_their_end() {
    let fixture = Fixture::new().await;
    let issuance = |serial: &str, not_after| Issuance {
        serial: serial.to_owned(),
        subject: "spiffe://shop/svc/orders".to_owned(),
        purpose: IssuancePurpose::Workload,
        key_hash: Digest::new([3; 32]),
        evidence: "uid 7".to_owned(),
        issued_at: at(not_after - 60),
        not_before: at(not_after - 120),
        not_after: at(not_after),
    };
    let (old, new) = (issuance("0a", 1000), issuance("0b", 2000));
    fixture.store.record_issuance(&old).await.unwrap();
    fixture.store.record_issuance(&new).await.unwrap();
    let twice = fixture.store.record_issuance(&old).await.unwrap_err();
    assert_eq!(twice.to_string(), "the store cannot record an issuance");
    assert_eq!(fixture.store.issuances(10).await.unwrap(), [new.clone(), old]);
    assert_eq!(fixture.store.forget_issuances(at(1500)).await.unwrap(), 1);
    assert_eq!(fixture.store.issuances(10).await.unwrap(), [new]);
}

#[tokio::test]
async fn instances_secrets_and_counters_read_back() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut instance = Instance {
        id: "orders@host-1".to_owned(),
        service: "orders".parse().unwrap(),
        address: "127.0.0.1:4000".parse().unwrap(),
        labels: [("version".to_owned(), "2".to_owned())].into(),
        joined_at: at(5),
    };
    store.put_instance(&instance).await.unwrap();
    assert_eq!(store.instances().await.unwrap(), [instance.clone()]);
    instance.labels = [("zone".to_owned(), "a".to_owned())].into();
    instance.address = "[::1]:4001".parse().unwrap();
    store.put_instance(&instance).await.unwrap();
    assert_eq!(store.instances().await.unwrap(), [instance]);
    store.remove_instance("orders@host-1").await.unwrap();
    store.remove_instance("nobody").await.unwrap();
    assert_eq!(store.instances().await.unwrap(), []);

    assert_eq!(store.secret("authority").await.unwrap(), None);
    assert!(!store.has_secrets().await.unwrap());
    store.put_secret("authority", b"sealed").await.unwrap();
    store.put_secret("authority", b"sealed again").await.unwrap();
    assert_eq!(store.secret("authority").await.unwrap().unwrap(), b"sealed again");
    assert!(store.has_secrets().await.unwrap());

    assert_eq!(store.counter(Counter::RenewEpoch).await.unwrap(), 0);
    let both = [Counter::RenewEpoch, Counter::TrustSequence];
    assert_eq!(store.bump([Counter::TrustSequence]).await.unwrap(), [1]);
    assert_eq!(store.bump(both).await.unwrap(), [1, 2]);
    assert_eq!(store.counter(Counter::TrustSequence).await.unwrap(), 2);
}
