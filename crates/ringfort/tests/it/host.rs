//! Runs `ringfort up` on a fleet of its own folder and ports, and ends it by its process id.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

/// The binary under test.
pub(crate) const RINGFORT: &str = env!("CARGO_BIN_EXE_ringfort");

/// How long a fleet may take to be ready on a loaded two-core machine.
const READY_MAX: Duration = Duration::from_secs(60);

/// Loopback ports that were free when asked for, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}

/// Waits until `holds` answers, and says what was waited for when it never does.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut holds: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(now() - start < limit, "waited {limit:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "an end-to-end test measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A running `ringfort up`.
pub(crate) struct Host {
    child: Child,
    dir: tempfile::TempDir,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Host {
    /// Starts a fleet of these files and waits until every proxy serves.
    #[track_caller]
    pub(crate) fn start(files: &[(&str, &str)]) -> Self {
        let host = Self::launch(files);
        host.wait_line("ready: ");
        host
    }

    /// Starts a fleet without waiting.
    pub(crate) fn launch(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("rf").tempdir().unwrap();
        // Programs of other users must reach their folders below it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        std::fs::create_dir(dir.path().join("fleet")).unwrap();
        for (path, text) in files {
            std::fs::write(dir.path().join("fleet").join(path), text).unwrap();
        }
        let mut child = Command::new(RINGFORT)
            .arg("up")
            .arg(dir.path().join("fleet"))
            .args(Self::flags(dir.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&lines));
        collect(child.stderr.take().unwrap(), Arc::clone(&lines));
        Self { child, dir, lines }
    }

    fn flags(dir: &Path) -> [PathBuf; 4] {
        ["--state".into(), dir.join("state"), "--run".into(), dir.join("run")]
    }

    /// The fleet folder.
    pub(crate) fn fleet(&self) -> PathBuf {
        self.dir.path().join("fleet")
    }

    /// The runtime folder.
    pub(crate) fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Process id of the supervisor.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `needle` and returns it.
    #[track_caller]
    pub(crate) fn wait_line(&self, needle: &str) -> String {
        self.wait_line_after(0, needle).1
    }

    /// How many lines were printed so far.
    pub(crate) fn line_count(&self) -> usize {
        self.lines.0.lock().unwrap().len()
    }

    /// Waits for a line at or after `from`; returns its index and text.
    #[track_caller]
    pub(crate) fn wait_line_after(&self, from: usize, needle: &str) -> (usize, String) {
        let (lines, changed) = &*self.lines;
        let found = |lines: &Vec<String>| {
            lines
                .iter()
                .enumerate()
                .skip(from)
                .find(|(_, line)| line.contains(needle))
                .map(|(at, line)| (at, line.clone()))
        };
        let guard = lines.lock().unwrap();
        let (guard, _) =
            changed.wait_timeout_while(guard, READY_MAX, |lines| found(lines).is_none()).unwrap();
        let all = guard.join("\n");
        found(&guard).unwrap_or_else(|| {
            panic!("no line with `{needle}` within {READY_MAX:?}; printed so far:\n{all}")
        })
    }

    /// Everything printed so far.
    pub(crate) fn printed(&self) -> String {
        self.lines.0.lock().unwrap().join("\n")
    }

    /// Runs another ringfort command against this host.
    pub(crate) fn ringfort(&self, args: &[&str]) -> Output {
        Command::new(RINGFORT).args(args).args(Self::flags(self.dir.path())).output().unwrap()
    }

    /// Process id of a proxy, from its own status.
    pub(crate) fn proxy_status(&self, name: &str) -> serde_json::Value {
        let output = self.ringfort(&["status", "--format", "json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let proxies = report["proxies"].as_array().unwrap();
        proxies.iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    }

    /// Asks the fleet to end and waits; returns the exit code.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(self.child.id(), "-TERM");
        let child = &mut self.child;
        wait_for("the supervisor to end", Duration::from_secs(60), || child.try_wait().unwrap())
            .code()
    }
}

/// Sends a signal to one process by its id.
pub(crate) fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(signal).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill {signal} {pid}");
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            drop(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status());
            let start = now();
            while self.child.try_wait().is_ok_and(|status| status.is_none()) {
                if now() - start > Duration::from_secs(40) {
                    drop(self.child.kill());
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        if std::thread::panicking() {
            println!("--- printed by ringfort up ---\n{}", self.printed());
        }
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static, lines: Arc<(Mutex<Vec<String>>, Condvar)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.0.lock().unwrap().push(line);
            lines.1.notify_all();
        }
    });
}

/// Runs `curl` and returns (status, head and body).
#[track_caller]
pub(crate) fn curl(args: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-sS", "-k", "--path-as-is", "--max-time", "20", "-i", "-w", "\n%{http_code}"])
        .args(args)
        .output()
        .expect("curl is missing: run `cargo xtask setup`");
    let text = latin(&output.stdout);
    let (rest, code) = text.rsplit_once('\n').unwrap_or(("", "0"));
    let code = code.trim().parse().unwrap_or(0);
    (code, format!("{rest}{}", latin(&output.stderr)))
}

/// Bytes as text, one character a byte: for assertions and messages only.
pub(crate) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
