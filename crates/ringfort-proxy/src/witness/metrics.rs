//! Metrics: counters per data thread, summed when somebody asks.
//!
//! A thread resolves a series once and then only adds to its own atomics; the admin thread reads the sums. A label
//! value comes from the snapshot or from a fixed list here, never from a request; anything else is `_OTHER`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
};
use ringfort_model::Ring;

/// Most series of requests and of decisions each; what would be one more is counted under `_OTHER`.
///
/// # Source
/// Budget of 20 000 series per proxy.
const SERIES_MAX: usize = 10_000;

/// Upper bounds of the duration buckets in microseconds.
///
/// # Source
/// OpenTelemetry semantic conventions, `http.server.request.duration`.
const BUCKETS_US: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
const OTHER: &str = "_OTHER";

/// Who speaks to whom, as resolved when a snapshot comes into force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    /// Whether we answer (`http_server_*`) or ask on behalf of the local program (`http_client_*`).
    pub(crate) side: Side,
    pub(crate) route: String,
    pub(crate) source: String,
    pub(crate) destination: String,
}

/// Which duration metric a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Server,
    Client,
}

/// A resolved [`Pair`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PairId(u32);

/// What tells one duration series from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey {
    pub(crate) pair: PairId,
    pub(crate) method: &'static str,
    pub(crate) status: u16,
    pub(crate) version: &'static str,
    /// A fixed word: a refusal's reason or how the exchange broke off; empty when it did not.
    pub(crate) error: &'static str,
    /// `mtls`, `tls` or `none`: how the request reached us.
    pub(crate) security: &'static str,
}

/// A resolved policy id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PolicyId(u32);

/// What tells one decision series from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DecisionKey {
    pub(crate) pair: PairId,
    pub(crate) ring: Ring,
    pub(crate) permits: bool,
    pub(crate) reason: &'static str,
    pub(crate) policy: Option<PolicyId>,
}

/// The label value of a method.
pub(crate) fn method_label(method: &http::Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// A histogram of durations that one thread writes.
#[derive(Debug, Default)]
struct Durations {
    sum_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len()],
    beyond: AtomicU64,
}

impl Durations {
    fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        let bucket = BUCKETS_US
            .iter()
            .zip(&self.buckets)
            .find(|(bound, _)| us <= **bound)
            .map_or(&self.beyond, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
    }
}

/// Gauges and counters without labels.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) active_requests: AtomicI64,
    pub(crate) active_connections: AtomicI64,
    pub(crate) active_tunnels: AtomicI64,
    pub(crate) pending_handshakes: AtomicI64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) upstream_connections: AtomicU64,
    pub(crate) upstream_retries: AtomicU64,
    pub(crate) log_lines_dropped: AtomicU64,
    pub(crate) cut_at_drain: AtomicU64,
    pub(crate) task_panics: AtomicU64,
    pub(crate) config_revision: AtomicU64,
    /// Seconds; written by the admin thread.
    pub(crate) config_stale_seconds: AtomicU64,
    pub(crate) config_nacks: AtomicU64,
    pub(crate) config_last_ack_seconds: AtomicU64,
    pub(crate) certificate_expiry_seconds: AtomicU64,
    pub(crate) persist_failures: AtomicU64,
}

/// All series of one proxy process, shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) plain: Plain,
    pairs: Mutex<Interned<Pair>>,
    policies: Mutex<Interned<Arc<str>>>,
    requests: Mutex<BTreeMap<RequestKey, Vec<Arc<Durations>>>>,
    decisions: Mutex<BTreeMap<DecisionKey, Vec<Arc<AtomicU64>>>>,
}

/// Values and their numbers, so that keys of series are small and cheap to compare.
#[derive(Debug)]
struct Interned<T> {
    ids: BTreeMap<T, u32>,
    list: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { ids: BTreeMap::new(), list: Vec::new() }
    }
}

impl<T: Ord + Clone> Interned<T> {
    fn id(&mut self, value: T) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    fn at(&self, id: u32) -> Option<&T> {
        self.list.get(usize::try_from(id).ok()?)
    }
}

impl Metrics {
    /// The id of a pair, new or known.
    pub(crate) fn pair(&self, pair: Pair) -> PairId {
        PairId(locked(&self.pairs).id(pair))
    }

    /// The id of a policy's id, new or known.
    pub(crate) fn policy(&self, id: &str) -> PolicyId {
        PolicyId(locked(&self.policies).id(Arc::from(id)))
    }

