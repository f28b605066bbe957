//! The data plane as a whole: its threads, its sockets, and the one state in force on all of them.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus_client::{encoding::text::encode, registry::Registry};
use ringfort_model::{DecisionId, Name, Revision, WallClock};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    listeners::{self, ListenError},
    live::{BuildLiveError, Lasting, ListenerKey, Live, LiveParts},
    thread::{self, Command, Seed},
    witness::{
        LogSink, Witness, Writer,
        decisions::{Decision, Decisions},
        metrics::{Metrics, MetricsCollector},
    },
};

/// Commands that may wait for a data thread.
const COMMANDS_MAX: usize = 8;

/// What a data plane is made with.
#[derive(Debug, Clone)]
pub struct PlaneOptions {
    /// Data threads.
    pub threads: NonZero<u16>,
    /// Wall clock, for logs.
    pub clock: Arc<dyn WallClock>,
    /// Where access-log lines go.
    pub log: LogTarget,
    /// Where refusals are appended.
    pub decisions_file: Option<PathBuf>,
    /// The mTLS port of last time; 0 for any.
    pub inbound_port: u16,
    /// The random half of decision ids.
    pub process: u64,
}

/// Where access-log lines go.
#[derive(Clone)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// What this makes.
    Sink(Arc<dyn Fn() -> LogSink + Send + Sync>),
}

impl std::fmt::Debug for LogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Sink(_) => "sink",
        })
    }
}

impl LogTarget {
    fn open(&self) -> LogSink {
        match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Sink(open) => open(),
        }
    }
}

