//! Runs the processes of one host: the control plane, proxies, programs.
//!
//! Decides when a child is started, started again and ended, and in which order. A program is started once its
//! sidecar answers that it serves; what ends is started again after 100 ms, later up to 5 s; a stop goes from the
//! edge inwards: gateways drain, then sidecars, then programs end, and the control plane goes last. Does **not** know
//! what the children do, and no shell ever reads a command.
//!
//! # Invariants
//! - A child is collected by its own task alone, after it was unregistered and what is left of its process group was
//!   ended.
//! - A plan is changed by one caller at a time, and the table of states names exactly the children that have a task.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::{
    sync::{Mutex, mpsc, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Children,
    admin::{AskOptions, ask},
};

use backoff::Backoff;
use child::Running;
use output::Sink;
use plan::{change, plan_of};

pub use output::{LINE_BYTES_MAX, OutputLine, OutputSource};
pub use plan::{ChildKey, ChildSpec, Role, SetPlanError, UserIds};

mod backoff;
mod child;
mod output;
mod plan;

/// Pause between two questions whether a child serves yet.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Bounds of one such question.
const READY_ASK: AskOptions =
    AskOptions { within: Duration::from_secs(1), body_bytes_max: 64 * 1024 };

/// Runs children according to a plan; clones share everything.
#[derive(Debug, Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

/// All children and their states, by key.
pub type Table = BTreeMap<ChildKey, ChildStatus>;

/// One child as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildStatus {
    /// What it is doing.
    pub state: ChildState,
    /// Its process, when it has one.
    pub pid: Option<u32>,
    /// How often it was started again since it was planned.
    pub restarts: u64,
    /// How it last ended, or why it could not be started.
    pub last_end: Option<String>,
}

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// Waits until its sidecar serves.
    Waiting,
    /// Runs, but does not serve yet.
    Starting,
    /// Runs and serves.
    Ready,
    /// Ended by itself and is started again soon.
    BackingOff,
    /// Was asked to end.
    Stopping,
}

#[derive(Debug)]
struct Inner {
    children: Children,
    sink: Sink,
    tracker: TaskTracker,
    table: watch::Sender<Table>,
    plan: Mutex<Plan>,
    force: CancellationToken,
}

#[derive(Debug, Default)]
struct Plan {
    specs: BTreeMap<ChildKey, ChildSpec>,
    stops: BTreeMap<ChildKey, CancellationToken>,
    is_closed: bool,
}

impl Supervisor {
    /// A supervisor without children. Children are registered in `children` while they run, their lines go into
    /// `lines`, and tasks run on `tracker`.
    #[must_use]
    pub fn new(children: Children, lines: mpsc::Sender<OutputLine>, tracker: TaskTracker) -> Self {
        Self {
            inner: Arc::new(Inner {
                children,
                sink: Sink::new(lines),
                tracker,
                table: watch::Sender::new(Table::new()),
                plan: Mutex::default(),
                force: CancellationToken::new(),
            }),
        }
    }

    /// Makes the running children those of a plan: what is gone or changed is stopped first, in the order of
    /// [`Role::STOP_ORDER`], then what is new or changed is started. What is equal is not touched. Returns when
    /// everything old has ended; new children may still be starting.
    ///
    /// # Errors
    /// - [`SetPlanError::Duplicate`]: nothing is changed.
    /// - [`SetPlanError::ShuttingDown`]: nothing is started any more.
    pub async fn set_plan(&self, specs: Vec<ChildSpec>) -> Result<(), SetPlanError> {
        let specs = plan_of(specs)?;
        let mut plan = self.inner.plan.lock().await;
        if plan.is_closed {
            return Err(SetPlanError::ShuttingDown);
        }
        let change = change(&plan.specs, &specs);
        self.inner.stop(&mut plan, &change.stop).await;
        self.inner.table.send_modify(|table| {
            table.extend(change.start.iter().map(|spec| (spec.key.clone(), ChildStatus::new())));
        });
        for spec in change.start {
            let stop = CancellationToken::new();
            plan.stops.insert(spec.key.clone(), stop.clone());
            self.inner.tracker.spawn(run(Arc::clone(&self.inner), spec, stop));
        }
        plan.specs = specs;
        Ok(())
    }

    /// All children as they are now.
    #[must_use]
    pub fn status(&self) -> Table {
        self.inner.table.borrow().clone()
    }

    /// Follows the states of all children.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Table> {
        self.inner.table.subscribe()
    }

    /// Ends everything in order and returns when nothing runs any more; later plans are refused, and the queue of
    /// lines comes to its end.
    pub async fn shutdown(&self) {
        let mut plan = self.inner.plan.lock().await;
        plan.is_closed = true;
        let keys: Vec<_> = plan.specs.keys().cloned().collect();
        self.inner.stop(&mut plan, &keys).await;
        plan.specs.clear();
        self.inner.sink.close();
    }

    /// Ends by force whatever is being stopped, now and later: what a second Ctrl-C asks for.
    pub fn hurry(&self) {
        self.inner.force.cancel();
    }
}

impl ChildStatus {
    const fn new() -> Self {
        Self { state: ChildState::Waiting, pid: None, restarts: 0, last_end: None }
    }
}

impl Inner {
    /// Stops children, role by role, and waits until their tasks have ended.
    async fn stop(&self, plan: &mut Plan, keys: &[ChildKey]) {
        for role in Role::STOP_ORDER {
            let of_role: BTreeSet<_> = keys.iter().filter(|key| key.role == role).collect();
            for key in &of_role {
                if let Some(stop) = plan.stops.remove(*key) {
                    stop.cancel();
                }
            }
            // The sender is `self.table`, so it outlives this wait.
            let gone = |table: &Table| !of_role.iter().any(|key| table.contains_key(*key));
            drop(self.table.subscribe().wait_for(gone).await);
        }
    }

