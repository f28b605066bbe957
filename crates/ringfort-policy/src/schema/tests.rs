//! The schema is one that the engine takes, whatever the fleet has.

use cedar_policy::Schema;
use ringfort_model::Name;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[track_caller]
fn check(names: &SchemaNames, first: &str) {
    let text = schema_text(names);
    assert!(text.starts_with(first), "{text}");
    let (_, mut warnings) = Schema::from_cedarschema_str(&text).unwrap();
    assert!(warnings.next().is_none());
}

#[test]
fn an_empty_enumeration_is_a_plain_entity() {
    check(
        &SchemaNames::default(),
        "entity Label;\nentity Group;\nentity Client;\nentity Gateway;\n",
    );
}

#[test]
fn names_become_enumerations() {
    let names = SchemaNames {
        labels: [name("pci"), name("front")].into(),
        groups: [name("customers")].into(),
        clients: [name("web")].into(),
        gateways: [(name("public"), vec![])].into(),
        ..SchemaNames::default()
    };
    check(
        &names,
        "entity Label enum [\"front\", \"pci\"];\nentity Group enum [\"customers\"];\n\
         entity Client enum [\"web\"];\nentity Gateway enum [\"public\"];\n",
    );
}
