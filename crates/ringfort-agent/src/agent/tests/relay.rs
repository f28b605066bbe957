//! The control link through the agent: who the server is told about, and what happens when it is away.

use futures_util::StreamExt as _;
use ringfort_identity::KeyPair;
use ringfort_model::selectors::{Part, StartedAs};
use ringfort_wire::{
    resource::SELECTORS_METADATA,
    v1::{
        self, PublicCertificateRequest, ReportRequest, SignRequest, StatusRequest,
        admin_client::AdminClient, link_client::LinkClient,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, metadata::MetadataValue};

use super::*;

fn sign_request() -> Request<SignRequest> {
    let csr_der = KeyPair::generate().unwrap().csr_der().unwrap().into();
    Request::new(SignRequest { csr_der, for_foreign: false })
}

#[tokio::test]
async fn the_server_learns_what_was_attested_and_nothing_a_peer_claims() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let orders = StartedAs { workload: "orders".parse().unwrap(), part: Part::Proxy };
    let (_registration, ()) = host
        .children
        .start(orders, || Ok::<_, std::convert::Infallible>((std::process::id(), ())))
        .unwrap();
    let mut link = LinkClient::new(host.connect(CONTROL_SOCKET));

    // Attack: the peer writes facts about itself, and metadata of our own names.
    let mut request = sign_request();
    let forged = v1::Selectors { uid: 4242, exe: "/forged".to_owned(), ..v1::Selectors::default() };
    let forged = prost::Message::encode_to_vec(&forged);
    request.metadata_mut().insert_bin(SELECTORS_METADATA, MetadataValue::from_bytes(&forged));
    request.metadata_mut().append_bin(SELECTORS_METADATA, MetadataValue::from_bytes(&forged));
    request.metadata_mut().insert("ringfort-other", "1".parse().unwrap());
    request.metadata_mut().insert("authorization", "Bearer x".parse().unwrap());
    request.set_timeout(Duration::from_secs(7));
    let signed = link.sign(request).await.unwrap().into_inner();
    assert_eq!(signed.workload, "orders");

    let seen = host.server.seen().pop().unwrap();
    let [facts] = seen.facts.as_slice() else { panic!("{} facts", seen.facts.len()) };
    assert_eq!(facts.pid, std::process::id());
    assert_eq!(facts.uid, rustix::process::geteuid().as_raw());
    assert_eq!(Path::new(&facts.exe), std::env::current_exe().unwrap());
    let started = facts.started_as.as_ref().unwrap();
    assert_eq!((started.workload.as_str(), started.part()), ("orders", v1::Part::Proxy));
    let passed = |name: &str| seen.headers.iter().any(|header| header == name);
    assert!(passed("grpc-timeout"));
    assert!(!passed("ringfort-other") && !passed("authorization"));
    host.stop().await;
}

#[tokio::test]
async fn streams_pass_both_ways_and_statuses_as_they_are() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut link = LinkClient::new(host.connect(CONTROL_SOCKET));
    let (sender, receiver) = mpsc::channel(1);
    let mut answers = link.report(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for instance in ["a", "bb", "ccc"] {
        let instance = instance.to_owned();
        let expected = u32::try_from(instance.len()).unwrap();
        sender.send(ReportRequest { instance, ..ReportRequest::default() }).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().others, expected);
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);

    let denied = link.public_certificate(PublicCertificateRequest::default()).await.unwrap_err();
    assert_eq!((denied.code(), denied.message()), (Code::PermissionDenied, "not a gateway"));
    host.stop().await;
}

#[tokio::test]
async fn only_the_link_is_relayed() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut admin = AdminClient::new(host.connect(CONTROL_SOCKET));
    let refused = admin.status(StatusRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(host.server.seen().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_found_again() {
    let host = Host::start().await;
    let mut link = LinkClient::new(host.connect(CONTROL_SOCKET));
    let away = link.sign(sign_request()).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away:?}");

    let serving = host.server.open(host.server_socket());
    link.sign(sign_request()).await.unwrap();
    let (sender, receiver) = mpsc::channel(1);
    let mut answers = link.report(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    sender.send(ReportRequest::default()).await.unwrap();
    assert!(answers.message().await.unwrap().is_some());

    // The server goes away in the middle of a stream, and comes back.
    drop(serving);
    let broken = timeout(BOUND, answers.message()).await.unwrap().unwrap_err();
    assert_eq!(broken.code(), Code::Unavailable, "{broken:?}");
    timeout(BOUND, async {
        while host.server_socket().exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let _serving = host.server.open(host.server_socket());
    link.sign(sign_request()).await.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn messages_and_streams_are_limited() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut link = LinkClient::new(host.connect(CONTROL_SOCKET));
    let csr_der = vec![0; 4 * 1024 * 1024].into();
    let large = link.sign(SignRequest { csr_der, for_foreign: false }).await.unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange, "{large:?}");

    // Two connections of one user, 64 streams together.
    let mut open = Vec::new();
    let mut other = LinkClient::new(host.connect(CONTROL_SOCKET));
    for number in 0..64 {
        let link = if number % 2 == 0 { &mut link } else { &mut other };
        let (sender, receiver) = mpsc::channel(1);
        sender.send(ReportRequest::default()).await.unwrap();
        let mut answers = link.report(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        answers.next().await.unwrap().unwrap();
        open.push((sender, answers));
    }
    let refused = other.sign(sign_request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let (sender, mut answers) = open.pop().unwrap();
    drop(sender);
    while answers.next().await.is_some() {}
    drop(answers);
    timeout(BOUND, async { while other.sign(sign_request()).await.is_err() {} }).await.unwrap();
    host.stop().await;
}
