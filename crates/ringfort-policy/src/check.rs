//! Finds everything that is wrong with a fleet's policies before any of them is in force.
//!
//! Cedar's strict validation, with warnings as errors, and what it does not see: names of things that do not exist,
//! attributes no request has, demands nothing can enforce, permits that are never asked. Problems of one fleet are
//! found all at once.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, PolicyId};

use crate::{
    PolicyFile, SchemaNames, Span, SplitPolicyError,
    lex::{self, Token, TokenKind},
    parse,
    scope::Scope,
    split::{Lines, Piece, pieces},
};

mod engine;
mod graph;
mod nearest;
mod tree;
mod vocabulary;
mod words;

/// Most policies in the files of one fleet; each is parsed and validated on every `check`.
const POLICIES_MAX: usize = 10_000;
/// Longest `@id`: it becomes the value of a metric label.
const ID_BYTES_MAX: usize = 64;

/// Something wrong with a policy, or with a line that needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Where it is.
    pub span: Span,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// One sentence, input in backticks.
    pub message: String,
    /// The edit that cures it, if it is known.
    pub help: Option<String>,
}

/// The kinds of problems; each has one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// Names an entity that does not exist.
    UnknownName,
    /// Reads an attribute that a request may lack.
    Unguarded,
    /// Tests what no enforcer can see.
    Unenforceable,
    /// Permits what is never asked.
    OutsideGraph,
    /// Has a part that no request can meet.
    NeverApplies,
    /// A line demands a policy, and none permits it.
    RequiredWithoutPermit,
    /// A path pattern that ends in the middle of a segment.
    LoosePattern,
    /// Is no Cedar, or more of it than the limits allow.
    Syntax,
    /// Is of the wrong type, or has an id that cannot be told apart.
    Invalid,
    /// An `@id` that is malformed or taken.
    Id,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::UnknownName,
        Self::Unguarded,
        Self::Unenforceable,
        Self::OutsideGraph,
        Self::NeverApplies,
        Self::RequiredWithoutPermit,
        Self::LoosePattern,
        Self::Syntax,
        Self::Invalid,
        Self::Id,
    ];

    /// The diagnostic's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownName => "RF0004",
            Self::Unguarded => "RF0601",
            Self::Unenforceable => "RF0602",
            Self::OutsideGraph => "RF0603",
            Self::NeverApplies => "RF0604",
            Self::RequiredWithoutPermit => "RF0605",
            Self::LoosePattern => "RF0606",
            Self::Syntax => "RF0607",
            Self::Invalid => "RF0608",
            Self::Id => "RF0609",
        }
    }
}

/// One policy under examination.
#[derive(Debug)]
struct Subject<'a> {
    file: &'a PolicyFile,
    lines: &'a Lines,
    piece: &'a Piece,
    tokens: Vec<Token<'a>>,
    policy: Policy,
    scope: Scope,
}

/// Every problem of the policies in `files`, and every line of the fleet that demands a policy and has none; in order.
#[must_use]
pub fn check(names: &SchemaNames, files: &[PolicyFile]) -> Vec<PolicyProblem> {
    let mut problems = Vec::new();
    let mut cut = Vec::new();
    for file in files {
        match pieces(file) {
            Ok(found) => cut.push((file, Lines::of(&file.text), found)),
            Err(error) => problems.push(unsplit(error)),
        }
    }
    problems.extend(ids(&cut));
    let count = cut.iter().map(|(_, _, pieces)| pieces.len()).sum::<usize>();
    let mut subjects = Vec::new();
    for (file, lines, pieces) in &cut {
        if count > POLICIES_MAX {
            let span = file.span(lines, 0, 0);
            let message = format!("more than {POLICIES_MAX} policies in one fleet");
            problems.push(PolicyProblem { span, kind: ProblemKind::Syntax, message, help: None });
            break;
        }
        for piece in pieces {
            match Subject::new(file, lines, piece) {
                Ok(subject) => subjects.push(subject),
                Err(mut found) => problems.append(&mut found),
            }
        }
    }
    for (number, subject) in subjects.iter_mut().enumerate() {
        subject.policy = subject.policy.new_id(PolicyId::new(number.to_string()));
    }
    problems.extend(examine(names, &subjects));
    problems.extend(graph::required(names, &subjects));
    problems.sort_by(|a, b| a.span.cmp(&b.span).then_with(|| a.kind.cmp(&b.kind)));
    problems.dedup();
    problems
}

