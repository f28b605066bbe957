//! The SPIFFE Workload API as a client sees it.

use ringfort_identity::{KeyPair, Purpose, TrustBundle, verify_peer};
use ringfort_model::Secret;
use ringfort_wire::workload::{
    JwtsvidRequest, ValidateJwtsvidRequest, X509BundlesRequest, X509svidRequest, X509svidResponse,
    spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use tonic::{Code, Request, Status, Streaming};

use super::{
    server::{FRESH, Reply},
    *,
};

type Client = SpiffeWorkloadApiClient<Channel>;

fn client(host: &Host) -> Client {
    SpiffeWorkloadApiClient::new(host.connect(WORKLOAD_SOCKET))
}

/// A request with the header every client of the API must send.
fn meant<T>(message: T) -> Request<T> {
    with_header(message, &["true"])
}

fn with_header<T>(message: T, values: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for value in values {
        request.metadata_mut().append("workload.spiffe.io", value.parse().unwrap());
    }
    request
}

async fn svids(client: &mut Client) -> Streaming<X509svidResponse> {
    client.fetch_x509svid(meant(X509svidRequest {})).await.unwrap().into_inner()
}

async fn next<T>(answers: &mut Streaming<T>) -> Result<Option<T>, Status> {
    timeout(BOUND, answers.message()).await.expect("an answer in time")
}

/// Splits DER documents that follow each other: each begins with its tag and a length of two bytes.
fn documents(mut der: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let [0x30, 0x82, high, low, ..] = der {
        let length = 4 + usize::from(u16::from_be_bytes([*high, *low]));
        found.push(der[..length].to_vec());
        der = &der[length..];
    }
    assert!(der.is_empty());
    found
}

#[tokio::test]
async fn an_svid_comes_at_once_with_its_key_and_its_bundle() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut client = client(&host);
    let mut answers = svids(&mut client).await;
    let answer = next(&mut answers).await.unwrap().unwrap();
    assert!(answer.crl.is_empty() && answer.federated_bundles.is_empty());
    let [svid] = answer.svids.as_slice() else { panic!("{} svids", answer.svids.len()) };
    assert_eq!(svid.spiffe_id, "spiffe://shop.test/svc/orders");

    let chain = documents(&svid.x509_svid);
    let roots = documents(&svid.bundle);
    assert_eq!((chain.len(), roots.as_slice()), (2, [host.server.root_der()].as_slice()));
    let bundle = TrustBundle::new("shop.test".parse().unwrap(), roots).unwrap();
    let chain: Vec<_> = chain.into_iter().map(Into::into).collect();
    let now = ringfort_model::WallTime::from_unix(Duration::from_secs(1_800_000_010));
    let id = verify_peer(&chain, &bundle, now, Purpose::Server).unwrap();
    assert_eq!(id.as_str(), svid.spiffe_id);
    let key = KeyPair::from_pkcs8(Secret::new(svid.x509_svid_key.to_vec())).unwrap();
    let leaf: &[u8] = &chain[0];
    let point = key.public_point();
    assert!(leaf.windows(point.len()).any(|window| window == point), "the key is the leaf's");
    host.stop().await;
}

#[tokio::test]
async fn only_requests_meant_for_it_are_answered() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut client = client(&host);
    for values in [&[][..], &["True"], &["1"], &[""], &["true "], &["true", "true"], &["true,true"]]
    {
        let request = with_header(X509svidRequest {}, values);
        let refused = client.fetch_x509svid(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{values:?}");
    }
    // Control.
    assert!(next(&mut svids(&mut client).await).await.unwrap().is_some());
    let bundles = client.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap_err();
    assert_eq!(bundles.code(), Code::InvalidArgument);
    let jwt = client.fetch_jwtsvid(JwtsvidRequest::default()).await.unwrap_err();
    assert_eq!(jwt.code(), Code::InvalidArgument);
    let jwt = client.fetch_jwtsvid(meant(JwtsvidRequest::default())).await.unwrap_err();
    assert_eq!(jwt.code(), Code::Unimplemented);
    host.stop().await;
}

#[tokio::test]
async fn jwt_calls_are_not_implemented() {
    let host = Host::start().await;
    let mut client = client(&host);
    let refused = client.validate_jwtsvid(meant(ValidateJwtsvidRequest::default())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
    host.stop().await;
}

#[tokio::test]
async fn a_new_svid_comes_when_the_old_one_is_due() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    host.server.reply(&[Reply::Sign { renew_ms: 200, end_ms: 3_600_000 }, FRESH]);
    let mut answers = svids(&mut client(&host)).await;
    let first = next(&mut answers).await.unwrap().unwrap().svids.remove(0);
    let second = next(&mut answers).await.unwrap().unwrap().svids.remove(0);
    assert_ne!(first.x509_svid, second.x509_svid);
    assert_ne!(first.x509_svid_key, second.x509_svid_key, "each certificate has a new key");
    assert_eq!(first.spiffe_id, second.spiffe_id);
    host.stop().await;
}

