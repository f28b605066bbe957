//! The server's state and its verbs: what services, streams and timers share.
//!
//! Locks are held for a moment and never across an await, but for the one that makes applies go one after the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use ringfort_identity::{CertificateAuthority, ConfigKey};
use ringfort_model::{Name, Revision, Selectors, SpiffeId, TrustDomain, WallTime};
use ringfort_store::{ClassState, Counter, Instance, QueryStoreError, RevisionRecord};
use ringfort_wire::v1;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use crate::{
    apply::{self, Prepared},
    authority::{ISSUANCES_KEPT, KeepKeysError, KeyKeeper},
    issue::{self, IssueVerdict},
    manifest::encoded,
    registry::{Entry, Joining, Link, Listed, Registry, StreamId},
    world::{Trusted, World, endpoints},
};

/// One control plane.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) keys: KeyKeeper,
    pub(crate) config_key: ConfigKey,
    pub(crate) host: Name,
    pub(crate) started_at: WallTime,
    pub(crate) tracker: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    /// Applies go one after the other.
    pub(crate) applying: tokio::sync::Mutex<()>,
    /// Woken when lists of endpoints changed or a new deadline may be due.
    pub(crate) registry_changed: Notify,
    world: watch::Sender<Arc<World>>,
    authority: Mutex<Option<Arc<CertificateAuthority>>>,
    registry: Mutex<Registry>,
    streams: AtomicU64,
}

