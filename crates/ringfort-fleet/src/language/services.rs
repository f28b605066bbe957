//! Services: what they speak, whom they call, how they are recognised and how callers treat them.

use super::{
    CERTIFICATES, FILE, Field, Kind, LINE, LINES, NAME, NAMES, Object, PORT, Space, Text, between,
    bytes, count, edge, hours, ms, operations, percent, seconds, words,
};

/// One service.
pub(crate) static SERVICE: Object = Object {
    name: "service",
    doc: "A program of the fleet behind its own proxy.",
    fields: &[
        Field::new(
            "listen",
            Kind::Forms(&[PORT, Kind::Object(&LISTEN)]),
            "Where the program listens and what it speaks; without it, it only calls.",
        ),
        Field::new(
            "run",
            Kind::Object(&RUN),
            "How `ringfort up` starts the program; without it a running one is used.",
        ),
        Field::new(
            "calls",
            Kind::List(&Kind::Forms(&[
                Kind::Text(Text::Reference(Space::Service)),
                Kind::Object(&CALL),
            ])),
            "The services it may call; every other call is denied.",
        ),
        Field::new(
            "proxy_port",
            PORT,
            "Loopback port on which its proxy serves it as `HTTP_PROXY`; without it there is none.",
        ),
        Field::new(
            "workload",
            Kind::Object(&WORKLOAD),
            "What its process must look like; all parts must match.",
        )
        .or("{ unix_user: NAME }", "one Unix user per service is the oldest wall there is")
        .narrows(),
        Field::new(
            "runs_on",
            NAMES,
            "Hosts whose agents may obtain its identity; every enrolled host when left out.",
        )
        .narrows(),
        Field::new(
            "instances",
            Kind::Forms(&[words(&["registered"]), Kind::Object(&INSTANCES)]),
            "Where callers find it; mTLS proves its identity in every form.",
        )
        .or("registered", "its proxies announce themselves"),
        Field::new(
            "bind",
            Kind::Text(Text::Socket),
            "Address at which its proxy accepts mTLS; a free loopback port when left out.",
        ),
        Field::new(
            "contract",
            Kind::Object(&CONTRACT),
            "Its published API, to which every caller is held.",
        )
        .unbuilt("the ring `contract`")
        .narrows(),
        Field::new("normalization", NORMALIZATION, "How it reads paths.")
            .or("strict", "refuses what two programs could read differently"),
        Field::new(
            "egress",
            Kind::List(&Kind::Object(&EGRESS)),
            "Its only ways out of the fleet; none when left out.",
        )
        .unbuilt("the ring `firewall`"),
        Field::new(
            "subsets",
            Kind::Map { key: Text::Name, value: &Kind::Object(&SUBSET) },
            "Canary split for every caller, by name.",
        ),
        Field::new(
            "labels",
            NAMES,
            "Labels for policies; `critical` raises what drills and `supply` demand.",
        )
        .narrows(),
        Field::new("limits", Kind::Object(&edge::LIMITS), "Bounds of requests, for every caller."),
        Field::new("resilience", Kind::Object(&RESILIENCE), "How callers treat it."),
        Field::new(
            "certificates",
            Kind::Object(&CERTIFICATES),
            "Life of its certificates, instead of the fleet's.",
        ),
        Field::new(
            "supply",
            Kind::Object(&operations::SUPPLY),
            "Which builds get its identity, instead of the fleet's.",
        )
        .unbuilt("the ring `supply`")
        .narrows(),
        Field::new("sandbox", Kind::Object(&SANDBOX), "What its program is confined to.")
            .unbuilt("the sandbox"),
        Field::new(
            "plaintext_until",
            Kind::Text(Text::Date),
            "Until this day peers without mTLS may enter; at most 90 days ahead.",
        )
        .unbuilt("entry without mTLS"),
        Field::new(
            "builtin",
            words(&["openid-provider", "console"]),
            "Served by `ringfort server` instead of a program.",
        )
        .unbuilt("built-in services"),
    ],
    exactly_one: &[],
};

const NORMALIZATION: Kind = words(&["strict", "merge-slashes", "encoded-slash", "matrix-params"]);

static LISTEN: Object = Object {
    name: "listen",
    doc: "Where a program listens; `listen: 8080` is short for `{ port: 8080 }`.",
    fields: &[
        Field::new("port", PORT, "Its port.").required(),
        Field::new(
            "protocol",
            words(&["http1", "http2", "grpc", "tcp"]),
            "What it speaks; nothing is detected.",
        )
        .or("http1", "what most programs speak"),
        Field::new("address", Kind::Text(Text::Ip), "Its address.")
            .or("127.0.0.1", "reachable by its own proxy alone"),
    ],
    exactly_one: &[],
};

static RUN: Object = Object {
    name: "run",
    doc: "How `ringfort up` starts the program.",
    fields: &[
        Field::new("command", LINES, "Program and arguments; no shell reads them.").required(),
        Field::new(
            "env",
            Kind::Map { key: Text::Variable, value: &LINE },
            "Its environment variables.",
        ),
        Field::new("dir", Kind::Text(Text::HostPath), "Its working directory."),
    ],
    exactly_one: &[],
};