fn examine(names: &SchemaNames, subjects: &[Subject<'_>]) -> Vec<PolicyProblem> {
    let mut problems = Vec::new();
    let mut own = BTreeMap::new();
    for (number, subject) in subjects.iter().enumerate() {
        let mut found = words::check(names, subject);
        let is_known = !found.iter().any(|problem| problem.kind == ProblemKind::UnknownName);
        found.extend(graph::unenforceable(names, subject));
        if is_known {
            found.extend(graph::outside(names, subject));
        }
        let kinds: BTreeSet<ProblemKind> = found.iter().map(|problem| problem.kind).collect();
        own.insert(number, kinds);
        problems.append(&mut found);
    }
    problems.extend(engine::check(names, subjects, &own));
    problems
}

fn unsplit(error: SplitPolicyError) -> PolicyProblem {
    let message = error.to_string();
    let (SplitPolicyError::Unterminated { span } | SplitPolicyError::NoSemicolon { span }) = error;
    PolicyProblem { span, kind: ProblemKind::Syntax, message, help: None }
}

/// Problems of `@id`s: they name policies in logs and metrics, so they must be plain and unique.
fn ids(cut: &[(&PolicyFile, Lines, Vec<Piece>)]) -> Vec<PolicyProblem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, lines, pieces) in cut {
        for piece in pieces {
            let Some(id) = &piece.own_id else { continue };
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let is_plain = !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(good);
            let problem = match seen.insert(id, &piece.source.place) {
                _ if !is_plain => Some(format!(
                    "a policy id has 1 to {ID_BYTES_MAX} letters, digits, `-`, `_` and `.`"
                )),
                Some(first) => Some(format!("policy id `{id}` is taken at {first}")),
                None => None,
            };
            problems.extend(problem.map(|message| PolicyProblem {
                span: file.span(lines, piece.offset, "@id".len()),
                kind: ProblemKind::Id,
                message,
                help: None,
            }));
        }
    }
    problems
}

impl<'a> Subject<'a> {
    fn new(
        file: &'a PolicyFile,
        lines: &'a Lines,
        piece: &'a Piece,
    ) -> Result<Self, Vec<PolicyProblem>> {
        let policy = parse::policy(&piece.source.id, &piece.source.text)
            .map_err(|error| engine::unparsed(file, lines, piece, &error))?;
        let tokens = lex::tokens(&piece.source.text).unwrap_or_default();
        let scope = Scope::of_policy(&policy);
        Ok(Self { file, lines, piece, tokens, policy, scope })
    }

    /// The span in the file of bytes of the policy's text.
    fn span(&self, offset: usize, len: usize) -> Span {
        self.file.span(self.lines, self.piece.offset.saturating_add(offset), len)
    }

    fn token_span(&self, token: &Token<'_>) -> Span {
        self.span(token.offset, token.text.len())
    }

    /// The word `permit` or `forbid`.
    fn effect_span(&self) -> Span {
        let is_effect = |token: &&Token<'_>| {
            token.kind == TokenKind::Word && matches!(token.text, "permit" | "forbid")
        };
        match self.tokens.iter().find(is_effect) {
            Some(token) => self.token_span(token),
            None => self.span(0, self.piece.source.text.len()),
        }
    }

    /// The literal `KIND::"ID"`, or the effect if it is written in some other way.
    fn entity_span(&self, kind: &str, id: &str) -> Span {
        let written = self.tokens.windows(3).find_map(|window| match window {
            [word, colons, text]
                if word.text == kind
                    && colons.text == "::"
                    && lex::unquote(text.text).as_deref() == Some(id) =>
            {
                let end = text.offset.saturating_add(text.text.len());
                Some(self.span(word.offset, end.saturating_sub(word.offset)))
            }
            _ => None,
        });
        written.unwrap_or_else(|| self.effect_span())
    }

    fn problem(
        &self,
        span: Span,
        kind: ProblemKind,
        message: String,
        help: Option<String>,
    ) -> PolicyProblem {
        PolicyProblem { span, kind, message, help }
    }
}

#[cfg(test)]
mod tests;
