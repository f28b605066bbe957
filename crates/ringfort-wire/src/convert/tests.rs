//! Every snapshot survives the wire; what the model cannot hold does not pass.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};
use ringfort_model::{
    ByteCount, Digest, Limits, Normalization, Operation, Percent, Resilience, Selectors,
    limits::CertificateTerms,
    selectors::{Part, StartedAs},
    snapshot::{
        Caller, Cidr, Gateway, HeaderEdit, HeaderEdits, Listener, ListenerTls, LocalService, Place,
        PolicyRoute, PolicyService, PolicySlice, PolicySource, Protocol, Rewrite, Role, Route,
        RouteAction, RouteMatch, Sidecar, Subset, TlsVersion,
    },
};

use super::*;

fn any_name() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9-]{0,12}".prop_filter_map("reserved", |text| text.parse().ok())
}

fn any_id() -> impl Strategy<Value = SpiffeId> {
    any_name().prop_map(|name| format!("spiffe://shop.internal/svc/{name}").parse().unwrap())
}

fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z]{1,5}", "[ -~]{0,8}", 0..3)
}

fn any_percent() -> impl Strategy<Value = Percent> {
    (0_u8..=100).prop_map(|value| Percent::new(value).unwrap())
}

fn any_millis() -> impl Strategy<Value = Duration> {
    (0_u64..100_000_000).prop_map(Duration::from_millis)
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u16; 8]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Http1, Protocol::Http2, Protocol::Grpc, Protocol::Tcp])
}

fn any_normalization() -> impl Strategy<Value = Normalization> {
    prop::sample::select(vec![
        Normalization::Strict,
        Normalization::MergeSlashes,
        Normalization::EncodedSlash,
        Normalization::MatrixParams,
    ])
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (any::<[u32; 6]>(), [any_millis(), any_millis(), any_millis()]).prop_map(|(n, t)| Limits {
        body: ByteCount::bytes(u64::from(n[0])),
        url: ByteCount::bytes(u64::from(n[1])),
        header_bytes: ByteCount::bytes(u64::from(n[2])),
        header_count: n[3],
        header_timeout: t[0],
        body_idle: t[1],
        idle: t[2],
        streams: n[4],
        connections: n[5],
    })
}

fn any_resilience() -> impl Strategy<Value = Resilience> {
    (any_millis(), any_millis(), any::<u32>())
        .prop_map(|(timeout, connect, concurrency)| Resilience { timeout, connect, concurrency })
}

fn any_pattern() -> impl Strategy<Value = ringfort_model::PathPattern> {
    "(/[a-z]{1,4}|/\\{[a-z]{1,3}\\}){0,3}(/\\*|/x)".prop_map(|text| text.parse().unwrap())
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        ("[A-Z]{3,6}", any_pattern())
            .prop_map(|(method, pattern)| Operation::Http { method, pattern }),
        ("[a-z.A-Z]{1,9}", "[A-Z][a-z]{1,5}")
            .prop_map(|(service, method)| Operation::Grpc { service, method }),
    ]
}

fn any_local() -> impl Strategy<Value = LocalService> {
    let head = (any_address(), any_protocol(), any_normalization());
    (head, any_limits(), any_resilience(), option::of(any_address())).prop_map(
        |((address, protocol, normalization), limits, resilience, bind)| LocalService {
            address,
            protocol,
            normalization,
            limits,
            resilience,
            bind,
        },
    )
}

fn any_sidecar() -> impl Strategy<Value = Sidecar> {
    let caller = (any_id(), option::of(vec(any_operation(), 0..3)))
        .prop_map(|(id, operations)| Caller { id, operations });
    (
        option::of(any_local()),
        btree_map(any_name(), caller, 0..4),
        btree_map(any_name(), any::<u16>(), 0..4),
        option::of(any::<u16>()),
    )
        .prop_map(|(local, callers, outbound, http_proxy)| Sidecar {
            local,
            callers,
            outbound,
            http_proxy,
        })
}

fn any_tls() -> impl Strategy<Value = ListenerTls> {
    let min = prop::sample::select(vec![TlsVersion::V1_2, TlsVersion::V1_3]);
    (min, option::of(("[a-z/.]{1,9}", "[a-z/.]{1,9}"))).prop_map(|(min, files)| match files {
        None => ListenerTls::Internal { min },
        Some((chain, key)) => ListenerTls::Files { chain, key, min },
    })
}

fn any_listener() -> impl Strategy<Value = Listener> {
    (any_address(), vec("[a-z.]{1,9}", 0..3), option::of(any_tls()), any::<bool>(), any_limits())
        .prop_map(|(bind, hosts, tls, redirect_to_https, limits)| Listener {
            bind,
            hosts,
            tls,
            redirect_to_https,
            limits,
        })
}

fn any_place() -> impl Strategy<Value = Place> {
    ("[a-z.]{1,9}", any::<u32>()).prop_map(|(file, line)| Place { file, line })
}

