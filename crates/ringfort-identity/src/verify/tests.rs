//! The attack: a chain that looks good and is not. Each fault is refused by its own name; the legal chain passes.

use std::time::Duration;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType,
};
use ringfort_model::{ParseSpiffeError, SpiffeId, WallTime};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::{
    CHAIN_BYTES_MAX, CHAIN_CERTIFICATES_MAX, Purpose, VerifyPeerError, peer_id, verify_peer,
};
use crate::{
    KeyPair, TrustBundle,
    authority::unnamed,
    tests::{HOUR, Keyed, domain, id, keyed, now},
};

const ORDERS: &str = "spiffe://shop.example/svc/orders";

type Chain = Vec<CertificateDer<'static>>;

/// Someone who holds the issuing key of a real authority and signs whatever helps the attack.
struct Forge {
    keyed: Keyed,
    bundle: TrustBundle,
    issuing: Issuer<'static, KeyPair>,
}

fn forge() -> Forge {
    let keyed = keyed(domain());
    let bundle = keyed.authority.bundle().unwrap();
    let issuing = issuer(keyed.authority.issuing_der(), &keyed.issuing_key);
    Forge { keyed, bundle, issuing }
}

fn issuer(der: &[u8], key: &KeyPair) -> Issuer<'static, KeyPair> {
    Issuer::from_ca_cert_der(&CertificateDer::from(der), key.clone()).unwrap()
}

impl Forge {
    /// A leaf that is legal but for `change`, under the real issuing certificate.
    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Chain {
        let issuing = CertificateDer::from(self.keyed.authority.issuing_der().to_vec());
        vec![self.signed_by(&self.issuing, change), issuing]
    }

    /// The same under another issuer.
    fn signed_by(
        &self,
        issuer: &Issuer<'static, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = legal();
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    /// A legal leaf under an intermediate that is legal but for `change` and signed by `parent`.
    fn under(
        &self,
        parent: &Issuer<'static, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Chain {
        let mut params = unnamed();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        set_life(&mut params);
        params.distinguished_name.push(rcgen::DnType::CommonName, "another issuing certificate");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, parent).unwrap().der().clone();
        vec![self.signed_by(&issuer(&der, &key), |_| {}), der]
    }

    #[track_caller]
    fn check(&self, chain: &[CertificateDer<'_>], expected: Result<SpiffeId, VerifyPeerError>) {
        for purpose in [Purpose::Client, Purpose::Server] {
            let verified = verify_peer(chain, &self.bundle, now(), purpose);
            assert_eq!(verified, expected, "{purpose:?}");
        }
    }
}

fn legal() -> CertificateParams {
    let mut params = unnamed();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(ORDERS)];
    set_life(&mut params);
    params
}

fn set_life(params: &mut CertificateParams) {
    params.not_before = date(now().minus(HOUR));
    params.not_after = date(now().plus(HOUR));
}

fn date(time: WallTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(time.unix_seconds()).unwrap()).unwrap()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A subject-alternative-name extension with exactly these URIs, readable or not.
fn raw_uris(uris: &[&[u8]]) -> CustomExtension {
    let mut names = Vec::new();
    for uri in uris {
        names.extend([0x86, u8::try_from(uri.len()).unwrap()]);
        names.extend_from_slice(uri);
    }
    let content = [&[0x30, u8::try_from(names.len()).unwrap()], names.as_slice()].concat();
    CustomExtension::from_oid_content(&[2, 5, 29, 17], content)
}

#[test]
fn the_legal_chain_passes() {
    let forge = forge();
    forge.check(&forge.leaf(|_| {}), Ok(id("orders")));
    let with_dns = forge.leaf(|params| {
        params.subject_alt_names.push(SanType::DnsName("orders.example".try_into().unwrap()));
    });
    forge.check(&with_dns, Ok(id("orders")));
    let parent = issuer(forge.keyed.authority.root_der(), &forge.keyed.root_key);
    forge.check(&forge.under(&parent, |_| {}), Ok(id("orders")));
}

