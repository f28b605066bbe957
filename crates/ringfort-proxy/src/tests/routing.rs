//! The gateway: routes, refusals and headers.

use std::sync::Arc;

use http::Request;
use ringfort_model::snapshot::{Protocol, RouteAction};

use super::{
    caller::{self, get, get2, text},
    program::{self, Program, whole},
    world::*,
};

/// A gateway, the sidecar behind it, and its program.
pub(crate) struct Shop {
    pub(crate) authority: Authority,
    pub(crate) program: Program,
    pub(crate) sidecar: Proxy,
    pub(crate) gateway: Proxy,
}

impl Shop {
    /// A shop whose `/api/*` is served by `orders`.
    pub(crate) async fn open(protocol: Protocol, program: Program) -> Self {
        Self::open_with(protocol, program, |_| {}, |_| {}).await
    }

    /// The same, after edits of the gateway's and the sidecar's snapshots.
    pub(crate) async fn open_with(
        protocol: Protocol,
        program: Program,
        edit_gateway: impl FnOnce(&mut ringfort_model::Snapshot),
        edit_sidecar: impl FnOnce(&mut ringfort_model::Snapshot),
    ) -> Self {
        let authority = Authority::new("shop.test");
        let mut snapshot = sidecar(&authority, "orders", protocol, program.address);
        add_caller(&mut snapshot, "public", authority.gateway("public"));
        edit_sidecar(&mut snapshot);
        let sidecar = Proxy::start(&authority, snapshot).await;
        let mut snapshot = gateway(&authority);
        add_peer(&authority, &mut snapshot, "orders", protocol, &[sidecar.inbound()]);
        add_route(&mut snapshot, route("api", "/api/*", "orders"));
        edit_gateway(&mut snapshot);
        let gateway = Proxy::start(&authority, snapshot).await;
        Self { authority, program, sidecar, gateway }
    }
}

#[tokio::test]
async fn a_request_passes_all_rings() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/orders?id=7")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "/api/orders?id=7 0");
    let caller = format!("{}", shop.authority.gateway("public"));
    assert_eq!(shop.program.last_field("ringfort-caller"), [caller]);
}

#[tokio::test]
async fn refusals_name_a_decision_and_nothing_inner() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/private")).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let id = response.headers()["ringfort-decision"].to_str().unwrap().to_owned();
    let body = text(response).await;
    let expected =
        format!(r#"{{"type":"about:blank","title":"Not Found","status":404,"decision":"{id}"}}"#);
    assert_eq!(body, expected);
    let decision = shop.gateway.plane.view().decision(id.parse().unwrap()).unwrap();
    assert_eq!((decision.ring, decision.reason), ("policy", "route_path"));
    assert_eq!(decision.request.as_ref().unwrap().path, "/private");
    assert_eq!(shop.program.requests(), 0);
}

#[tokio::test]
async fn a_forbidden_visit_is_refused_with_the_policy_on_record() {
    let shop = Shop::open_with(
        Protocol::Http1,
        program::echo(false).await,
        |snapshot| {
            let forbid = r#"forbid (principal, action == Action::"visit", resource == Route::"api")
                when { context.http.path like "/api/admin/*" };"#;
            snapshot.policies.policies.push(ringfort_model::snapshot::PolicySource {
                id: "no-admin".to_owned(),
                text: forbid.to_owned(),
                place: place(77),
                generated: false,
            });
        },
        |_| {},
    )
    .await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/admin/users")).await.unwrap();
    assert_eq!(response.status(), 403);
    let id = response.headers()["ringfort-decision"].to_str().unwrap().to_owned();
    drop(text(response).await);
    let decision = shop.gateway.plane.view().decision(id.parse().unwrap()).unwrap();
    let policy = decision.policy.as_ref().unwrap();
    assert_eq!((policy.id.as_str(), policy.place.as_str()), ("no-admin", "shop.yaml:77"));
    // Control: the same request, made legal, passes on the same connection.
    let response = client.send_request(get("/api/users")).await.unwrap();
    assert_eq!(response.status(), 200);
    let denied = shop.gateway.metric(r#"ringfort_decisions_total{ring="policy",decision="deny""#);
    assert_eq!(denied, 1.0);
}

#[tokio::test]
async fn an_unlisted_caller_is_refused_by_its_operation() {
    let program = program::echo(false).await;
    let shop = Shop::open_with(
        Protocol::Http1,
        program,
        |_| {},
        |snapshot| {
            let only = ringfort_model::Operation::Http {
                method: "GET".to_owned(),
                pattern: "/api/stock/{sku}".parse().unwrap(),
            };
            let service = snapshot.workload.clone();
            let permit = snapshot.policies.policies.first_mut().unwrap();
            let only = vec![only];
            permit.text =
                ringfort_policy::generated::call_permit(&name("public"), &service, Some(&only));
            sidecar_role(snapshot).callers.get_mut("public").unwrap().operations = Some(only);
        },
    )
    .await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/stock/7")).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(text(response).await);
    let response = client.send_request(get("/api/orders")).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(shop.program.requests(), 1);
}

#[tokio::test]
async fn edge_owned_headers_are_ours_alone() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let request = Request::get("/api/x")
        .header("host", "shop.example:8443")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "for=6.6.6.6")
        .header("ringfort-caller", "spiffe://shop.test/svc/boss")
        .header("x-real-ip", "6.6.6.6")
        .header("x_real_ip", "6.6.6.6")
        .header("x-original-url", "/admin")
        .header("x-user-id", "root")
        .header("baggage", "k=v")
        .header("x-kept", "yes")
        .body(whole(""))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let program = &shop.program;
    assert_eq!(program.last_field("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(program.last_field("x-forwarded-proto"), ["http"]);
    assert_eq!(program.last_field("x-forwarded-host"), ["shop.example:8443"]);
    assert_eq!(program.last_field("host"), ["shop.example:8443"]);
    assert_eq!(program.last_field("x-kept"), ["yes"]);
    let caller = shop.authority.gateway("public").to_string();
    assert_eq!(program.last_field("ringfort-caller"), [caller]);
    for gone in ["forwarded", "x-real-ip", "x_real_ip", "x-original-url", "x-user-id", "baggage"] {
        assert!(program.last_field(gone).is_empty(), "{gone}");
    }
    assert_eq!(program.last_field("traceparent")[0].len(), 55);
}

#[tokio::test]
async fn methods_that_no_route_names_are_listed() {
    let shop = Shop::open_with(
        Protocol::Http1,
        program::echo(false).await,
        |snapshot| {
            let mut only_post = route("post", "/post", "orders");
            only_post.matches[0].methods = vec!["POST".to_owned(), "PUT".to_owned()];
            add_route(snapshot, only_post);
        },
        |_| {},
    )
    .await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/post")).await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST, PUT");
}

