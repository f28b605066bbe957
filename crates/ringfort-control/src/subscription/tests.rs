//! Streams simulated: a client that takes, refuses, disconnects and resumes always ends with what is offered.

use proptest::prelude::*;
use ringfort_wire::rpc;

use super::*;

const CLASS: &str = "spiffe://shop/svc/orders";

fn encoded(version: u32) -> Encoded {
    Encoded { version: format!("v{version}"), bytes: Bytes::from(version.to_string()) }
}

fn offer(list: &[(&'static str, &str, u32)]) -> Offer {
    let mut offer = Offer::new();
    for (type_url, name, version) in list {
        offer.entry(type_url).or_default().insert((*name).to_owned(), encoded(*version));
    }
    offer
}

fn usual(peer: u32, manifest: u32) -> Offer {
    offer(&[
        (resource::CLASS, CLASS, 1),
        (resource::PEER, "payments", peer),
        (resource::POLICIES, CLASS, 1),
        (resource::MANIFEST, CLASS, manifest),
        (resource::ENDPOINTS, "payments", 1),
        (resource::TRUST, "trust", 1),
    ])
}

/// A client as simple as can be.
#[derive(Debug, Default, Clone)]
struct Client {
    has: BTreeMap<(String, String), String>,
}

impl Client {
    fn subscribe(&self, subscription: &mut Subscription) {
        for type_url in resource::ALL {
            let own = self.has.iter().filter(|((of, _), _)| of == type_url);
            let versions = own.map(|((_, name), version)| (name.clone(), version.clone()));
            let request = DeltaDiscoveryRequest {
                type_url: type_url.to_owned(),
                initial_resource_versions: versions.collect(),
                ..DeltaDiscoveryRequest::default()
            };
            assert_eq!(subscription.hear(&request), Heard::Nothing);
        }
    }

    fn take(&mut self, subscription: &mut Subscription, response: &DeltaDiscoveryResponse) {
        for one in &response.resources {
            let key = (response.type_url.clone(), one.name.clone());
            self.has.insert(key, one.version.clone());
        }
        for name in &response.removed_resources {
            self.has.remove(&(response.type_url.clone(), name.clone()));
        }
        assert_eq!(subscription.hear(&answer(response, None)), Heard::Ack);
    }

    /// Takes until the server is silent; returns the types in order.
    fn drain(&mut self, subscription: &mut Subscription, offer: &Offer) -> Vec<&'static str> {
        let mut heard = Vec::new();
        while let Some(response) = subscription.speak(offer) {
            let known = resource::ALL.into_iter().find(|known| *known == response.type_url);
            heard.push(known.unwrap());
            self.take(subscription, &response);
        }
        heard
    }

    fn has_all(&self, offer: &Offer) -> bool {
        let wanted = offer.iter().flat_map(|(type_url, list)| {
            list.iter().map(move |(name, one)| {
                (((*type_url).to_owned(), name.clone()), one.version.clone())
            })
        });
        self.has == wanted.collect()
    }
}

fn answer(response: &DeltaDiscoveryResponse, refusal: Option<&str>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: refusal.map(|text| rpc::Status { code: 3, message: text.to_owned() }),
        ..DeltaDiscoveryRequest::default()
    }
}

fn connected() -> (Client, Subscription) {
    let (client, mut subscription) = (Client::default(), Subscription::default());
    client.subscribe(&mut subscription);
    (client, subscription)
}

#[test]
fn everything_comes_once_and_the_manifest_last() {
    let (mut client, mut subscription) = connected();
    let offer = usual(1, 1);
    let heard = client.drain(&mut subscription, &offer);
    assert_eq!(heard, resource::ALL);
    assert!(client.has_all(&offer));
    assert_eq!(subscription.speak(&offer), None);
}

#[test]
fn only_what_changed_is_sent() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let heard = client.drain(&mut subscription, &usual(2, 2));
    assert_eq!(heard, [resource::PEER, resource::MANIFEST]);
}

#[test]
fn a_resumed_stream_with_equal_versions_is_silent() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let mut resumed = Subscription::default();
    client.subscribe(&mut resumed);
    assert_eq!(resumed.speak(&usual(1, 1)), None);
    let heard = client.drain(&mut resumed, &usual(2, 2));
    assert_eq!(heard, [resource::PEER, resource::MANIFEST], "control");
}

#[test]
fn nothing_is_sent_before_it_is_asked_for() {
    let mut subscription = Subscription::default();
    assert_eq!(subscription.speak(&usual(1, 1)), None);
    let request = DeltaDiscoveryRequest {
        type_url: resource::PEER.to_owned(),
        resource_names_subscribe: vec!["payments".to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    subscription.hear(&request);
    let two = offer(&[(resource::PEER, "ledger", 1), (resource::PEER, "payments", 1)]);
    let response = subscription.speak(&two).unwrap();
    let names: Vec<_> = response.resources.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["payments"]);
    let unknown = DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/ringfort.v1.Blob".to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    assert_eq!(subscription.hear(&unknown), Heard::UnknownType);
}

#[test]
fn one_message_per_type_is_on_its_way_and_the_rest_is_coalesced() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let sent = subscription.speak(&usual(2, 2)).unwrap();
    assert_eq!(sent.type_url, resource::PEER);
    assert_eq!(subscription.speak(&usual(3, 3)), None, "the manifest waits for the peer");
    assert_eq!(subscription.speak(&usual(4, 4)), None);
    client.take(&mut subscription, &sent);
    let next = subscription.speak(&usual(5, 5)).unwrap();
    assert_eq!(next.resources[0].version, "v5", "the versions between were never sent");
}

