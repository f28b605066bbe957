//! The top of a fleet file, the fleet's own settings and its OpenID Provider.

use super::{
    FILE, FLAG, Field, KEY_FILE, Kind, LINE, Object, SECRET, Space, Text, between, count, days,
    hours, operations, percent, seconds, services, words,
};
use crate::language::edge;

const IDENTITY: &str = "the ring `user`";

/// A whole fleet.
pub(crate) static ROOT: Object = Object {
    name: "fleet file",
    doc: "A folder of `*.yaml` files, merged by name. What is not written is denied.",
    fields: &[
        Field::new(
            "ringfort",
            words(&["v1"]),
            "The version of the language; stands in every file.",
        )
        .required(),
        Field::new("fleet", Kind::Object(&FLEET), "Settings of the whole fleet."),
        Field::new("identity", Kind::Object(&PROVIDER), "The embedded OpenID Provider.")
            .unbuilt(IDENTITY),
        Field::new(
            "services",
            Kind::Map { key: Text::Name, value: &Kind::Object(&services::SERVICE) },
            "The services by name.",
        ),
        Field::new(
            "gateways",
            Kind::Map { key: Text::Name, value: &Kind::Object(&edge::GATEWAY) },
            "Where requests enter, by name.",
        ),
        Field::new(
            "routes",
            Kind::Map { key: Text::Name, value: &Kind::Object(&edge::ROUTE) },
            "What gateways forward, by name.",
        ),
        Field::new("firewall", Kind::Object(&operations::FIREWALL), "The distributed firewall.")
            .unbuilt("the ring `firewall`"),
        Field::new("supply", Kind::Object(&operations::SUPPLY), "Which builds get an identity.")
            .unbuilt("the ring `supply`"),
        Field::new("drill", Kind::Object(&operations::DRILL), "What drills may do to this fleet.")
            .unbuilt("`ringfort drill`"),
        Field::new(
            "policies",
            Kind::List(&FILE),
            "Cedar files of the folder; every `*.cedar` file must be listed.",
        ),
        Field::new(
            "observability",
            Kind::Object(&operations::OBSERVABILITY),
            "Metrics, traces, access log and audit.",
        ),
    ],
    exactly_one: &[],
};

static FLEET: Object = Object {
    name: "fleet",
    doc: "Settings of the whole fleet.",
    fields: &[
        Field::new(
            "trust_domain",
            Kind::Text(Text::TrustDomain),
            "Trust domain of every identity; a change renames them all.",
        )
        .or("ringfort.internal", "a private name that no public CA issues for"),
        Field::new(
            "certificates",
            Kind::Object(&CERTIFICATES),
            "Life of the certificates of all workloads.",
        ),
        Field::new("require_signed", FLAG, "Whether `apply` demands an author's signature.")
            .or("false", "a fleet starts without keys")
            .unbuilt("signed revisions"),
        Field::new(
            "authors",
            Kind::Map { key: Text::Name, value: &Kind::Object(&AUTHOR) },
            "Who may sign revisions, by name.",
        )
        .unbuilt("signed revisions"),
        Field::new("rollout", Kind::Object(&ROLLOUT), "How a revision reaches the proxies.")
            .unbuilt("rolled-out revisions"),
        Field::new(
            "quota_store",
            Kind::Object(&QUOTA_STORE),
            "Where global rate limits are counted.",
        )
        .unbuilt("`limits.requests`"),
    ],
    exactly_one: &[],
};

/// Life of certificates.
pub(crate) static CERTIFICATES: Object = Object {
    name: "certificates",
    doc: "Life of certificates; traffic survives half of it without control plane.",
    fields: &[
        Field::new(
            "ttl",
            between(seconds(600), hours(24)),
            "Life of a certificate; at most 1h where `supply` enforces.",
        )
        .or("12h", "half of it bridges a night without control plane"),
        Field::new("renew_at", percent(10), "Share of its life after which it is renewed.")
            .or("50%", "one lost renewal still leaves time for the next"),
    ],
    exactly_one: &[],
};

static AUTHOR: Object = Object {
    name: "author",
    doc: "Somebody who may sign revisions.",
    fields: &[Field::new("key", Kind::Object(&KEY_FILE), "The author's public key.").required()],
    exactly_one: &[],
};

static ROLLOUT: Object = Object {
    name: "rollout",
    doc: "How a revision reaches the proxies.",
    fields: &[
        Field::new("canary", count(1, 1000), "Proxies per class that go first.")
            .or("1", "one is enough to refuse"),
        Field::new("hold", between(seconds(0), hours(24)), "Wait between two waves.")
            .or("10s", "one metrics interval"),
        Field::new(
            "waves",
            Kind::List(&Kind::Text(Text::Percent { min: 1, max: 100 })),
            "Shares of the proxies, ascending.",
        )
        .or("[5%, 25%, 100%]", "most faults show in the first twentieth"),
        Field::new(
            "max_error_rise",
            percent(0),
            "Rise of the error rate that undoes the revision.",
        )
        .or("1%", "above the noise of a healthy fleet"),
    ],
    exactly_one: &[],
};

static QUOTA_STORE: Object = Object {
    name: "quota_store",
    doc: "A Redis from which proxies lease quota.",
    fields: &[
        Field::new("redis", Kind::Text(Text::Url(&["redis", "rediss"])), "Its URL.").required(),
        Field::new("password", Kind::Object(&SECRET), "Its password."),
    ],
    exactly_one: &[],
};