/// The long form of one item of `calls`.
pub(crate) static CALL: Object = Object {
    name: "call",
    doc: "One edge of the graph; `- NAME` is short for everything the callee offers.",
    fields: &[
        Field::new("to", Kind::Text(Text::Reference(Space::Service)), "The callee.").required(),
        Field::new("port", PORT, "Loopback port on which the caller's program finds the callee."),
        Field::new(
            "only",
            Kind::List(&Kind::Text(Text::Operation)),
            "The operations it may call; all when left out.",
        )
        .narrows(),
        Field::new(
            "policy",
            words(&["generated", "required"]),
            "`required`: no permit is generated, a Cedar file decides.",
        )
        .or("generated", "the line itself is the permit")
        .narrows(),
    ],
    exactly_one: &[],
};

/// What a process must look like.
pub(super) static WORKLOAD: Object = Object {
    name: "workload",
    doc: "What a process must look like to get the identity; all parts given must match.",
    fields: &[
        Field::new("unix_user", LINE, "Name of its Unix user.").narrows(),
        Field::new("unix_group", LINE, "Name of its Unix group.").narrows(),
        Field::new("exe_sha256", Kind::Text(Text::Sha256), "SHA-256 of its executable.").narrows(),
        Field::new("systemd_unit", LINE, "Its systemd unit.")
            .unbuilt("attestation of systemd units")
            .narrows(),
        Field::new("kubernetes", Kind::Object(&KUBERNETES), "Its Kubernetes service account.")
            .unbuilt("attestation of Kubernetes pods")
            .narrows(),
    ],
    exactly_one: &[],
};

static KUBERNETES: Object = Object {
    name: "kubernetes",
    doc: "A Kubernetes service account.",
    fields: &[
        Field::new("namespace", NAME, "Its namespace.").required(),
        Field::new("service_account", NAME, "Its name.").required(),
    ],
    exactly_one: &[],
};

static INSTANCES: Object = Object {
    name: "instances",
    doc: "Where callers find a service.",
    fields: &[
        Field::new(
            "static",
            Kind::List(&Kind::Text(Text::Socket)),
            "Fixed mTLS addresses of its proxies.",
        ),
        Field::new("dns", Kind::Text(Text::Host), "A DNS name.").unbuilt("instances by DNS"),
        Field::new("kubernetes", LINE, "A Kubernetes service: `namespace/name`.")
            .unbuilt("instances by Kubernetes"),
    ],
    exactly_one: &[&["static", "dns", "kubernetes"]],
};

/// A published API.
pub(super) static CONTRACT: Object = Object {
    name: "contract",
    doc: "A published API.",
    fields: &[
        Field::new("openapi", FILE, "An OpenAPI document."),
        Field::new("proto", FILE, "A compiled protobuf descriptor set."),
        Field::new("mode", words(&["enforce", "observe"]), "Whether it refuses or only counts.")
            .or("enforce", "a wall that only counts is none"),
    ],
    exactly_one: &[&["openapi", "proto"]],
};

static EGRESS: Object = Object {
    name: "egress",
    doc: "One way out of the fleet.",
    fields: &[
        Field::new("host", Kind::Text(Text::Host), "The host outside.").required(),
        Field::new("port", PORT, "Its port.").or("443", "https"),
        Field::new("tls", words(&["required", "none"]), "Whether plaintext is refused.")
            .or("required", "what leaves the fleet is encrypted"),
    ],
    exactly_one: &[],
};

static SUBSET: Object = Object {
    name: "subset",
    doc: "Instances chosen by label.",
    fields: &[
        Field::new(
            "labels",
            Kind::Map { key: Text::Name, value: &LINE },
            "Labels an instance must carry; the agent sets them.",
        )
        .required(),
        Field::new("weight", percent(0), "Share of requests.")
            .or("0%", "a subset starts without traffic"),
    ],
    exactly_one: &[],
};

static SANDBOX: Object = Object {
    name: "sandbox",
    doc: "What a program is confined to.",
    fields: &[
        Field::new("files", Kind::Object(&SANDBOX_FILES), "Files beside its own."),
        Field::new("syscalls", words(&["default"]), "Which system calls it may make.")
            .or("default", "no new privileges, no raw sockets"),
        Field::new("memory", bytes(1 << 20, 1 << 44), "Most memory."),
        Field::new("cpus", count(1, 1024), "Most processors."),
        Field::new("processes", count(1, 1_000_000), "Most processes."),
    ],
    exactly_one: &[],
};

static SANDBOX_FILES: Object = Object {
    name: "files",
    doc: "Files a program may use beside its own.",
    fields: &[
        Field::new("read", Kind::List(&Kind::Text(Text::HostPath)), "Paths it may read."),
        Field::new("write", Kind::List(&Kind::Text(Text::HostPath)), "Paths it may write."),
    ],
    exactly_one: &[],
};

