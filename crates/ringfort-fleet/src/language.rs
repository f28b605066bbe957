//! The fleet language as one table: every section, field, form, default, unit and reason stands here and nowhere else.
//!
//! The table drives the structural check, did-you-mean, the defaults of compilation, `ringfort schema`,
//! `docs/CONFIG.md` and the mutation test. It does **not** say how fields relate to each other; `check` does.

mod edge;
mod operations;
mod root;
mod services;

use std::time::Duration;

pub(crate) use edge::{GATEWAY, LIMITS, LISTENER, ROUTE, ROUTE_MATCH};
pub(crate) use root::{CERTIFICATES, ROOT};
pub(crate) use services::{CALL, RESILIENCE, SERVICE};

/// A map with fixed fields.
#[derive(Debug)]
pub(crate) struct Object {
    /// What it is called in `docs/CONFIG.md` and the JSON Schema.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// Its fields, in the order of the reference.
    pub(crate) fields: &'static [Field],
    /// Of each group exactly one field is written.
    pub(crate) exactly_one: &'static [&'static [&'static str]],
}

/// One field of an [`Object`].
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    /// One sentence: what it does.
    pub(crate) doc: &'static str,
    /// What this build lacks to enforce it; `up` and `apply` refuse a fleet that writes it.
    pub(crate) unbuilt: Option<&'static str>,
    /// Whether leaving the field out allows more than writing it.
    pub(crate) narrows: bool,
}

/// Whether a field may be left out, and what holds then.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// Forgetting it is an error.
    Required,
    /// Nothing is meant by its absence but its absence.
    Optional,
    /// Its absence means this value, for this reason.
    Default { value: &'static str, why: &'static str },
}

/// What stands behind a field's colon.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A single value.
    Text(Text),
    /// Fixed fields.
    Object(&'static Object),
    /// A list of one kind.
    List(&'static Self),
    /// Keys of the writer's choice, with values of one kind.
    Map { key: Text, value: &'static Self },
    /// One of several forms, told apart by their shape.
    Forms(&'static [Self]),
}

/// What a single value looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Text {
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any of these.
    Any(&'static [Self]),
    /// A new name.
    Name,
    /// The name of something written elsewhere.
    Reference(Space),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count { min: u32, max: u32 },
    /// A number with `ms`, `s`, `m`, `h` or `d`.
    Duration { min: Duration, max: Duration },
    /// A number with `B`, `KiB`, `MiB` or `GiB`.
    Bytes { min: u64, max: u64 },
    /// A whole number with `%`.
    Percent { min: u8, max: u8 },
    /// A number per time: `60/min`, `10/15min`.
    Rate,
    /// A day: `2026-12-15`.
    Date,
    /// A DNS name or IP address without port, lower case.
    Host,
    /// A SPIFFE trust domain.
    TrustDomain,
    /// An IP address.
    Ip,
    /// An IP address with port.
    Socket,
    /// A network: `10.0.0.0/24`.
    Network,
    /// A path pattern of a route.
    Path,
    /// A path without `{x}` and `*`.
    Prefix,
    /// An HTTP method in upper case.
    Method,
    /// `GET /x/{id}`, `pkg.Service/Method` or an operationId.
    Operation,
    /// A header field name in lower case.
    Header,
    /// A URL with one of these schemes.
    Url(&'static [&'static str]),
    /// An absolute URL or an absolute path.
    Target,
    /// A file of the fleet folder.
    File,
    /// An absolute path on a host.
    HostPath,
    /// SHA-256 in hex.
    Sha256,
    /// The value of a header field: visible ASCII and blanks inside.
    HeaderValue,
    /// A web origin: scheme and host, without path.
    Origin,
    /// The name of an environment variable.
    Variable,
    /// Text without line breaks.
    Line,
}

/// Where a [`Text::Reference`] is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    Service,
    Gateway,
    Client,
    Group,
}

impl Space {
    /// The word in sentences.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Gateway => "gateway",
            Self::Client => "client",
            Self::Group => "group",
        }
    }
}

impl Object {
    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// A field that may be left out without further meaning.
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, need: Need::Optional, doc, unbuilt: None, narrows: false }
    }

    const fn required(mut self) -> Self {
        self.need = Need::Required;
        self
    }

    const fn or(mut self, value: &'static str, why: &'static str) -> Self {
        self.need = Need::Default { value, why };
        self
    }

    /// Marks what this build cannot enforce.
    const fn unbuilt(mut self, lacks: &'static str) -> Self {
        self.unbuilt = Some(lacks);
        self
    }

    const fn narrows(mut self) -> Self {
        self.narrows = true;
        self
    }
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

const fn days(count: u64) -> Duration {
    hours(count * 24)
}

const fn between(min: Duration, max: Duration) -> Kind {
    Kind::Text(Text::Duration { min, max })
}

const fn count(min: u32, max: u32) -> Kind {
    Kind::Text(Text::Count { min, max })
}

const fn percent(min: u8) -> Kind {
    Kind::Text(Text::Percent { min, max: 100 })
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Text(Text::Bytes { min, max })
}

const fn words(words: &'static [&'static str]) -> Kind {
    Kind::Text(Text::Word(words))
}

const NAME: Kind = Kind::Text(Text::Name);
const FLAG: Kind = Kind::Text(Text::Flag);
const LINE: Kind = Kind::Text(Text::Line);
const FILE: Kind = Kind::Text(Text::File);
const PORT: Kind = count(1, 65_535);
const NAMES: Kind = Kind::List(&NAME);
const LINES: Kind = Kind::List(&LINE);
const SERVICES: Kind = Kind::List(&Kind::Text(Text::Reference(Space::Service)));

/// A secret by name.
static SECRET: Object = Object {
    name: "secret",
    doc: "A secret, read from the server's credentials folder; it is never part of a revision.",
    fields: &[Field::new("secret", NAME, "Name of the file in the credentials folder.").required()],
    exactly_one: &[],
};

/// A public key in a file of the folder.
static KEY_FILE: Object = Object {
    name: "key",
    doc: "A public key in a file of the fleet folder.",
    fields: &[Field::new("file", FILE, "The file.").required()],
    exactly_one: &[],
};

#[cfg(test)]
mod tests;
