//! The form of what the authority signs, and what it refuses to sign.

use std::time::Duration;

use ringfort_model::SpiffeId;
use x509_parser::{extensions::ParsedExtension, prelude::*};

use super::{
    CertificateAuthority, ImportAuthorityError, IssuePublicOptions, SignCertificateError,
    SignLeafOptions,
};
use crate::{
    KeyPair, OpenSealedError, Purpose, Sealer, inspect,
    tests::{Counting, HOUR, authority, domain, id, now, requested, sign, sign_at},
    verify_peer,
};

fn chain(ders: &[Vec<u8>]) -> Vec<crate::CertificateDer<'_>> {
    ders.iter().map(|der| der.as_slice().into()).collect()
}

#[test]
fn a_leaf_has_the_form_of_an_svid() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let issued = sign(&authority, &id("orders"), &key);
    let (rest, leaf) = X509Certificate::from_der(&issued.chain_der[0]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(leaf.subject().iter().count(), 0, "empty subject");
    assert_eq!(*leaf.public_key().subject_public_key.data, *key.public_point());
    assert_eq!(issued.serial.len(), 32, "128 bits");
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "an empty subject makes the names critical");
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://shop.example/svc/orders")]);
    let constraints = leaf.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && !constraints.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature alone");
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && extended.other.is_empty());
    let parent = X509Certificate::from_der(&issued.chain_der[1]).unwrap().1;
    let key_id = parent.extensions().iter().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() else {
            return None;
        };
        Some(id.0)
    });
    let authority_id = leaf.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else {
            return None;
        };
        Some(id.key_identifier.as_ref()?.0)
    });
    assert!(authority_id.is_some());
    assert_eq!(authority_id, key_id);
}

#[test]
fn root_and_issuing_certificate_sign_only_what_they_must() {
    let authority = authority();
    for (der, path_len, days) in
        [(authority.root_der(), 1, 5 * 365 + 1), (authority.issuing_der(), 0, 7)]
    {
        let certificate = X509Certificate::from_der(der).unwrap().1;
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(path_len));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        assert!(certificate.name_constraints().unwrap().is_none());
        let facts = inspect(der).unwrap();
        assert_eq!(facts.not_before, now().minus(super::BACKDATE));
        assert_eq!(facts.not_after, now().plus(Duration::from_hours(24 * days)));
        assert_eq!(facts.spiffe_id, None, "an authority is no workload");
    }
}