fn any_edit() -> impl Strategy<Value = HeaderEdit> {
    (any_labels(), vec("[a-z-]{1,6}", 0..3)).prop_map(|(set, remove)| HeaderEdit { set, remove })
}

fn any_action() -> impl Strategy<Value = RouteAction> {
    let rewrite = (option::of("/[a-z]{0,4}"), option::of("/[a-z]{0,4}"))
        .prop_map(|(strip_prefix, add_prefix)| Rewrite { strip_prefix, add_prefix });
    prop_oneof![
        (any_name(), option::of(rewrite))
            .prop_map(|(peer, rewrite)| RouteAction::To { peer, rewrite }),
        ("/[a-z]{0,4}", any::<u16>()).prop_map(|(to, status)| RouteAction::Redirect { to, status }),
    ]
}

fn any_route() -> impl Strategy<Value = Route> {
    let one = ("[a-z.]{1,9}", any_pattern(), vec("[A-Z]{3,6}", 0..3), any_labels())
        .prop_map(|(host, path, methods, headers)| RouteMatch { host, path, methods, headers });
    let head = (any_name(), vec(one, 0..3), any_action(), any_limits());
    let tail = (option::of(any_millis()), any::<bool>(), [any_edit(), any_edit()], any_place());
    (head, tail, vec("[a-z:/]{1,9}", 0..3)).prop_map(
        |((name, matches, action, limits), (timeout, upgrade, edits, place), cors_origins)| {
            let [request, response] = edits;
            let headers = HeaderEdits { request, response };
            Route { name, matches, action, limits, timeout, upgrade, headers, cors_origins, place }
        },
    )
}

fn any_gateway() -> impl Strategy<Value = Gateway> {
    let cidr = (any_address(), 0_u8..=32)
        .prop_map(|(address, prefix)| Cidr { address: address.ip(), prefix });
    (vec(any_listener(), 0..3), vec(any_route().prop_map(Arc::new), 0..3), vec(cidr, 0..3))
        .prop_map(|(listeners, routes, trusted_proxies)| Gateway {
            listeners,
            routes,
            trusted_proxies,
        })
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let subset = (any_name(), any_labels(), any_percent())
        .prop_map(|(name, labels, weight)| Subset { name, labels, weight });
    let head = (any_name(), any_id(), any_protocol(), any_normalization());
    (head, any_resilience(), any_limits(), vec(subset, 0..3), vec(any_address(), 0..3)).prop_map(
        |((name, id, protocol, normalization), resilience, limits, subsets, static_endpoints)| {
            Peer {
                name,
                id,
                protocol,
                normalization,
                resilience,
                limits,
                subsets,
                static_endpoints,
            }
        },
    )
}

fn any_slice() -> impl Strategy<Value = PolicySlice> {
    let policy = ("[ -~]{0,9}", "\\PC{0,40}", any_place(), any::<bool>())
        .prop_map(|(id, text, place, generated)| PolicySource { id, text, place, generated });
    let service = (any_protocol(), vec(any_name(), 0..3))
        .prop_map(|(protocol, labels)| PolicyService { protocol, labels });
    let route = (option::of(any_name()), any_name())
        .prop_map(|(service, gateway)| PolicyRoute { service, gateway });
    (
        vec(policy, 0..3),
        btree_map(any_name(), vec(any_name(), 0..3), 0..3),
        btree_map(any_name(), service, 0..3),
        btree_map(any_name(), route, 0..3),
    )
        .prop_map(|(policies, workload_labels, services, routes)| PolicySlice {
            policies,
            workload_labels,
            services,
            routes,
        })
}

pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let role =
        prop_oneof![any_sidecar().prop_map(Role::Sidecar), any_gateway().prop_map(Role::Gateway)];
    let terms = (any_millis(), any_percent())
        .prop_map(|(ttl, renew_at)| CertificateTerms { ttl, renew_at });
    let peers = vec(any_peer(), 0..4).prop_map(|peers| {
        peers.into_iter().map(|peer| (peer.name.clone(), Arc::new(peer))).collect()
    });
    let head = (any::<u64>(), any_id(), any_name());
    (head, role, peers, any_slice(), terms, any_percent()).prop_map(
        |((revision, class, workload), role, peers, policies, certificates, access_log_2xx)| {
            Snapshot {
                revision: Revision::new(revision),
                class,
                trust_domain: "shop.internal".parse().unwrap(),
                workload,
                role,
                peers,
                policies,
                certificates,
                access_log_2xx,
            }
        },
    )
}

