//! The JSON Schema of a fleet file, for editors; made from the language's table.
//!
//! # Source
//! JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use crate::language::{Field, Kind, Need, Object, ROOT, Text};

/// The JSON Schema of one fleet file. `check` is stricter: a schema cannot see names, files or relations.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(&ROOT);
    if let Some(schema) = schema.as_object_mut() {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        schema.insert("$schema".to_owned(), Value::from(dialect));
        schema.insert("title".to_owned(), Value::from("Ringfort fleet file"));
    }
    schema
}

fn object(object: &Object) -> Value {
    let mut properties = Map::new();
    for known in object.fields {
        properties.insert(known.name.to_owned(), field(known));
    }
    let required: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| matches!(field.need, Need::Required))
        .map(|field| field.name)
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": object.doc,
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
    });
    let groups: Vec<Value> = object.exactly_one.iter().map(|group| one_of(group)).collect();
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if !groups.is_empty() {
            schema.insert("allOf".to_owned(), Value::from(groups));
        }
    }
    schema
}

fn one_of(group: &[&str]) -> Value {
    let each: Vec<Value> = group.iter().map(|name| json!({ "required": [name] })).collect();
    json!({ "oneOf": each })
}

fn field(field: &Field) -> Value {
    let mut schema = kind(&field.kind);
    if let Some(schema) = schema.as_object_mut() {
        let text = match field.need {
            Need::Default { value, why } => format!("{} Default: {value} ({why}).", field.doc),
            Need::Required | Need::Optional => field.doc.to_owned(),
        };
        schema.insert("description".to_owned(), Value::from(text));
    }
    schema
}

fn kind(kind_: &Kind) -> Value {
    match kind_ {
        Kind::Text(form) => text(*form),
        Kind::Object(inner) => object(inner),
        Kind::List(item) => json!({ "type": "array", "minItems": 1, "items": kind(item) }),
        Kind::Map { key, value } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": text(*key),
            "additionalProperties": kind(value),
        }),
        Kind::Forms(forms) => {
            json!({ "anyOf": forms.iter().map(kind).collect::<Vec<_>>() })
        }
    }
}

fn text(form: Text) -> Value {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match form {
        // `internal: true` and `min: 1.3` are read as words.
        Text::Word(words) => {
            json!({ "enum": words.iter().flat_map(|w| readings(w)).collect::<Vec<_>>() })
        }
        Text::Any(forms) => {
            json!({ "anyOf": forms.iter().map(|form| text(*form)).collect::<Vec<_>>() })
        }
        Text::Name | Text::Reference(_) => pattern("^[a-z][a-z0-9-]{0,62}$"),
        Text::Flag => json!({ "type": "boolean" }),
        Text::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Text::Duration { .. } => pattern("^[0-9]+(ms|s|m|h|d)$"),
        Text::Bytes { .. } => pattern("^[0-9]+(B|KiB|MiB|GiB)$"),
        Text::Percent { .. } => pattern("^(100|[1-9]?[0-9])%$"),
        Text::Rate => pattern("^[1-9][0-9]*/([1-9][0-9]*)?(s|min|h|d)$"),
        Text::Date => json!({ "type": "string", "format": "date" }),
        Text::Sha256 => pattern("^[0-9a-fA-F]{64}$"),
        Text::Path | Text::Prefix | Text::HostPath => pattern("^/"),
        Text::Method => pattern("^[A-Z-]+$"),
        Text::Url(schemes) => pattern(&format!("^({})://", schemes.join("|"))),
        Text::Network => pattern("/[0-9]+$"),
        Text::Socket => pattern(":[0-9]+$"),
        Text::Origin => pattern("^https?://[^/]+$"),
        Text::Variable => pattern("^[A-Za-z_][A-Za-z0-9_]*$"),
        Text::Host
        | Text::TrustDomain
        | Text::Ip
        | Text::Operation
        | Text::Header
        | Text::Target
        | Text::File => json!({ "type": "string", "minLength": 1 }),
        Text::Line | Text::HeaderValue => json!({ "type": ["string", "number", "boolean"] }),
    }
}

/// What an editor's YAML reader may make of a plain word.
fn readings(word: &str) -> Vec<Value> {
    let mut readings = vec![Value::from(word)];
    match word {
        "true" => readings.push(Value::from(true)),
        "1.2" => readings.push(json!(1.2)),
        "1.3" => readings.push(json!(1.3)),
        _ => {}
    }
    readings
}

#[cfg(test)]
mod tests;
