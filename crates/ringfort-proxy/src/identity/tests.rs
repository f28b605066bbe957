//! The identity file, and what is not taken for an identity.

use ringfort_identity::{
    CertificateAuthority, ConfigKey, CreateAuthority, IssuedCertificate, RequestedKey,
    SignLeafOptions,
};
use ringfort_model::{SpiffeId, spiffe::WorkloadKind};

use super::*;

const NOW: WallTime = WallTime::from_unix(Duration::from_secs(1_795_370_400));

struct Server {
    ca: CertificateAuthority,
    key: ConfigKey,
}

impl Server {
    fn new() -> Self {
        let options = CreateAuthority {
            trust_domain: "shop.test".parse().unwrap(),
            root_key: KeyPair::generate().unwrap(),
            issuing_key: KeyPair::generate().unwrap(),
            now: NOW,
        };
        Self {
            ca: CertificateAuthority::create(options, &mut SystemRandom).unwrap(),
            key: ConfigKey::generate(&mut SystemRandom).unwrap(),
        }
    }

    fn sign(&self, key: &KeyPair, workload: &str) -> v1::SignResponse {
        let domain = self.ca.trust_domain();
        let id = SpiffeId::of(domain, WorkloadKind::Service, &workload.parse().unwrap());
        let requested = RequestedKey::from_csr(&key.csr_der().unwrap()).unwrap();
        let ttl = Duration::from_secs(3600);
        let options = SignLeafOptions { key: &requested, id: &id, now: NOW, ttl };
        let IssuedCertificate { chain_der, not_before, not_after, .. } =
            self.ca.sign_leaf(options, &mut SystemRandom).unwrap();
        v1::SignResponse {
            spiffe_id: id.to_string(),
            chain_der: chain_der.into_iter().map(Into::into).collect(),
            trust: Some(v1::Trust {
                sequence: 1,
                trust_domain: domain.to_string(),
                root_der: vec![self.ca.root_der().to_vec().into()],
                config_keys: vec![v1::ConfigKey {
                    id: self.key.public().id().to_owned(),
                    ed25519_public: self.key.public().as_bytes().to_vec().into(),
                }],
                renew_epoch: 3,
            }),
            not_before_ms: millis(not_before),
            not_after_ms: millis(not_after),
            renew_at_ms: millis(not_before.plus(ttl / 2)),
            workload: workload.to_owned(),
        }
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let answer = self.sign(&key, name);
        Identity::signed(&name.parse().unwrap(), key, answer, NOW).unwrap()
    }
}

fn orders() -> Name {
    "orders".parse().unwrap()
}

#[test]
fn a_kept_identity_is_the_same_and_names_no_key_in_words() {
    let mut identity = Server::new().identity("orders");
    let listener = KeyPair::generate().unwrap();
    let public = Public {
        hosts: vec!["shop.example".to_owned()],
        chain_der: identity.svid.chain_der().map(<[u8]>::to_vec).collect(),
        key: listener,
        renew_at: NOW,
        not_after: NOW.plus(Duration::from_secs(9)),
    };
    identity.public.insert("127.0.0.1:8443".parse().unwrap(), public);
    let file = identity.to_file().unwrap();
    let back = Identity::from_file(&orders(), &file, NOW).unwrap();
    assert_eq!(back.svid.id(), identity.svid.id());
    assert_eq!(back.svid.serial(), identity.svid.serial());
    assert_eq!(back.trust.message, identity.trust.message);
    assert_eq!((millis(back.renew_at), back.epoch), (millis(identity.renew_at), 3));
    let hosts: Vec<_> = back.public.values().map(|public| public.hosts.clone()).collect();
    assert_eq!(hosts, [["shop.example"]]);
    assert!(!format!("{back:?}").contains("PRIVATE"));
}

#[test]
fn renewal_lies_inside_the_life() {
    let identity = Server::new().identity("orders");
    assert!(identity.svid.not_before() < identity.renew_at);
    assert!(identity.renew_at < identity.svid.not_after());
}

#[track_caller]
fn check_refused(name: &str, now: WallTime, spoil: impl FnOnce(&mut v1::SignResponse), why: &str) {
    let key = KeyPair::generate().unwrap();
    let mut answer = Server::new().sign(&key, "orders");
    spoil(&mut answer);
    let error = Identity::signed(&name.parse().unwrap(), key, answer, now).unwrap_err();
    assert!(crate::upstream::with_cause(&error).contains(why), "{error:?}");
}

#[test]
fn an_answer_that_proves_nothing_is_no_identity() {
    check_refused("payments", NOW, |_| {}, "another workload's");
    check_refused("orders", NOW.plus(Duration::from_secs(7200)), |_| {}, "does not verify");
    check_refused("orders", NOW, |answer| answer.trust = None, "no bundle");
    check_refused("orders", NOW, |answer| answer.chain_der.clear(), "cannot be used");
    check_refused(
        "orders",
        NOW,
        |answer| answer.trust.as_mut().unwrap().root_der.clear(),
        "does not verify",
    );
    check_refused(
        "orders",
        NOW,
        |answer| answer.trust.as_mut().unwrap().config_keys[0].id = "other".to_owned(),
        "config key",
    );
    let stranger = Server::new().sign(&KeyPair::generate().unwrap(), "orders");
    check_refused("orders", NOW, |answer| answer.chain_der = stranger.chain_der, "another key");
}

#[test]
fn a_file_that_is_old_or_damaged_is_no_identity() {
    let file = Server::new().identity("orders").to_file().unwrap();
    let late = NOW.plus(Duration::from_secs(7200));
    assert!(Identity::from_file(&orders(), &file, late).is_err());
    assert!(Identity::from_file(&"web".parse().unwrap(), &file, NOW).is_err());
    let text = String::from_utf8(file.expose().clone()).unwrap();
    for broken in [
        text.replace("\"format\":1", "\"format\":2"),
        text.replace("\"trust\":\"", "\"trust\":\"zz"),
        text.replace("PRIVATE KEY", "PUBLIC KEY"),
        text.chars().take(text.len() / 2).collect(),
    ] {
        let broken = Secret::new(broken.into_bytes());
        assert!(Identity::from_file(&orders(), &broken, NOW).is_err());
    }
}
