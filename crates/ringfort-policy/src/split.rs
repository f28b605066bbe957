//! Cuts a `.cedar` file into its policies; each keeps its place in the file.

use std::collections::BTreeSet;

use ringfort_model::snapshot::{Place, PolicySource};

use crate::lex::{self, Token, TokenKind};

/// Columns beyond this are counted in bytes, so that a file of one long line is not read over and over.
const COLUMN_BYTES_MAX: usize = 64 * 1024;

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its path, relative to the fleet folder.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file, relative to the fleet folder.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Offset of the first byte in the file.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
}

/// Why a file has no well-defined list of policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitPolicyError {
    /// A string literal that does not end.
    #[error("this string does not end")]
    Unterminated {
        /// Where it begins.
        span: Span,
    },
    /// A last policy without `;`.
    #[error("this policy does not end with `;`")]
    NoSemicolon {
        /// Where it begins.
        span: Span,
    },
}

/// One policy of a file, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) source: PolicySource,
    /// Byte offset of the policy's text in the file.
    pub(crate) offset: usize,
    /// The policy's `@id`, if it has one.
    pub(crate) own_id: Option<String>,
}

/// The policies of a file, in order. The id is the policy's `@id`, or `file:line` (with a column, if it shares the line).
///
/// # Errors
/// A string or the last policy does not end: the file has no well-defined list of policies.
pub fn split(file: &PolicyFile) -> Result<Vec<PolicySource>, SplitPolicyError> {
    Ok(pieces(file)?.into_iter().map(|piece| piece.source).collect())
}

pub(crate) fn pieces(file: &PolicyFile) -> Result<Vec<Piece>, SplitPolicyError> {
    let lines = Lines::of(&file.text);
    let tokens = lex::tokens(&file.text)
        .map_err(|end| SplitPolicyError::Unterminated { span: file.span(&lines, end.offset, 1) })?;
    let mut pieces = Vec::new();
    let mut ids = BTreeSet::new();
    let mut depth = 0_usize;
    let mut start = 0_usize;
    for (index, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind == TokenKind::Mark) {
        match token.text {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => {
                let own = tokens.get(start..=index).unwrap_or_default();
                pieces.extend(piece(file, &lines, own, &mut ids));
                start = index.saturating_add(1);
            }
            _ => {}
        }
    }
    match tokens.get(start) {
        None => Ok(pieces),
        Some(token) => {
            let span = file.span(&lines, token.offset, token.text.len());
            Err(SplitPolicyError::NoSemicolon { span })
        }
    }
}

fn piece(
    file: &PolicyFile,
    lines: &Lines,
    tokens: &[Token<'_>],
    ids: &mut BTreeSet<String>,
) -> Option<Piece> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let text = file.text.get(first.offset..last.offset.checked_add(last.text.len())?)?;
    let span = file.span(lines, first.offset, text.len());
    let own_id = annotated_id(tokens);
    let mut id = own_id.clone().unwrap_or_else(|| format!("{}:{}", span.file, span.line));
    if own_id.is_none() && !ids.insert(id.clone()) {
        id = format!("{id}:{}", span.column);
    }
    let place = Place { file: span.file, line: span.line };
    let source = PolicySource { id, text: text.to_owned(), place, generated: false };
    Some(Piece { source, offset: first.offset, own_id })
}

/// The value of `@id("...")` among the annotations in front of the effect.
fn annotated_id(tokens: &[Token<'_>]) -> Option<String> {
    let head = tokens.split(|token| matches!(token.text, "permit" | "forbid")).next()?;
    head.windows(4).find_map(|window| match window {
        [at, word, open, id] if at.text == "@" && word.text == "id" && open.text == "(" => {
            lex::unquote(id.text)
        }
        _ => None,
    })
}

/// Where the lines of a text begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self(std::iter::once(0).chain(after).collect())
    }
}

impl PolicyFile {
    /// The span of `len` bytes at `offset`.
    pub(crate) fn span(&self, lines: &Lines, offset: usize, len: usize) -> Span {
        let line = lines.0.partition_point(|start| *start <= offset);
        let start = lines.0.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let front = self.text.get(start..offset).filter(|front| front.len() <= COLUMN_BYTES_MAX);
        let before = front.map_or(offset.saturating_sub(start), |front| front.chars().count());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span {
            file: self.path.clone(),
            line: number(line),
            column: number(before.saturating_add(1)),
            offset,
            len,
        }
    }
}

#[cfg(test)]
mod tests;