    fn durations(&self, key: RequestKey) -> Arc<Durations> {
        let mut requests = locked(&self.requests);
        let full = requests.len() >= SERIES_MAX && !requests.contains_key(&key);
        let key = if full {
            RequestKey { method: OTHER, status: 0, version: OTHER, error: OTHER, ..key }
        } else {
            key
        };
        let series = Arc::new(Durations::default());
        requests.entry(key).or_default().push(Arc::clone(&series));
        series
    }

    fn decisions(&self, key: DecisionKey) -> Arc<AtomicU64> {
        let mut decisions = locked(&self.decisions);
        let full = decisions.len() >= SERIES_MAX && !decisions.contains_key(&key);
        let key = if full { DecisionKey { reason: OTHER, policy: None, ..key } } else { key };
        let series = Arc::new(AtomicU64::new(0));
        decisions.entry(key).or_default().push(Arc::clone(&series));
        series
    }
}

/// A mutex whose data stays whole even if a holder panicked: every critical section here is one insertion or read.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The series one data thread writes.
#[derive(Debug)]
pub(crate) struct ThreadMetrics {
    shared: Arc<Metrics>,
    requests: RefCell<HashMap<RequestKey, Arc<Durations>>>,
    decisions: RefCell<HashMap<DecisionKey, Arc<AtomicU64>>>,
}

impl ThreadMetrics {
    pub(crate) fn new(shared: Arc<Metrics>) -> Self {
        Self { shared, requests: RefCell::default(), decisions: RefCell::default() }
    }

    pub(crate) fn plain(&self) -> &Plain {
        &self.shared.plain
    }

    /// Counts one finished request.
    pub(crate) fn request(&self, key: RequestKey, duration: Duration) {
        let mut requests = self.requests.borrow_mut();
        requests.entry(key).or_insert_with(|| self.shared.durations(key)).observe(duration);
    }

    /// Counts one decision.
    pub(crate) fn decision(&self, key: DecisionKey) {
        let mut decisions = self.decisions.borrow_mut();
        if let Some(series) = decisions.get(&key) {
            series.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let series = self.shared.decisions(key);
        series.fetch_add(1, Ordering::Relaxed);
        decisions.insert(key, series);
    }
}

/// Writes all metrics when the registry is asked for them.
#[derive(Debug)]
pub(crate) struct MetricsCollector(pub(crate) Arc<Metrics>);

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_plain(&mut encoder)?;
        self.encode_durations(&mut encoder, Side::Server)?;
        self.encode_durations(&mut encoder, Side::Client)?;
        self.encode_decisions(&mut encoder)
    }
}