#[track_caller]
fn check_leaf(at: Duration, ttl: Duration, id: &SpiffeId, expected: Result<Duration, &str>) {
    let authority = authority();
    let key = requested(&KeyPair::generate().unwrap());
    let options = SignLeafOptions { key: &key, id, now: now().plus(at), ttl };
    let issued = authority.sign_leaf(options, &mut Counting(3));
    let end = issued.map(|issued| issued.not_after.since(now())).map_err(|e| e.to_string());
    match (end, expected) {
        (Ok(end), Ok(expected)) => assert_eq!(end, expected),
        (Err(text), Err(expected)) => assert!(text.contains(expected), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leaf_lives_for_its_time_and_never_longer_than_its_issuer() {
    let orders = id("orders");
    let week = 7 * 24 * HOUR;
    check_leaf(Duration::ZERO, 12 * HOUR, &orders, Ok(12 * HOUR));
    check_leaf(6 * 24 * HOUR, 24 * HOUR, &orders, Ok(week));
    check_leaf(6 * 24 * HOUR, 25 * HOUR, &orders, Ok(week));
    check_leaf(week, HOUR, &orders, Err("valid from"));
    let foreign = "spiffe://shop.example.evil/svc/orders".parse().unwrap();
    check_leaf(Duration::ZERO, HOUR, &foreign, Err("is not of trust domain `shop.example`"));
}

#[test]
fn the_issuing_certificate_is_replaced_at_half_its_life_and_old_chains_stay_good() {
    let mut authority = authority();
    let bundle = authority.bundle().unwrap();
    let old = sign(&authority, &id("orders"), &KeyPair::generate().unwrap());
    let half = Duration::from_secs((7 * 24 * 3600 + 60) / 2);
    let due = authority.issuing_due_at();
    assert_eq!(due, now().minus(super::BACKDATE).plus(half));
    let before = authority.issuing_facts().clone();
    authority.reissue_issuing(KeyPair::generate().unwrap(), due, &mut Counting(9)).unwrap();
    assert_ne!(authority.issuing_facts().serial, before.serial);
    assert!(authority.issuing_facts().not_after > before.not_after);
    let new = sign_at(&authority, &id("orders"), &KeyPair::generate().unwrap(), due);
    assert_ne!(old.chain_der[1], new.chain_der[1]);
    for (issued, at) in [(old, now()), (new, due)] {
        let verified = verify_peer(&chain(&issued.chain_der), &bundle, at, Purpose::Client);
        assert_eq!(verified, Ok(id("orders")));
    }
    let after_root = authority.root_facts().not_after;
    let refused =
        authority.reissue_issuing(KeyPair::generate().unwrap(), after_root, &mut Counting(9));
    assert!(matches!(refused, Err(SignCertificateError::SignerNotValid { .. })));
}

#[track_caller]
fn check_hosts(hosts: &[&str], expected: Result<&[&str], SignCertificateError>) {
    let authority = authority();
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let key = requested(&KeyPair::generate().unwrap());
    let options = IssuePublicOptions { key: &key, hosts: &hosts, now: now(), ttl: 12 * HOUR };
    let names = authority.issue_public(options, &mut Counting(4)).map(|issued| {
        let leaf = X509Certificate::from_der(&issued.chain_der[0]).unwrap().1;
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
        let bundle = authority.bundle().unwrap();
        assert!(
            verify_peer(&chain(&issued.chain_der), &bundle, now(), Purpose::Server).is_err(),
            "a public certificate is no workload's"
        );
        let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
        names.map(ToString::to_string).collect::<Vec<_>>()
    });
    assert_eq!(names, expected.map(|names| names.iter().map(ToString::to_string).collect()));
}

#[test]
fn public_certificates_name_hosts_and_nothing_else() {
    check_hosts(
        &["shop.example", "*.shop.example", "127.0.0.1", "[::1]"],
        Ok(&[
            "DNSName(shop.example)",
            "DNSName(*.shop.example)",
            "IPAddress(7f:00:00:01)",
            "IPAddress(00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01)",
        ]),
    );
    check_hosts(&[], Err(SignCertificateError::HostCount));
    check_hosts(&["a.example"; 101], Err(SignCertificateError::HostCount));
    for bad in ["", "*", "a b", "spiffe://shop.example/svc/a", "a/b", "*.*.a", "a\0b", "ä.example"]
    {
        check_hosts(&[bad], Err(SignCertificateError::Host { host: bad.to_owned() }));
    }
}

#[test]
fn an_authority_survives_sealing_and_opens_for_its_own_domain_only() {
    let authority = authority();
    let sealer = Sealer::generate(&mut Counting(5)).unwrap();
    let sealed = authority.export_sealed(&sealer, &mut Counting(6)).unwrap();
    let opened = CertificateAuthority::import_sealed(domain(), &sealer, &sealed).unwrap();
    assert_eq!(opened.root_der(), authority.root_der());
    assert_eq!(opened.issuing_der(), authority.issuing_der());
    let issued = sign(&opened, &id("orders"), &KeyPair::generate().unwrap());
    let bundle = authority.bundle().unwrap();
    let verified = verify_peer(&chain(&issued.chain_der), &bundle, now(), Purpose::Server);
    assert_eq!(verified, Ok(id("orders")));

    let foreign = "evil.example".parse().unwrap();
    let refused = CertificateAuthority::import_sealed(foreign, &sealer, &sealed).unwrap_err();
    assert!(matches!(refused, ImportAuthorityError::Open { source: OpenSealedError::Refused, .. }));
    let no_authority = sealer
        .seal(
            "ringfort authority of shop.example",
            &ringfort_model::Secret::new(vec![0, 0, 0, 9, 1]),
            &mut Counting(7),
        )
        .unwrap();
    let refused =
        CertificateAuthority::import_sealed(domain(), &sealer, &no_authority).unwrap_err();
    assert_eq!(refused, ImportAuthorityError::Malformed);
}

#[test]
fn debug_shows_lives_and_no_keys() {
    let text = format!("{:?}", authority());
    assert!(text.contains("shop.example") && text.contains("not_after"), "{text}");
    assert!(!text.contains("pkcs8") && !text.contains("KeyPair"), "{text}");
}
