//! One problem in every format.

use expect_test::expect;

use crate::{Problem, render, tests::fixture::load_text};

fn problems() -> Vec<Problem> {
    load_text("ringfort: v1\nservices:\n  web: { listen: 8080, calls: [paymets] }\n  payments: { listen: 8080 }\n").problems
}

#[test]
fn json_has_the_place_and_the_cure() {
    expect![[r#"
        {
          "errors": 1,
          "warnings": 0,
          "problems": [
            {
              "code": "RF0004",
              "severity": "error",
              "message": "no service named `paymets`",
              "at": {
                "file": "fleet.yaml",
                "line": 3,
                "column": 32,
                "length": 7
              },
              "second": null,
              "help": "there is a service named `payments`"
            }
          ]
        }"#]]
    .assert_eq(&format!("{:#}", render::json(&problems())));
}

#[test]
fn sarif_has_rules_and_regions() {
    expect![[r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "version": "2.1.0",
          "runs": [
            {
              "tool": {
                "driver": {
                  "name": "ringfort",
                  "version": "1.2.3",
                  "rules": [
                    {
                      "id": "RF0004",
                      "shortDescription": {
                        "text": "no such name"
                      },
                      "fullDescription": {
                        "text": "A reference to a service, gateway, client, group, route or label that is not defined. What it was meant to restrict would not be restricted."
                      }
                    }
                  ]
                }
              },
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "ruleId": "RF0004",
                  "level": "error",
                  "message": {
                    "text": "no service named `paymets`; help: there is a service named `payments`"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "fleet.yaml"
                        },
                        "region": {
                          "startLine": 3,
                          "startColumn": 32,
                          "endColumn": 39
                        }
                      }
                    }
                  ],
                  "relatedLocations": []
                }
              ]
            }
          ]
        }"#]].assert_eq(&format!("{:#}", render::sarif(&problems(), "1.2.3")));
}

#[test]
fn github_gets_one_line_each() {
    expect![[r#"
        ::error file=fleet.yaml,line=3,col=32,endColumn=39,title=RF0004::no service named `paymets`%0Ahelp: there is a service named `payments`
    "#]].assert_eq(&render::github(&problems()));
}

#[test]
fn colours_are_asked_for() {
    assert!(render::text(&problems(), true).contains('\u{1b}'));
    assert!(!render::text(&problems(), false).contains('\u{1b}'));
}

#[test]
fn what_a_file_says_cannot_command_the_terminal() {
    let loaded = load_text(
        "ringfort: v1\nservices:\n  \"a\\e[2J\": { listen: 8080 }\n  b: { listen: \"\\e]0;x\\a\" }\n",
    );
    let text = render::text(&loaded.problems, false);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    let text = render::github(&loaded.problems);
    assert_eq!(text.lines().filter(|line| !line.starts_with("::")).count(), 0);
}
