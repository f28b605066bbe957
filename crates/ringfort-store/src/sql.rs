//! Every statement of the SQLite backend.

/// Schema changes in order; `PRAGMA user_version` says how many a file has.
pub(crate) const MIGRATIONS: [&str; 1] = ["
CREATE TABLE rev (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    n INTEGER NOT NULL
) STRICT;
INSERT INTO rev VALUES (1, 0);

CREATE TABLE revision (
    rev INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    hash BLOB NOT NULL,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT;

-- One row per file a revision changed. `digest` is absent when it removed the file; `body` also when it is compacted.
CREATE TABLE doc (
    path TEXT NOT NULL,
    rev INTEGER NOT NULL REFERENCES revision (rev),
    digest BLOB,
    body BLOB,
    PRIMARY KEY (path, rev)
) STRICT, WITHOUT ROWID;
CREATE INDEX doc_rev ON doc (rev);

-- Which revision last changed what a class is sent.
CREATE TABLE class (
    spiffe_id TEXT PRIMARY KEY,
    rev INTEGER NOT NULL REFERENCES revision (rev),
    digest BLOB NOT NULL,
    signed_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE issuance (
    serial TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    purpose TEXT NOT NULL,
    key_hash BLOB NOT NULL,
    evidence TEXT NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX issuance_not_after ON issuance (not_after_ms);

CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
    instance TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    address TEXT NOT NULL,
    joined_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instance_label (
    instance TEXT NOT NULL REFERENCES instance (instance) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (instance, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"];

pub(crate) const NEXT_REVISION: &str = "UPDATE rev SET n = n + 1 RETURNING n";
pub(crate) const HEAD: &str = "SELECT rev, digest, hash, author, message, applied_at_ms
    FROM revision ORDER BY rev DESC LIMIT 1";
pub(crate) const REVISION: &str = "SELECT rev, digest, hash, author, message, applied_at_ms
    FROM revision WHERE rev = ?1";
pub(crate) const HISTORY: &str = "SELECT rev, digest, hash, author, message, applied_at_ms
    FROM revision ORDER BY rev DESC LIMIT ?1";
pub(crate) const INSERT_REVISION: &str = "INSERT INTO revision
    (rev, digest, hash, author, message, applied_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const INSERT_DOC: &str =
    "INSERT INTO doc (path, rev, digest, body) VALUES (?1, ?2, ?3, ?4)";

/// The newest row of each path at a revision; rows of removed files are left out.
pub(crate) const DOCS_AT: &str = "SELECT path, digest, body FROM doc AS d
    WHERE digest IS NOT NULL
    AND rev = (SELECT max(rev) FROM doc AS n WHERE n.path = d.path AND n.rev <= ?1)
    ORDER BY path";
pub(crate) const DIGESTS_AT: &str = "SELECT path, digest FROM doc AS d
    WHERE digest IS NOT NULL
    AND rev = (SELECT max(rev) FROM doc AS n WHERE n.path = d.path AND n.rev <= ?1)
    ORDER BY path";
pub(crate) const CHANGES_OF: &str =
    "SELECT path, digest, body FROM doc WHERE rev = ?1 ORDER BY path";

/// Forgets bodies that no head needs and that were replaced before a time; their digests stay.
pub(crate) const COMPACT: &str = "UPDATE doc SET body = NULL WHERE body IS NOT NULL AND EXISTS (
    SELECT 1 FROM doc AS n JOIN revision AS r ON r.rev = n.rev
    WHERE n.path = doc.path AND n.rev > doc.rev AND r.applied_at_ms < ?1)";

pub(crate) const PUT_CLASS: &str = "INSERT INTO class (spiffe_id, rev, digest, signed_at_ms)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT (spiffe_id) DO UPDATE
    SET rev = excluded.rev, digest = excluded.digest, signed_at_ms = excluded.signed_at_ms";
pub(crate) const REMOVE_CLASS: &str = "DELETE FROM class WHERE spiffe_id = ?1";
pub(crate) const CLASSES: &str =
    "SELECT spiffe_id, rev, digest, signed_at_ms FROM class ORDER BY spiffe_id";

pub(crate) const INSERT_ISSUANCE: &str = "INSERT INTO issuance (serial, subject, purpose, key_hash,
    evidence, issued_at_ms, not_before_ms, not_after_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const ISSUANCES: &str = "SELECT serial, subject, purpose, key_hash, evidence,
    issued_at_ms, not_before_ms, not_after_ms FROM issuance ORDER BY issued_at_ms DESC LIMIT ?1";
pub(crate) const FORGET_ISSUANCES: &str = "DELETE FROM issuance WHERE not_after_ms < ?1";

pub(crate) const PUT_SECRET: &str = "INSERT INTO secret (name, sealed) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed";
pub(crate) const COUNT_SECRETS: &str = "SELECT count(*) FROM secret";
pub(crate) const SECRET: &str = "SELECT sealed FROM secret WHERE name = ?1";

pub(crate) const PUT_INSTANCE: &str = "INSERT INTO instance
    (instance, service, address, joined_at_ms) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (instance) DO UPDATE SET service = excluded.service,
    address = excluded.address, joined_at_ms = excluded.joined_at_ms";
pub(crate) const REMOVE_LABELS: &str = "DELETE FROM instance_label WHERE instance = ?1";
pub(crate) const INSERT_LABEL: &str =
    "INSERT INTO instance_label (instance, key, value) VALUES (?1, ?2, ?3)";
pub(crate) const REMOVE_INSTANCE: &str = "DELETE FROM instance WHERE instance = ?1";
pub(crate) const INSTANCES: &str =
    "SELECT instance, service, address, joined_at_ms FROM instance ORDER BY instance";
pub(crate) const LABELS: &str = "SELECT instance, key, value FROM instance_label";

pub(crate) const COUNTER: &str = "SELECT n FROM counter WHERE name = ?1";
pub(crate) const BUMP: &str = "INSERT INTO counter (name, n) VALUES (?1, 1)
    ON CONFLICT (name) DO UPDATE SET n = n + 1 RETURNING n";
