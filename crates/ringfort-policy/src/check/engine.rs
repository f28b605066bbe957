//! What Cedar itself finds: syntax, and strict validation with warnings as errors.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ParseErrors, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning,
    Validator,
};
use miette::Diagnostic;

use crate::{
    ParsePolicyError, PolicyFile, PolicyProblem, ProblemKind, SchemaNames, schema_text,
    split::{Lines, Piece},
};

use super::Subject;

/// The problems of a text that is no policy.
pub(super) fn unparsed(
    file: &PolicyFile,
    lines: &Lines,
    piece: &Piece,
    error: &ParsePolicyError,
) -> Vec<PolicyProblem> {
    let problem = |offset: usize, len, message, help| PolicyProblem {
        span: file.span(lines, piece.offset.saturating_add(offset), len),
        kind: ProblemKind::Syntax,
        message,
        help,
    };
    match error {
        ParsePolicyError::Syntax { source, .. } => syntax(source)
            .into_iter()
            .map(|(offset, len, message, help)| problem(offset, len, message, help))
            .collect(),
        ParsePolicyError::TooLong { .. }
        | ParsePolicyError::TooDeep { .. }
        | ParsePolicyError::TooComplex { .. } => {
            vec![problem(0, 1, error.to_string(), None)]
        }
    }
}

fn syntax(errors: &ParseErrors) -> Vec<(usize, usize, String, Option<String>)> {
    let described = errors.iter().map(|error| {
        let (offset, len) = label(error).unwrap_or((0, 1));
        (offset, len, printable(&error.to_string()), help(error))
    });
    described.collect()
}

/// Problems that the engine's strict validation finds and `own` has not already named better.
pub(super) fn check(
    names: &SchemaNames,
    subjects: &[Subject<'_>],
    own: &BTreeMap<usize, BTreeSet<ProblemKind>>,
) -> Vec<PolicyProblem> {
    let general = |message| {
        let subject = subjects.first()?;
        Some(subject.problem(subject.effect_span(), ProblemKind::Invalid, message, None))
    };
    let (schema, policies) = match prepare(names, subjects) {
        Ok(prepared) => prepared,
        Err(message) => return general(message).into_iter().collect(),
    };
    let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
    let mut problems = Vec::new();
    let mut faulty: BTreeSet<usize> = BTreeSet::new();
    let named = |number: usize, kind| own.get(&number).is_some_and(|kinds| kinds.contains(&kind));
    for error in result.validation_errors() {
        let Some((number, subject)) = subject(subjects, error.policy_id()) else {
            problems.extend(general(error.to_string()));
            continue;
        };
        faulty.insert(number);
        let (kind, named_as) = kind(error);
        if !named_as.is_some_and(|kind| named(number, kind)) {
            problems.push(finding(subject, kind, error, None));
        }
    }
    for warning in result.validation_warnings() {
        let Some((number, subject)) = subject(subjects, warning.policy_id()) else {
            problems.extend(general(warning.to_string()));
            continue;
        };
        let follows = matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
        );
        let is_explained =
            faulty.contains(&number) || own.get(&number).is_some_and(|kinds| !kinds.is_empty());
        if follows && !is_explained {
            let message = "policy can never apply: no request meets its head and its conditions";
            problems.push(finding(subject, ProblemKind::NeverApplies, warning, Some(message)));
        } else if !follows {
            problems.push(finding(subject, ProblemKind::Invalid, warning, None));
        }
    }
    problems
}

fn prepare(names: &SchemaNames, subjects: &[Subject<'_>]) -> Result<(Schema, PolicySet), String> {
    let (schema, _warnings) = Schema::from_cedarschema_str(&schema_text(names))
        .map_err(|error| format!("the schema of this fleet is not valid: {error}"))?;
    let policies = subjects.iter().map(|subject| subject.policy.clone());
    let policies = PolicySet::from_policies(policies).map_err(|error| error.to_string())?;
    Ok((schema, policies))
}

fn subject<'a>(subjects: &'a [Subject<'a>], id: &PolicyId) -> Option<(usize, &'a Subject<'a>)> {
    let number = AsRef::<str>::as_ref(id).parse().ok()?;
    Some((number, subjects.get(number)?))
}

/// The kind of a finding, and the kind under which our own checks name the same thing better.
fn kind(error: &ValidationError) -> (ProblemKind, Option<ProblemKind>) {
    if matches!(error, ValidationError::UnsafeOptionalAttributeAccess(_)) {
        return (ProblemKind::Unguarded, None);
    }
    if matches!(error, ValidationError::UnsafeAttributeAccess(_)) {
        return (ProblemKind::Unguarded, Some(ProblemKind::NeverApplies));
    }
    if matches!(error, ValidationError::InvalidActionApplication(_)) {
        return (ProblemKind::NeverApplies, Some(ProblemKind::UnknownName));
    }
    let is_name = matches!(
        error,
        ValidationError::UnrecognizedEntityType(_)
            | ValidationError::UnrecognizedActionId(_)
            | ValidationError::InvalidEnumEntity(_)
    );
    let kind = if is_name { ProblemKind::UnknownName } else { ProblemKind::Invalid };
    (kind, is_name.then_some(ProblemKind::UnknownName))
}

fn finding(
    subject: &Subject<'_>,
    kind: ProblemKind,
    found: &(impl Diagnostic + ToString),
    message: Option<&str>,
) -> PolicyProblem {
    let span = match label(found) {
        Some((offset, len)) => subject.span(offset, len),
        None => subject.effect_span(),
    };
    let text = found.to_string();
    // "for policy `3`, ...": the number is ours and means nothing to a reader.
    let text = match text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, text)) => text.to_owned(),
        None => text,
    };
    let text = printable(&text);
    let (message, help) = match (kind, message) {
        (_, Some(message)) => (message.to_owned(), help(found)),
        (ProblemKind::Unguarded, None) => unguarded(&text, help(found)),
        (_, None) => (text, help(found)),
    };
    subject.problem(span, kind, message, help)
}

/// Cedar's "unable to guarantee safety of access to optional attribute `http` in context for ..." in our words.
fn unguarded(text: &str, help: Option<String>) -> (String, Option<String>) {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let attribute = quoted.next().unwrap_or(text);
    let optional = if text.contains("optional") { "optional attribute" } else { "attribute" };
    let message = format!("access to {optional} `{attribute}` is not guarded");
    let guard = help
        .as_deref()
        .and_then(|help| help.split('`').nth(1))
        .map(|guard| format!("`{}`", guard.replace("&& ..", "&& ...")));
    let by_action =
        || format!("some requests of this policy have none: `context has {attribute} && ...`");
    (message, Some(guard.filter(|_| text.contains("optional")).unwrap_or_else(by_action)))
}

/// The text with characters that would change how a terminal shows it written as escapes.
fn printable(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}

fn label(found: &impl Diagnostic) -> Option<(usize, usize)> {
    let label = found.labels()?.next()?;
    Some((label.offset(), label.len()))
}

fn help(found: &impl Diagnostic) -> Option<String> {
    found.help().map(|help| printable(&help.to_string()))
}
