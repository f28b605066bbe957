//! Where requests enter: gateways, their listeners, routes and limits.

use super::{
    FILE, FLAG, Field, Kind, LINE, LINES, NAMES, Object, Space, Text, between, bytes, count, hours,
    ms, root, seconds, services, words,
};

const USER: &str = "the ring `user`";

/// One gateway.
pub(crate) static GATEWAY: Object = Object {
    name: "gateway",
    doc: "Where requests enter the fleet; whom it calls follows from its routes.",
    fields: &[
        Field::new(
            "workload",
            Kind::Object(&services::WORKLOAD),
            "What its process must look like; all parts must match.",
        )
        .or("{ unix_user: NAME }", "one Unix user per gateway")
        .narrows(),
        Field::new(
            "runs_on",
            NAMES,
            "Hosts whose agents may obtain its identity; every enrolled host when left out.",
        )
        .narrows(),
        Field::new("labels", NAMES, "Labels for policies.").narrows(),
        Field::new("listeners", Kind::List(&Kind::Object(&LISTENER)), "Its sockets.").required(),
        Field::new(
            "trusted_proxies",
            Kind::List(&Kind::Text(Text::Network)),
            "Networks that may set `Forwarded`; nobody when left out.",
        ),
        Field::new("limits", Kind::Object(&LIMITS), "Bounds of everything that enters."),
    ],
    exactly_one: &[],
};

/// One socket of a gateway.
pub(crate) static LISTENER: Object = Object {
    name: "listener",
    doc: "One socket of a gateway. Without `tls` it redirects to https or stands on loopback.",
    fields: &[
        Field::new("bind", Kind::Text(Text::Socket), "Where it listens.").required(),
        Field::new(
            "hosts",
            Kind::List(&Kind::Text(Text::Host)),
            "The hosts it answers; others get 421.",
        )
        .required(),
        Field::new(
            "tls",
            Kind::Forms(&[words(&["internal"]), Kind::Object(&TLS)]),
            "How it proves itself; `internal`: by a certificate of the fleet's own CA.",
        )
        .narrows(),
        Field::new("redirect_to_https", FLAG, "Answers everything with a redirect to https.")
            .or("false", "plaintext answers are written down")
            .narrows(),
    ],
    exactly_one: &[],
};

static TLS: Object = Object {
    name: "tls",
    doc: "How a listener proves itself.",
    fields: &[
        Field::new("acme", Kind::Object(&ACME), "A certificate by ACME.")
            .unbuilt("certificates by ACME"),
        Field::new("files", Kind::Object(&TLS_FILES), "A certificate of your own."),
        Field::new("internal", words(&["true"]), "A certificate of the fleet's own CA."),
        Field::new("min", words(&["1.2", "1.3"]), "Lowest TLS version.")
            .or("1.3", "every browser since 2019"),
        Field::new("client_ca", FILE, "Clients must show a certificate of this CA.")
            .unbuilt("client certificates of foreign CAs")
            .narrows(),
    ],
    exactly_one: &[&["acme", "files", "internal"]],
};

static ACME: Object = Object {
    name: "acme",
    doc: "A certificate by ACME.",
    fields: &[Field::new("email", LINE, "Contact of the account.").required()],
    exactly_one: &[],
};

static TLS_FILES: Object = Object {
    name: "files",
    doc: "A certificate of your own.",
    fields: &[
        Field::new("chain", FILE, "Certificate chain in PEM.").required(),
        Field::new("key", Kind::Text(Text::HostPath), "Private key in PEM, an absolute path on the gateway's host; it never enters a revision.")
            .required(),
    ],
    exactly_one: &[],
};