/// Why a state did not come into force; what was in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It cannot be enforced.
    #[error(transparent)]
    Build(#[from] BuildLiveError),
    /// A listener cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread cannot be started.
    #[error("cannot start a data thread")]
    Thread(#[source] io::Error),
    /// A data thread has ended.
    #[error("a data thread is gone")]
    Gone,
}

/// A socket of the data plane, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket<'a> {
    /// A gateway's listener, by its configured address.
    Gateway(SocketAddr),
    /// A sidecar's mTLS socket.
    Inbound,
    /// A sidecar's loopback socket for one callee.
    Outbound(&'a Name),
    /// A sidecar's HTTP proxy.
    HttpProxy,
}

/// A running data plane.
#[derive(Debug)]
pub struct DataPlane {
    threads: Vec<DataThread>,
    lasting: Lasting,
    current: Arc<ArcSwap<Live>>,
    bound: BTreeMap<ListenerKey, SocketAddr>,
    witness: Witness,
    writer: Writer,
    inbound_port: u16,
    cut: Arc<AtomicU64>,
}

#[derive(Debug)]
struct DataThread {
    commands: mpsc::Sender<Command>,
    ended: oneshot::Receiver<()>,
    join: JoinHandle<io::Result<()>>,
}

impl DataPlane {
    /// Starts the threads and brings the first state into force.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing runs then.
    pub async fn start(options: &PlaneOptions, parts: &LiveParts) -> Result<Self, ApplyError> {
        let (witness, writer) = Witness::start(options.log.open(), options.decisions_file.clone())
            .map_err(ApplyError::Thread)?;
        let lasting = Lasting::new(Arc::clone(&witness.metrics));
        let live = Arc::new(Live::new(parts, &lasting, None)?);
        let cut = Arc::<AtomicU64>::default();
        let mut threads = Vec::new();
        for index in 0..options.threads.get() {
            let seed = Seed {
                index,
                threads: u32::from(options.threads.get()),
                process: options.process,
                witness: witness.clone(),
                clock: Arc::clone(&options.clock),
                cut: Arc::clone(&cut),
            };
            threads.push(start_thread(seed, Arc::clone(&live)).map_err(ApplyError::Thread)?);
        }
        let mut plane = Self {
            threads,
            lasting,
            current: Arc::new(ArcSwap::new(Arc::clone(&live))),
            bound: BTreeMap::new(),
            witness,
            writer,
            inbound_port: options.inbound_port,
            cut,
        };
        plane.bring_into_force(live).await?;
        Ok(plane)
    }

    /// Replaces the state in force, without a gap and without ending a connection that the new state allows.
    ///
    /// # Errors
    /// [`ApplyError`]; what was in force stays.
    pub async fn apply(&mut self, parts: &LiveParts) -> Result<(), ApplyError> {
        let previous = self.current.load_full();
        let live = Arc::new(Live::new(parts, &self.lasting, Some(&previous))?);
        self.bring_into_force(live).await
    }

    async fn bring_into_force(&mut self, live: Arc<Live>) -> Result<(), ApplyError> {
        let wanted = live.listeners(self.inbound_port);
        let plan = listeners::plan(&wanted, &self.bound);
        let threads = u32::try_from(self.threads.len()).unwrap_or(u32::MAX);
        let opened = listeners::bind_all(&plan.open, &self.bound, threads)?;
        for key in &plan.close {
            self.bound.remove(key);
        }
        let mut per_thread: Vec<Vec<_>> = self.threads.iter().map(|_| Vec::new()).collect();
        for bound in opened {
            self.bound.insert(bound.key.clone(), bound.address);
            for (sockets, socket) in per_thread.iter_mut().zip(bound.sockets) {
                sockets.push((bound.key.clone(), socket));
            }
        }
        let mut waiting = Vec::new();
        for (thread, open) in self.threads.iter().zip(per_thread) {
            let (done, applied) = oneshot::channel();
            let command =
                Command::Apply { live: Arc::clone(&live), open, close: plan.close.clone(), done };
            thread.commands.send(command).await.map_err(|_gone| ApplyError::Gone)?;
            waiting.push(applied);
        }
        for applied in waiting {
            applied.await.map_err(|_gone| ApplyError::Gone)?;
        }
        let revision = live.rules.snapshot.revision.number();
        let plain = &self.witness.metrics.plain;
        plain.config_revision.store(revision, Ordering::Relaxed);
        let expiry = live.credentials.svid.not_after().unix_seconds();
        plain.certificate_expiry_seconds.store(expiry, Ordering::Relaxed);
        self.current.store(live);
        Ok(())
    }

    /// Where a socket is.
    #[must_use]
    pub fn address(&self, socket: Socket<'_>) -> Option<SocketAddr> {
        let key = match socket {
            Socket::Gateway(bind) => ListenerKey::Gateway(bind),
            Socket::Inbound => ListenerKey::Inbound,
            Socket::Outbound(name) => ListenerKey::Outbound(name.clone()),
            Socket::HttpProxy => ListenerKey::HttpProxy,
        };
        self.bound.get(&key).copied()
    }

    /// Every socket, for people: what it is for, and where.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let purpose = |key: &ListenerKey| match key {
            ListenerKey::Gateway(bind) => format!("gateway {bind}"),
            ListenerKey::Inbound => "inbound".to_owned(),
            ListenerKey::Outbound(callee) => format!("outbound {callee}"),
            ListenerKey::HttpProxy => "http_proxy".to_owned(),
        };
        self.bound.iter().map(|(key, address)| (purpose(key), *address)).collect()
    }

    /// The revision in force.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.current.load().rules.snapshot.revision
    }

    /// What the admin side may read while the plane runs.
    #[must_use]
    pub fn view(&self) -> PlaneView {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(MetricsCollector(self.metrics())));
        PlaneView {
            current: Arc::clone(&self.current),
            metrics: self.metrics(),
            decisions: Arc::clone(&self.witness.decisions),
            registry: Arc::new(registry),
        }
    }

    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.witness.metrics)
    }

    /// Stops accepting, lets connections finish for at most `limit`, and ends the threads. Says how many connections
    /// were cut.
    pub async fn drain(self, limit: Duration) -> u64 {
        let now = Instant::now();
        let deadline = now.checked_add(limit).unwrap_or(now);
        for thread in &self.threads {
            if thread.commands.send(Command::Drain { deadline }).await.is_err() {
                tracing::error!("a data thread was gone before the drain");
            }
        }
        for thread in self.threads {
            if thread.ended.await.is_err() || thread.join.join().is_err() {
                tracing::error!("a data thread ended with a panic");
            }
        }
        let cut = self.cut.load(Ordering::Relaxed);
        self.witness.metrics.plain.cut_at_drain.store(cut, Ordering::Relaxed);
        // The writer ends when the last sender of lines is gone.
        drop(self.witness);
        self.writer.finish();
        cut
    }
}

/// What the admin side may read while the plane runs.
#[derive(Debug, Clone)]
pub struct PlaneView {
    current: Arc<ArcSwap<Live>>,
    metrics: Arc<Metrics>,
    decisions: Arc<Decisions>,
    registry: Arc<Registry>,
}

impl PlaneView {
    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// The text could not be written.
    pub fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The decision with this id, if it is among the newest.
    #[must_use]
    pub fn decision(&self, id: DecisionId) -> Option<Arc<Decision>> {
        self.decisions.find(id)
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        self.current.load_full()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn start_thread(seed: Seed, live: Arc<Live>) -> io::Result<DataThread> {
    let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
    let (done, ended) = oneshot::channel();
    let join =
        std::thread::Builder::new().name(format!("data-{}", seed.index)).spawn(move || {
            let result = thread::run(seed, live, receiver);
            if done.send(()).is_err() {
                tracing::debug!("a data thread ended unasked");
            }
            result
        })?;
    Ok(DataThread { commands, ended, join })
}