#[tokio::test]
async fn a_new_svid_comes_when_all_are_asked_to_renew_and_a_new_bundle_without_one() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut client = client(&host);
    let mut answers = svids(&mut client).await;
    let mut bundles =
        client.fetch_x509_bundles(meant(X509BundlesRequest {})).await.unwrap().into_inner();
    let first = next(&mut answers).await.unwrap().unwrap().svids.remove(0);
    let bundle = next(&mut bundles).await.unwrap().unwrap().bundles;
    assert_eq!(
        bundle.into_iter().collect::<Vec<_>>(),
        [("spiffe://shop.test".to_owned(), first.bundle.clone())]
    );

    host.server.update_trust(|trust| (trust.sequence, trust.renew_epoch) = (2, 1));
    let second = next(&mut answers).await.unwrap().unwrap().svids.remove(0);
    assert_ne!(first.x509_svid, second.x509_svid);

    host.server.update_trust(|trust| {
        trust.sequence = 3;
        let root = trust.root_der[0].clone();
        trust.root_der.push(root);
    });
    let third = next(&mut answers).await.unwrap().unwrap().svids.remove(0);
    assert_eq!(third.x509_svid, second.x509_svid);
    assert_eq!(third.bundle.len(), 2 * second.bundle.len());
    // The renewal in between was no news about the bundle.
    let bundle = next(&mut bundles).await.unwrap().unwrap().bundles;
    assert_eq!(bundle["spiffe://shop.test"], third.bundle);
    host.stop().await;
}

#[tokio::test]
async fn who_has_no_identity_is_denied_and_not_told_why() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let renewed = Reply::Sign { renew_ms: 100, end_ms: 3_600_000 };
    // Denied at once, then at the renewal.
    host.server.reply(&[Reply::Fail(Code::PermissionDenied), renewed]);
    host.server.reply(&[Reply::Fail(Code::NotFound)]);
    let mut client = client(&host);
    let denied = next(&mut svids(&mut client).await).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(denied.message(), "no identity is issued to this process");

    let mut answers = svids(&mut client).await;
    assert!(next(&mut answers).await.unwrap().is_some());
    let lost = next(&mut answers).await.unwrap_err();
    assert_eq!(lost.code(), Code::PermissionDenied);
    // Control: with an identity again, the same connection gets it.
    assert!(next(&mut svids(&mut client).await).await.unwrap().is_some());
    host.stop().await;
}

#[tokio::test]
async fn who_loses_its_identity_loses_its_stream_at_once() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    host.server.reply(&[FRESH, Reply::Fail(Code::PermissionDenied)]);
    let mut answers = svids(&mut client(&host)).await;
    assert!(next(&mut answers).await.unwrap().is_some());
    // Long before the certificate is due.
    host.server.expel();
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::PermissionDenied);
    host.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_delays_a_renewal_but_no_svid_outlives_its_end() {
    let host = Host::start().await;
    let away = Reply::Fail(Code::Unavailable);
    // Without a server there is nothing to tell.
    let mut client = client(&host);
    let none = next(&mut svids(&mut client).await).await.unwrap_err();
    assert_eq!(none.code(), Code::Unavailable);

    let _serving = host.server.open(host.server_socket());
    host.server.reply(&[Reply::Sign { renew_ms: 50, end_ms: 3_600_000 }, away, away]);
    let mut answers = svids(&mut client).await;
    assert!(next(&mut answers).await.unwrap().is_some());
    assert!(next(&mut answers).await.unwrap().is_some(), "renewed at the third try");
    drop(answers);

    host.server.reply(&[Reply::Sign { renew_ms: 50, end_ms: 1500 }]);
    host.server.reply(&[away; 20]);
    let mut answers = svids(&mut self::client(&host)).await;
    assert!(next(&mut answers).await.unwrap().is_some());
    let ended = next(&mut answers).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.message(), "the certificate ended before it could be renewed");
    host.stop().await;
}

#[tokio::test]
async fn a_user_has_so_many_streams_and_calls() {
    let host = Host::start().await;
    let _serving = host.server.open(host.server_socket());
    let mut client = client(&host);
    let mut open = Vec::new();
    let mut refused = Vec::new();
    let mut attempts = 0;
    // 10 calls a second: keep asking until the streams are used up.
    while open.len() < 32 {
        attempts += 1;
        match client.fetch_x509svid(meant(X509svidRequest {})).await {
            Ok(answers) => open.push(answers.into_inner()),
            Err(status) => {
                refused.push(status);
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(attempts > 32, "32 calls took less than a second and none was refused");
    let messages: std::collections::BTreeSet<_> =
        refused.iter().map(|status| (status.code() as i32, status.message())).collect();
    let rate = (Code::ResourceExhausted as i32, "too many calls in a second");
    assert_eq!(messages.into_iter().collect::<Vec<_>>(), [rate]);
    let full = loop {
        let status = client.fetch_x509svid(meant(X509svidRequest {})).await.unwrap_err();
        if status.message() != rate.1 {
            break status;
        }
    };
    assert_eq!((full.code(), full.message()), (Code::ResourceExhausted, "too many open streams"));
    // All of them share one feed, so one certificate was signed.
    for answers in &mut open {
        assert!(next(answers).await.unwrap().is_some());
    }
    let signed = host.server.seen().iter().filter(|seen| seen.path.ends_with("/Sign")).count();
    assert_eq!(signed, 1);
    host.stop().await;
}
