//! Sections about running a fleet: firewall, supply, drill and observability.

use super::{
    FLAG, Field, KEY_FILE, Kind, LINE, Object, PORT, SERVICES, Space, Text, between, count, days,
    hours, percent, seconds, words,
};

/// The distributed firewall.
pub(super) static FIREWALL: Object = Object {
    name: "firewall",
    doc: "The distributed firewall.",
    fields: &[
        Field::new("mode", words(&["observe", "enforce"]), "Whether it drops or only counts.")
            .or("enforce", "a wall that only counts is none"),
        Field::new(
            "scope",
            words(&["workloads", "host"]),
            "`host`: default deny for the whole machine.",
        )
        .or("workloads", "leaves the rest of the machine alone"),
        Field::new(
            "management",
            Kind::List(&Kind::Text(Text::Network)),
            "Networks whose SSH is never cut.",
        ),
        Field::new("allow", Kind::List(&Kind::Object(&ALLOW)), "What may enter a host besides."),
        Field::new(
            "confirm",
            between(seconds(5), hours(1)),
            "Without contact to a server for this long after a change it is undone.",
        )
        .or("30s", "longer than a reconnect"),
    ],
    exactly_one: &[],
};

static ALLOW: Object = Object {
    name: "allow",
    doc: "Something that may enter a host.",
    fields: &[
        Field::new("from", Kind::Text(Text::Network), "The network.").required(),
        Field::new("port", PORT, "The port.").required(),
        Field::new("why", LINE, "The reason, for whoever reads it next.").required(),
    ],
    exactly_one: &[],
};

/// Which builds get an identity.
pub(super) static SUPPLY: Object = Object {
    name: "supply",
    doc: "Which builds get an identity.",
    fields: &[
        Field::new("mode", words(&["observe", "enforce"]), "Whether it refuses or only reports.")
            .or("observe", "evidence comes before enforcement"),
        Field::new(
            "require",
            Kind::List(&words(&["provenance", "sbom", "scan"])),
            "Evidence a build must have.",
        ),
        Field::new(
            "signers",
            Kind::Map { key: Text::Name, value: &Kind::Object(&SIGNER) },
            "Whose signatures count, by name.",
        ),
        Field::new("grace", Kind::Object(&GRACE), "How long a known fault is tolerated."),
        Field::new(
            "unknown",
            words(&["allow", "quarantine"]),
            "What happens to builds without evidence.",
        )
        .or("allow", "a fleet starts without evidence"),
        Field::new("guard", Kind::Object(&GUARD), "How much it may take away at once."),
        Field::new("waivers", Kind::List(&Kind::Object(&WAIVER)), "Faults accepted for a time."),
    ],
    exactly_one: &[],
};

static SIGNER: Object = Object {
    name: "signer",
    doc: "Somebody whose signature counts.",
    fields: &[Field::new("key", Kind::Object(&KEY_FILE), "The signer's public key.").required()],
    exactly_one: &[],
};

static GRACE: Object = Object {
    name: "grace",
    doc: "How long a known fault is tolerated.",
    fields: &[
        Field::new("malicious", between(seconds(0), days(1)), "Malicious packages.")
            .or("0s", "nothing is gained by waiting"),
        Field::new(
            "known_exploited",
            between(seconds(0), days(30)),
            "Faults exploited in the wild.",
        )
        .or("24h", "one working day to repair"),
        Field::new(
            "critical_fixable",
            between(seconds(0), days(90)),
            "Critical faults with a fix.",
        )
        .or("14d", "the deadline of common directives"),
    ],
    exactly_one: &[],
};

static GUARD: Object = Object {
    name: "guard",
    doc: "How much the ring may take away at once.",
    fields: &[
        Field::new("max_per_hour", percent(1), "Share of workloads per hour.")
            .or("10%", "a wrong feed must not stop a fleet"),
        Field::new("keep_replicas", count(0, 1000), "Instances of a service that stay.")
            .or("1", "the last one serves on"),
    ],
    exactly_one: &[],
};

