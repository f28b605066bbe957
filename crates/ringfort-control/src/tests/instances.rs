//! Instances join, report, drain and return.

use ringfort_model::snapshot::Endpoint;
use ringfort_wire::{assemble::Change, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::fixture::{Fixture, PATIENCE, Proxy, attested, child};

/// A proxy's stream of reports.
struct Reporter {
    reports: mpsc::Sender<v1::ReportRequest>,
    answers: Streaming<v1::ReportResponse>,
}

impl Reporter {
    async fn connect(fixture: &Fixture, workload: &str) -> Self {
        let (reports, receiver) = mpsc::channel(8);
        let request = attested(ReceiverStream::new(receiver), &child(workload));
        let answers = fixture.link().report(request).await.unwrap().into_inner();
        Self { reports, answers }
    }

    async fn say(&mut self, report: v1::ReportRequest) -> Result<v1::ReportResponse, Status> {
        self.reports.send(report).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        answer.expect("the server answers")?.ok_or_else(|| Status::cancelled("ended"))
    }
}

fn report(instance: &str, address: &str) -> v1::ReportRequest {
    v1::ReportRequest {
        instance: instance.to_owned(),
        address: address.to_owned(),
        state: "serving".to_owned(),
        ..v1::ReportRequest::default()
    }
}

/// Waits until a caller of payments is told exactly these addresses.
async fn told(proxy: &mut Proxy, expected: &[&str]) {
    loop {
        let response = proxy.hear().await.unwrap();
        let Change::Endpoints(lists) = proxy.take(&response).await else { continue };
        let address = |endpoint: &Endpoint| endpoint.address.to_string();
        let seen: Vec<_> = lists["payments"].iter().map(address).collect();
        if seen == expected {
            return;
        }
    }
}

#[tokio::test]
async fn callers_are_told_who_joins_drains_and_returns() {
    let fixture = Fixture::shop().await;
    let mut caller = Proxy::connect(&fixture, "orders", None).await;
    caller.completed().await;
    let mut first = Reporter::connect(&fixture, "payments").await;
    let mut second = Reporter::connect(&fixture, "payments").await;
    let answer = first.say(report("payments@a", "127.0.0.1:4001")).await.unwrap();
    assert_eq!(answer, v1::ReportResponse { registered: true, others: 0 });
    told(&mut caller, &["127.0.0.1:4001"]).await;
    let answer = second.say(report("payments@b", "127.0.0.1:4002")).await.unwrap();
    assert_eq!(answer, v1::ReportResponse { registered: true, others: 1 });
    told(&mut caller, &["127.0.0.1:4001", "127.0.0.1:4002"]).await;
    let draining = v1::ReportRequest { draining: true, ..report("payments@a", "127.0.0.1:4001") };
    let answer = first.say(draining).await.unwrap();
    assert_eq!(answer, v1::ReportResponse { registered: false, others: 1 });
    told(&mut caller, &["127.0.0.1:4002"]).await;
    first.say(report("payments@a", "127.0.0.1:4003")).await.unwrap();
    told(&mut caller, &["127.0.0.1:4002", "127.0.0.1:4003"]).await;
}

#[tokio::test]
async fn a_restart_does_not_empty_a_list() {
    let mut fixture = Fixture::shop().await;
    let mut reporter = Reporter::connect(&fixture, "payments").await;
    reporter.say(report("payments@a", "127.0.0.1:4001")).await.unwrap();
    fixture.stop().await;
    fixture.start().await;
    let mut caller = Proxy::connect(&fixture, "orders", None).await;
    told(&mut caller, &["127.0.0.1:4001"]).await;
    let proxies = fixture.status().await.proxies;
    let seen: Vec<_> =
        proxies.iter().map(|one| (one.instance.as_str(), one.link.as_str())).collect();
    assert_eq!(seen, [("payments@a", "stale")]);
    let mut back = Reporter::connect(&fixture, "payments").await;
    back.say(report("payments@a", "127.0.0.1:4001")).await.unwrap();
    assert_eq!(fixture.status().await.proxies[0].link, "connected");
}

#[tokio::test]
async fn status_says_whether_what_is_expected_is_in_force() {
    let fixture = Fixture::shop().await;
    let mut proxy = Proxy::connect(&fixture, "orders", None).await;
    proxy.completed().await;
    let (revision, digest) = proxy.assembly.in_force().unwrap();
    let mut reporter = Reporter::connect(&fixture, "orders").await;
    let mut honest = report("orders@host-1", "127.0.0.1:4001");
    honest.revision = revision.number();
    honest.digest = digest.as_bytes().to_vec().into();
    let drifted = v1::ReportRequest { digest: vec![9; 32].into(), ..honest.clone() };
    reporter.say(honest).await.unwrap();
    let status = fixture.status().await;
    let seen = &status.proxies[0];
    assert!(seen.current);
    assert_eq!((seen.revision, seen.state.as_str()), (1, "serving"));
    reporter.say(v1::ReportRequest { nack: "no".repeat(2000), ..drifted }).await.unwrap();
    let status = fixture.status().await;
    assert!(!status.proxies[0].current, "same revision, other digest");
    assert_eq!(status.proxies[0].nack, "no".repeat(512), "kept short");
}

#[tokio::test]
async fn a_report_speaks_for_its_own_workload_alone() {
    let fixture = Fixture::shop().await;
    let bad = [
        report("orders@a", "127.0.0.1:4001"),
        report("payments", "127.0.0.1:4001"),
        report("payments@", "127.0.0.1:4001"),
        report("payments@a", "0.0.0.0:4001"),
        report("payments@a", "127.0.0.1:0"),
        report("payments@a", "localhost:4001"),
        v1::ReportRequest {
            labels: [("x".repeat(300), String::new())].into(),
            ..report("payments@a", "127.0.0.1:1")
        },
    ];
    for one in bad {
        let mut reporter = Reporter::connect(&fixture, "payments").await;
        let refusal = reporter.say(one.clone()).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{one:?}");
    }
    assert!(fixture.status().await.proxies.is_empty());
    let mut reporter = Reporter::connect(&fixture, "payments").await;
    assert!(reporter.say(report("payments@a", "127.0.0.1:4001")).await.is_ok(), "control");
    let other = reporter.say(report("payments@b", "127.0.0.1:4001")).await;
    assert_eq!(other.unwrap_err().code(), Code::InvalidArgument, "one stream is one instance");
}
