//! Every diagnostic's code and what `ringfort explain RF0402` says about it.

/// The text behind a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeText {
    /// `RFrrnn`, rr = ring.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// Why it is refused and how it is cured.
    pub text: &'static str,
}

/// The text behind a code; `None` for a code that does not exist.
#[must_use]
pub fn code(code: &str) -> Option<&'static CodeText> {
    CODES.iter().find(|known| known.code == code)
}

/// Every code, in order.
#[must_use]
pub const fn codes() -> &'static [CodeText] {
    CODES
}

const fn text(code: &'static str, title: &'static str, text: &'static str) -> CodeText {
    CodeText { code, title, text }
}

static CODES: &[CodeText] = &[
    text(
        "RF0001",
        "a plain value cannot contain `{` here",
        "In a flow map or list `{` and `[` open a new one. Quote the value: `\"/orders/{id}\"`.",
    ),
    text(
        "RF0002",
        "unknown field",
        "The language has no such field in this place. An unknown field could be a misspelt restriction, so it is never ignored.",
    ),
    text(
        "RF0003",
        "written twice",
        "A key, name, section or list item stands twice. Only one of two could be in force, and nobody would know which.",
    ),
    text(
        "RF0004",
        "no such name",
        "A reference to a service, gateway, client, group, route or label that is not defined. What it was meant to restrict would not be restricted.",
    ),
    text(
        "RF0005",
        "quantity without a usable unit",
        "Every quantity has its unit: `250ms 2s 5m 12h 14d`, `64KiB`, `60/min`, `5%`.",
    ),
    text("RF0006", "not YAML", "The file cannot be read as YAML 1.2."),
    text(
        "RF0007",
        "part of YAML that the language leaves out",
        "Anchors, aliases, `<<`, tags, directives and further documents are refused: two readers could take them differently.",
    ),
    text(
        "RF0008",
        "too large",
        "A bound of the folder was exceeded: 1000 files, 10 MiB a file, 16 MiB of documents and policies, 32 levels, 250 000 values, UTF-8 without byte-order mark.",
    ),
    text("RF0009", "required field is missing", "The object means nothing without this field."),
    text(
        "RF0010",
        "wrong shape",
        "A list, a map or a single value stands where another shape is needed.",
    ),
    text(
        "RF0011",
        "empty",
        "A field with nothing behind it, or an empty list or map: its meaning would have to be guessed.",
    ),
    text("RF0012", "malformed value", "The value does not follow the grammar of its field."),
    text(
        "RF0013",
        "malformed name",
        "A name has 1 to 63 characters `a-z`, `0-9` and `-`, begins with a letter, and is not reserved.",
    ),
    text(
        "RF0014",
        "value out of range",
        "The value lies outside the bounds that `docs/CONFIG.md` names for its field.",
    ),
    text(
        "RF0015",
        "file outside the folder or missing",
        "A field names a file that is not in the fleet folder. Files stay inside the folder, so that a revision is complete.",
    ),
    text(
        "RF0016",
        "no fleet document",
        "Every `*.yaml` file directly in the folder begins with `ringfort: v1`, the version of its language.",
    ),
    text(
        "RF0017",
        "fields exclude each other",
        "Two fields stand together that cannot both hold, or a field has no meaning beside another.",
    ),
    text(
        "RF0018",
        "file would not be read",
        "The file looks like part of the fleet and nothing reads it: a policy that is not listed, a document in a subfolder or with the ending `.yml`.",
    ),
    text(
        "RF0101",
        "host firewall would cut off its administrators",
        "With `scope: host` everything is denied by default. `management` names the networks whose SSH is never cut.",
    ),
    text(
        "RF0201",
        "two workloads match the same process",
        "Every fact one workload must show is also shown by the other's process, so it could take the other's identity.",
    ),
    text(
        "RF0202",
        "certificates outlive the evidence",
        "Where `supply` enforces, a build that loses its evidence must lose its identity within the hour: `ttl` is at most 1h.",
    ),
    text(
        "RF0203",
        "plaintext entry has expired or reaches too far",
        "Peers without mTLS may enter for at most 90 days, until a written date.",
    ),
    text(
        "RF0206",
        "several static instances without `bind`",
        "Each instance's proxy must know at which address it accepts mTLS; with several addresses only `bind` can say so.",
    ),
    text(
        "RF0208",
        "address nobody can reach",
        "`0.0.0.0` and `::` say where to listen, not where to connect. Proxies connect to this address.",
    ),
    text(
        "RF0301",
        "two routes match the same requests",
        "Neither is more specific, so the order of lines would decide.",
    ),
    text("RF0302", "route can never match", "No listener of the route's gateway answers its host."),
    text(
        "RF0303",
        "route belongs to no gateway",
        "With several gateways, or none, a route must say where it enters.",
    ),
    text(
        "RF0304",
        "route leads to a service without HTTP",
        "Routes forward requests; the service speaks bytes, or does not listen.",
    ),
    text(
        "RF0305",
        "stricter route inside a laxer one",
        "What the inner route's pattern does not match exactly, another spelling for instance, falls through to the outer one and passes without its demands.",
    ),
    text(
        "RF0306",
        "plaintext to strangers",
        "A listener outside loopback without `tls` would serve requests that anybody on the way can read and change.",
    ),
    text(
        "RF0307",
        "address used twice",
        "Two parts of one host would open the same address: what is meant for the one could reach the other.",
    ),
    text(
        "RF0308",
        "header that the edge owns",
        "These headers carry what the proxy itself has proven; no route may set or remove them.",
    ),
    text(
        "RF0309",
        "redirect that leads nowhere",
        "The host is redirected to https, but no listener with `tls` answers it.",
    ),
    text(
        "RF0310",
        "setting of requests on a service that speaks bytes",
        "A tcp service has no paths, bodies or headers; the setting could not be enforced.",
    ),
    text("RF0311", "redirect loop", "A listener that already speaks TLS redirects to https."),
    text(
        "RF0312",
        "no certificate chain",
        "The file named by `chain` does not hold certificates in PEM, or holds a private key.",
    ),
    text("RF0313", "gateway without routes", "The gateway answers every request with 404."),
    text(
        "RF0314",
        "host with two owners",
        "Two gateways answer the same host; one could take the other's traffic.",
    ),
    text(
        "RF0401",
        "route does not say who may use it",
        "There is no default: forgetting it must not make a route public. `user: none` does.",
    ),
    text(
        "RF0402",
        "scope nobody can get",
        "The client may not ask for this scope, so every request is refused with 403.",
    ),
    text(
        "RF0403",
        "token bound to a certificate nobody asks for",
        "`sender_constrained: mtls` needs `client_ca` on every listener of the route's hosts.",
    ),
    text(
        "RF0404",
        "issuer out of reach",
        "No route leads to the host of `identity.issuer`, so nobody could log in.",
    ),
    text(
        "RF0405",
        "client that cannot do its part",
        "A login client needs redirect addresses and the code grant; a client that proves itself by a key needs `jwks`.",
    ),
    text(
        "RF0601",
        "optional attribute is not guarded",
        "A policy reads an attribute that requests may lack. Guard it by `has`.",
    ),
    text(
        "RF0602",
        "policy tests what nobody can see",
        "On a service that speaks bytes there is no method and no path to test.",
    ),
    text(
        "RF0603",
        "permit outside the graph",
        "Policies act inside the graph of `calls` and routes; this permit is never asked.",
    ),
    text(
        "RF0604",
        "policy can never apply",
        "A condition of the policy can never be true, usually because of a misspelt attribute.",
    ),
    text(
        "RF0605",
        "`policy: required` without a permit",
        "The line withholds its own permit and no written policy gives one: always denied.",
    ),
    text(
        "RF0606",
        "path pattern ends inside a segment",
        "`like \"/res*\"` also matches `/resold`; `\"/res/*\"` does not.",
    ),
    text(
        "RF0607",
        "policy cannot be read",
        "The text is not Cedar, or more of it than the limits allow.",
    ),
    text(
        "RF0608",
        "policy is not valid",
        "Strict validation against the schema of the fleet refuses the policy.",
    ),
    text(
        "RF0609",
        "policy id is malformed or taken",
        "Ids name policies in logs and metrics: 1 to 64 letters, digits, `-`, `_`, `.`, each used once.",
    ),
    text("RF0610", "callee does not listen", "A service without `listen` cannot be called."),
    text(
        "RF0611",
        "service calls itself",
        "A call to itself needs no edge; it does not leave the program.",
    ),
    text(
        "RF0612",
        "long form of a call that narrows nothing",
        "`{ to: x }` says no more than `x`: somebody may have lost `only` or `policy`.",
    ),
    text(
        "RF0613",
        "operation that cannot be enforced",
        "`only` names an operation that the callee's protocol does not have.",
    ),
    text(
        "RF0614",
        "callee is listed twice",
        "Two entries for one callee: the wider one would win.",
    ),
    text(
        "RF0615",
        "permit without effect",
        "Everything the permit covers is already permitted by its own line in the fleet file. Its conditions restrict nothing unless that line says `policy: required`.",
    ),
    text(
        "RF0701",
        "retry may repeat a write",
        "An answer such as 503 does not say that nothing was done; repeating a POST may do it twice.",
    ),
    text(
        "RF0702",
        "retries multiply",
        "Every hop of a path retries: a failing callee is called many times for one request.",
    ),
    text(
        "RF0703",
        "caller gives up before its callee",
        "The time the service has is shorter than the time one of its calls may take.",
    ),
    text(
        "RF0704",
        "global rate limit without a store",
        "`scope: global` counts in `fleet.quota_store`.",
    ),
    text(
        "RF0705",
        "weights above 100 %",
        "Subsets share the requests; what is left goes to the other instances.",
    ),
    text(
        "RF0706",
        "route allows more than its service",
        "The service refuses bodies that the route lets through.",
    ),
    text(
        "RF0801",
        "evidence without a signer",
        "Provenance counts only when a known signer signed it.",
    ),
    text(
        "RF0802",
        "waiver has expired or reaches too far",
        "A fault is accepted for at most 30 days at a time.",
    ),
    text(
        "RF0901",
        "acceptance has expired or reaches too far",
        "A finding of a drill is accepted for at most 30 days at a time.",
    ),
    text(
        "RF1001",
        "base is no longer head",
        "Somebody else applied a revision in between. Look at the difference and apply again.",
    ),
    text(
        "RF1004",
        "this build cannot enforce it",
        "The language has the field, but the ring or part that enforces it is not built into this version. `check` accepts it; `up` and `apply` refuse it, so that nobody believes it is in force.",
    ),
];