static PROVIDER: Object = Object {
    name: "identity",
    doc: "The embedded OpenID Provider.",
    fields: &[
        Field::new(
            "issuer",
            Kind::Text(Text::Url(&["https"])),
            "Its issuer; a route must lead to its host.",
        )
        .required(),
        Field::new(
            "groups",
            Kind::Map { key: Text::Name, value: &words(&["any", "mfa", "passkey"]) },
            "What members of a group must enrol; policies name no other group.",
        ),
        Field::new("mfa", Kind::Object(&MFA), "Second factors."),
        Field::new("sessions", Kind::Object(&SESSIONS), "Life of a login."),
        Field::new("tokens", Kind::Object(&TOKENS), "Life of tokens."),
        Field::new(
            "lockout",
            Kind::Object(&LOCKOUT),
            "What failed logins lead to; never fails open.",
        ),
        Field::new(
            "upstreams",
            Kind::Map { key: Text::Name, value: &Kind::Object(&UPSTREAM) },
            "Other providers whose users may log in.",
        ),
        Field::new(
            "clients",
            Kind::Map { key: Text::Name, value: &Kind::Object(&CLIENT) },
            "OAuth clients by name; every service is one by its certificate.",
        ),
    ],
    exactly_one: &[],
};

static MFA: Object = Object {
    name: "mfa",
    doc: "Second factors.",
    fields: &[
        Field::new("methods", Kind::List(&words(&["passkey", "totp"])), "Accepted methods.")
            .or("[passkey, totp]", "one that resists phishing, one for old devices"),
        Field::new("recovery_codes", count(0, 50), "Codes given at enrolment.")
            .or("10", "a year of lost devices"),
        Field::new(
            "enrol_within",
            between(seconds(0), days(90)),
            "Time to enrol after the first login.",
        )
        .or("7d", "a week away from the desk"),
    ],
    exactly_one: &[],
};

static SESSIONS: Object = Object {
    name: "sessions",
    doc: "Life of a login.",
    fields: &[
        Field::new("idle", between(seconds(60), days(30)), "Longest pause.")
            .or("30m", "a forgotten tab is closed within the hour"),
        Field::new("absolute", between(seconds(300), days(90)), "Longest life.")
            .or("12h", "one login per working day"),
    ],
    exactly_one: &[],
};

static TOKENS: Object = Object {
    name: "tokens",
    doc: "Life of tokens.",
    fields: &[
        Field::new("access", between(seconds(30), hours(1)), "Life of an access token.")
            .or("5m", "what a revocation may lag behind"),
        Field::new("refresh", Kind::Object(&REFRESH), "Life of a refresh token."),
    ],
    exactly_one: &[],
};

static REFRESH: Object = Object {
    name: "refresh",
    doc: "Life of a refresh token.",
    fields: &[
        Field::new("idle", between(seconds(300), days(90)), "Longest pause.")
            .or("24h", "a day away"),
        Field::new("absolute", between(seconds(300), days(365)), "Longest life.")
            .or("30d", "a month between two logins"),
    ],
    exactly_one: &[],
};

static LOCKOUT: Object = Object {
    name: "lockout",
    doc: "What failed logins lead to.",
    fields: &[
        Field::new("failures", count(1, 100), "Failures that lock.")
            .or("5", "above honest typing, far below guessing"),
        Field::new("window", between(seconds(10), days(1)), "Time in which they are counted.")
            .or("10m", "longer than a person keeps trying"),
        Field::new("hold", between(seconds(10), days(1)), "Time without login.")
            .or("5m", "slows guessing without help from the desk"),
    ],
    exactly_one: &[],
};

static UPSTREAM: Object = Object {
    name: "upstream",
    doc: "Another OpenID Provider whose users may log in.",
    fields: &[
        Field::new("issuer", Kind::Text(Text::Url(&["https"])), "Its issuer.").required(),
        Field::new("client_id", LINE, "Our client id there.").required(),
    ],
    exactly_one: &[],
};

static CLIENT: Object = Object {
    name: "client",
    doc: "An OAuth client.",
    fields: &[
        Field::new(
            "auth",
            words(&["none", "private_key_jwt", "workload", "secret"]),
            "How it proves itself.",
        )
        .or("none", "a public client with PKCE"),
        Field::new("jwks", Kind::Object(&KEY_FILE), "Its public keys, for `private_key_jwt`."),
        Field::new(
            "redirect_uris",
            Kind::List(&Kind::Text(Text::Url(&["https", "http"]))),
            "Where codes may be sent; compared exactly.",
        ),
        Field::new(
            "grants",
            Kind::List(&words(&[
                "authorization_code",
                "client_credentials",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "urn:ietf:params:oauth:grant-type:device_code",
            ])),
            "How it may get tokens.",
        )
        .or("[authorization_code]", "people log in"),
        Field::new("scopes", Kind::List(&LINE), "What it may ask for; none when left out."),
    ],
    exactly_one: &[],
};

/// Reference kinds of this section, named where routes use them.
pub(super) const CLIENT_NAME: Kind = Kind::Text(Text::Reference(Space::Client));
/// Names of groups that members enrol in.
pub(super) const GROUP_NAMES: Kind = Kind::List(&Kind::Text(Text::Reference(Space::Group)));
