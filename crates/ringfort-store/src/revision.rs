//! The revision: applying files, reading them back, proving the chain.

use std::{collections::BTreeMap, time::Duration};

use ringfort_model::{Digest, Digester, Revision, SpiffeId, WallTime};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use crate::{
    Store,
    number::{digest, from_sql, millis, time, to_sql},
    query::{Doing as _, QueryStoreError, foreign},
    sql,
};

/// How long replaced bodies are kept; their digests are kept for ever.
pub const BODIES_KEPT: Duration = Duration::from_hours(24 * 90);

/// Most revisions one answer lists.
pub const HISTORY_MAX: u32 = 1000;

/// Files of a fleet folder: path to bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One apply: the whole folder as it shall be.
#[derive(Debug, Clone)]
pub struct Apply<'a> {
    /// Every file; a file of the head that is missing here is removed.
    pub files: &'a Files,
    /// Who applies.
    pub author: &'a str,
    /// Why.
    pub message: &'a str,
    /// The revision it was compiled for less one: must be the head.
    pub base: Revision,
    /// When.
    pub at: WallTime,
    /// The classes whose resources this revision changes, with the digest of these resources.
    pub changed: &'a [(SpiffeId, Digest)],
    /// The classes this revision removes.
    pub removed: &'a [SpiffeId],
}

/// What is known of one revision without its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Its number.
    pub revision: Revision,
    /// Over paths and digests of all its files.
    pub digest: Digest,
    /// Over this record, its changes, and the hash of the revision before.
    pub hash: Digest,
    /// Who applied it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub applied_at: WallTime,
}

/// The newest revision with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is known of it.
    pub record: RevisionRecord,
    /// Its files.
    pub files: Files,
}

/// Which revision last changed what a class is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassState {
    /// The class.
    pub class: SpiffeId,
    /// The revision.
    pub revision: Revision,
    /// Digest of the class's resources.
    pub digest: Digest,
    /// When the revision was applied: the time its manifest carries.
    pub signed_at: WallTime,
}

/// Why nothing was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyRevisionError {
    /// Somebody else applied first.
    #[error("RF1001: base {base} is no longer head ({head} by `{author}`); run `diff` again")]
    Base {
        /// What the caller took for head.
        base: Revision,
        /// What is head.
        head: Revision,
        /// Who applied it.
        author: String,
    },
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryStoreError),
}

/// Why a revision's files cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ExportRevisionError {
    /// There is none of this number.
    #[error("there is no revision {0}")]
    Unknown(Revision),
    /// Its bodies were forgotten after 90 days.
    #[error("revision {0} was replaced more than 90 days ago; its files are no longer kept")]
    Compacted(Revision),
    /// The database failed.
    #[error(transparent)]
    Query(#[from] QueryStoreError),
}

/// What re-computing the hash chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every revision from 1 to this one is what was applied.
    Whole {
        /// The head.
        head: Revision,
    },
    /// This revision, or one before it, was altered afterwards.
    Broken {
        /// The first revision that does not fit.
        revision: Revision,
        /// What does not fit.
        what: &'static str,
    },
}

/// The digest of a folder: over the sorted paths and the digest of each file's bytes.
#[must_use]
pub fn files_digest(files: &Files, digester: &dyn Digester) -> Digest {
    let digests: BTreeMap<_, _> =
        files.iter().map(|(path, body)| (path.clone(), digester.digest(&[body]))).collect();
    digest_of(&digests, digester)
}

fn digest_of(digests: &BTreeMap<String, Digest>, digester: &dyn Digester) -> Digest {
    let parts: Vec<&[u8]> = digests
        .iter()
        .flat_map(|(path, digest)| [path.as_bytes(), digest.as_bytes().as_slice()])
        .collect();
    digester.digest(&parts)
}

/// One file of a revision: its new digest, or none when it was removed.
type Change = (String, Option<Digest>);

fn chain_hash(
    previous: &Digest,
    record: &RevisionRecord,
    changes: &[Change],
    digester: &dyn Digester,
) -> Digest {
    let number = record.revision.number().to_be_bytes();
    let at = millis(record.applied_at).to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![
        previous.as_bytes(),
        &number,
        &at,
        record.author.as_bytes(),
        record.message.as_bytes(),
        record.digest.as_bytes(),
    ];
    for (path, digest) in changes {
        let digest = digest.as_ref().map_or(b"".as_slice(), |digest| digest.as_bytes());
        parts.extend([path.as_bytes(), digest]);
    }
    digester.digest(&parts)
}

/// What comes before revision 1.
const BEFORE_FIRST: Digest = Digest::new([0; 32]);

