//! The schema accepts what `check` accepts, as far as a schema can see.

use serde_json::Value;

use super::json_schema;
use crate::{
    tests::fixture::{SHOP, tree},
    yaml::{self, Node},
};

#[test]
fn the_bookshop_fits_the_schema() {
    for (path, text) in
        SHOP.iter().filter(|(path, _)| path.ends_with(".yaml") && !path.contains('/'))
    {
        fits(&json_schema(), &tree(text), path);
    }
}

#[test]
fn it_names_its_dialect_and_closes_every_object() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["services"]["additionalProperties"]["additionalProperties"],
        false
    );
    assert_eq!(schema["required"][0], "ringfort");
}

/// The part of JSON Schema that says which keys may stand where.
#[track_caller]
fn fits(schema: &Value, node: &Node, path: &str) {
    if let Some(forms) = schema["anyOf"].as_array() {
        let wanted = match node.value {
            yaml::Value::Map(_) => "object",
            yaml::Value::List(_) => "array",
            yaml::Value::Scalar { .. } => return,
        };
        let form = forms.iter().find(|form| form["type"] == wanted).unwrap();
        return fits(form, node, path);
    }
    for entry in node.entries() {
        let known = &schema["properties"][&entry.key];
        let inner = if known.is_null() { &schema["additionalProperties"] } else { known };
        assert!(inner.is_object(), "{path}: the schema does not know `{}`", entry.key);
        fits(inner, &entry.value, &format!("{path}.{}", entry.key));
    }
    for item in node.items() {
        assert_eq!(schema["type"], "array", "{path}");
        fits(&schema["items"], item, path);
    }
}
