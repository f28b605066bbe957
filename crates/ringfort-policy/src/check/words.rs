//! Single words of a policy: entities that exist, attributes that requests have, patterns that end where segments do.

use crate::{
    GATEWAY_ITSELF, PolicyProblem, ProblemKind, SchemaNames, Span, VISITOR,
    lex::{self, TokenKind},
};

use super::{
    Subject,
    nearest::nearest,
    tree::{self, Mention},
    vocabulary::{self, ACTIONS, EVERY_ATTRIBUTE, KINDS},
};

/// The name of peers without mTLS during a migration.
const PLAINTEXT: &str = "plaintext";

/// Problems of single words of one policy.
pub(super) fn check(names: &SchemaNames, subject: &Subject<'_>) -> Vec<PolicyProblem> {
    let Some(mentions) = tree::mentions(&subject.policy) else {
        let message = "the engine cannot give the policy's syntax tree".to_owned();
        let span = subject.effect_span();
        return vec![subject.problem(span, ProblemKind::Invalid, message, None)];
    };
    let found = mentions.iter().filter_map(|mention| match mention {
        Mention::Entity { kind, id } => entity(names, subject, kind, id),
        Mention::Attribute { path, attribute, is_test } => {
            attribute_of(subject, path, attribute, *is_test)
        }
        Mention::Like { path, pattern } => like(subject, path, pattern),
        Mention::Compared { path, word } => compared(subject, path, word),
    });
    found.collect()
}

fn entity(
    names: &SchemaNames,
    subject: &Subject<'_>,
    kind: &str,
    id: &str,
) -> Option<PolicyProblem> {
    let span = || subject.entity_span(kind, id);
    let Some(word) = kind_word(kind) else {
        let message = format!("no entity type named `{kind}`");
        let help = nearest(kind, KINDS).map(|near| format!("there is an entity type `{near}`"));
        return Some(subject.problem(span(), ProblemKind::UnknownName, message, help));
    };
    if has_entity(names, kind, id) {
        return None;
    }
    let known = known_ids(names, kind);
    let article = if kind == "Action" { "an" } else { "a" };
    let help = nearest(id, known).map(|near| format!("there is {article} {word} named `{near}`"));
    let message = format!("no {word} named `{}`", id.escape_debug());
    Some(subject.problem(span(), ProblemKind::UnknownName, message, help))
}

fn kind_word(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Label" => "label",
        "Group" => "group",
        "Client" => "client",
        "Gateway" => "gateway",
        "Fleet" => "fleet",
        "Visitor" => "visitor",
        "User" => "user",
        "Workload" => "workload",
        "Service" => "service",
        "Route" => "route",
        "Action" => "action",
        _ => return None,
    })
}

fn has_entity(names: &SchemaNames, kind: &str, id: &str) -> bool {
    match kind {
        "Label" => names.labels.contains(id),
        "Group" => names.groups.contains(id),
        "Client" => names.clients.contains(id),
        "Gateway" => names.gateways.contains_key(id),
        "Fleet" => id == "fleet",
        "Visitor" => id == VISITOR,
        // Users come and go in the identity store; no file lists them.
        "User" => true,
        "Workload" => {
            names.services.contains_key(id) || names.gateways.contains_key(id) || id == PLAINTEXT
        }
        "Service" => names.services.contains_key(id) || id == GATEWAY_ITSELF,
        "Route" => names.routes.contains_key(id),
        "Action" => ACTIONS.contains(&id),
        _ => false,
    }
}

fn known_ids<'a>(names: &'a SchemaNames, kind: &str) -> Vec<&'a str> {
    let services = names.services.keys().map(|name| name.as_str());
    let gateways = names.gateways.keys().map(|name| name.as_str());
    match kind {
        "Label" => names.labels.iter().map(|name| name.as_str()).collect(),
        "Group" => names.groups.iter().map(|name| name.as_str()).collect(),
        "Client" => names.clients.iter().map(|name| name.as_str()).collect(),
        "Gateway" => gateways.collect(),
        "Fleet" => vec!["fleet"],
        "Visitor" => vec![VISITOR],
        "Workload" => services.chain(gateways).collect(),
        "Service" => services.collect(),
        "Route" => names.routes.keys().map(|name| name.as_str()).collect(),
        "Action" => ACTIONS.to_vec(),
        _ => Vec::new(),
    }
}

