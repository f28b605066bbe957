//! One running child: its process group, its pidfd, its lines.
//!
//! # Invariants
//! - That the leader ended is seen without collecting it. It stays uncollected until [`Running::collect`], so group
//!   and number cannot belong to anyone else while signals are sent.
//! - What is left of the group when the leader ends is ended by force: a program's own children do not outlive it.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::Stdio,
    time::Duration,
};

use ringfort_model::selectors::StartedAs;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{ChildKey, ChildSpec, OutputSource, output::Sink};
use crate::{Children, children::Registration};

/// How long lines of a child that ended are still read; only a process that left the group can hold them open.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A started child. Dropping it ends the whole group by force.
#[derive(Debug)]
pub(super) struct Running {
    // Dropped before `child`: the number is unregistered while it still is this child's.
    registration: Option<Registration>,
    child: Child,
    group: Pid,
    pidfd: OwnedFd,
    child_ended: unix::Signal,
    printing: Vec<JoinHandle<()>>,
    started: Instant,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// In words.
    pub(super) how: String,
    /// From start to end.
    pub(super) lived: Duration,
}

/// Why a child is not running.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartChildError {
    /// The program cannot be started.
    #[error("cannot start `{program}`")]
    Spawn {
        program: String,
        #[source]
        source: io::Error,
    },
    /// The started process cannot be watched.
    #[error("cannot watch `{program}`")]
    Watch {
        program: String,
        #[source]
        source: io::Error,
    },
}

impl Running {
    /// Starts a child in a process group of its own.
    pub(super) fn start(
        spec: &ChildSpec,
        children: &Children,
        sink: &Sink,
        tracker: &TaskTracker,
    ) -> Result<Self, StartChildError> {
        let program = || spec.program.display().to_string();
        let watch = |source| StartChildError::Watch { program: program(), source };
        // Before the start, so that no end goes unseen.
        let child_ended = unix::signal(SignalKind::child()).map_err(watch)?;
        let spawn = || {
            let child = command(spec)
                .spawn()
                .map_err(|source| StartChildError::Spawn { program: program(), source })?;
            let pid = child.id().unwrap_or_default();
            Ok((pid, (pid, child)))
        };
        let (registration, (pid, mut child)) = match spec.key.role.part() {
            Some(part) => {
                let started_as = StartedAs { workload: spec.key.name.clone(), part };
                let (registration, started) = children.start(started_as, spawn)?;
                (Some(registration), started)
            }
            None => (None, spawn()?.1),
        };
        let group = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| watch(io::Error::from(io::ErrorKind::NotFound)))?;
        let pidfd = pidfd_open(group, PidfdFlags::empty()).map_err(|e| watch(e.into()))?;
        let mut printing = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            let key = spec.key.clone();
            printing.push(tracker.spawn(sink.clone().drain(key, OutputSource::Stdout, pipe)));
        }
        if let Some(pipe) = child.stderr.take() {
            let key = spec.key.clone();
            printing.push(tracker.spawn(sink.clone().drain(key, OutputSource::Stderr, pipe)));
        }
        let started = Instant::now();
        Ok(Self { registration, child, group, pidfd, child_ended, printing, started })
    }

    /// The number of the leader.
    pub(super) fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the leader has ended; it is not collected by that. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        // Each end of any child wakes this. `None` means that the runtime is going away, and the group with it.
        while self.runs() && self.child_ended.recv().await.is_some() {}
    }

    fn runs(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::PidFd(self.pidfd.as_fd()), look), Ok(None))
    }

    /// Asks the whole group to end.
    pub(super) fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends the whole group by force.
    pub(super) fn end_by_force(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.group, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Ends what is left of the group, reads the last lines and collects the leader.
    pub(super) async fn collect(mut self, key: &ChildKey, sink: &Sink) -> Ended {
        let lived = self.started.elapsed();
        if let Err(error) = self.end_by_force() {
            let text = format!("cannot end what is left of it: {error}");
            sink.put(key, OutputSource::Supervisor, text);
        }
        for mut printing in std::mem::take(&mut self.printing) {
            if timeout(LAST_LINES, &mut printing).await.is_err() {
                printing.abort();
            }
        }
        drop(self.registration.take());
        let how = match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("ended, but how is unknown: {error}"),
        };
        Ended { how, lived }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once the leader is collected the group may be someone else's.
        if self.child.id().is_some() {
            drop(self.end_by_force());
        }
    }
}

fn command(spec: &ChildSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(dir) = &spec.dir {
        command.current_dir(dir);
    }
    if let Some(user) = spec.user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
