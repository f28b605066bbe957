//! The address of the metrics over TCP.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut limited = stream.take(1 << 20);
    while timeout(BOUND, limited.read_buf(&mut answer)).await.unwrap().unwrap() > 0 {}
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn only_one_path_and_one_method_answer() {
    let host = Host::start().await;
    let good = ask(host.metrics, "GET /metrics HTTP/1.1").await;
    assert!(good.starts_with("HTTP/1.1 200 OK\r\n"), "{good}");
    assert!(good.contains("content-type: application/openmetrics-text; version=1.0.0"), "{good}");
    assert!(good.ends_with("# EOF\n"), "{good}");
    let other = ask(host.metrics, "GET /status HTTP/1.1").await;
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
    let other = ask(host.metrics, "POST /metrics HTTP/1.1").await;
    assert!(other.starts_with("HTTP/1.1 405 ") && other.contains("allow: GET"), "{other}");
    host.stop().await;
}
