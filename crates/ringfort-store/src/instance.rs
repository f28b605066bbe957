//! Instances of services: written when one joins or leaves, never by heartbeat.

use std::{collections::BTreeMap, net::SocketAddr};

use ringfort_model::{Name, WallTime};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    Store,
    number::{millis, time},
    query::{Doing as _, QueryStoreError, foreign},
    sql,
};

/// One sidecar that accepts mTLS for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `NAME@HOST`, unique in the fleet.
    pub id: String,
    /// The service.
    pub service: Name,
    /// Where it accepts mTLS.
    pub address: SocketAddr,
    /// Labels for canary splits.
    pub labels: BTreeMap<String, String>,
    /// When it joined.
    pub joined_at: WallTime,
}

impl Store {
    /// Keeps an instance, in place of an earlier one of the same id.
    ///
    /// # Errors
    /// The database failed; what was there before is still there.
    pub async fn put_instance(&self, instance: &Instance) -> Result<(), QueryStoreError> {
        let put = async {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(sql::PUT_INSTANCE)
                .bind(&instance.id)
                .bind(instance.service.as_str())
                .bind(instance.address.to_string())
                .bind(millis(instance.joined_at))
                .execute(&mut *transaction)
                .await?;
            sqlx::query(sql::REMOVE_LABELS).bind(&instance.id).execute(&mut *transaction).await?;
            for (key, value) in &instance.labels {
                let label = sqlx::query(sql::INSERT_LABEL).bind(&instance.id).bind(key).bind(value);
                label.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        };
        put.await.doing("keep an instance")
    }

    /// Forgets an instance; nothing happens when there is none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_instance(&self, id: &str) -> Result<(), QueryStoreError> {
        let remove = sqlx::query(sql::REMOVE_INSTANCE).bind(id).execute(&self.pool);
        remove.await.doing("forget an instance")?;
        Ok(())
    }

    /// Every instance, by id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn instances(&self) -> Result<Vec<Instance>, QueryStoreError> {
        let read = async {
            let mut transaction = self.pool.begin().await?;
            let rows = sqlx::query(sql::INSTANCES).fetch_all(&mut *transaction).await?;
            let mut instances: Vec<Instance> =
                rows.iter().map(instance).collect::<Result<_, _>>()?;
            for row in sqlx::query(sql::LABELS).fetch_all(&mut *transaction).await? {
                let id: &str = row.try_get(0)?;
                let found = instances.binary_search_by(|instance| instance.id.as_str().cmp(id));
                if let Some(instance) = found.ok().and_then(|at| instances.get_mut(at)) {
                    instance.labels.insert(row.try_get(1)?, row.try_get(2)?);
                }
            }
            Ok(instances)
        };
        read.await.doing("read the instances")
    }
}

fn instance(row: &SqliteRow) -> Result<Instance, sqlx::Error> {
    Ok(Instance {
        id: row.try_get(0)?,
        service: row.try_get::<&str, _>(1)?.parse().map_err(foreign)?,
        address: row.try_get::<&str, _>(2)?.parse().map_err(foreign)?,
        labels: BTreeMap::new(),
        joined_at: time(row.try_get(3)?)?,
    })
}