fn decoded(revision: Revision, resources: &[EncodedResource]) -> Result<Snapshot, ConvertError> {
    let of = |type_url| resources.iter().filter(move |one| one.type_url == type_url);
    let peers = of(resource::PEER).map(|one| decode("peer", &one.bytes).unwrap());
    snapshot(
        revision,
        decode("class", &of(resource::CLASS).next().unwrap().bytes)?,
        peers,
        decode("policies", &of(resource::POLICIES).next().unwrap().bytes)?,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_snapshot_survives_the_wire(snapshot in any_snapshot()) {
        let resources = encode(&snapshot);
        prop_assert_eq!(&encode(&snapshot), &resources, "encoding is deterministic");
        prop_assert!(resources.is_sorted_by_key(|one| (one.type_url, one.name.clone())));
        prop_assert_eq!(decoded(snapshot.revision, &resources).unwrap(), snapshot);
    }

    #[test]
    fn damaged_bytes_are_refused_or_mean_something(
        snapshot in any_snapshot(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        for one in encode(&snapshot) {
            let mut bytes = one.bytes.to_vec();
            if let Some(place) = bytes.len().checked_sub(1).map(|last| at.index(last + 1)) {
                bytes[place] = byte;
            }
            if let Ok(peer) = decode::<v1::Peer>("peer", &bytes).and_then(Peer::try_from) {
                prop_assert_eq!(Peer::try_from(v1::Peer::from(&peer)), Ok(peer));
            }
            if let Ok(slice) = decode::<v1::Policies>("policies", &bytes).and_then(PolicySlice::try_from) {
                prop_assert_eq!(PolicySlice::try_from(v1::Policies::from(&slice)), Ok(slice));
            }
            let role = decode::<v1::Class>("class", &bytes).ok().and_then(|class| class.role);
            if let Some(Ok(Role::Sidecar(sidecar))) = role.map(Role::try_from) {
                prop_assert_eq!(Sidecar::try_from(v1::Sidecar::from(&sidecar)), Ok(sidecar));
            }
        }
    }
}

#[test]
fn selectors_survive_the_wire() {
    let selectors = Selectors {
        pid: 7,
        uid: 0,
        gid: 4_294_967_295,
        unix_user: Some("orders".to_owned()),
        unix_group: None,
        exe: "/usr/bin/orders".to_owned(),
        exe_sha256: Digest::new([7; 32]),
        started_as: Some(StartedAs { workload: "orders".parse().unwrap(), part: Part::Proxy }),
    };
    let wire = v1::Selectors::from(&selectors);
    assert_eq!(Selectors::try_from(wire.clone()).unwrap(), selectors);
    let short = v1::Selectors { exe_sha256: Bytes::from_static(b"short"), ..wire };
    let refusal = Selectors::try_from(short).unwrap_err();
    assert_eq!(refusal, ConvertError::Range { field: "selectors.exe_sha256" });
}

#[track_caller]
fn check<W, M: TryFrom<W, Error = ConvertError> + std::fmt::Debug>(wire: W, expected: &str) {
    assert_eq!(M::try_from(wire).unwrap_err().to_string(), expected);
}

#[test]
fn what_the_model_cannot_hold_does_not_pass() {
    let peer = v1::Peer {
        name: "orders".to_owned(),
        spiffe_id: "spiffe://shop/svc/orders".to_owned(),
        protocol: v1::Protocol::Http1.into(),
        normalization: v1::Normalization::Strict.into(),
        resilience: Some(Resilience::STANDARD.into()),
        limits: Some(Limits::STANDARD.into()),
        ..v1::Peer::default()
    };
    assert!(Peer::try_from(peer.clone()).is_ok());
    check::<_, Peer>(v1::Peer { name: "Orders".into(), ..peer.clone() }, "`peer.name` is no name");
    check::<_, Peer>(
        v1::Peer { spiffe_id: "spiffe://shop".into(), ..peer.clone() },
        "`peer.spiffe_id` is no SPIFFE identity",
    );
    check::<_, Peer>(v1::Peer { protocol: 0, ..peer.clone() }, "`peer.protocol` is out of range");
    check::<_, Peer>(
        v1::Peer { normalization: 99, ..peer.clone() },
        "`peer.normalization` is out of range",
    );
    check::<_, Peer>(v1::Peer { limits: None, ..peer.clone() }, "`peer.limits` is missing");
    check::<_, Peer>(
        v1::Peer { static_endpoints: vec!["localhost:1".into()], ..peer },
        "`peer.static_endpoints` is no address",
    );
    let caller = v1::Caller {
        name: "web".to_owned(),
        spiffe_id: "spiffe://shop/svc/web".to_owned(),
        operations: None,
    };
    check::<_, Sidecar>(
        v1::Sidecar { callers: vec![caller.clone(), caller], ..v1::Sidecar::default() },
        "`caller` has `web` twice",
    );
    check::<_, Gateway>(
        v1::Gateway { trusted_proxies: vec!["10.0.0.0/33".into()], ..v1::Gateway::default() },
        "`gateway.trusted_proxies` is out of range",
    );
    check::<_, Operation>(v1::Operation { kind: None }, "`operation.kind` is missing");
}
