//! Secrets, always sealed: the store never holds a key that opens them.

use crate::{
    Store,
    query::{Doing as _, QueryStoreError},
    sql,
};

impl Store {
    /// Keeps sealed bytes under a name, in place of earlier ones.
    ///
    /// # Errors
    /// The database failed; what was there before is still there.
    pub async fn put_secret(&self, name: &str, sealed: &[u8]) -> Result<(), QueryStoreError> {
        let put = sqlx::query(sql::PUT_SECRET).bind(name).bind(sealed).execute(&self.pool);
        put.await.doing("keep a secret")?;
        Ok(())
    }

    /// Whether anything sealed is kept: then the key that opens it must exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn has_secrets(&self) -> Result<bool, QueryStoreError> {
        let count: i64 = sqlx::query_scalar(sql::COUNT_SECRETS)
            .fetch_one(&self.pool)
            .await
            .doing("count secrets")?;
        Ok(count > 0)
    }

    /// The sealed bytes under a name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, QueryStoreError> {
        let read = sqlx::query_scalar(sql::SECRET).bind(name).fetch_optional(&self.pool);
        read.await.doing("read a secret")
    }
}