/// How callers treat a callee.
pub(crate) static RESILIENCE: Object = Object {
    name: "resilience",
    doc: "How callers treat the service.",
    fields: &[
        Field::new(
            "timeout",
            between(ms(1), hours(24)),
            "From the request's arrival to the response head, retries included.",
        )
        .or("15s", "longer than an honest answer takes, shorter than a browser waits"),
        Field::new("connect", between(ms(1), seconds(60)), "To an established mTLS connection.")
            .or("1s", "one lost packet and its repetition"),
        Field::new("retry", Kind::Object(&RETRY), "What is tried again.")
            .unbuilt("configured retries"),
        Field::new("breaker", Kind::Object(&BREAKER), "When an endpoint is left alone.")
            .unbuilt("the circuit breaker"),
        Field::new("concurrency", count(1, 65_535), "Most requests in flight from one proxy.")
            .or("1024", "40 000 requests/s at 25 ms (Little's law)"),
        Field::new("queue", count(0, 65_535), "Requests that wait for room.")
            .or("0", "a queue hides overload")
            .unbuilt("the queue"),
        Field::new(
            "balance",
            Kind::Forms(&[words(&["least_loaded"]), Kind::Object(&HASH)]),
            "How an endpoint is chosen.",
        )
        .or("least_loaded", "two random choices, the less busy one")
        .unbuilt("configured balancing"),
        Field::new("health", Kind::Object(&HEALTH), "An active health check.")
            .unbuilt("active health checks"),
    ],
    exactly_one: &[],
};

static RETRY: Object = Object {
    name: "retry",
    doc: "What is tried again.",
    fields: &[
        Field::new("attempts", count(0, 5), "Tries after the first.")
            .or("1", "one lost connection"),
        Field::new(
            "when",
            Kind::List(&words(&[
                "connect-failure",
                "refused",
                "reset-before-bytes",
                "429",
                "500",
                "502",
                "503",
                "504",
            ])),
            "What is worth another try.",
        )
        .or("[connect-failure, refused, reset-before-bytes]", "nothing was done yet"),
        Field::new("budget", percent(0), "Retries as a share of requests.")
            .or("10%", "a failing callee is not doubled"),
        Field::new(
            "methods",
            Kind::Forms(&[words(&["idempotent"]), Kind::List(&Kind::Text(Text::Method))]),
            "Methods that may be repeated.",
        )
        .or("idempotent", "a repeated write may be done twice"),
    ],
    exactly_one: &[],
};

static BREAKER: Object = Object {
    name: "breaker",
    doc: "When an endpoint is left alone.",
    fields: &[
        Field::new(
            "mode",
            words(&["enforce", "observe", "disabled"]),
            "Whether it opens, counts or is off.",
        )
        .or("enforce", "on without a word"),
        Field::new("window", between(seconds(1), hours(1)), "Time over which it counts.")
            .or("10s", "ten buckets of a second"),
        Field::new("min_requests", count(1, 100_000), "Fewer calls decide nothing.")
            .or("20", "one failure in two calls is no rate"),
        Field::new("error_rate", percent(1), "Share of failures that opens it.")
            .or("50%", "random errors of 10 % never trip it"),
        Field::new("consecutive", count(1, 10_000), "Failures in a row that open it.")
            .or("10", "a dead endpoint is left within ten calls"),
        Field::new("slow", Kind::Object(&SLOW), "When a call counts as slow."),
        Field::new("open", Kind::Object(&OPEN), "How long it stays open."),
        Field::new("probes", count(1, 100), "Calls let through to see whether it is well again.")
            .or("3", "one could be luck"),
    ],
    exactly_one: &[],
};

static SLOW: Object = Object {
    name: "slow",
    doc: "When a call counts as slow.",
    fields: &[
        Field::new(
            "over",
            Kind::Text(Text::Any(&[
                Text::Word(&["auto"]),
                Text::Duration { min: ms(1), max: hours(1) },
            ])),
            "Longer than this; `auto` learns it.",
        )
        .or("auto", "what is slow differs by service"),
        Field::new("rate", percent(1), "Share of slow calls that opens the breaker.")
            .or("50%", "half the calls slow is no accident"),
    ],
    exactly_one: &[],
};

static OPEN: Object = Object {
    name: "open",
    doc: "How long a breaker stays open.",
    fields: &[
        Field::new("first", between(ms(100), hours(1)), "The first time.").or("2s", "a restart"),
        Field::new("max", between(ms(100), hours(24)), "At most; doubled each time.")
            .or("60s", "a repair is noticed within a minute"),
    ],
    exactly_one: &[],
};

static HASH: Object = Object {
    name: "balance",
    doc: "Keeps requests of one kind on one endpoint.",
    fields: &[
        Field::new("hash", words(&["user", "client_ip"]), "What is kept together.").required()
    ],
    exactly_one: &[],
};

static HEALTH: Object = Object {
    name: "health",
    doc: "An active health check.",
    fields: &[
        Field::new("path", Kind::Text(Text::Prefix), "The path asked for.").required(),
        Field::new("interval", between(seconds(1), hours(1)), "Time between two checks.")
            .or("10s", "one dead instance costs seconds, not load"),
    ],
    exactly_one: &[],
};
