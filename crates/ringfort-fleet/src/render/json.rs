//! Reports for programs.

use serde_json::{Value, json};

use crate::{Problem, Spot};

/// All problems as one JSON document.
#[must_use]
pub fn json(problems: &[Problem]) -> Value {
    let (errors, warnings) = super::count(problems);
    let problems: Vec<Value> = problems.iter().map(problem).collect();
    json!({ "errors": errors, "warnings": warnings, "problems": problems })
}

fn problem(problem: &Problem) -> Value {
    let second = problem.second.as_ref().map(|(at, label)| {
        let mut second = spot(at);
        if let Some(second) = second.as_object_mut() {
            second.insert("label".to_owned(), Value::from(label.as_str()));
        }
        second
    });
    json!({
        "code": problem.code,
        "severity": problem.severity.as_str(),
        "message": problem.message,
        "at": problem.spot.as_ref().map(spot),
        "second": second,
        "help": problem.help,
    })
}

fn spot(spot: &Spot) -> Value {
    json!({ "file": &*spot.file, "line": spot.line, "column": spot.column, "length": spot.length })
}
