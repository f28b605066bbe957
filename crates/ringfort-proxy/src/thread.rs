//! One data thread: a runtime of its own, its own sockets, connections and pools. Threads meet only in the snapshot,
//! in atomics and in the kernel.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    future::Future,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use http_body::Body;
use hyper::body::Incoming;
use ringfort_identity::SystemRandom;
use ringfort_model::{DecisionId, Name, SecureRandom, WallClock};
use ringfort_policy::{Authorizer, Memo, Question, Verdict};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body, connection,
    live::{ListenerKey, Live},
    upstream::{self, Callee, Door, Pool, Transport},
    witness::{
        Witness,
        metrics::{Plain, ThreadMetrics},
    },
};

/// How often idle connections to callees are looked through.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Bodies that may wait to be thrown away.
const RESTS_MAX: usize = 256;

/// Pause after the kernel refused to accept, as it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What a data thread is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Brings a new state into force; answered when it is.
    Apply {
        live: Arc<Live>,
        open: Vec<(ListenerKey, std::net::TcpListener)>,
        close: Vec<ListenerKey>,
        done: oneshot::Sender<()>,
    },
    /// Stops accepting, lets connections finish until the deadline, then ends the thread.
    Drain { deadline: Instant },
}

/// What a data thread is made of.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(crate) index: u16,
    /// How many data threads there are.
    pub(crate) threads: u32,
    /// The random half of decision ids.
    pub(crate) process: u64,
    pub(crate) witness: Witness,
    pub(crate) clock: Arc<dyn WallClock>,
    /// Connections cut at the end of a drain.
    pub(crate) cut: Arc<AtomicU64>,
}

/// One data thread, as its tasks see it.
pub(crate) struct Thread {
    pub(crate) metrics: ThreadMetrics,
    pub(crate) witness: Witness,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) threads: u32,
    /// Cancelled when connections are to finish.
    pub(crate) draining: CancellationToken,
    /// Changes with each state that comes into force: long-lived streams ask again whether they may go on.
    pub(crate) swaps: watch::Sender<u64>,
    here: RefCell<Rc<Here>>,
    /// Connections of callers and tunnels: what a drain waits for.
    connections: TaskTracker,
    /// Everything else; ends with the thread.
    tasks: TaskTracker,
    random: RefCell<RandomPool>,
    /// Settled answers of ring `policy`.
    memo: RefCell<Memo>,
    /// Rests of bodies that nobody wants; a full queue drops them, which closes their connections.
    rests: mpsc::Sender<Incoming>,
    process: u64,
    decisions: Cell<u64>,
    pub(crate) handshakes: Rc<Cell<u32>>,
    open: RefCell<BTreeMap<ListenerKey, Rc<Cell<u32>>>>,
}

/// What is in force, as one thread sees it: with this thread's own connections to callees.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) live: Arc<Live>,
    doors: HashMap<Name, Rc<Door>>,
    pub(crate) local: Option<Rc<Door>>,
}

/// Spawns on this thread, for the HTTP/2 library.
#[derive(Debug, Clone)]
pub(crate) struct LocalExecutor(TaskTracker);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        drop(self.0.spawn_local(future));
    }
}

/// Random bytes drawn in bulk, since one draw costs more than the bytes.
struct RandomPool {
    bytes: [u8; 1024],
    used: usize,
}

impl SecureRandom for RandomPool {
    fn fill(&mut self, out: &mut [u8]) {
        let end = self.used.saturating_add(out.len());
        if let Some(fresh) = self.bytes.get(self.used..end) {
            out.copy_from_slice(fresh);
            self.used = end;
        } else if out.len() <= self.bytes.len() {
            SystemRandom.fill(&mut self.bytes);
            self.used = 0;
            self.fill(out);
        } else {
            SystemRandom.fill(out);
        }
    }
}

impl Here {
    /// The thread's view of a state; connections to endpoints that stay the same are kept.
    fn new(live: Arc<Live>, previous: Option<&Self>) -> Self {
        let door = |callee: &Arc<Callee>, previous: Option<&Rc<Door>>| {
            let kept = previous.filter(|door| same_peer(&door.callee, callee));
            let pool = |address: SocketAddr| {
                let kept = kept.and_then(|door| door.pools.iter().find(|it| it.address == address));
                kept.map_or_else(|| Pool::new(address), Rc::clone)
            };
            let pools = callee.endpoints.iter().map(|endpoint| pool(endpoint.address)).collect();
            Rc::new(Door { callee: Arc::clone(callee), pools })
        };
        let doors = live.callees.iter().map(|(name, callee)| {
            (name.clone(), door(callee, previous.and_then(|here| here.doors.get(name))))
        });
        let local = live
            .local
            .as_ref()
            .map(|local| door(local, previous.and_then(|here| here.local.as_ref())));
        Self { doors: doors.collect(), local, live }
    }

