//! Why a verb failed: the database, not the caller.

/// The database refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot {doing}")]
pub struct QueryStoreError {
    doing: &'static str,
    #[source]
    source: sqlx::Error,
}

/// Names what was being done.
pub(crate) trait Doing<T> {
    /// Turns a failure into one that says what was being done.
    fn doing(self, doing: &'static str) -> Result<T, QueryStoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, QueryStoreError> {
        self.map_err(|source| QueryStoreError { doing, source })
    }
}

/// A row that says something no verb wrote.
pub(crate) fn foreign(what: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(what))
}
