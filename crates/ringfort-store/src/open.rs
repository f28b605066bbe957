//! Opening the file: one server only, private, migrated.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ringfort_model::Digester;
use sqlx::{
    Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    query::{Doing as _, QueryStoreError},
    sql,
};

/// How long a statement waits for another program that holds the file, e.g. a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a verb waits for its turn at the one connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a control plane remembers. Cheap to clone; all clones share one connection, so verbs run one after the other.
#[derive(Clone)]
pub struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) digester: Arc<dyn Digester>,
    /// Held as long as any clone lives: a second server on the same file is refused.
    _lock: Arc<File>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Another server has it open.
    #[error("another server has `{path}` open; a SQLite store serves one server")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// A file cannot be created or locked.
    #[error("cannot open `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A newer program wrote it.
    #[error("`{path}` has schema {found}, this program knows up to {known}: use the newer program")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// The database refused.
    #[error("cannot open `{path}` as a database")]
    Database {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: QueryStoreError,
    },
}

impl Store {
    /// Opens or creates the database at `path` (mode 0600) and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenStoreError::InUse`] when another process has it open; [`OpenStoreError::Newer`] after a downgrade; the
    /// others when the file or the database in it cannot be used.
    pub async fn open(path: &Path, digester: Arc<dyn Digester>) -> Result<Self, OpenStoreError> {
        let lock = lock(path)?;
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(TURN_TIMEOUT)
            .connect_with(options)
            .await
            .doing("connect")
            .map_err(|source| OpenStoreError::Database { path: path.to_owned(), source })?;
        let store = Self { pool, digester, _lock: Arc::new(lock) };
        store.migrate(path).await?;
        Ok(store)
    }

    /// Waits for the verb in progress and closes the file; later verbs of any clone fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn migrate(&self, path: &Path) -> Result<(), OpenStoreError> {
        let failed = |source| OpenStoreError::Database { path: path.to_owned(), source };
        let mut connection = self.pool.acquire().await.doing("read its schema").map_err(failed)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *connection)
            .await
            .doing("read its schema")
            .map_err(failed)?;
        let known = i64::try_from(sql::MIGRATIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(OpenStoreError::Newer { path: path.to_owned(), found, known });
        }
        for (version, migration) in (1_i64..).zip(sql::MIGRATIONS) {
            if version <= found {
                continue;
            }
            let one = async {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                sqlx::raw_sql(migration).execute(&mut *transaction).await?;
                let set = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
                sqlx::raw_sql(set).execute(&mut *transaction).await?;
                transaction.commit().await
            };
            one.await.doing("change its schema").map_err(failed)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Takes the lock file beside the database. The kernel drops the lock with the process, however it ends.
fn lock(path: &Path) -> Result<File, OpenStoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|source| OpenStoreError::File { path: lock_path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenStoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenStoreError::File { path: lock_path, source }),
    }
}

/// Creates the database file before SQLite does, so that nobody else can ever read it.
fn create_private(path: &Path) -> Result<(), OpenStoreError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_created) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenStoreError::File { path: path.to_owned(), source }),
    }
}