    /// The way to a service.
    pub(crate) fn door(&self, name: &Name) -> Option<&Rc<Door>> {
        self.doors.get(name)
    }

    /// The way to a service, by a name that a request wrote.
    pub(crate) fn door_by_text(&self, name: &str) -> Option<&Rc<Door>> {
        self.doors.get(name)
    }
}

/// Whether connections to one are connections to the other: same identity, same protocol.
fn same_peer(a: &Callee, b: &Callee) -> bool {
    let same_transport = match (&a.transport, &b.transport) {
        (Transport::Plain, Transport::Plain) => true,
        (Transport::Mtls { id: a, .. }, Transport::Mtls { id: b, .. }) => a == b,
        (Transport::Plain, Transport::Mtls { .. }) | (Transport::Mtls { .. }, Transport::Plain) => {
            false
        }
    };
    same_transport && a.protocol == b.protocol
}

impl Thread {
    fn new(seed: Seed, live: Arc<Live>) -> (Rc<Self>, mpsc::Receiver<Incoming>) {
        let (swaps, _) = watch::channel(0);
        let (rests, unwanted) = mpsc::channel(RESTS_MAX);
        let thread = Rc::new(Self {
            rests,
            metrics: ThreadMetrics::new(Arc::clone(&seed.witness.metrics)),
            witness: seed.witness,
            clock: seed.clock,
            threads: seed.threads,
            draining: CancellationToken::new(),
            swaps,
            here: RefCell::new(Rc::new(Here::new(live, None))),
            connections: TaskTracker::new(),
            tasks: TaskTracker::new(),
            random: RefCell::new(RandomPool { bytes: [0; 1024], used: 1024 }),
            memo: RefCell::default(),
            process: seed.process,
            decisions: Cell::new(u64::from(seed.index) << 48),
            handshakes: Rc::default(),
            open: RefCell::default(),
        });
        (thread, unwanted)
    }

    /// Has the rest of a body taken and thrown away.
    pub(crate) fn discard(&self, rest: Incoming) {
        if !rest.is_end_stream() && self.rests.try_send(rest).is_err() {
            tracing::debug!("a body was not taken to its end");
        }
    }

    /// What is in force now.
    pub(crate) fn here(&self) -> Rc<Here> {
        Rc::clone(&self.here.borrow())
    }

    pub(crate) fn plain(&self) -> &Plain {
        self.metrics.plain()
    }

    pub(crate) fn executor(&self) -> LocalExecutor {
        LocalExecutor(self.tasks.clone())
    }

    /// The executor of streams of callers, which a drain waits for.
    pub(crate) fn stream_executor(&self) -> LocalExecutor {
        LocalExecutor(self.connections.clone())
    }

