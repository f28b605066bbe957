//! Handshakes in memory: who gets through, who does not, what the refused side hears, and that nothing is resumed.

use std::{collections::BTreeSet, sync::Arc};

use ringfort_model::{Secret, SpiffeId, WallClock, WallTime, snapshot::TlsVersion};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, ClientConnection, Error, HandshakeKind,
    NamedGroup, PeerIncompatible, ProtocolVersion, ServerConfig, ServerConnection,
    client::Resumption,
    pki_types::ServerName,
    server::ServerSessionMemoryCache,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};

use super::{
    BuildTlsError, InboundOptions, OutboundOptions, PublicCertificate, PublicOptions, Refusals,
    RefusePeerError, Tls, VisitorOptions, public_provider, workload_server_name,
};
use crate::{
    CertificateAuthority, IssuePublicOptions, KeyPair, Svid, TrustBundle, VerifyPeerError, peer_id,
    pem::{encode_certificates, encode_key},
    tests::{Counting, HOUR, authority, domain, id, keyed, now, requested, svid},
};

#[derive(Debug)]
struct Stopped(WallTime);

impl WallClock for Stopped {
    fn now(&self) -> WallTime {
        self.0
    }
}

fn tls_at(time: WallTime) -> Tls {
    Tls::new(Arc::new(Stopped(time)))
}

/// How both sides ended: an open connection, or the error.
struct Ended {
    client: Result<ClientConnection, Error>,
    server: Result<ServerConnection, Error>,
}

/// Carries bytes between both sides until they are through or have failed.
fn handshake(
    client: &Arc<ClientConfig>,
    name: ServerName<'static>,
    server: &Arc<ServerConfig>,
) -> Ended {
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let (mut client_end, mut server_end) = (Ok(()), Ok(()));
    // Three flights make a full handshake; alerts and tickets need one more each way.
    for _ in 0..4 {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let mut flight = flight.as_slice();
        while server_end.is_ok() && !flight.is_empty() {
            server.read_tls(&mut flight).unwrap();
            server_end = server.process_new_packets().map(drop);
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        let mut flight = flight.as_slice();
        while client_end.is_ok() && !flight.is_empty() {
            client.read_tls(&mut flight).unwrap();
            client_end = client.process_new_packets().map(drop);
        }
    }
    Ended { client: client_end.map(|()| client), server: server_end.map(|()| server) }
}

/// A caller `orders` and a callee `payments` of one fleet, and what a test changes about them.
struct Pair {
    caller: Svid,
    callee: Svid,
    /// What both trust.
    bundle: Arc<TrustBundle>,
    called: SpiffeId,
    allowed: Vec<SpiffeId>,
    at: WallTime,
    alpn: [&'static [&'static str]; 2],
}

/// What a refused handshake told each side and each log.
#[derive(Debug, PartialEq)]
struct Refused {
    alert: AlertDescription,
    by_caller: Option<RefusePeerError>,
    by_callee: Option<RefusePeerError>,
}

fn pair() -> Pair {
    let authority = authority();
    Pair {
        caller: svid(&authority, &id("orders")),
        callee: svid(&authority, &id("payments")),
        bundle: Arc::new(authority.bundle().unwrap()),
        called: id("payments"),
        allowed: vec![id("orders"), id("admin")],
        at: now(),
        alpn: [&["h2"], &["h2", "http/1.1"]],
    }
}

impl Pair {
    fn configs(&self) -> (Arc<ClientConfig>, Arc<ServerConfig>, [Arc<Refusals>; 2]) {
        let refusals = [0, 1].map(|_| Arc::new(Refusals::default()));
        let client = tls_at(self.at).outbound_client_config(OutboundOptions {
            svid: &self.caller,
            bundle: Arc::clone(&self.bundle),
            expected: self.called.clone(),
            alpn: self.alpn[0],
            refusals: Arc::clone(&refusals[0]),
        });
        let server = tls_at(self.at).inbound_server_config(InboundOptions {
            svid: &self.callee,
            bundle: Arc::clone(&self.bundle),
            allowed: Arc::new(self.allowed.iter().cloned().collect::<BTreeSet<_>>()),
            alpn: self.alpn[1],
            refusals: Arc::clone(&refusals[1]),
        });
        (client.unwrap(), server.unwrap(), refusals)
    }