impl Store {
    /// Makes `apply.files` the head revision, in one transaction.
    ///
    /// # Errors
    /// [`ApplyRevisionError::Base`]: read the head again and compile for it.
    pub async fn apply(&self, apply: Apply<'_>) -> Result<RevisionRecord, ApplyRevisionError> {
        let doing = "apply a revision";
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.doing(doing)?;
        let row = sqlx::query(sql::HEAD).fetch_optional(&mut *transaction).await.doing(doing)?;
        let head = row.as_ref().map(record).transpose().doing(doing)?;
        let head_revision = head.as_ref().map_or(Revision::NONE, |head| head.revision);
        if apply.base != head_revision {
            let author = head.map(|head| head.author).unwrap_or_default();
            return Err(ApplyRevisionError::Base { base: apply.base, head: head_revision, author });
        }
        let previous = head.map_or(BEFORE_FIRST, |head| head.hash);
        let record = self.write(&mut transaction, &apply, &previous).await.doing(doing)?;
        transaction.commit().await.doing(doing)?;
        Ok(record)
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        apply: &Apply<'_>,
        previous: &Digest,
    ) -> Result<RevisionRecord, sqlx::Error> {
        let old = digests_at(transaction, apply.base).await?;
        let new: BTreeMap<String, Digest> = apply
            .files
            .iter()
            .map(|(path, body)| (path.clone(), self.digester.digest(&[body])))
            .collect();
        let changes = changes(&old, &new);
        let number: i64 =
            sqlx::query_scalar(sql::NEXT_REVISION).fetch_one(&mut **transaction).await?;
        let mut record = RevisionRecord {
            revision: Revision::new(from_sql(number)?),
            digest: digest_of(&new, self.digester.as_ref()),
            hash: BEFORE_FIRST,
            author: apply.author.to_owned(),
            message: apply.message.to_owned(),
            applied_at: time(millis(apply.at))?,
        };
        record.hash = chain_hash(previous, &record, &changes, self.digester.as_ref());
        insert_record(transaction, number, &record).await?;
        for (path, digest) in &changes {
            let body = digest.as_ref().and(apply.files.get(path));
            sqlx::query(sql::INSERT_DOC)
                .bind(path)
                .bind(number)
                .bind(digest.as_ref().map(|digest| digest.as_bytes().as_slice()))
                .bind(body)
                .execute(&mut **transaction)
                .await?;
        }
        write_classes(transaction, number, apply).await?;
        let keep_from = millis(apply.at.minus(BODIES_KEPT));
        sqlx::query(sql::COMPACT).bind(keep_from).execute(&mut **transaction).await?;
        Ok(record)
    }

    /// The newest revision with its files; `None` before the first apply.
    ///
    /// # Errors
    /// The database failed.
    pub async fn head(&self) -> Result<Option<Head>, QueryStoreError> {
        let doing = "read the head revision";
        let row = sqlx::query(sql::HEAD).fetch_optional(&self.pool).await.doing(doing)?;
        let Some(row) = row else { return Ok(None) };
        let record = record(&row).doing(doing)?;
        let files = self.files_at(record.revision).await.doing(doing)?;
        // The head's bodies are never compacted.
        let files = files.into_iter().filter_map(|(path, body)| Some((path, body?))).collect();
        Ok(Some(Head { record, files }))
    }

    /// A revision with its files.
    ///
    /// # Errors
    /// [`ExportRevisionError::Unknown`] and [`ExportRevisionError::Compacted`] when it cannot be had.
    pub async fn export(&self, revision: Revision) -> Result<Head, ExportRevisionError> {
        let doing = "read a revision";
        let Ok(number) = to_sql(revision.number()) else {
            return Err(ExportRevisionError::Unknown(revision));
        };
        let row = sqlx::query(sql::REVISION).bind(number).fetch_optional(&self.pool);
        let Some(row) = row.await.doing(doing)? else {
            return Err(ExportRevisionError::Unknown(revision));
        };
        let record = record(&row).doing(doing)?;
        let files = self.files_at(revision).await.doing(doing)?;
        let files = files.into_iter().map(|(path, body)| Some((path, body?)));
        let files: Option<Files> = files.collect();
        let files = files.ok_or(ExportRevisionError::Compacted(revision))?;
        Ok(Head { record, files })
    }