    /// Waits until a program's sidecar serves; at once for everything else.
    async fn sidecar_serves(&self, key: &ChildKey) {
        if key.role != Role::Program {
            return;
        }
        let sidecar = ChildKey { role: Role::Sidecar, name: key.name.clone() };
        let serves = |table: &Table| {
            table.get(&sidecar).is_none_or(|status| status.state == ChildState::Ready)
        };
        drop(self.table.subscribe().wait_for(serves).await);
    }
}

/// A child's row in the table; dropping it removes the row, which says that its task has ended.
struct Row {
    inner: Arc<Inner>,
    key: ChildKey,
}

impl Row {
    fn update(&self, update: impl FnOnce(&mut ChildStatus)) {
        self.inner.table.send_modify(|table| {
            if let Some(status) = table.get_mut(&self.key) {
                update(status);
            }
        });
    }

    fn set(&self, state: ChildState, pid: Option<u32>) {
        self.update(|status| (status.state, status.pid) = (state, pid));
    }

    fn say(&self, text: String) {
        self.inner.sink.put(&self.key, OutputSource::Supervisor, text);
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.inner.table.send_modify(|table| drop(table.remove(&self.key)));
    }
}

/// The life of one planned child.
async fn run(inner: Arc<Inner>, spec: ChildSpec, stop: CancellationToken) {
    let row = Row { inner: Arc::clone(&inner), key: spec.key.clone() };
    let mut backoff = Backoff::new();
    loop {
        row.set(ChildState::Waiting, None);
        tokio::select! {
            // Nothing runs, so both arms are safe to lose.
            () = stop.cancelled() => return,
            () = inner.sidecar_serves(&spec.key) => {}
        }
        let (how, lived) = run_once(&row, &spec, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        let wait = backoff.after(lived);
        row.say(format!("{how}; starting again in {} ms", wait.as_millis()));
        row.update(|status| {
            status.state = ChildState::BackingOff;
            status.pid = None;
            status.restarts = status.restarts.saturating_add(1);
            status.last_end = Some(how);
        });
        tokio::select! {
            // Nothing runs, so both arms are safe to lose.
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Runs a child until it ends, by itself or because it was stopped: how it ended, and how long it lived.
async fn run_once(row: &Row, spec: &ChildSpec, stop: &CancellationToken) -> (String, Duration) {
    let inner = &row.inner;
    let mut running = match Running::start(spec, &inner.children, &inner.sink, &inner.tracker) {
        Ok(running) => running,
        Err(error) => return (crate::reason(&error), Duration::ZERO),
    };
    let pid = Some(running.pid());
    row.set(ChildState::Starting, pid);
    let mut serves = pin!(serves(spec.ready_socket.as_deref()));
    let mut is_ready = false;
    loop {
        tokio::select! {
            // Cancel-safe: the leader stays uncollected.
            () = running.ended() => break,
            // Cancel-safe: a token stays cancelled.
            () = stop.cancelled() => {
                row.set(ChildState::Stopping, pid);
                end(row, spec, &mut running).await;
                break;
            }
            // Kept across turns; a lost question is asked again.
            () = &mut serves, if !is_ready => {
                is_ready = true;
                row.set(ChildState::Ready, pid);
            }
        }
    }
    let ended = running.collect(&spec.key, &inner.sink).await;
    (ended.how, ended.lived)
}

/// Asks a child to end, and ends it by force when its grace is over or someone is in a hurry.
async fn end(row: &Row, spec: &ChildSpec, running: &mut Running) {
    if let Err(error) = running.ask_to_end() {
        row.say(format!("cannot be asked to end: {error}"));
    }
    tokio::select! {
        // Cancel-safe: the leader stays uncollected.
        () = running.ended() => return,
        // Nothing is lost with a timer or a token.
        () = sleep(spec.grace) => {
            row.say(format!("still runs after {} s; ending it by force", spec.grace.as_secs()));
        }
        () = row.inner.force.cancelled() => {}
    }
    match running.end_by_force() {
        Ok(()) => running.ended().await,
        Err(error) => row.say(format!("cannot be ended by force: {error}")),
    }
}

/// Waits until a child answers on its admin socket that it serves.
async fn serves(socket: Option<&Path>) {
    let Some(socket) = socket else { return };
    while !ask(socket, "/healthz", READY_ASK).await.is_ok_and(|(code, _)| code == StatusCode::OK) {
        sleep(READY_PAUSE).await;
    }
}

/// Makes the calling process end when its parent does: for processes of Ringfort that the supervisor starts. They
/// call it first thing, with the number of the parent they expect.
///
/// # Errors
/// [`BindToParentError::Refused`]: the kernel does not support it.
/// [`BindToParentError::Orphaned`]: the parent ended before it could be watched.
///
/// # Source
/// PR_SET_PDEATHSIG(2const): the signal is not sent for a parent that ended earlier, so the parent is looked at after.
pub fn end_with_parent(parent: u32) -> Result<(), BindToParentError> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|errno| BindToParentError::Refused { source: errno.into() })?;
    let now = Pid::as_raw(getppid()).unsigned_abs();
    if now == parent { Ok(()) } else { Err(BindToParentError::Orphaned { parent }) }
}

/// Why a process cannot be bound to its parent.
#[derive(Debug, thiserror::Error)]
pub enum BindToParentError {
    /// The kernel does not support it.
    #[error("the kernel cannot end this process with its parent")]
    Refused {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The parent ended before it could be watched.
    #[error("process {parent}, which started this one, has ended")]
    Orphaned {
        /// The number of the parent that was expected.
        parent: u32,
    },
}

#[cfg(test)]
mod tests;