impl Server {
    pub(crate) fn new(
        keys: KeyKeeper,
        config_key: ConfigKey,
        host: Name,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            started_at: keys.clock.now(),
            keys,
            config_key,
            host,
            tracker: TaskTracker::new(),
            shutdown,
            applying: tokio::sync::Mutex::new(()),
            registry_changed: Notify::new(),
            world: watch::Sender::new(Arc::default()),
            authority: Mutex::new(None),
            registry: Mutex::new(Registry::default()),
            streams: AtomicU64::new(0),
        }
    }

    /// What is in force now.
    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.borrow())
    }

    /// Tells when something else is in force.
    pub(crate) fn watch_world(&self) -> watch::Receiver<Arc<World>> {
        self.world.subscribe()
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The authority that signs now; `None` before the first apply.
    pub(crate) fn authority(&self) -> Option<Arc<CertificateAuthority>> {
        self.authority.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn next_stream(&self) -> StreamId {
        StreamId(self.streams.fetch_add(1, Ordering::Relaxed))
    }

    /// Who an attested process is, by the rules in force.
    ///
    /// # Errors
    /// `UNAVAILABLE` before the first apply, `PERMISSION_DENIED` when it gets no identity.
    pub(crate) fn identify(
        &self,
        world: &World,
        selectors: &Selectors,
    ) -> Result<IssueVerdict, Status> {
        let Some(in_force) = &world.in_force else {
            return Err(Status::unavailable("no fleet is in force yet"));
        };
        issue::decide(&in_force.rules, selectors, &self.host).map_err(|refusal| {
            tracing::warn!(%refusal, pid = selectors.pid, uid = selectors.uid, "no identity");
            Status::permission_denied(refusal.to_string())
        })
    }

    /// Holds the authority of a trust domain, made or opened when another one was held.
    ///
    /// # Errors
    /// [`KeepKeysError`]: the one held before is still held.
    pub(crate) async fn hold_authority(&self, domain: &TrustDomain) -> Result<(), KeepKeysError> {
        if self.authority().is_some_and(|held| held.trust_domain() == domain) {
            return Ok(());
        }
        let opened = Arc::new(self.keys.authority(domain).await?);
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    /// Renews the issuing certificate when it is due and forgets old entries of the log.
    ///
    /// # Errors
    /// [`KeepKeysError`]: the authority held before goes on.
    pub(crate) async fn maintain(&self) -> Result<(), KeepKeysError> {
        let now = self.keys.clock.now();
        self.keys.store.forget_issuances(now.minus(ISSUANCES_KEPT)).await?;
        let Some(held) = self.authority().filter(|held| held.issuing_due_at() <= now) else {
            return Ok(());
        };
        let renewed = Arc::new(self.keys.authority(held.trust_domain()).await?);
        tracing::info!(not_after = %renewed.issuing_facts().not_after, "renewed the issuing certificate");
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        Ok(())
    }

    /// Seals a compiled fleet and tells every stream.
    ///
    /// # Errors
    /// [`KeepKeysError`]: the trust resource cannot be made.
    pub(crate) async fn put_in_force(
        &self,
        prepared: Prepared,
        record: RevisionRecord,
        states: &[ClassState],
    ) -> Result<(), KeepKeysError> {
        let domain = prepared.rules.trust_domain.clone();
        let trust = match self.world().trust.clone() {
            Some(trust) if trust.message.trust_domain == domain.as_str() => trust,
            Some(_other_domain) => {
                self.keys.store.bump([Counter::TrustSequence]).await?;
                self.trust(&domain).await?
            }
            None => self.trust(&domain).await?,
        };
        let in_force = Arc::new(apply::seal(prepared, record, states, self));
        let gone = self.registry().keep(|class| in_force.classes.contains_key(class));
        for id in gone {
            self.keys.store.remove_instance(&id).await?;
        }
        self.world.send_modify(|world| {
            let (in_force, trust) = (Some(in_force), Some(trust));
            *world = Arc::new(World { in_force, endpoints: self.endpoint_lists(), trust });
        });
        Ok(())
    }

    /// The trust resource as of the counters and the authority held.
    async fn trust(&self, domain: &TrustDomain) -> Result<Arc<Trusted>, KeepKeysError> {
        let store = &self.keys.store;
        let mut sequence = store.counter(Counter::TrustSequence).await?;
        if sequence == 0 {
            [sequence] = store.bump([Counter::TrustSequence]).await?;
        }
        let roots = match self.authority() {
            Some(authority) => vec![authority.root_der().to_vec().into()],
            None => Vec::new(),
        };
        let public = self.config_key.public();
        let message = v1::Trust {
            sequence,
            trust_domain: domain.to_string(),
            root_der: roots,
            config_keys: vec![v1::ConfigKey {
                id: public.id().to_owned(),
                ed25519_public: public.as_bytes().to_vec().into(),
            }],
            renew_epoch: store.counter(Counter::RenewEpoch).await?,
        };
        let encoded = encoded(&message, self.keys.digester.as_ref());
        Ok(Arc::new(Trusted { message, encoded }))
    }

    /// Makes every holder of an SVID renew it; returns the new epoch and how many classes are connected.
    ///
    /// # Errors
    /// [`KeepKeysError`]: nothing was changed.
    pub(crate) async fn renew(&self) -> Result<(u64, u32), KeepKeysError> {
        let _turn = self.applying.lock().await;
        let world = self.world();
        let [epoch, _sequence] =
            self.keys.store.bump([Counter::RenewEpoch, Counter::TrustSequence]).await?;
        if let Some(in_force) = &world.in_force {
            let trust = self.trust(&in_force.rules.trust_domain).await?;
            self.world.send_modify(|world| {
                *world = Arc::new(World { trust: Some(trust), ..World::clone(world) });
            });
        }
        let registry = self.registry();
        let connected = registry.entries().values().filter(|entry| entry.link.stream().is_some());
        let classes: std::collections::BTreeSet<&SpiffeId> =
            connected.map(|entry| &entry.class).collect();
        Ok((epoch, u32::try_from(classes.len()).unwrap_or(u32::MAX)))
    }

    /// Takes the instances of before a restart as stale.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn restore_instances(&self, now: Instant) -> Result<(), QueryStoreError> {
        let world = self.world();
        for instance in self.keys.store.instances().await? {
            let rule = world
                .in_force
                .as_ref()
                .and_then(|in_force| in_force.rules.workloads.get(instance.service.as_str()));
            let Some(rule) = rule else {
                self.keys.store.remove_instance(&instance.id).await?;
                continue;
            };
            let entry = Entry {
                workload: instance.service,
                class: rule.id.clone(),
                address: Some(instance.address),
                labels: instance.labels,
                link: Link::Stale { until: now },
                report: None,
            };
            self.registry().restore(instance.id, entry, now);
        }
        self.publish_endpoints();
        Ok(())
    }

    /// Takes one report of a proxy; returns whether it is listed and how many others are.
    ///
    /// # Errors
    /// The store failed; the lists in memory are right, the next change writes them again.
    pub(crate) async fn hear(
        &self,
        id: &str,
        joining: Joining,
    ) -> Result<(bool, u32), QueryStoreError> {
        let instance = joining.address.map(|address| Instance {
            id: id.to_owned(),
            service: joining.workload.clone(),
            address,
            labels: joining.labels.clone(),
            joined_at: joining.report.heard_at,
        });
        let (listed, answer) = {
            let mut registry = self.registry();
            let listed = registry.hear(id, joining);
            (listed, (registry.is_listed(id), registry.others(id)))
        };
        if listed != Listed::Same {
            self.registry_changed.notify_one();
        }
        match (listed, instance) {
            (Listed::Put, Some(instance)) => self.keys.store.put_instance(&instance).await?,
            (Listed::Removed, _) => self.keys.store.remove_instance(id).await?,
            (Listed::Put, None) | (Listed::Same, _) => {}
        }
        Ok(answer)
    }

    /// A stream of reports ended.
    pub(crate) fn lose(&self, id: &str, stream: StreamId) {
        self.registry().lose(id, stream, now());
        self.registry_changed.notify_one();
    }

    /// Forgets instances that were stale for long enough.
    ///
    /// # Errors
    /// The store failed; the lists in memory are right.
    pub(crate) async fn expire_instances(&self) -> Result<(), QueryStoreError> {
        let gone = self.registry().expire(now());
        for id in gone {
            tracing::info!(instance = id, "forgot an instance whose stream broke");
            self.keys.store.remove_instance(&id).await?;
        }
        Ok(())
    }

    /// Tells every stream the lists of endpoints when they changed.
    pub(crate) fn publish_endpoints(&self) {
        self.world.send_if_modified(|world| {
            let lists = self.endpoint_lists();
            let changed = world.endpoints != lists;
            if changed {
                *world = Arc::new(World { endpoints: lists, ..World::clone(world) });
            }
            changed
        });
    }

    /// The lists as of now; called while the world is held, so that no older lists replace newer ones.
    fn endpoint_lists(&self) -> Arc<BTreeMap<Name, crate::subscription::Encoded>> {
        let lists = self.registry().endpoints();
        let digester = self.keys.digester.as_ref();
        let encode = |(service, list): (Name, Vec<_>)| {
            (service.clone(), endpoints(&service, &list, digester))
        };
        Arc::new(lists.into_iter().map(encode).collect())
    }

    /// Loads the head revision, if there is one, and puts it in force.
    ///
    /// A head that this program does not compile is reported and not served: proxies go on with what they have, and an
    /// apply can repair it.
    ///
    /// # Errors
    /// [`KeepKeysError`]: the store or the keys cannot be used.
    pub(crate) async fn resume(&self) -> Result<Revision, KeepKeysError> {
        let Some(head) = self.keys.store.head().await? else { return Ok(Revision::NONE) };
        let revision = head.record.revision;
        let prepared = match apply::prepare(&head.files, revision, self.keys.digester.as_ref()) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(%revision, %error, "the head revision is not served: apply a fleet that compiles");
                return Ok(revision);
            }
        };
        self.hold_authority(&prepared.rules.trust_domain).await?;
        let states = self.keys.store.classes().await?;
        self.put_in_force(prepared, head.record, &states).await?;
        Ok(revision)
    }
}

/// The clock for durations; tests of the async parts can pause it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