    /// Runs a task that ends with the thread.
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        drop(self.tasks.spawn_local(self.counting_panics(task)));
    }

    /// Runs a task that a drain waits for.
    pub(crate) fn spawn_connection(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        drop(self.connections.spawn_local(self.counting_panics(task)));
    }

    fn counting_panics(
        self: &Rc<Self>,
        task: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = ()> + 'static {
        let thread = Rc::clone(self);
        async move {
            let _count = PanicCount(thread);
            task.await;
        }
    }

    /// 64 random bits.
    pub(crate) fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.borrow_mut().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uses this thread's random bytes.
    pub(crate) fn with_random<T>(&self, draw: impl FnOnce(&mut dyn SecureRandom) -> T) -> T {
        draw(&mut *self.random.borrow_mut())
    }

    /// Asks the policies, remembering what cannot change while they are in force.
    pub(crate) fn decide(&self, authorizer: &Authorizer, question: &Question<'_>) -> Verdict {
        authorizer.decide_with(&mut self.memo.borrow_mut(), question)
    }

    pub(crate) fn next_decision_id(&self) -> DecisionId {
        self.decisions.set(self.decisions.get().wrapping_add(1));
        DecisionId::new(self.process, self.decisions.get())
    }

    pub(crate) fn count_retry(&self) {
        self.plain().upstream_retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_upstream_connection(&self) {
        self.plain().upstream_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of open connections of a listener on this thread.
    pub(crate) fn open_connections(&self, key: &ListenerKey) -> Rc<Cell<u32>> {
        let mut open = self.open.borrow_mut();
        if let Some(count) = open.get(key) {
            return Rc::clone(count);
        }
        let count = Rc::<Cell<u32>>::default();
        open.insert(key.clone(), Rc::clone(&count));
        count
    }

    fn swap(&self, live: Arc<Live>) {
        let next = Here::new(live, Some(&self.here()));
        *self.here.borrow_mut() = Rc::new(next);
        self.swaps.send_modify(|swaps| *swaps = swaps.wrapping_add(1));
    }

    fn tidy(&self) {
        let here = self.here();
        let callees = here.live.callees.keys().filter_map(|name| here.door(name));
        for door in callees.chain(&here.local) {
            for pool in &door.pools {
                pool.tidy(upstream::idle_max(&door.callee.limits));
            }
        }
    }
}

struct PanicCount(Rc<Thread>);

impl Drop for PanicCount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.plain().task_panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs a data thread until it has drained; call on a thread of its own.
///
/// # Errors
/// The operating system refuses the runtime.
pub(crate) fn run(
    seed: Seed,
    live: Arc<Live>,
    commands: mpsc::Receiver<Command>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let cut = Arc::clone(&seed.cut);
    let left = runtime.block_on(async move {
        let (thread, rests) = Thread::new(seed, live);
        obey(&thread, commands, rests).await
    });
    cut.fetch_add(left, Ordering::Relaxed);
    Ok(())
}

/// Obeys commands until the drain is over; says how many connections were left.
async fn obey(
    thread: &Rc<Thread>,
    mut commands: mpsc::Receiver<Command>,
    mut rests: mpsc::Receiver<Incoming>,
) -> u64 {
    let mut listeners: BTreeMap<ListenerKey, CancellationToken> = BTreeMap::new();
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Cancel-safe: a command not taken stays queued.
            command = commands.recv() => match command {
                Some(Command::Apply { live, open, close, done }) => {
                    thread.swap(live);
                    for key in close {
                        if let Some(stop) = listeners.remove(&key) {
                            stop.cancel();
                        }
                    }
                    for (key, socket) in open {
                        if let Some(stop) = listen(thread, key.clone(), socket) {
                            listeners.insert(key, stop);
                        }
                    }
                    if done.send(()).is_err() {
                        tracing::debug!("nobody waits for the new state to be in force");
                    }
                }
                Some(Command::Drain { deadline }) => return drain(thread, &listeners, deadline).await,
                None => return drain(thread, &listeners, Instant::now()).await,
            },
            // Cancel-safe: a body not taken stays queued.
            Some(rest) = rests.recv() => thread.spawn(body::discard(rest)),
            // Cancel-safe: a tick not taken comes again.
            _ = tidy.tick() => thread.tidy(),
        }
    }
}

async fn drain(
    thread: &Rc<Thread>,
    listeners: &BTreeMap<ListenerKey, CancellationToken>,
    deadline: Instant,
) -> u64 {
    for stop in listeners.values() {
        stop.cancel();
    }
    // The accept loops empty their queues before this task goes on.
    tokio::task::yield_now().await;
    thread.draining.cancel();
    thread.connections.close();
    if tokio::time::timeout_at(deadline, thread.connections.wait()).await.is_ok() {
        return 0;
    }
    u64::try_from(thread.connections.len()).unwrap_or(u64::MAX)
}

/// Starts accepting on a bound socket; the token ends it.
fn listen(
    thread: &Rc<Thread>,
    key: ListenerKey,
    socket: std::net::TcpListener,
) -> Option<CancellationToken> {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(?key, %error, "a bound socket could not be used");
            return None;
        }
    };
    let stop = CancellationToken::new();
    let (owner, until) = (Rc::clone(thread), stop.clone());
    thread.spawn(async move { accept(&owner, &key, &listener, &until).await });
    Some(stop)
}

async fn accept(
    thread: &Rc<Thread>,
    key: &ListenerKey,
    listener: &TcpListener,
    stop: &CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            // Cancel-safe: a connection not accepted stays in the kernel's queue.
            accepted = listener.accept() => match accepted {
                Ok((tcp, remote)) => begin(thread, key, tcp, remote),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = stop.cancelled() => break,
        }
    }
    // What the kernel has already accepted would be reset when the socket closes.
    while let Some(Ok((tcp, remote))) = listener.accept().now_or_never() {
        begin(thread, key, tcp, remote);
    }
}

fn begin(thread: &Rc<Thread>, key: &ListenerKey, tcp: TcpStream, remote: SocketAddr) {
    let task = connection::serve(Rc::clone(thread), key.clone(), tcp, remote);
    thread.spawn_connection(task);
}