static WAIVER: Object = Object {
    name: "waiver",
    doc: "A fault accepted for a time.",
    fields: &[
        Field::new("id", LINE, "The fault's id.").required(),
        Field::new("services", SERVICES, "The services.").required(),
        Field::new("until", Kind::Text(Text::Date), "The last day; at most 30 days ahead.")
            .required(),
        Field::new("why", LINE, "The reason, for whoever reads it next.").required(),
    ],
    exactly_one: &[],
};

/// What drills may do.
pub(super) static DRILL: Object = Object {
    name: "drill",
    doc: "What drills may do to this fleet.",
    fields: &[
        Field::new("live", FLAG, "Whether drills may run against the live fleet.")
            .or("false", "an attack is asked for"),
        Field::new("faults_live", SERVICES, "Services into which faults may be injected."),
        Field::new("schedule", LINE, "When drills run by themselves."),
        Field::new("accept", Kind::List(&Kind::Object(&ACCEPT)), "Findings accepted for a time."),
    ],
    exactly_one: &[],
};

static ACCEPT: Object = Object {
    name: "accept",
    doc: "A finding accepted for a time.",
    fields: &[
        Field::new("attack", LINE, "The attack's id.").required(),
        Field::new("service", Kind::Text(Text::Reference(Space::Service)), "The service.")
            .required(),
        Field::new("until", Kind::Text(Text::Date), "The last day; at most 30 days ahead.")
            .required(),
        Field::new("why", LINE, "The reason, for whoever reads it next.").required(),
    ],
    exactly_one: &[],
};

/// Metrics, traces, access log and audit.
pub(super) static OBSERVABILITY: Object = Object {
    name: "observability",
    doc: "Metrics, traces, access log and audit; audit cannot be switched off.",
    fields: &[
        Field::new("metrics", Kind::Object(&METRICS), "The one scrape endpoint of a host."),
        Field::new("traces", Kind::Object(&TRACES), "Where traces go.").unbuilt("trace export"),
        Field::new("access_log", Kind::Object(&ACCESS_LOG), "One line per request."),
        Field::new("audit", Kind::Object(&AUDIT), "Copies of the audit trail."),
    ],
    exactly_one: &[],
};

static METRICS: Object = Object {
    name: "metrics",
    doc: "The agent's scrape endpoint for all proxies of its host.",
    fields: &[Field::new("bind", Kind::Text(Text::Socket), "Where it listens.")
        .or("127.0.0.1:9464", "the port of OpenTelemetry's Prometheus exporter")],
    exactly_one: &[],
};

static TRACES: Object = Object {
    name: "traces",
    doc: "Where traces go.",
    fields: &[
        Field::new("otlp", Kind::Text(Text::Url(&["http", "https"])), "An OTLP endpoint.")
            .required(),
        Field::new("sample", percent(0), "Share of requests traced.")
            .or("1%", "enough to see a shape"),
    ],
    exactly_one: &[],
};

static ACCESS_LOG: Object = Object {
    name: "access_log",
    doc: "One line per request.",
    fields: &[
        Field::new("to", words(&["stdout"]), "Where it goes.")
            .or("stdout", "the supervisor keeps it"),
        Field::new(
            "sample_2xx",
            percent(0),
            "Share of successful requests that are logged; all others always are.",
        )
        .or("10%", "success is counted, not listed"),
    ],
    exactly_one: &[],
};

static AUDIT: Object = Object {
    name: "audit",
    doc: "Copies of the audit trail.",
    fields: &[Field::new("forward", Kind::List(&Kind::Object(&FORWARD)), "Where copies go.")
        .required()
        .unbuilt("audit forwarding")],
    exactly_one: &[],
};

static FORWARD: Object = Object {
    name: "forward",
    doc: "A collector of audit events.",
    fields: &[
        Field::new("syslog", Kind::Text(Text::Url(&["tls", "tcp"])), "Its URL.").required(),
        Field::new("format", words(&["ocsf", "cef"]), "The format.").required(),
    ],
    exactly_one: &[],
};