impl MetricsCollector {
    fn encode_plain(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plain = &self.0.plain;
        let series = locked(&self.0.requests).len().saturating_add(locked(&self.0.decisions).len());
        let signed = |value: &AtomicI64| value.load(Ordering::Relaxed);
        let count = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let gauges = [
            ("http_server_active_requests", "Requests in flight.", signed(&plain.active_requests)),
            (
                "ringfort_connections",
                "Open connections of callers.",
                signed(&plain.active_connections),
            ),
            (
                "ringfort_tunnels",
                "Open tunnels: TCP peers and upgrades.",
                signed(&plain.active_tunnels),
            ),
            (
                "ringfort_handshakes_pending",
                "TLS handshakes under way.",
                signed(&plain.pending_handshakes),
            ),
            (
                "ringfort_metric_series",
                "Series of requests and decisions.",
                i64::try_from(series).unwrap_or(i64::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        let times = [
            ("ringfort_config_revision", "Revision in force.", count(&plain.config_revision)),
            (
                "ringfort_config_stale_seconds",
                "Time without a server; 0 while connected.",
                count(&plain.config_stale_seconds),
            ),
            (
                "ringfort_config_last_ack_timestamp_seconds",
                "When a configuration last came into force.",
                count(&plain.config_last_ack_seconds),
            ),
            (
                "ringfort_cert_expiry_timestamp_seconds",
                "End of this workload's certificate.",
                count(&plain.certificate_expiry_seconds),
            ),
        ];
        for (name, help, value) in times {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        self.encode_counters(encoder)
    }

    fn encode_counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plain = &self.0.plain;
        let count = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let counters = [
            (
                "ringfort_handshakes",
                "TLS handshakes of callers that ended well.",
                count(&plain.handshakes),
            ),
            (
                "ringfort_upstream_connections",
                "Connections opened to callees.",
                count(&plain.upstream_connections),
            ),
            (
                "ringfort_upstream_retries",
                "Requests tried once more on a new connection.",
                count(&plain.upstream_retries),
            ),
            (
                "ringfort_log_lines_dropped",
                "Log lines given up because the log was full.",
                count(&plain.log_lines_dropped),
            ),
            (
                "ringfort_drain_cut",
                "Connections cut at the end of a drain.",
                count(&plain.cut_at_drain),
            ),
            (
                "ringfort_task_panics",
                "Panics, each of which ended one connection.",
                count(&plain.task_panics),
            ),
            ("ringfort_config_nacks", "Configurations refused.", count(&plain.config_nacks)),
            (
                "ringfort_persist_failures",
                "Failed writes of the snapshot or identity.",
                count(&plain.persist_failures),
            ),
        ];
        for (name, help, value) in counters {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter(&value, None::<&Exemplar<NoLabelSet, f64>>)?;
        }
        Ok(())
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder<'_>, side: Side) -> fmt::Result {
        let name = match side {
            Side::Server => "http_server_request_duration_seconds",
            Side::Client => "http_client_request_duration_seconds",
        };
        let pairs = locked(&self.0.pairs);
        let requests = locked(&self.0.requests);
        let mut family = encoder.encode_descriptor(
            name,
            "Duration of requests, to the end of the response.",
            None,
            MetricType::Histogram,
        )?;
        for (key, threads) in &*requests {
            let Some(pair) = pairs.at(key.pair.0) else { continue };
            if pair.side != side {
                continue;
            }
            let status = status_label(key.status);
            let labels = [
                ("http_request_method", key.method),
                ("http_response_status_code", status.as_str()),
                ("http_route", pair.route.as_str()),
                ("network_protocol_version", key.version),
                ("error_type", key.error),
                ("rf_source", pair.source.as_str()),
                ("rf_destination", pair.destination.as_str()),
                ("rf_security", key.security),
            ];
            let (sum, count, buckets) = summed(threads);
            family.encode_family(&labels)?.encode_histogram(
                sum,
                count,
                &buckets,
                None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>,
            )?;
        }
        Ok(())
    }

    fn encode_decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let pairs = locked(&self.0.pairs);
        let policies = locked(&self.0.policies);
        let decisions = locked(&self.0.decisions);
        let mut family = encoder.encode_descriptor(
            "ringfort_decisions",
            "Decisions of the rings.",
            None,
            MetricType::Counter,
        )?;
        for (key, threads) in &*decisions {
            let Some(pair) = pairs.at(key.pair.0) else { continue };
            let policy = key.policy.and_then(|policy| policies.at(policy.0));
            let labels = [
                ("ring", key.ring.as_str()),
                ("decision", if key.permits { "permit" } else { "deny" }),
                ("reason", key.reason),
                ("policy_id", policy.map_or("", |policy| policy)),
                ("rf_source", pair.source.as_str()),
                ("rf_destination", pair.destination.as_str()),
            ];
            let total = threads.iter().map(|series| series.load(Ordering::Relaxed)).sum::<u64>();
            family
                .encode_family(&labels)?
                .encode_counter(&total, None::<&Exemplar<NoLabelSet, f64>>)?;
        }
        Ok(())
    }
}

/// Sum in seconds, count, and the count of each bucket, the last one open-ended.
fn summed(threads: &[Arc<Durations>]) -> (f64, u64, Vec<(f64, u64)>) {
    let total = |read: &dyn Fn(&Durations) -> u64| threads.iter().map(|one| read(one)).sum::<u64>();
    let mut buckets = Vec::with_capacity(BUCKETS_US.len().saturating_add(1));
    for (at, bound) in BUCKETS_US.iter().enumerate() {
        let in_bucket =
            total(&|one| one.buckets.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed)));
        buckets.push((Duration::from_micros(*bound).as_secs_f64(), in_bucket));
    }
    buckets.push((f64::MAX, total(&|one| one.beyond.load(Ordering::Relaxed))));
    let count = buckets.iter().map(|(_, in_bucket)| in_bucket).sum();
    let sum_us = total(&|one| one.sum_us.load(Ordering::Relaxed));
    (Duration::from_micros(sum_us).as_secs_f64(), count, buckets)
}

/// The label value of a status: registered codes alone, so that a callee cannot make series.
fn status_label(status: u16) -> String {
    let known =
        http::StatusCode::from_u16(status).is_ok_and(|status| status.canonical_reason().is_some());
    if known { status.to_string() } else { OTHER.to_owned() }
}
