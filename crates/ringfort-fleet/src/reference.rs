//! `docs/CONFIG.md`: the language's table as people read it.

use std::fmt::Write as _;

use crate::{
    language::{Field, Kind, Need, Object, ROOT, Text},
    scalar::duration_text,
};

/// The configuration reference in Markdown.
#[must_use]
pub fn config_reference_markdown() -> String {
    let mut text = String::from(HEAD);
    section(&ROOT, "", &mut text);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

const HEAD: &str = "# The fleet file

Made from the table in `crates/ringfort-fleet/src/language.rs`; `UPDATE_EXPECT=1 cargo nextest run -p ringfort-fleet` renews it.

A fleet is a folder of `*.yaml` files, merged by name, and `*.cedar` files. What is not written is denied.
**Bold** fields are required. *Narrows*: leaving the field out allows more than writing it.
*Not built*: `check` validates the field; `up` and `apply` refuse a fleet that writes it.

";

fn section(object: &Object, path: &str, text: &mut String) {
    let title = if path.is_empty() { "Sections" } else { path };
    let title = if path.is_empty() { title.to_owned() } else { format!("`{title}`") };
    push(text, &format!("## {title}\n\n{}\n\n", object.doc));
    for group in object.exactly_one {
        let words = group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        push(text, &format!("Exactly one of {words} is written.\n\n"));
    }
    push(text, "| field | value | default | meaning |\n|---|---|---|---|\n");
    for field in object.fields {
        row(field, text);
    }
    push(text, "\n");
    for field in object.fields {
        if let Some((object, suffix)) = inner(&field.kind) {
            let dot = if path.is_empty() { "" } else { "." };
            section(object, &format!("{path}{dot}{}{suffix}", field.name), text);
        }
    }
}

fn row(field: &Field, text: &mut String) {
    let name = match field.need {
        Need::Required => format!("**`{}`**", field.name),
        Need::Optional | Need::Default { .. } => format!("`{}`", field.name),
    };
    let default = match field.need {
        Need::Default { value, why } => format!("`{value}`: {why}"),
        Need::Required | Need::Optional => String::new(),
    };
    let mut meaning = field.doc.to_owned();
    if field.narrows {
        meaning.push_str(" *Narrows.*");
    }
    if let Some(lacks) = field.unbuilt {
        push(&mut meaning, &format!(" *Not built:* {lacks}."));
    }
    push(text, &format!("| {name} | {} | {default} | {meaning} |\n", kind_text(&field.kind)));
}

fn push(text: &mut String, more: &str) {
    // Writing to a string cannot fail.
    let _written: Result<(), std::fmt::Error> = text.write_str(more);
}

/// The object inside a kind, and how a path to it goes on.
fn inner(kind: &Kind) -> Option<(&'static Object, String)> {
    match kind {
        Kind::Object(object) => Some((object, String::new())),
        Kind::List(item) => inner(item).map(|(object, rest)| (object, format!("[]{rest}"))),
        Kind::Map { value, .. } => {
            inner(value).map(|(object, rest)| (object, format!(".NAME{rest}")))
        }
        Kind::Forms(forms) => forms.iter().find_map(inner),
        Kind::Text(_) => None,
    }
}

fn kind_text(kind: &Kind) -> String {
    match kind {
        Kind::Text(form) => form_text(*form),
        Kind::Object(_) => "fields, below".to_owned(),
        Kind::List(item) => format!("list of {}", kind_text(item)),
        Kind::Map { value, .. } => format!("by name: {}", kind_text(value)),
        Kind::Forms(forms) => forms.iter().map(kind_text).collect::<Vec<_>>().join(" or "),
    }
}

fn form_text(form: Text) -> String {
    match form {
        Text::Word(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Text::Any(forms) => {
            forms.iter().map(|form| form_text(*form)).collect::<Vec<_>>().join(" or ")
        }
        Text::Name => "name".to_owned(),
        Text::Reference(space) => format!("{} name", space.noun()),
        Text::Flag => "`true`, `false`".to_owned(),
        Text::Count { min, max } => format!("number, {min} to {max}"),
        Text::Duration { min, max } => {
            format!("duration, {} to {}", duration_text(min), duration_text(max))
        }
        Text::Bytes { min, max } => {
            let show = ringfort_model::ByteCount::bytes;
            format!("size, {} to {}", show(min), show(max))
        }
        Text::Percent { min, max } => format!("share, {min}% to {max}%"),
        Text::Rate => "rate, e.g. `60/min`".to_owned(),
        Text::Date => "day, e.g. `2026-12-31`".to_owned(),
        Text::Host => "host".to_owned(),
        Text::TrustDomain => "trust domain".to_owned(),
        Text::Ip => "IP address".to_owned(),
        Text::Socket => "`address:port`".to_owned(),
        Text::Network => "network, e.g. `10.0.0.0/24`".to_owned(),
        Text::Path => "path pattern".to_owned(),
        Text::Prefix => "path".to_owned(),
        Text::Method => "method".to_owned(),
        Text::Operation => "operation, e.g. `GET /x/{id}`".to_owned(),
        Text::Header => "header name".to_owned(),
        Text::Url(schemes) => format!("URL ({})", schemes.join(", ")),
        Text::Target => "URL or path".to_owned(),
        Text::File => "file of the folder".to_owned(),
        Text::HostPath => "absolute path".to_owned(),
        Text::Sha256 => "SHA-256".to_owned(),
        Text::HeaderValue => "header value".to_owned(),
        Text::Origin => "web origin, e.g. `https://shop.example`".to_owned(),
        Text::Variable => "variable".to_owned(),
        Text::Line => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests;
