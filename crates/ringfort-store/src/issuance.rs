//! The log of certificates: written before a certificate leaves the server.

use ringfort_model::{Digest, WallTime};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    Store,
    number::{digest, millis, time},
    query::{Doing as _, QueryStoreError, foreign},
    sql,
};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuancePurpose {
    /// An SVID of one of our own proxies.
    Workload,
    /// An SVID of a program that speaks the Workload API.
    Foreign,
    /// A server certificate of a gateway's listener.
    Public,
    /// An issuing authority.
    Issuing,
}

impl IssuancePurpose {
    const ALL: [Self; 4] = [Self::Workload, Self::Foreign, Self::Public, Self::Issuing];

    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Foreign => "foreign",
            Self::Public => "public",
            Self::Issuing => "issuing",
        }
    }
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// Its serial number, hex.
    pub serial: String,
    /// SPIFFE ID, or hosts.
    pub subject: String,
    /// What it is for.
    pub purpose: IssuancePurpose,
    /// Digest of the public key.
    pub key_hash: Digest,
    /// Why it was issued: the attested facts, for people.
    pub evidence: String,
    /// When.
    pub issued_at: WallTime,
    /// Start of its life.
    pub not_before: WallTime,
    /// End of its life.
    pub not_after: WallTime,
}

/// A word no verb wrote.
#[derive(Debug, thiserror::Error)]
#[error("unknown purpose `{0}`")]
struct UnknownPurpose(String);

impl Store {
    /// Appends to the log; the certificate leaves the server only after this returned.
    ///
    /// # Errors
    /// The database failed, or the serial number was used before: do not hand the certificate out.
    pub async fn record_issuance(&self, issuance: &Issuance) -> Result<(), QueryStoreError> {
        let insert = sqlx::query(sql::INSERT_ISSUANCE)
            .bind(&issuance.serial)
            .bind(&issuance.subject)
            .bind(issuance.purpose.as_str())
            .bind(issuance.key_hash.as_bytes().as_slice())
            .bind(&issuance.evidence)
            .bind(millis(issuance.issued_at))
            .bind(millis(issuance.not_before))
            .bind(millis(issuance.not_after))
            .execute(&self.pool);
        insert.await.doing("record an issuance")?;
        Ok(())
    }

    /// The newest certificates, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn issuances(&self, limit: u32) -> Result<Vec<Issuance>, QueryStoreError> {
        let doing = "read the log of certificates";
        let rows = sqlx::query(sql::ISSUANCES).bind(limit).fetch_all(&self.pool);
        rows.await.doing(doing)?.iter().map(issuance).collect::<Result<_, _>>().doing(doing)
    }

    /// Forgets certificates that ended before a time; returns how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_issuances(&self, ended_before: WallTime) -> Result<u64, QueryStoreError> {
        let delete = sqlx::query(sql::FORGET_ISSUANCES).bind(millis(ended_before));
        let done = delete.execute(&self.pool).await.doing("forget old certificates")?;
        Ok(done.rows_affected())
    }
}

fn issuance(row: &SqliteRow) -> Result<Issuance, sqlx::Error> {
    let word: &str = row.try_get(2)?;
    let purpose = IssuancePurpose::ALL.into_iter().find(|purpose| purpose.as_str() == word);
    Ok(Issuance {
        serial: row.try_get(0)?,
        subject: row.try_get(1)?,
        purpose: purpose.ok_or_else(|| foreign(UnknownPurpose(word.to_owned())))?,
        key_hash: digest(row.try_get(3)?)?,
        evidence: row.try_get(4)?,
        issued_at: time(row.try_get(5)?)?,
        not_before: time(row.try_get(6)?)?,
        not_after: time(row.try_get(7)?)?,
    })
}
