//! Proxies that answer, that do not, and what is no proxy.

use std::{fs, io::Write as _, os::unix::net::UnixListener};

use super::*;

/// Answers one request with these bytes, whatever it is.
fn answer_once(path: &Path, answer: &'static str) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _peer) = listener.accept().unwrap();
        let mut request = [0; 512];
        let read = io::Read::read(&mut stream, &mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request[..read].to_vec()).unwrap()
    })
}

#[tokio::test]
async fn proxies_that_answer_are_merged_and_the_others_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let good = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n# TYPE x gauge\nx 1\n# EOF\n";
    let serving = answer_once(&at("orders.sock"), good);
    let broken = answer_once(&at("billing.sock"), "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
    drop(UnixListener::bind(at("gone.sock")).unwrap());
    fs::write(at("orders.decisions.jsonl"), "{}").unwrap();
    fs::write(at("orders.identity"), "").unwrap();

    let text = scrape(dir.path()).await;
    assert_eq!(
        text,
        "# TYPE x gauge\nx{service=\"orders\"} 1\n\
         # TYPE ringfort_proxy_up gauge\n\
         # HELP ringfort_proxy_up Whether the proxy answered this scrape.\n\
         ringfort_proxy_up{service=\"billing\"} 0\n\
         ringfort_proxy_up{service=\"gone\"} 0\n\
         ringfort_proxy_up{service=\"orders\"} 1\n\
         # TYPE ringfort_scrape_lines_left_out gauge\n\
         # HELP ringfort_scrape_lines_left_out Lines of proxies that could not be merged into this scrape.\n\
         ringfort_scrape_lines_left_out 0\n# EOF\n"
    );
    for request in [serving.join().unwrap(), broken.join().unwrap()] {
        assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_has_no_proxies() {
    let dir = tempfile::tempdir().unwrap();
    let text = scrape(&dir.path().join("proxies")).await;
    assert!(text.ends_with("ringfort_scrape_lines_left_out 0\n# EOF\n"));
    assert!(!text.contains("ringfort_proxy_up{"));
}