fn attribute_of(
    subject: &Subject<'_>,
    path: &[String],
    attribute: &str,
    is_test: bool,
) -> Option<PolicyProblem> {
    let actions: Vec<&str> =
        ACTIONS.into_iter().filter(|action| subject.scope.covers_action(action)).collect();
    let known = match vocabulary::attributes(path, &actions) {
        Some(known) => known,
        // What a test of something unusual tests must at least be a word of the schema.
        None if is_test => EVERY_ATTRIBUTE.to_vec(),
        // The engine follows every type and finds what is missing by itself.
        None => return None,
    };
    if known.contains(&attribute) {
        return None;
    }
    let message = format!("policy can never apply: no attribute `{}`", attribute.escape_debug());
    let help = nearest(attribute, known).map(|near| format!("`{near}`"));
    let span = attribute_span(subject, attribute);
    Some(subject.problem(span, ProblemKind::NeverApplies, message, help))
}

/// The word after `has` or `.`, or the text in `["..."]`.
fn attribute_span(subject: &Subject<'_>, attribute: &str) -> Span {
    let written = subject.tokens.windows(2).find_map(|window| match window {
        [before, word] if matches!(before.text, "has" | "." | "[") => {
            let is_meant = match word.kind {
                TokenKind::Word => word.text == attribute,
                TokenKind::Text => lex::unquote(word.text).as_deref() == Some(attribute),
                TokenKind::Mark => false,
            };
            is_meant.then(|| subject.token_span(word))
        }
        _ => None,
    });
    written.unwrap_or_else(|| subject.effect_span())
}

fn like(
    subject: &Subject<'_>,
    path: &[String],
    pattern: &[Option<String>],
) -> Option<PolicyProblem> {
    let is_path = path.last().is_some_and(|name| name == "path")
        || pattern.first().and_then(Option::as_ref).is_some_and(|text| text.starts_with('/'));
    let ends_inside = |pair: &[Option<String>]| match pair {
        [Some(text), None] => !text.ends_with('/'),
        _ => false,
    };
    let at = pattern.windows(2).position(ends_inside).filter(|_| is_path)?;
    let (front, back) = pattern.split_at_checked(at.checked_add(1)?)?;
    let (front, whole) = (written(front), written(pattern));
    let message = match back {
        [None] => format!("`like \"{whole}\"` also matches `{}`", beyond(&front)),
        _ => format!("`like \"{whole}\"` cuts a path segment in two"),
    };
    let help = format!("`\"{front}/*\"`");
    let span = subject.tokens.windows(2).find_map(|window| match window {
        [word, text] if word.text == "like" && is_pattern(text.text, pattern) => {
            Some(subject.token_span(text))
        }
        _ => None,
    });
    let span = span.unwrap_or_else(|| subject.effect_span());
    Some(subject.problem(span, ProblemKind::LoosePattern, message, Some(help)))
}

/// A path that a reader of `/res*` does not expect to be matched.
fn beyond(front: &str) -> String {
    if front.ends_with("res") { format!("{front}old") } else { format!("{front}-other") }
}

fn written(pattern: &[Option<String>]) -> String {
    pattern
        .iter()
        .map(|part| {
            part.as_deref().map_or_else(|| "*".to_owned(), |text| text.escape_debug().to_string())
        })
        .collect()
}

/// Whether a string token is this pattern; a literal star is written `\*`, so it is ambiguous only in rare patterns.
fn is_pattern(token: &str, pattern: &[Option<String>]) -> bool {
    let parts = pattern.iter().map(|part| part.as_deref().map(|text| text.replace('*', r"\*")));
    let text: String = parts.map(|part| part.unwrap_or_else(|| "*".to_owned())).collect();
    lex::unquote(token) == Some(text)
}

fn compared(subject: &Subject<'_>, path: &[String], word: &str) -> Option<PolicyProblem> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let (message, help) = if let Some(words) = vocabulary::closed_words(path) {
        if words.contains(&word) {
            return None;
        }
        let message = format!("`{}` is never `{}`", names.join("."), word.escape_debug());
        (message, nearest(word, words.iter().copied()).map(|near| format!("`\"{near}\"`")))
    } else if names == ["context", "http", "method"] && word != word.to_ascii_uppercase() {
        let message =
            format!("`context.http.method` is upper case, never `{}`", word.escape_debug());
        (message, Some(format!("`\"{}\"`", word.to_ascii_uppercase())))
    } else {
        return None;
    };
    let is_word = |token: &&lex::Token<'_>| {
        token.kind == TokenKind::Text && lex::unquote(token.text).as_deref() == Some(word)
    };
    let token = subject.tokens.iter().find(is_word);
    let span = token.map_or_else(|| subject.effect_span(), |token| subject.token_span(token));
    Some(subject.problem(span, ProblemKind::NeverApplies, message, help))
}