#[tokio::test]
async fn a_host_that_is_not_the_listeners_is_misdirected() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let request = Request::get("/api/x").header("host", "other.example").body(whole("")).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 421);
}

#[tokio::test]
async fn tls_listeners_speak_both_versions_and_redirects_lead_there() {
    let edit = |snapshot: &mut ringfort_model::Snapshot| {
        gateway_role(snapshot).listeners = vec![tls_listener()];
        let mut old = route("old", "/old", "orders");
        old.action = RouteAction::Redirect { to: "/api/new".to_owned(), status: 308 };
        add_route(snapshot, old);
    };
    let program = program::echo(false).await;
    let shop = Shop::open_with(Protocol::Http1, program, edit, |_| {}).await;
    let tls = caller::visit(shop.gateway.gateway(), shop.authority.visitor("h2")).await;
    let mut client = caller::http2_over(tls).await;
    let response = client.send_request(get2("/api/two")).await.unwrap();
    assert_eq!(text(response).await, "/api/two 0");
    assert_eq!(shop.program.last_field("x-forwarded-proto"), ["https"]);
    let tls = caller::visit(shop.gateway.gateway(), shop.authority.visitor("http/1.1")).await;
    let mut client = caller::http1_over(tls).await;
    let response = client.send_request(get("/old")).await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "/api/new");
}

#[tokio::test]
async fn a_plain_listener_redirects_to_https() {
    let edit = |snapshot: &mut ringfort_model::Snapshot| {
        gateway_role(snapshot).listeners[0].redirect_to_https = true;
    };
    let program = program::echo(false).await;
    let shop = Shop::open_with(Protocol::Http1, program, edit, |_| {}).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/x?y=1")).await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "https://shop.example/api/x?y=1");
    assert_eq!(shop.program.requests(), 0);
}

#[tokio::test]
async fn prefixes_are_rewritten_and_headers_edited() {
    let edit = |snapshot: &mut ringfort_model::Snapshot| {
        let mut shop = route("shop", "/shop/*", "orders");
        shop.action = RouteAction::To {
            peer: name("orders"),
            rewrite: Some(ringfort_model::snapshot::Rewrite {
                strip_prefix: Some("/shop".to_owned()),
                add_prefix: Some("/v2".to_owned()),
            }),
        };
        shop.headers.request.set.insert("x-tenant".to_owned(), "north".to_owned());
        shop.headers.response.set.insert("x-frame-options".to_owned(), "DENY".to_owned());
        shop.cors_origins = vec!["https://app.example".to_owned()];
        add_route(snapshot, shop);
    };
    let program = program::echo(false).await;
    let shop = Shop::open_with(Protocol::Http1, program, edit, |_| {}).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let request = Request::get("/shop/cart?a=b")
        .header("host", "shop.example")
        .header("origin", "https://app.example")
        .body(whole(""))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(text(response).await, "/v2/cart?a=b 0");
    assert_eq!(shop.program.last_field("x-tenant"), ["north"]);
    let preflight = Request::options("/shop/cart")
        .header("host", "shop.example")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "PUT")
        .body(whole(""))
        .unwrap();
    let response = client.send_request(preflight).await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-methods"], "PUT");
    assert_eq!(shop.program.requests(), 1);
}

#[tokio::test]
async fn the_access_log_has_no_query_and_the_series_do_not_grow_with_requests() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let ask = async |client: &mut hyper::client::conn::http1::SendRequest<program::Frames>,
                     path: String| {
        let response = client.send_request(get(&path)).await.unwrap();
        drop(text(response).await);
    };
    ask(&mut client, "/api/orders?token=secret".to_owned()).await;
    ask(&mut client, "/nowhere".to_owned()).await;
    let before = shop.gateway.metric("ringfort_metric_series ");
    for number in 0..200 {
        ask(&mut client, format!("/api/{number}?q={number}")).await;
        ask(&mut client, format!("/nowhere/{number}")).await;
    }
    assert_eq!(shop.gateway.metric("ringfort_metric_series "), before);
    let log = Arc::new(shop.gateway.log.clone());
    eventually("all lines are written", || log.text().lines().count() == 402).await;
    let text = log.text();
    assert!(!text.contains("secret"), "{text}");
    let line = text.lines().find(|line| line.contains("/api/orders")).unwrap();
    for part in [
        r#""http.request.method":"GET""#,
        r#""url.path":"/api/orders""#,
        r#""http.route":"api""#,
        r#""rf.destination":"orders""#,
        r#""rf.policy":"shop.yaml:api""#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