/// One route.
pub(crate) static ROUTE: Object = Object {
    name: "route",
    doc: "What a gateway forwards. The more specific route wins; ties are errors.",
    fields: &[
        Field::new(
            "gateway",
            Kind::Text(Text::Reference(Space::Gateway)),
            "Its gateway; may be left out when there is only one.",
        ),
        Field::new("match", Kind::List(&Kind::Object(&ROUTE_MATCH)), "Any of these must match.")
            .required(),
        Field::new("to", Kind::Text(Text::Reference(Space::Service)), "The service behind it."),
        Field::new("redirect", Kind::Object(&REDIRECT), "Answers with a redirect instead."),
        Field::new(
            "user",
            Kind::Forms(&[words(&["none"]), Kind::Object(&ROUTE_USER)]),
            "Who may use it; `none` makes it public.",
        )
        .required(),
        Field::new(
            "contract",
            Kind::Object(&services::CONTRACT),
            "An API narrower than the service's.",
        )
        .unbuilt("the ring `contract`")
        .narrows(),
        Field::new(
            "policy",
            words(&["generated", "required"]),
            "`required`: no permit is generated, a Cedar file decides.",
        )
        .or("generated", "the route itself is the permit")
        .narrows(),
        Field::new("limits", Kind::Object(&LIMITS), "Bounds of its requests."),
        Field::new(
            "timeout",
            between(ms(1), hours(24)),
            "From arrival to response head; the service's when left out.",
        ),
        Field::new(
            "rewrite",
            Kind::Object(&REWRITE),
            "Path rewriting; policy sees the path sent upstream.",
        ),
        Field::new(
            "headers",
            Kind::Object(&HEADERS),
            "Headers set and removed; never those the edge owns.",
        ),
        Field::new("upgrade", FLAG, "Whether `Upgrade: websocket` passes.")
            .or("false", "an upgraded connection leaves the rings behind"),
        Field::new(
            "cors",
            Kind::Object(&CORS),
            "Which web origins may call; preflights are answered here.",
        ),
    ],
    exactly_one: &[&["to", "redirect"]],
};

/// One condition of a route.
pub(crate) static ROUTE_MATCH: Object = Object {
    name: "match",
    doc: "One condition of a route; all parts must hold.",
    fields: &[
        Field::new("host", Kind::Text(Text::Host), "The host.").required(),
        Field::new(
            "path",
            Kind::Text(Text::Path),
            "Exact, `{x}` for one segment, a final `/*` for this path and all below it.",
        )
        .required(),
        Field::new(
            "methods",
            Kind::Forms(&[words(&["all"]), Kind::List(&Kind::Text(Text::Method))]),
            "The methods.",
        )
        .or("all", "a contract or a policy narrows further")
        .narrows(),
        Field::new(
            "headers",
            Kind::Map { key: Text::Header, value: &Kind::Text(Text::HeaderValue) },
            "Headers that must equal these values.",
        )
        .narrows(),
    ],
    exactly_one: &[],
};

static REDIRECT: Object = Object {
    name: "redirect",
    doc: "A redirect.",
    fields: &[
        Field::new("to", Kind::Text(Text::Target), "Absolute URL or absolute path.").required(),
        Field::new("status", words(&["301", "302", "303", "307", "308"]), "The status.")
            .or("308", "permanent, and the method stays"),
    ],
    exactly_one: &[],
};

static ROUTE_USER: Object = Object {
    name: "user",
    doc: "Who may use a route.",
    fields: &[
        Field::new("login", root::CLIENT_NAME, "A session of this client, kept by the gateway.")
            .unbuilt(USER),
        Field::new("bearer", root::CLIENT_NAME, "A token of this client.").unbuilt(USER),
        Field::new("scopes", LINES, "Scopes, all of which are needed.").narrows(),
        Field::new("groups", root::GROUP_NAMES, "Groups, any of which is enough.").narrows(),
        Field::new("mfa", Kind::Object(&ROUTE_MFA), "How fresh the second factor must be.")
            .narrows(),
        Field::new(
            "sender_constrained",
            words(&["mtls", "dpop", "none"]),
            "How a bearer token is bound; unbound only when `none` is written.",
        ),
    ],
    exactly_one: &[&["login", "bearer"]],
};

static ROUTE_MFA: Object = Object {
    name: "mfa",
    doc: "How fresh the second factor must be.",
    fields: &[
        Field::new("max_age", between(seconds(1), hours(24)), "Its greatest age.").required(),
        Field::new("level", words(&["mfa", "passkey"]), "How strong it must be.")
            .or("mfa", "any second factor")
            .narrows(),
    ],
    exactly_one: &[],
};