#[test]
fn what_was_refused_is_not_sent_again_unchanged() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let sent = subscription.speak(&usual(2, 1)).unwrap();
    let heard = subscription.hear(&answer(&sent, Some("port 80 is taken")));
    let text = "port 80 is taken".to_owned();
    assert_eq!(heard, Heard::Nack { type_url: resource::PEER, text });
    assert_eq!(subscription.speak(&usual(2, 1)), None);
    let heard = client.drain(&mut subscription, &usual(3, 2));
    assert_eq!(heard, [resource::PEER, resource::MANIFEST], "a new version is offered");
    assert!(client.has_all(&usual(3, 2)));
}

#[test]
fn going_back_after_a_refusal_sends_nothing() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let sent = subscription.speak(&usual(2, 1)).unwrap();
    subscription.hear(&answer(&sent, Some("no")));
    assert_eq!(subscription.speak(&usual(1, 1)), None, "the client still has version 1");
}

#[test]
fn an_answer_with_a_foreign_nonce_is_no_answer() {
    let (_client, mut subscription) = connected();
    let sent = subscription.speak(&usual(1, 1)).unwrap();
    for nonce in ["", "99"] {
        let mut stale = answer(&sent, Some("no"));
        stale.response_nonce = nonce.to_owned();
        assert_eq!(subscription.hear(&stale), Heard::Nothing);
    }
    assert_eq!(subscription.hear(&answer(&sent, None)), Heard::Ack);
    assert_eq!(subscription.hear(&answer(&sent, None)), Heard::Nothing, "twice");
}

#[test]
fn what_left_the_class_is_removed() {
    let (mut client, mut subscription) = connected();
    client.drain(&mut subscription, &usual(1, 1));
    let mut less = usual(1, 2);
    less.remove(resource::PEER);
    less.remove(resource::ENDPOINTS);
    let heard = client.drain(&mut subscription, &less);
    assert_eq!(heard, [resource::PEER, resource::ENDPOINTS, resource::MANIFEST]);
    assert!(client.has_all(&less));
}

#[test]
fn messages_stay_small() {
    let (mut client, mut subscription) = connected();
    let mut large = Offer::new();
    for index in 0..10 {
        let bytes = Bytes::from(vec![0; 400 * 1024]);
        let one = Encoded { version: "v1".to_owned(), bytes };
        large.entry(resource::PEER).or_default().insert(format!("peer-{index}"), one);
    }
    let mut messages = 0;
    while let Some(response) = subscription.speak(&large) {
        let bytes: usize =
            response.resources.iter().map(|one| one.resource.as_ref().unwrap().value.len()).sum();
        assert!(bytes <= MESSAGE_BYTES);
        client.take(&mut subscription, &response);
        messages += 1;
    }
    assert_eq!(messages, 5, "two of 400 KiB fit one message");
    assert!(client.has_all(&large));
}

#[test]
fn a_refusal_is_kept_short_and_whole() {
    let (_client, mut subscription) = connected();
    let sent = subscription.speak(&usual(1, 1)).unwrap();
    let long = "ü".repeat(TEXT_BYTES_MAX);
    let Heard::Nack { text, .. } = subscription.hear(&answer(&sent, Some(&long))) else {
        panic!("a refusal");
    };
    assert_eq!(text, "ü".repeat(TEXT_BYTES_MAX / 2));
}

#[derive(Debug, Clone)]
enum Step {
    /// Other versions of some peers are offered; 0 removes.
    Offer(Vec<u32>),
    Speak,
    Take,
    Refuse,
    Reconnect,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => proptest::collection::vec(0_u32..4, 4).prop_map(Step::Offer),
        4 => Just(Step::Speak),
        4 => Just(Step::Take),
        1 => Just(Step::Refuse),
        1 => Just(Step::Reconnect),
    ]
}

fn offered(versions: &[u32], manifest: u32) -> Offer {
    let mut offer = usual(1, manifest);
    offer.remove(resource::PEER);
    for (index, version) in versions.iter().enumerate().filter(|(_, version)| **version > 0) {
        let peers = offer.entry(resource::PEER).or_default();
        peers.insert(format!("peer-{index}"), encoded(*version));
    }
    offer
}

proptest! {
    #[test]
    fn whatever_happens_the_client_ends_with_what_is_offered(
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        let (mut client, mut subscription) = connected();
        let (mut current, mut revision) = (offered(&[1, 1, 1, 1], 1), 1);
        let mut flying: Vec<DeltaDiscoveryResponse> = Vec::new();
        for step in steps {
            match step {
                Step::Offer(versions) => {
                    revision += 1;
                    current = offered(&versions, revision);
                }
                Step::Speak => flying.extend(subscription.speak(&current)),
                Step::Take => {
                    if let Some(response) = flying.pop() {
                        client.take(&mut subscription, &response);
                    }
                }
                Step::Refuse => {
                    if let Some(response) = flying.pop() {
                        let heard = subscription.hear(&answer(&response, Some("no")));
                        let refused = matches!(heard, Heard::Nack { .. });
                        prop_assert!(refused);
                    }
                }
                Step::Reconnect => {
                    flying.clear();
                    subscription = Subscription::default();
                    client.subscribe(&mut subscription);
                }
            }
            let types: BTreeSet<_> = flying.iter().map(|one| one.type_url.clone()).collect();
            prop_assert_eq!(types.len(), flying.len(), "one message per type");
        }
        // A new stream forgets refusals: from here everything arrives.
        subscription = Subscription::default();
        client.subscribe(&mut subscription);
        client.drain(&mut subscription, &current);
        prop_assert!(client.has_all(&current));
        prop_assert_eq!(subscription.speak(&current), None);
    }
}