    /// The newest revisions, newest first, at most [`HISTORY_MAX`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn history(&self, limit: u32) -> Result<Vec<RevisionRecord>, QueryStoreError> {
        let doing = "read the history";
        let limit = limit.min(HISTORY_MAX);
        let rows =
            sqlx::query(sql::HISTORY).bind(limit).fetch_all(&self.pool).await.doing(doing)?;
        rows.iter().map(record).collect::<Result<_, _>>().doing(doing)
    }

    /// Which revision last changed each class.
    ///
    /// # Errors
    /// The database failed.
    pub async fn classes(&self) -> Result<Vec<ClassState>, QueryStoreError> {
        let doing = "read the classes";
        let rows = sqlx::query(sql::CLASSES).fetch_all(&self.pool).await.doing(doing)?;
        rows.iter().map(class_state).collect::<Result<_, _>>().doing(doing)
    }

    /// Computes the hash chain again from revision 1 on, bodies included as far as they are kept.
    ///
    /// # Errors
    /// The database failed; a chain that does not fit is [`Chain::Broken`], not an error.
    pub async fn verify(&self) -> Result<Chain, QueryStoreError> {
        let doing = "verify the chain of revisions";
        let mut previous = BEFORE_FIRST;
        let mut files: BTreeMap<String, Digest> = BTreeMap::new();
        let counted: i64 =
            sqlx::query_scalar("SELECT n FROM rev").fetch_one(&self.pool).await.doing(doing)?;
        for number in 1..=counted {
            let revision = Revision::new(from_sql(number).doing(doing)?);
            let broken = |what| Ok(Chain::Broken { revision, what });
            let row = sqlx::query(sql::REVISION).bind(number).fetch_optional(&self.pool);
            let Some(row) = row.await.doing(doing)? else {
                return broken("the revision is missing");
            };
            let Ok(record) = record(&row) else { return broken("the record is unreadable") };
            let rows = sqlx::query(sql::CHANGES_OF).bind(number).fetch_all(&self.pool);
            let mut changes = Vec::new();
            for row in rows.await.doing(doing)? {
                let Ok(((path, digest), body)) = change(&row) else {
                    return broken("a change is unreadable");
                };
                if body.is_some_and(|body| Some(self.digester.digest(&[&body])) != digest) {
                    return broken("a file differs from its digest");
                }
                match digest {
                    Some(digest) => files.insert(path.clone(), digest),
                    None => files.remove(&path),
                };
                changes.push((path, digest));
            }
            if digest_of(&files, self.digester.as_ref()) != record.digest {
                return broken("the files differ from the revision's digest");
            }
            if chain_hash(&previous, &record, &changes, self.digester.as_ref()) != record.hash {
                return broken("the record differs from its hash");
            }
            previous = record.hash;
        }
        Ok(Chain::Whole { head: Revision::new(from_sql(counted).doing(doing)?) })
    }

    async fn files_at(
        &self,
        revision: Revision,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, sqlx::Error> {
        let number = to_sql(revision.number())?;
        let rows = sqlx::query(sql::DOCS_AT).bind(number).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(2)?))).collect()
    }
}

async fn digests_at(
    transaction: &mut Transaction<'_, Sqlite>,
    revision: Revision,
) -> Result<BTreeMap<String, Digest>, sqlx::Error> {
    let number = to_sql(revision.number())?;
    let rows = sqlx::query(sql::DIGESTS_AT).bind(number).fetch_all(&mut **transaction).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, digest(row.try_get(1)?)?))).collect()
}

/// What leads from `old` to `new`, sorted by path.
fn changes(old: &BTreeMap<String, Digest>, new: &BTreeMap<String, Digest>) -> Vec<Change> {
    let put = new.iter().filter(|(path, digest)| old.get(*path) != Some(digest));
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    let mut changes: Vec<Change> =
        put.map(|(path, digest)| (path.clone(), Some(*digest))).collect();
    changes.extend(gone.map(|path| (path.clone(), None)));
    changes.sort();
    changes
}

async fn insert_record(
    transaction: &mut Transaction<'_, Sqlite>,
    number: i64,
    record: &RevisionRecord,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql::INSERT_REVISION)
        .bind(number)
        .bind(record.digest.as_bytes().as_slice())
        .bind(record.hash.as_bytes().as_slice())
        .bind(&record.author)
        .bind(&record.message)
        .bind(millis(record.applied_at))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn write_classes(
    transaction: &mut Transaction<'_, Sqlite>,
    number: i64,
    apply: &Apply<'_>,
) -> Result<(), sqlx::Error> {
    for (class, digest) in apply.changed {
        sqlx::query(sql::PUT_CLASS)
            .bind(class.as_str())
            .bind(number)
            .bind(digest.as_bytes().as_slice())
            .bind(millis(apply.at))
            .execute(&mut **transaction)
            .await?;
    }
    for class in apply.removed {
        sqlx::query(sql::REMOVE_CLASS).bind(class.as_str()).execute(&mut **transaction).await?;
    }
    Ok(())
}

fn record(row: &SqliteRow) -> Result<RevisionRecord, sqlx::Error> {
    Ok(RevisionRecord {
        revision: Revision::new(from_sql(row.try_get(0)?)?),
        digest: digest(row.try_get(1)?)?,
        hash: digest(row.try_get(2)?)?,
        author: row.try_get(3)?,
        message: row.try_get(4)?,
        applied_at: time(row.try_get(5)?)?,
    })
}

fn class_state(row: &SqliteRow) -> Result<ClassState, sqlx::Error> {
    Ok(ClassState {
        class: row.try_get::<&str, _>(0)?.parse().map_err(foreign)?,
        revision: Revision::new(from_sql(row.try_get(1)?)?),
        digest: digest(row.try_get(2)?)?,
        signed_at: time(row.try_get(3)?)?,
    })
}

fn change(row: &SqliteRow) -> Result<(Change, Option<Vec<u8>>), sqlx::Error> {
    let stored: Option<&[u8]> = row.try_get(1)?;
    Ok(((row.try_get(0)?, stored.map(digest).transpose()?), row.try_get(2)?))
}