    #[track_caller]
    fn check_refused(&self, expected: Refused) {
        let (client, server, [by_caller, by_callee]) = self.configs();
        let Ended { client, server } = handshake(&client, workload_server_name(), &server);
        let alert = match (client.err(), server.err()) {
            (Some(Error::AlertReceived(alert)), Some(_))
            | (Some(_), Some(Error::AlertReceived(alert))) => alert,
            other => panic!("not refused: {other:?}"),
        };
        let (by_caller, by_callee) = (by_caller.take(), by_callee.take());
        assert_eq!(Refused { alert, by_caller, by_callee }, expected);
    }
}

#[test]
fn a_caller_and_its_callee_know_each_other() {
    let (client, server, [by_caller, by_callee]) = pair().configs();
    let Ended { client, server } = handshake(&client, workload_server_name(), &server);
    let (client, server) = (client.unwrap(), server.unwrap());
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(peer_id(client.peer_certificates().unwrap()), Ok(id("payments")));
    assert_eq!(peer_id(server.peer_certificates().unwrap()), Ok(id("orders")));
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let suite = client.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    let group = client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(server.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(server.server_name(), None, "the name is neither sent nor needed");
    assert_eq!((by_caller.take(), by_callee.take()), (None, None));
}

#[test]
fn the_wrong_callee_is_refused() {
    let mut pair = pair();
    pair.called = id("ledger");
    pair.check_refused(Refused {
        alert: AlertDescription::BadCertificate,
        by_caller: Some(RefusePeerError::WrongCallee {
            id: id("payments"),
            expected: id("ledger"),
        }),
        by_callee: None,
    });
}

#[test]
fn a_caller_outside_the_set_is_refused() {
    let mut pair = pair();
    pair.allowed = vec![id("order"), id("orders2"), id("admin")];
    let refused = || Refused {
        alert: AlertDescription::AccessDenied,
        by_caller: None,
        by_callee: Some(RefusePeerError::NotAllowed { id: id("orders") }),
    };
    pair.check_refused(refused());
    pair.allowed.clear();
    pair.check_refused(refused());
}

#[test]
fn foreign_authorities_and_domains_are_refused() {
    let unknown =
        || Some(RefusePeerError::Chain(VerifyPeerError::UnknownIssuer { trust_domain: domain() }));
    let alert = AlertDescription::UnknownCA;
    let mut impostor_calls = pair();
    impostor_calls.caller = svid(&authority(), &id("orders"));
    impostor_calls.check_refused(Refused { alert, by_caller: None, by_callee: unknown() });
    let mut impostor_answers = pair();
    impostor_answers.callee = svid(&authority(), &id("payments"));
    impostor_answers.check_refused(Refused { alert, by_caller: unknown(), by_callee: None });

    let foreign = keyed("evil.example".parse().unwrap()).authority;
    let mallory: SpiffeId = "spiffe://evil.example/svc/orders".parse().unwrap();
    let mut pair = pair();
    pair.caller = svid(&foreign, &mallory);
    pair.allowed.push(mallory.clone());
    pair.check_refused(Refused { alert, by_caller: None, by_callee: unknown() });
    // Even a root of ours vouches for names of our domain alone.
    let mut roots: Vec<_> = pair.bundle.roots_der().map(<[u8]>::to_vec).collect();
    roots.push(foreign.root_der().to_vec());
    pair.bundle = Arc::new(TrustBundle::new(domain(), roots).unwrap());
    let fault = VerifyPeerError::ForeignDomain { id: mallory, trust_domain: domain() };
    pair.check_refused(Refused {
        alert: AlertDescription::BadCertificate,
        by_caller: None,
        by_callee: Some(RefusePeerError::Chain(fault)),
    });
}

#[test]
fn expired_certificates_are_refused_by_the_clock_handed_in() {
    let mut pair = pair();
    let not_after = pair.callee.not_after();
    pair.at = not_after;
    let (client, server, _) = pair.configs();
    assert!(handshake(&client, workload_server_name(), &server).server.is_ok());
    pair.at = not_after.plus(std::time::Duration::from_secs(1));
    let expired = VerifyPeerError::Expired { now: pair.at, not_after };
    pair.check_refused(Refused {
        alert: AlertDescription::CertificateExpired,
        by_caller: Some(RefusePeerError::Chain(expired)),
        by_callee: None,
    });
}

#[test]
fn protocols_without_an_overlap_are_refused() {
    let mut pair = pair();
    pair.alpn = [&["http/1.1"], &["h2"]];
    let alert = AlertDescription::NoApplicationProtocol;
    pair.check_refused(Refused { alert, by_caller: None, by_callee: None });
}

/// Clients that follow their own rules, against a callee of ours.
#[track_caller]
fn check_stranger(client: ClientConfig, expected: &Error, alert: AlertDescription) {
    let pair = pair();
    let (_, server, _) = pair.configs();
    let ended = handshake(&Arc::new(client), workload_server_name(), &server);
    assert_eq!(ended.server.err().as_ref(), Some(expected));
    assert_eq!(ended.client.err(), Some(Error::AlertReceived(alert)));
}

/// A client of one TLS version that believes everyone, with or without a certificate.
fn credulous(
    version: &'static rustls::SupportedProtocolVersion,
    svid: Option<&Svid>,
) -> ClientConfig {
    #[derive(Debug)]
    struct Anyone;
    impl rustls::client::danger::ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &crate::CertificateDer<'_>,
            _: &[crate::CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &crate::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &crate::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            public_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let builder =
        ClientConfig::builder_with_details(Arc::new(public_provider()), tls_at(now()).time)
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone));
    match svid {
        Some(svid) => {
            let resolver = SingleCertAndKey::from(Arc::clone(svid.certified()));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
        None => builder.with_no_client_auth(),
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let alert = AlertDescription::CertificateRequired;
    check_stranger(credulous(&TLS13, None), &Error::NoCertificatesPresented, alert);
}

#[test]
fn a_client_of_tls_1_2_is_refused() {
    let pair = pair();
    let incompatible = PeerIncompatible::Tls12NotOfferedOrEnabled;
    let client = credulous(&TLS12, Some(&pair.caller));
    check_stranger(client, &incompatible.into(), AlertDescription::ProtocolVersion);
}

#[test]
fn plain_bytes_are_refused() {
    let (_, server, _) = pair().configs();
    let mut server = ServerConnection::new(server).unwrap();
    server.read_tls(&mut b"GET / HTTP/1.1\r\nhost: payments\r\n\r\n".as_slice()).unwrap();
    assert!(server.process_new_packets().is_err());
}

#[test]
fn nothing_between_workloads_is_resumed_or_sent_early() {
    let (client, server, _) = pair().configs();
    assert_eq!(server.send_tls13_tickets, 0);
    assert!(!server.ticketer.enabled());
    assert!(!server.session_storage.can_cache());
    assert_eq!(server.max_early_data_size, 0);
    assert!(!server.send_half_rtt_data);
    assert!(!client.enable_early_data && !client.enable_sni);
    for _ in 0..2 {
        let ended = handshake(&client, workload_server_name(), &server);
        assert_eq!(ended.client.unwrap().handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(ended.server.unwrap().handshake_kind(), Some(HandshakeKind::Full));
    }
    // A client that would resume, and resumes elsewhere (see below), gets nothing to resume with.
    let pair = pair();
    let mut eager = credulous(&TLS13, Some(&pair.caller));
    eager.resumption = Resumption::in_memory_sessions(8);
    let (client, server, _) = pair.configs();
    let eager = Arc::new(eager);
    check_kinds(&eager, &server, [HandshakeKind::Full; 2]);
    // A callee that gives tickets gets them back from that client, but not from ours.
    let mut generous = ServerConfig::clone(&server);
    generous.send_tls13_tickets = 2;
    generous.session_storage = ServerSessionMemoryCache::new(8);
    let generous = Arc::new(generous);
    check_kinds(&eager, &generous, [HandshakeKind::Full, HandshakeKind::Resumed]);
    check_kinds(&client, &generous, [HandshakeKind::Full; 2]);
}

#[test]
fn visitors_of_a_public_listener_may_resume_but_not_send_early() {
    let authority = authority();
    let server = public(&authority, &[&["127.0.0.1"]], TlsVersion::V1_3);
    assert_eq!((server.max_early_data_size, server.send_half_rtt_data), (0, false));
    let mut visitor = credulous(&TLS13, None);
    visitor.resumption = Resumption::in_memory_sessions(8);
    check_kinds(&Arc::new(visitor), &server, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[track_caller]
fn check_kinds(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    expected: [HandshakeKind; 2],
) {
    let kinds = expected.map(|_| {
        let ended = handshake(client, workload_server_name(), server);
        ended.client.unwrap().handshake_kind().unwrap()
    });
    assert_eq!(kinds, expected);
}

/// A public listener with one certificate per list of hosts.
fn public(
    authority: &CertificateAuthority,
    certificates: &[&[&str]],
    min: TlsVersion,
) -> Arc<ServerConfig> {
    let certificates = certificates.iter().map(|hosts| certificate(authority, hosts)).collect();
    let options = PublicOptions { certificates, min, alpn: &["h2", "http/1.1"] };
    tls_at(now()).public_server_config(options).unwrap()
}

fn certificate(authority: &CertificateAuthority, hosts: &[&str]) -> PublicCertificate {
    let (chain, key) = public_chain(authority, hosts);
    PublicCertificate::new(chain, &key).unwrap()
}

fn public_chain(authority: &CertificateAuthority, hosts: &[&str]) -> (Vec<Vec<u8>>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let options =
        IssuePublicOptions { key: &requested(&key), hosts: &hosts, now: now(), ttl: 12 * HOUR };
    (authority.issue_public(options, &mut Counting(8)).unwrap().chain_der, key)
}

#[test]
fn a_visitor_sees_the_certificate_of_the_host_it_asked_for() {
    let authority = authority();
    let server =
        public(&authority, &[&["shop.example", "127.0.0.1"], &["*.api.example"]], TlsVersion::V1_2);
    let roots = [authority.root_der().to_vec()];
    let options = VisitorOptions { roots_der: &roots, alpn: &["http/1.1"] };
    let visitor = tls_at(now()).visitor_client_config(&options).unwrap();
    let check = |name: &'static str, expected: Option<AlertDescription>| {
        let ended = handshake(&visitor, ServerName::try_from(name).unwrap(), &server);
        match (ended.client, ended.server, expected) {
            (Ok(client), Ok(_), None) => {
                assert_eq!(client.alpn_protocol(), Some(b"http/1.1".as_slice()), "{name}");
            }
            (Err(Error::AlertReceived(alert)), Err(_), Some(expected))
            | (Err(_), Err(Error::AlertReceived(alert)), Some(expected)) => {
                assert_eq!(alert, expected, "{name}");
            }
            (client, server, _) => panic!("{name}: {:?} {:?}", client.err(), server.err()),
        }
    };
    check("shop.example", None);
    check("127.0.0.1", None);
    check("v1.api.example", None);
    check("api.example", Some(AlertDescription::AccessDenied));
    check("shop.example.evil", Some(AlertDescription::AccessDenied));
    check("127.0.0.2", Some(AlertDescription::BadCertificate));
}

#[test]
fn a_public_listener_speaks_the_versions_it_is_told() {
    let authority = authority();
    let check = |client, min, expected: Option<ProtocolVersion>| {
        let server = public(&authority, &[&["127.0.0.1"]], min);
        let ended = handshake(&Arc::new(credulous(client, None)), workload_server_name(), &server);
        assert_eq!(ended.client.ok().and_then(|client| client.protocol_version()), expected);
    };
    check(&TLS13, TlsVersion::V1_3, Some(ProtocolVersion::TLSv1_3));
    check(&TLS12, TlsVersion::V1_2, Some(ProtocolVersion::TLSv1_2));
    check(&TLS12, TlsVersion::V1_3, None);
}

#[test]
fn a_visitor_refuses_a_listener_of_another_authority() {
    let server = public(&authority(), &[&["shop.example"]], TlsVersion::V1_2);
    let roots = [authority().root_der().to_vec()];
    let options = VisitorOptions { roots_der: &roots, alpn: &[] };
    let visitor = tls_at(now()).visitor_client_config(&options).unwrap();
    let ended = handshake(&visitor, ServerName::try_from("shop.example").unwrap(), &server);
    assert!(ended.client.is_err());
    let no_roots = VisitorOptions { roots_der: &[], alpn: &[] };
    assert_eq!(tls_at(now()).visitor_client_config(&no_roots).err(), Some(BuildTlsError::Root));
}

#[track_caller]
fn check_files(chain_pem: &str, key_pem: &Secret<String>, expected: Option<BuildTlsError>) {
    assert_eq!(PublicCertificate::from_pem(chain_pem, key_pem).err(), expected);
}

#[test]
fn certificates_of_files_must_fit_their_key() {
    let (chain, key) = public_chain(&authority(), &["shop.example"]);
    let chain = encode_certificates(chain.iter().map(Vec::as_slice));
    let other = encode_key(&KeyPair::generate().unwrap());
    let key = encode_key(&key);
    check_files(&chain, &key, None);
    check_files(&chain, &other, Some(BuildTlsError::ForeignKey));
    check_files("", &key, Some(BuildTlsError::NoCertificate));
    check_files(
        &chain,
        &Secret::new(chain.clone()),
        Some(BuildTlsError::Pem { part: "private key" }),
    );
    let options = PublicOptions { certificates: vec![], min: TlsVersion::V1_3, alpn: &[] };
    let refused = tls_at(now()).public_server_config(options).err();
    assert_eq!(refused, Some(BuildTlsError::NoCertificate));
}
