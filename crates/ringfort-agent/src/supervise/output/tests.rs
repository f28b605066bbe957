//! Bytes of children as lines.

use super::*;
use crate::supervise::Role;

fn key() -> ChildKey {
    ChildKey { role: Role::Program, name: "orders".parse().unwrap() }
}

async fn lines(bytes: &[u8], room: usize) -> (Vec<String>, mpsc::Receiver<OutputLine>, Sink) {
    let (sender, mut receiver) = mpsc::channel(room);
    let sink = Sink::new(sender);
    sink.clone().drain(key(), OutputSource::Stdout, bytes).await;
    let mut texts = Vec::new();
    while let Ok(line) = receiver.try_recv() {
        texts.push(line.text);
    }
    (texts, receiver, sink)
}

#[track_caller]
fn check(bytes: &[u8], expected: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(lines(bytes, 100)).0, expected);
}

#[test]
fn lines_end_at_line_feeds_and_at_the_end() {
    check(b"", &[]);
    check(b"a\nb\n", &["a", "b"]);
    check(b"a\r\n\nlast", &["a", "", "last"]);
    check(b"caf\xc3\xa9 \xff\x00\n", &["caf\u{e9} \\xff\0"]);
}

#[test]
fn a_line_without_end_is_cut() {
    let long = vec![b'x'; LINE_BYTES_MAX * 2 + 3];
    let part = "x".repeat(LINE_BYTES_MAX);
    check(&long, &[&part, &part, "xxx"]);
    let mut exact = vec![b'y'; LINE_BYTES_MAX];
    exact.extend_from_slice(b"\nz\n");
    check(&exact, &[&"y".repeat(LINE_BYTES_MAX), "", "z"]);
}

#[tokio::test]
async fn a_full_queue_drops_lines_and_says_how_many() {
    let (texts, mut receiver, sink) = lines(b"1\n2\n3\n4\n5\n", 2).await;
    assert_eq!(texts, ["1", "2"]);
    sink.put(&key(), OutputSource::Stdout, "6".to_owned());
    let next = receiver.recv().await.unwrap();
    assert_eq!(next.source, OutputSource::Supervisor);
    assert_eq!(next.text, "3 lines were dropped: they came faster than they were read");
    assert_eq!(receiver.recv().await.unwrap().text, "6");
}
