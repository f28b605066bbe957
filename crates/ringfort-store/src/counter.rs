//! Numbers that only grow.

use crate::{
    Store,
    number::from_sql,
    query::{Doing as _, QueryStoreError},
    sql,
};

/// A number that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Every holder of an SVID renews when it grows.
    RenewEpoch,
    /// Grows with each change of what verifies peers and configuration.
    TrustSequence,
}

impl Counter {
    const fn name(self) -> &'static str {
        match self {
            Self::RenewEpoch => "renew_epoch",
            Self::TrustSequence => "trust_sequence",
        }
    }
}

impl Store {
    /// The counter's value; 0 before the first bump.
    ///
    /// # Errors
    /// The database failed.
    pub async fn counter(&self, counter: Counter) -> Result<u64, QueryStoreError> {
        let doing = "read a counter";
        let read = sqlx::query_scalar(sql::COUNTER).bind(counter.name());
        let value: Option<i64> = read.fetch_optional(&self.pool).await.doing(doing)?;
        value.map_or(Ok(0), from_sql).doing(doing)
    }

    /// Adds one to each counter in one transaction and returns the new values in the same order.
    ///
    /// # Errors
    /// The database failed; no counter grew.
    pub async fn bump<const N: usize>(
        &self,
        counters: [Counter; N],
    ) -> Result<[u64; N], QueryStoreError> {
        let bump = async {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let mut values = [0; N];
            for (value, counter) in values.iter_mut().zip(counters) {
                let bumped = sqlx::query_scalar(sql::BUMP).bind(counter.name());
                *value = from_sql(bumped.fetch_one(&mut *transaction).await?)?;
            }
            transaction.commit().await?;
            Ok(values)
        };
        bump.await.doing("raise a counter")
    }
}
