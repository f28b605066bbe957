//! PostgreSQL behind its sidecar, used by psql over mTLS without either knowing.

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use crate::{
    foreign::{is_root, postgres_program, program, run, yaml_list},
    host::{Host, free_ports, latin, wait_for},
};

/// The user a server started by root runs as: PostgreSQL refuses to be root.
const USER: &str = "postgres";

fn ids(user: &str) -> (u32, u32) {
    let id = |flag| run(Command::new("id").args([flag, user])).trim().parse().unwrap();
    (id("-u"), id("-g"))
}

/// A fresh database cluster in `data`.
fn init(data: &Path, root: bool) {
    let mut command = Command::new(postgres_program("initdb"));
    command
        .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
        .arg(data);
    command.current_dir("/");
    if root {
        let (uid, gid) = ids(USER);
        std::os::unix::fs::chown(data, Some(uid), Some(gid)).unwrap();
        command.uid(uid).gid(gid);
    }
    run(&mut command);
}

struct Database {
    host: Host,
    to_ledger: u16,
    _data: tempfile::TempDir,
}

impl Database {
    fn start() -> Self {
        let [ledger, to_ledger, metrics] = free_ports();
        let root = is_root();
        let data = tempfile::Builder::new().prefix("rfpg").tempdir().unwrap();
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        init(data.path(), root);
        let port = ledger.to_string();
        let server = postgres_program("postgres");
        let command = yaml_list(&[
            server.to_str().unwrap(),
            "-D",
            data.path().to_str().unwrap(),
            "-p",
            &port,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ]);
        let workload =
            if root { format!("workload: {{ unix_user: {USER} }}") } else { String::new() };
        let fleet = format!(
            "ringfort: v1
fleet: {{ trust_domain: bank.test }}
services:
  ledger:
    listen: {{ port: {ledger}, protocol: tcp }}
    run: {{ command: {command} }}
    {workload}
  teller:
    calls: [ {{ to: ledger, port: {to_ledger} }} ]
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
        );
        let host = Host::start(&[("bank.yaml", &fleet)]);
        let database = Self { host, to_ledger, _data: data };
        wait_for("PostgreSQL to answer", Duration::from_secs(30), || {
            database.psql(&["-c", "SELECT 1"], "").status.success().then_some(())
        });
        database
    }

    /// Runs psql at the port where the teller finds the ledger.
    fn psql(&self, args: &[&str], input: &str) -> Output {
        use std::{io::Write as _, process::Stdio};
        let mut child = Command::new(program(&["/usr/bin/psql"]))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-d",
                "postgres",
            ])
            .args(["-p", &self.to_ledger.to_string()])
            .args(args)
            .env("PGCONNECT_TIMEOUT", "10")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> String {
        let output = self.psql(&[], sql);
        assert!(output.status.success(), "{}", latin(&output.stderr));
        latin(&output.stdout)
    }
}

#[test]
fn pg_psql_works_through_mtls_unchanged() {
    let database = Database::start();
    // Much data in both directions, a transaction that is undone, an error, a notification.
    let rows: String = (0..20_000).map(|row| format!("{row}\tnote {row}\n")).collect();
    database.ask(&format!(
        "CREATE TABLE entry (id int PRIMARY KEY, note text);\nCOPY entry FROM stdin;\n{rows}\\.\n"
    ));
    assert_eq!(
        database.ask("SELECT count(*), sum(id), max(length(note)) FROM entry;"),
        "20000|199990000|10\n"
    );
    assert_eq!(database.ask("COPY (SELECT id, note FROM entry ORDER BY id) TO stdout;"), rows);
    assert_eq!(
        database.ask("BEGIN; DELETE FROM entry; ROLLBACK; SELECT count(*) FROM entry;"),
        "20000\n"
    );
    let failed = database.psql(&["-c", "SELECT * FROM absent"], "");
    assert!(latin(&failed.stderr).contains("relation \"absent\" does not exist"));
    let notified = database.ask("LISTEN news; NOTIFY news, 'hello'; SELECT 1;");
    assert!(notified.contains("notification \"news\" with payload \"hello\""), "{notified}");
    // Its own encryption is asked for first and declined by the server: inside mTLS there is none.
    assert_eq!(database.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();"), "f\n");
    assert_eq!(database.host.stop(), Some(0));
}
