//! Redis behind its sidecar, used by redis-cli over mTLS without either knowing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    foreign::{program, run, yaml_list},
    host::{Host, free_ports, latin, wait_for},
};

#[test]
fn redis_cli_works_through_mtls_unchanged() {
    let [cache, to_cache, metrics] = free_ports();
    let server = program(&["/usr/bin/redis-server"]);
    let folder = tempfile::Builder::new().prefix("rfredis").tempdir().unwrap();
    let config = folder.path().join("redis.conf");
    std::fs::write(&config, format!("port {cache}\nbind 127.0.0.1\nsave \"\"\nappendonly no\n"))
        .unwrap();
    let command = yaml_list(&[server.to_str().unwrap(), config.to_str().unwrap()]);
    let fleet = format!(
        "ringfort: v1
fleet: {{ trust_domain: cache.test }}
services:
  cache:
    listen: {{ port: {cache}, protocol: tcp }}
    run: {{ command: {command} }}
  web:
    calls: [ {{ to: cache, port: {to_cache} }} ]
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
    );
    let host = Host::start(&[("cache.yaml", &fleet)]);
    let cli = || {
        let mut command = Command::new(program(&["/usr/bin/redis-cli"]));
        command.args(["-h", "127.0.0.1", "-p", &to_cache.to_string()]);
        command
    };
    wait_for("Redis to answer", Duration::from_secs(30), || {
        let answer = cli().arg("PING").output().unwrap();
        (answer.stdout == b"PONG\n").then_some(())
    });

    assert_eq!(run(cli().args(["SET", "greeting", "hello"])), "OK\n");
    assert_eq!(run(cli().args(["GET", "greeting"])), "hello\n");
    // A value larger than any buffer on the way.
    assert_eq!(run(cli().args(["SETRANGE", "large", "8000000", "end"])), "8000003\n");
    let large = run(cli().args(["GET", "large"]));
    assert_eq!((large.len(), large.ends_with("end\n")), (8_000_004, true));
    pipelined(cli());
    published(cli(), cli);
    // A blocking command waits on an idle connection.
    let mut waiting = cli().args(["BLPOP", "queue", "20"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the client to block", Duration::from_secs(20), || {
        run(cli().arg("CLIENT").arg("LIST")).contains("cmd=blpop").then_some(())
    });
    run(cli().args(["RPUSH", "queue", "job"]));
    let mut answer = String::new();
    for line in BufReader::new(waiting.stdout.take().unwrap()).lines() {
        answer.push_str(&line.unwrap());
    }
    assert!(waiting.wait().unwrap().success());
    assert_eq!(answer, "queuejob");
    assert_eq!(host.stop(), Some(0));
}

/// Ten thousand commands at once, as `redis-cli --pipe` sends them.
fn pipelined(mut cli: Command) {
    let mut child = cli.arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let commands: String = (0..10_000).map(|number| format!("INCRBY total {number}\r\n")).collect();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        latin(&output.stdout).contains("errors: 0, replies: 10000"),
        "{}",
        latin(&output.stdout)
    );
}

/// A message to a subscriber arrives while its connection is otherwise silent.
fn published(mut subscriber: Command, cli: impl Fn() -> Command) {
    let mut child = subscriber.args(["SUBSCRIBE", "news"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "1"), "subscribed");
    assert_eq!(run(cli().args(["PUBLISH", "news", "hello"])), "1\n");
    assert!(lines.any(|line| line == "hello"), "received");
    child.kill().unwrap();
    child.wait().unwrap();
}
