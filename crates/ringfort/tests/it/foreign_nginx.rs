//! nginx behind its sidecar, asked by curl over HTTP/1.1 and HTTP/2: through the gateway and from another service.

use std::{os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use crate::{
    foreign::{program, run, yaml_list},
    host::{Host, curl, free_ports, latin, wait_for},
};

/// What nginx serves: long enough for many frames, and no two parts of it are alike.
fn page() -> String {
    (0..40_000).map(|line| format!("line {line}\n")).collect()
}

fn config(port: u16) -> String {
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path tmp-body;
  proxy_temp_path tmp-proxy;
  fastcgi_temp_path tmp-fastcgi;
  uwsgi_temp_path tmp-uwsgi;
  scgi_temp_path tmp-scgi;
  gzip on;
  gzip_min_length 100;
  gzip_types text/plain;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root html; default_type text/plain; }}
    location /seen {{ return 200 \"$request_method $request_uri $http_host $http_x_forwarded_proto $server_protocol\\n\"; }}
    location /teapot {{ return 418 \"short and stout\\n\"; }}
    location /moved {{ return 302 /page.txt; }}
  }}
}}
"
    )
}

struct Site {
    host: Host,
    https: u16,
    from_reader: u16,
    _site: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let [https, web, from_reader, metrics] = free_ports();
        let nginx = program(&["/usr/sbin/nginx"]);
        let site = tempfile::Builder::new().prefix("rfnginx").tempdir().unwrap();
        // Started by root, nginx reads its files as another user.
        std::fs::set_permissions(site.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(site.path().join("html")).unwrap();
        std::fs::write(site.path().join("html/page.txt"), page()).unwrap();
        std::fs::write(site.path().join("nginx.conf"), config(web)).unwrap();
        let folder = site.path().to_str().unwrap();
        let command =
            yaml_list(&[nginx.to_str().unwrap(), "-p", folder, "-c", "nginx.conf", "-e", "stderr"]);
        let fleet = format!(
            "ringfort: v1
fleet: {{ trust_domain: site.test }}
services:
  web:
    listen: {web}
    run: {{ command: {command} }}
  reader:
    calls: [ {{ to: web, port: {from_reader} }} ]
gateways:
  public:
    listeners: [ {{ bind: \"127.0.0.1:{https}\", hosts: [localhost], tls: {{ internal: true }} }} ]
routes:
  all: {{ match: [ {{ host: localhost, path: /* }} ], to: web, user: none }}
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
        );
        let host = Host::start(&[("site.yaml", &fleet)]);
        let site = Self { host, https, from_reader, _site: site };
        wait_for("nginx to answer", Duration::from_secs(20), || {
            (curl(&[&site.gateway("/page.txt")]).0 == 200).then_some(())
        });
        site
    }

    fn gateway(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https)
    }

    fn sidecar(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.from_reader)
    }
}

/// curl's own view: status, protocol, number of connections, bytes.
#[track_caller]
fn curl_facts(args: &[&str]) -> String {
    let told = "%{http_code} %{http_version} %{num_connects} %{size_download}\n";
    run(Command::new("curl")
        .args(["-sS", "-k", "--max-time", "20", "-o", "/dev/null", "-w", told])
        .args(args))
}

#[test]
fn curl_reads_nginx_over_both_versions_of_http() {
    let site = Site::start();
    let bytes = page().len();
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let url = site.gateway("/page.txt");
        assert_eq!(curl_facts(&[flag, &url]), format!("200 {version} 1 {bytes}\n"));
        let (status, answer) = curl(&[flag, &url]);
        assert!(status == 200 && answer.contains("line 39999\n"));
        // Three requests on one connection.
        let many = curl_facts(&[flag, &url, "-o", "/dev/null", &url, "-o", "/dev/null", &url]);
        let connects: Vec<_> = many.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
        assert_eq!(connects, ["1", "0", "0"], "{many}");
    }
    let from_service = site.sidecar("/page.txt");
    assert_eq!(curl_facts(&["--http1.1", &from_service]), format!("200 1.1 1 {bytes}\n"));
    assert_eq!(site.host.stop(), Some(0));
}

#[test]
fn what_http_offers_works_through_both_proxies() {
    let site = Site::start();
    let page = page();
    for url in [site.gateway(""), site.sidecar("")] {
        let at = |path: &str| format!("{url}{path}");
        let (status, head) = curl(&["-I", &at("/page.txt")]);
        let length = format!("content-length: {}", page.len());
        assert!(status == 200 && head.to_lowercase().contains(&length), "{head}");
        assert!(!head.contains("line 0"), "no body answers HEAD");

        let (status, part) = curl(&["-r", "10-20", &at("/page.txt")]);
        assert_eq!((status, part.ends_with(page.get(10..=20).unwrap())), (206, true), "{part}");

        let etag = head
            .lines()
            .find(|line| line.to_lowercase().starts_with("etag: "))
            .and_then(|line| line.get(6..));
        let condition = format!("If-None-Match: {}", etag.unwrap().trim());
        assert_eq!(curl(&["-H", &condition, &at("/page.txt")]).0, 304);

        let packed = Command::new("curl")
            .args(["-sSk", "--compressed", "--max-time", "20", &at("/page.txt")])
            .output()
            .unwrap();
        assert_eq!(latin(&packed.stdout), page, "packed by nginx, unpacked by curl");

        let (status, answer) = curl(&["-d", "a=1", &at("/seen?q=%20x&y=1")]);
        assert!(status == 200 && answer.contains("POST /seen?q=%20x&y=1 "), "{answer}");
        assert_eq!(curl(&[&at("/teapot")]).0, 418);
        let (status, moved) = curl(&[&at("/moved")]);
        assert!(status == 302 && moved.to_lowercase().contains("\nlocation: "), "{moved}");
        assert_eq!(curl(&[&at("/absent")]).0, 404);
    }
    assert_eq!(site.host.stop(), Some(0));
}
