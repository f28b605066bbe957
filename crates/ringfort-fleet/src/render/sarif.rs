//! Reports for code scanners: SARIF 2.1.0.
//!
//! # Source
//! OASIS, Static Analysis Results Interchange Format 2.1.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{Problem, Spot, code::code};

/// All problems as one SARIF log; `version` is that of the tool.
#[must_use]
pub fn sarif(problems: &[Problem], version: &str) -> Value {
    let used: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
    let rules: Vec<Value> = used.into_iter().map(rule).collect();
    let results: Vec<Value> = problems.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "ringfort", "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(id: &str) -> Value {
    let text = code(id);
    json!({
        "id": id,
        "shortDescription": { "text": text.map_or(id, |text| text.title) },
        "fullDescription": { "text": text.map_or(id, |text| text.text) },
    })
}

fn result(problem: &Problem) -> Value {
    let message = match &problem.help {
        Some(help) => format!("{}; help: {help}", problem.message),
        None => problem.message.clone(),
    };
    let second = problem.second.as_ref().map(|(spot, label)| {
        let mut second = location(spot);
        if let Some(second) = second.as_object_mut() {
            second.insert("message".to_owned(), json!({ "text": label }));
        }
        second
    });
    json!({
        "ruleId": problem.code,
        "level": problem.severity.as_str(),
        "message": { "text": message },
        "locations": problem.spot.iter().map(location).collect::<Vec<_>>(),
        "relatedLocations": second.into_iter().collect::<Vec<_>>(),
    })
}

fn location(spot: &Spot) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": &*spot.file },
            "region": {
                "startLine": spot.line,
                "startColumn": spot.column,
                "endColumn": spot.column.saturating_add(spot.length),
            },
        },
    })
}
