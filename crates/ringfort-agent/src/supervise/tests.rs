//! Children that end, do not start, do not want to end, and programs that wait for their sidecars.
//!
//! Time is paused where only the supervisor's own waits matter: they pass at once, in order.

use std::{
    fs,
    io::Write as _,
    os::{fd::AsFd as _, unix::net::UnixListener},
    path::PathBuf,
};

use nix::poll::{PollFd, PollFlags, poll};
use tokio::{sync::watch::Receiver, time::timeout};

use super::*;

/// Bound of every wait in these tests; none is meant to be reached.
const BOUND: Duration = Duration::from_secs(20);

struct Fixture {
    supervisor: Supervisor,
    table: Receiver<Table>,
    lines: mpsc::Receiver<OutputLine>,
    children: Children,
}

fn fixture() -> Fixture {
    let (sender, lines) = mpsc::channel(1000);
    let children = Children::new();
    let supervisor = Supervisor::new(children.clone(), sender, TaskTracker::new());
    Fixture { table: supervisor.watch(), supervisor, lines, children }
}

fn key(role: Role, name: &str) -> ChildKey {
    ChildKey { role, name: name.parse().unwrap() }
}

/// A child that runs a script; only tests use a shell.
fn script(role: Role, name: &str, script: &str) -> ChildSpec {
    ChildSpec {
        key: key(role, name),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: [("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())].into(),
        dir: None,
        user: None,
        ready_socket: None,
        grace: Duration::from_secs(5),
    }
}

impl Fixture {
    async fn wait_for(&mut self, what: &str, is_so: impl FnMut(&Table) -> bool) -> Table {
        let found = timeout(BOUND, self.table.wait_for(is_so)).await;
        found.unwrap_or_else(|_elapsed| panic!("never: {what}")).unwrap().clone()
    }

    /// Waits for a line of a child; paused time does not bound it, the test runner does.
    async fn line(&mut self, text: &str) -> OutputLine {
        loop {
            let line = self.lines.recv().await.unwrap();
            if line.text.contains(text) {
                return line;
            }
        }
    }
}

fn state(table: &Table, key: &ChildKey) -> Option<ChildState> {
    table.get(key).map(|status| status.state)
}

#[tokio::test(start_paused = true)]
async fn what_ends_is_started_again_with_growing_waits() {
    let mut fixture = fixture();
    let spec = script(Role::Program, "orders", "exit 3");
    fixture.supervisor.set_plan(vec![spec.clone()]).await.unwrap();
    for expected in ["100", "200", "400", "800", "1600", "3200", "5000", "5000"] {
        let line = fixture.line("starting again").await;
        assert_eq!(line.text, format!("exited with status 3; starting again in {expected} ms"));
        assert_eq!((line.child, line.source), (spec.key.clone(), OutputSource::Supervisor));
    }
    fixture.supervisor.shutdown().await;
    assert!(fixture.supervisor.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_is_said_and_tried_again() {
    let mut fixture = fixture();
    let mut spec = script(Role::Program, "orders", "");
    spec.program = PathBuf::from("/nowhere/orders");
    fixture.supervisor.set_plan(vec![spec]).await.unwrap();
    let line = fixture.line("cannot start").await;
    let expected = "cannot start `/nowhere/orders`: No such file or directory (os error 2); starting again in 100 ms";
    assert_eq!(line.text, expected);
    fixture.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_child_killed_by_force_is_back_in_time_and_registered() {
    let mut fixture = fixture();
    let spec = script(Role::Sidecar, "orders", "exec sleep 60");
    fixture.supervisor.set_plan(vec![spec.clone()]).await.unwrap();
    let is_ready = |table: &Table| state(table, &spec.key) == Some(ChildState::Ready);
    let first = fixture.wait_for("ready", is_ready).await[&spec.key].pid.unwrap();
    let started_as = fixture.children.started_as(first).unwrap();
    assert_eq!(started_as.part, ringfort_model::selectors::Part::Proxy);

    let killed_at = tokio::time::Instant::now();
    let raw = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).unwrap();
    let again = |table: &Table| is_ready(table) && table[&spec.key].pid != Some(first);
    let status = fixture.wait_for("ready again", again).await[&spec.key].clone();
    assert!(killed_at.elapsed() < Duration::from_secs(2));
    assert_eq!(status.restarts, 1);
    assert_eq!(status.last_end.as_deref(), Some("killed by signal 9"));
    assert!(fixture.children.started_as(first).is_none());
    assert!(fixture.children.started_as(status.pid.unwrap()).is_some());
    fixture.supervisor.shutdown().await;
    assert!(fixture.children.started_as(status.pid.unwrap()).is_none());
}

#[tokio::test]
async fn a_program_starts_once_its_sidecar_serves() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("orders.sock");
    let mut fixture = fixture();
    let mut sidecar = script(Role::Sidecar, "orders", "exec sleep 60");
    sidecar.ready_socket = Some(socket.clone());
    let program = script(Role::Program, "orders", "echo started; exec sleep 60");
    let other = script(Role::Program, "alone", "exec sleep 60");
    let plan = vec![program.clone(), other.clone(), sidecar.clone()];
    fixture.supervisor.set_plan(plan).await.unwrap();
    let table = fixture
        .wait_for("the one without sidecar is ready, the sidecar runs", |table| {
            state(table, &other.key) == Some(ChildState::Ready)
                && state(table, &sidecar.key) == Some(ChildState::Starting)
        })
        .await;
    assert_eq!(state(&table, &program.key), Some(ChildState::Waiting));
    assert_eq!(table[&program.key].pid, None);

    // First it answers that it does not serve yet, then that it does.
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || {
        for status in ["503 Service Unavailable", "200 OK"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let read = std::io::Read::read(&mut stream, &mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    fixture
        .wait_for("program ready", |table| state(table, &program.key) == Some(ChildState::Ready))
        .await;
    server.join().unwrap();
    assert_eq!(fixture.line("started").await.child, program.key);
    fixture.supervisor.shutdown().await;
}

#[tokio::test]
async fn everything_stops_from_the_edge_inwards() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut fixture = fixture();
    let specs: Vec<_> = [
        (Role::Server, "server"),
        (Role::Program, "orders"),
        (Role::Sidecar, "orders"),
        (Role::Gateway, "public"),
    ]
    .into_iter()
    .map(|(role, name)| {
        let log = log.display();
        let text = format!("trap 'echo {role:?} >> {log}; exit 0' TERM; echo up; sleep 60 & wait");
        script(role, name, &text)
    })
    .collect();
    fixture.supervisor.set_plan(specs).await.unwrap();
    for _child in 0..4 {
        fixture.line("up").await;
    }
    fixture.supervisor.shutdown().await;
    assert_eq!(fs::read_to_string(&log).unwrap(), "Gateway\nSidecar\nProgram\nServer\n");
    while fixture.lines.recv().await.is_some() {}
    let late = fixture.supervisor.set_plan(Vec::new()).await;
    assert_eq!(late, Err(SetPlanError::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_ended_by_force_with_its_whole_group() {
    let mut fixture = fixture();
    // Both ignore the request to end; the grandchild holds the pipe open.
    let text = "trap '' TERM; sleep 1000 & echo $!; while :; do wait; done";
    let spec = script(Role::Program, "orders", text);
    fixture.supervisor.set_plan(vec![spec]).await.unwrap();
    let grandchild = fixture.lines.recv().await.unwrap().text.parse().unwrap();
    let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
    let pidfd =
        rustix::process::pidfd_open(grandchild, rustix::process::PidfdFlags::empty()).unwrap();
    fixture.supervisor.shutdown().await;
    let line = fixture.line("by force").await;
    assert_eq!(line.text, "still runs after 5 s; ending it by force");
    let waited = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], 10_000_u16);
    assert_eq!(waited, Ok(1), "the grandchild outlived its group");
}

#[tokio::test]
async fn a_new_plan_touches_only_what_differs() {
    let mut fixture = fixture();
    let kept = script(Role::Program, "kept", "exec sleep 60");
    let gone = script(Role::Program, "gone", "exec sleep 60");
    let before = script(Role::Program, "changed", "exec sleep 60");
    let after = script(Role::Program, "changed", "exec sleep 61");
    let is_up = |keys: Vec<ChildKey>| {
        move |table: &Table| {
            table.len() == keys.len()
                && keys.iter().all(|key| state(table, key) == Some(ChildState::Ready))
        }
    };
    let plan = vec![kept.clone(), gone.clone(), before.clone()];
    fixture.supervisor.set_plan(plan).await.unwrap();
    let all = vec![kept.key.clone(), gone.key.clone(), before.key.clone()];
    let first = fixture.wait_for("first plan", is_up(all)).await;
    fixture.supervisor.set_plan(vec![kept.clone(), after.clone()]).await.unwrap();
    let rest = vec![kept.key.clone(), after.key.clone()];
    let second = fixture.wait_for("second plan", is_up(rest)).await;
    assert_eq!(second[&kept.key], first[&kept.key]);
    assert_ne!(second[&after.key].pid, first[&before.key].pid);
    // A bad plan changes nothing.
    let twice = fixture.supervisor.set_plan(vec![kept.clone(), kept.clone()]).await;
    assert_eq!(twice, Err(SetPlanError::Duplicate { key: kept.key.clone() }));
    assert_eq!(fixture.supervisor.status(), second);
    fixture.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_child_gets_its_own_environment_and_folder_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = fixture();
    let mut spec = script(Role::Program, "orders", "pwd; /usr/bin/env; exec sleep 60");
    spec.dir = Some(dir.path().canonicalize().unwrap());
    spec.env = [("PORT".into(), "1234".into())].into();
    fixture.supervisor.set_plan(vec![spec.clone()]).await.unwrap();
    let mut seen = vec![fixture.lines.recv().await.unwrap().text];
    assert_eq!(seen.remove(0), spec.dir.unwrap().to_str().unwrap());
    while !seen.iter().any(|line| line.starts_with("PORT")) {
        seen.push(fixture.lines.recv().await.unwrap().text);
    }
    // `PWD` and the like are the shell's own.
    assert!(!seen.iter().any(|line| line.starts_with("CARGO") || line.starts_with("HOME")));
    fixture.supervisor.shutdown().await;
}