static REWRITE: Object = Object {
    name: "rewrite",
    doc: "Path rewriting at segment borders.",
    fields: &[
        Field::new("strip_prefix", Kind::Text(Text::Prefix), "Removed from the front."),
        Field::new("add_prefix", Kind::Text(Text::Prefix), "Put in front."),
    ],
    exactly_one: &[],
};

static HEADERS: Object = Object {
    name: "headers",
    doc: "Headers a route sets and removes.",
    fields: &[
        Field::new("request", Kind::Object(&HEADER_EDIT), "On the request."),
        Field::new("response", Kind::Object(&HEADER_EDIT), "On the response."),
    ],
    exactly_one: &[],
};

static HEADER_EDIT: Object = Object {
    name: "header edit",
    doc: "Headers set and removed in one direction.",
    fields: &[
        Field::new(
            "set",
            Kind::Map { key: Text::Header, value: &Kind::Text(Text::HeaderValue) },
            "Set to exactly this value.",
        ),
        Field::new("remove", Kind::List(&Kind::Text(Text::Header)), "Removed."),
    ],
    exactly_one: &[],
};

static CORS: Object = Object {
    name: "cors",
    doc: "Which web origins may call.",
    fields: &[Field::new(
        "origins",
        Kind::List(&Kind::Text(Text::Origin)),
        "Origins, compared exactly.",
    )
    .required()],
    exactly_one: &[],
};

/// Bounds of a gateway, route or service.
pub(crate) static LIMITS: Object = Object {
    name: "limits",
    doc: "Bounds of a gateway, route or service; the inner one wins, `requests` add up.",
    fields: &[
        Field::new("body", bytes(0, 1 << 40), "Largest request body.")
            .or("1MiB", "an API call, not an upload"),
        Field::new("url", bytes(64, 1 << 20), "Longest request target.")
            .or("8KiB", "what common servers read"),
        Field::new("headers", Kind::Object(&HEADER_LIMITS), "Bounds of the head."),
        Field::new(
            "header_timeout",
            between(ms(100), hours(1)),
            "Longest wait for a complete request head.",
        )
        .or("10s", "a slow phone, not a slow attack"),
        Field::new(
            "body_idle",
            between(ms(100), hours(1)),
            "Longest pause between two pieces of a body.",
        )
        .or("15s", "a lost packet and its repetitions"),
        Field::new(
            "idle",
            between(ms(100), hours(24)),
            "Longest life of a connection without a request.",
        )
        .or("60s", "a person reads a page"),
        Field::new("streams", count(1, 10_000), "Most concurrent HTTP/2 streams of a connection.")
            .or("100", "RFC 9113 advises no fewer"),
        Field::new("connections", count(1, 1_000_000), "Most open connections of a listener.")
            .or("10000", "25 KB each fit into 256 MB"),
        Field::new(
            "requests",
            Kind::List(&Kind::Object(&REQUESTS)),
            "Rate limits; those of gateway, route and service all hold.",
        )
        .unbuilt("rate limits"),
    ],
    exactly_one: &[],
};

static HEADER_LIMITS: Object = Object {
    name: "headers",
    doc: "Bounds of a request's head.",
    fields: &[
        Field::new("bytes", bytes(256, 1 << 20), "All field names and values.")
            .or("16KiB", "cookies of an honest site"),
        Field::new("count", count(1, 1000), "Most header fields.")
            .or("100", "browsers send about 20"),
    ],
    exactly_one: &[],
};

static REQUESTS: Object = Object {
    name: "requests",
    doc: "A rate limit.",
    fields: &[
        Field::new(
            "by",
            words(&["client_ip", "user", "client", "workload", "username"]),
            "What is counted.",
        )
        .required(),
        Field::new("rate", Kind::Text(Text::Rate), "Requests per time.").required(),
        Field::new(
            "burst",
            count(1, 1_000_000),
            "Requests at once; one second's worth when left out.",
        ),
        Field::new("scope", words(&["local", "global"]), "Counted per proxy or over all.")
            .or("local", "needs no store"),
        Field::new(
            "on_store_loss",
            words(&["local", "open", "closed"]),
            "What holds when the store is gone.",
        )
        .or("local", "each proxy enforces its share"),
    ],
    exactly_one: &[],
};