#[test]
fn exactly_one_uri_and_that_a_spiffe_id_of_the_domain() {
    let forge = forge();
    let named = |names: &[&str]| {
        forge.leaf(|params| params.subject_alt_names = names.iter().map(|name| uri(name)).collect())
    };
    let raw = |uris: &[&[u8]]| {
        forge.leaf(|params| {
            params.subject_alt_names.clear();
            params.custom_extensions = vec![raw_uris(uris)];
        })
    };
    let spiffe = |source| Err(VerifyPeerError::SpiffeId { source });
    forge.check(&raw(&[ORDERS.as_bytes()]), Ok(id("orders")));
    let two = [ORDERS, "spiffe://shop.example/svc/payments"];
    forge.check(&named(&two), Err(VerifyPeerError::ManyUris { count: 2 }));
    forge.check(&named(&[ORDERS, ORDERS]), Err(VerifyPeerError::ManyUris { count: 2 }));
    forge.check(&named(&[]), Err(VerifyPeerError::NoUri));
    let beside = raw(&[ORDERS.as_bytes(), b"spiffe://\xff\xfe/a"]);
    forge.check(&beside, Err(VerifyPeerError::ManyUris { count: 2 }));
    forge.check(&raw(&[b"\xff\xfe"]), Err(VerifyPeerError::UnreadableUri));
    forge.check(&named(&["spiffe://shop.example"]), spiffe(ParseSpiffeError::NoPath));
    forge.check(&named(&["spiffe://shop.example/"]), spiffe(ParseSpiffeError::NoPath));
    forge.check(&named(&["SPIFFE://shop.example/svc/orders"]), spiffe(ParseSpiffeError::Scheme));
    let domain_fault = || spiffe(ParseSpiffeError::TrustDomain);
    forge.check(&named(&["spiffe://shop.example:443/svc/orders"]), domain_fault());
    forge.check(&named(&["spiffe://Shop.example/svc/orders"]), domain_fault());
    for path in ["svc/orders\0", "svc%2forders", "svc//orders", "svc/../orders", "svc/orders/"] {
        let name = format!("spiffe://shop.example/{path}");
        forge.check(&named(&[&name]), spiffe(ParseSpiffeError::Segment));
    }
    for name in ["spiffe://evil.example/svc/orders", "spiffe://shop.example.evil/svc/orders"] {
        let (id, trust_domain) = (name.parse().unwrap(), domain());
        forge.check(&named(&[name]), Err(VerifyPeerError::ForeignDomain { id, trust_domain }));
    }
}

#[test]
fn a_root_of_ours_vouches_for_the_chain() {
    let forge = forge();
    let unknown = || Err(VerifyPeerError::UnknownIssuer { trust_domain: domain() });
    let impostor = self::forge();
    forge.check(&impostor.leaf(|_| {}), unknown());
    // The impostor's leaf with our issuing certificate beside it: same names, other key.
    let mut mixed = impostor.leaf(|_| {});
    mixed[1] = CertificateDer::from(forge.keyed.authority.issuing_der().to_vec());
    assert!(verify_peer(&mixed, &forge.bundle, now(), Purpose::Client).is_err());
    let alone = forge.leaf(|_| {}).into_iter().take(1).collect::<Vec<_>>();
    forge.check(&alone, unknown());
    let key = KeyPair::generate().unwrap();
    forge.check(&[legal().self_signed(&key).unwrap().der().clone()], unknown());
    let nobody = TrustBundle::new(domain(), []).unwrap();
    let verified = verify_peer(&forge.leaf(|_| {}), &nobody, now(), Purpose::Client);
    assert_eq!(verified, unknown());
}

#[test]
fn issuers_keep_to_their_bounds() {
    let forge = forge();
    let root = issuer(forge.keyed.authority.root_der(), &forge.keyed.root_key);
    let constrained = forge.under(&root, |params| {
        let subtree = [&[0x86, 12], b"shop.example".as_slice()].concat();
        let content = [&[0x30, 18, 0xa0, 16, 0x30, 14], subtree.as_slice()].concat();
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], content);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    });
    forge.check(&constrained, Err(VerifyPeerError::NameConstraint));
    let mut too_deep = forge.under(&forge.issuing, |_| {});
    too_deep.push(CertificateDer::from(forge.keyed.authority.issuing_der().to_vec()));
    let source = webpki::Error::PathLenConstraintViolated;
    forge.check(&too_deep, Err(VerifyPeerError::Path { source }));
    let no_authority = forge.under(&root, |params| params.is_ca = IsCa::ExplicitNoCa);
    let source = webpki::Error::EndEntityUsedAsCa;
    forge.check(&no_authority, Err(VerifyPeerError::Path { source }));
}

