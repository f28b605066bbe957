//! Reads a policy's syntax tree, in Cedar's JSON form, for what names the schema and the fleet.

use cedar_policy::Policy;
use serde_json::{Map, Value};

/// Something a policy says that must agree with the fleet or the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mention {
    /// `KIND::"ID"`, in the head or in a condition.
    Entity { kind: String, id: String },
    /// `PATH has ATTRIBUTE` or `PATH.ATTRIBUTE`; the path is empty when it is not a chain from a variable.
    Attribute { path: Vec<String>, attribute: String, is_test: bool },
    /// `PATH like PATTERN`; `None` stands for `*`.
    Like { path: Vec<String>, pattern: Vec<Option<String>> },
    /// `PATH == "WORD"`, or `PATH` in a list of words.
    Compared { path: Vec<String>, word: String },
}

/// Everything `policy` mentions, in no particular order; `None` if the engine cannot give its tree.
pub(super) fn mentions(policy: &Policy) -> Option<Vec<Mention>> {
    let mut found = Vec::new();
    walk(&policy.to_json().ok()?, &mut found);
    Some(found)
}

fn walk(node: &Value, found: &mut Vec<Mention>) {
    match node {
        Value::Object(fields) => {
            read(fields, found);
            fields.values().for_each(|field| walk(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn read(fields: &Map<String, Value>, found: &mut Vec<Mention>) {
    if let (Some(kind), Some(id)) = (text(fields.get("type")), text(fields.get("id"))) {
        found.push(Mention::Entity { kind, id });
    }
    for (operator, node) in fields {
        let path = node.get("left").and_then(path);
        match operator.as_str() {
            "." | "has" => attribute(path, node.get("attr"), operator == "has", found),
            "like" => found.extend(
                pattern(node.get("pattern"))
                    .map(|pattern| Mention::Like { path: path.unwrap_or_default(), pattern }),
            ),
            "==" | "!=" => {
                let (left, right) = (node.get("left"), node.get("right"));
                compared(left, right, found);
                compared(right, left, found);
            }
            "contains" => compared(node.get("right"), node.get("left"), found),
            _ => {}
        }
    }
}

/// `PATH.ATTRIBUTE`, `PATH has ATTRIBUTE`, or `PATH has A.B.C`, which tests each of them.
fn attribute(
    path: Option<Vec<String>>,
    node: Option<&Value>,
    is_test: bool,
    found: &mut Vec<Mention>,
) {
    let Some(node) = node else { return };
    let chain = node.as_array().map_or(std::slice::from_ref(node), Vec::as_slice);
    let mut path = path;
    for attribute in chain.iter().filter_map(Value::as_str) {
        found.push(Mention::Attribute {
            path: path.clone().unwrap_or_default(),
            attribute: attribute.to_owned(),
            is_test,
        });
        if let Some(path) = &mut path {
            path.push(attribute.to_owned());
        }
    }
}

/// Compares the path at one side with the words at the other: one, or a set of them.
fn compared(side: Option<&Value>, other: Option<&Value>, found: &mut Vec<Mention>) {
    let (Some(path), Some(other)) = (side.and_then(path), other) else { return };
    let one = std::slice::from_ref(other);
    let literals = other.get("Set").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let words = literals.iter().filter_map(|literal| text(literal.get("Value")));
    found.extend(words.map(|word| Mention::Compared { path: path.clone(), word }));
}

/// `context.http.path` as its names, if the node is a variable or a chain of attributes from one.
fn path(node: &Value) -> Option<Vec<String>> {
    if let Some(variable) = text(node.get("Var")) {
        return Some(vec![variable]);
    }
    let access = node.get(".")?;
    let mut names = path(access.get("left")?)?;
    names.push(text(access.get("attr"))?);
    Some(names)
}

fn pattern(node: Option<&Value>) -> Option<Vec<Option<String>>> {
    let parts = node?.as_array()?.iter();
    Some(parts.map(|part| text(part.get("Literal"))).collect())
}

fn text(node: Option<&Value>) -> Option<String> {
    node?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