#[test]
fn a_leaf_signs_handshakes_in_both_directions_and_nothing_else() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign};
    let forge = forge();
    let used =
        |usages: &[KeyUsagePurpose]| forge.leaf(|params| params.key_usages = usages.to_vec());
    let extended = |usages: &[ExtendedKeyUsagePurpose]| {
        forge.leaf(|params| params.extended_key_usages = usages.to_vec())
    };
    let authority = forge.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    forge.check(&authority, Err(VerifyPeerError::Authority));
    forge.check(&used(&[DigitalSignature, KeyCertSign]), Err(VerifyPeerError::Authority));
    forge.check(&used(&[DigitalSignature, CrlSign]), Err(VerifyPeerError::Authority));
    forge.check(&used(&[KeyAgreement]), Err(VerifyPeerError::NoDigitalSignature));
    forge.check(&used(&[]), Err(VerifyPeerError::NoDigitalSignature));
    forge.check(&used(&[DigitalSignature, KeyAgreement]), Ok(id("orders")));
    forge.check(&extended(&[ServerAuth]), Err(VerifyPeerError::ExtendedKeyUsage));
    forge.check(&extended(&[ClientAuth]), Err(VerifyPeerError::ExtendedKeyUsage));
    forge.check(&extended(&[Any]), Err(VerifyPeerError::ExtendedKeyUsage));
    forge.check(&extended(&[]), Err(VerifyPeerError::ExtendedKeyUsage));
}

#[test]
fn a_chain_is_believed_only_within_its_life() {
    let forge = forge();
    let chain = forge.leaf(|_| {});
    let check = |at: WallTime, expected| {
        assert_eq!(verify_peer(&chain, &forge.bundle, at, Purpose::Client), expected);
    };
    let second = Duration::from_secs(1);
    let (not_before, not_after) = (now().minus(HOUR), now().plus(HOUR));
    // The issuing certificate begins a minute ago; the leaf began an hour ago.
    let begins = now().minus(crate::authority::BACKDATE);
    check(begins, Ok(id("orders")));
    check(not_after, Ok(id("orders")));
    let late = not_after.plus(second);
    check(late, Err(VerifyPeerError::Expired { now: late, not_after }));
    let early = not_before.minus(second);
    check(early, Err(VerifyPeerError::NotYetValid { now: early, not_before }));
    let before_issuer = begins.minus(second);
    let fault = VerifyPeerError::NotYetValid { now: before_issuer, not_before: begins };
    check(before_issuer, Err(fault));
}

#[test]
fn long_chains_are_refused_unread() {
    let forge = forge();
    let chain = forge.leaf(|_| {});
    let padded = |count: usize| {
        let padding = std::iter::repeat_n(chain[1].clone(), count - 2);
        chain.iter().cloned().chain(padding).collect::<Vec<_>>()
    };
    forge.check(&[], Err(VerifyPeerError::NoCertificate));
    forge.check(&padded(CHAIN_CERTIFICATES_MAX), Ok(id("orders")));
    let over = padded(CHAIN_CERTIFICATES_MAX + 1);
    forge.check(&over, Err(VerifyPeerError::TooManyCertificates));
    let bulky = |bytes: usize| {
        forge.leaf(|params| {
            let extension =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![0; bytes]);
            params.custom_extensions = vec![extension];
        })
    };
    forge.check(&bulky(CHAIN_BYTES_MAX / 2), Ok(id("orders")));
    forge.check(&bulky(CHAIN_BYTES_MAX), Err(VerifyPeerError::TooLarge));
    let garbage = [CertificateDer::from(vec![0x30, 0x00])];
    let source = webpki::Error::BadDer;
    forge.check(&garbage, Err(VerifyPeerError::Path { source }));
}

#[test]
fn no_single_bit_of_a_leaf_can_change() {
    let forge = forge();
    let chain = forge.leaf(|_| {});
    for (byte, bit) in (0..chain[0].len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut leaf = chain[0].to_vec();
        leaf[byte] ^= 1 << bit;
        let changed = [CertificateDer::from(leaf), chain[1].clone()];
        let verified = verify_peer(&changed, &forge.bundle, now(), Purpose::Client);
        assert!(verified.is_err(), "byte {byte} bit {bit}");
    }
}

#[test]
fn the_identity_of_a_verified_chain_can_be_read_again() {
    let forge = forge();
    assert_eq!(peer_id(&forge.leaf(|_| {})), Ok(id("orders")));
    assert_eq!(peer_id(&[]), Err(VerifyPeerError::NoCertificate));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(peer_id(&[CertificateDer::from(bytes)]).is_err());
    }
}
