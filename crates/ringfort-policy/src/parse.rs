//! The one way from text to a policy: limits first, because the parser recurses, then Cedar.

use cedar_policy::{EntityTypeName, ParseErrors, Policy, PolicyId};

use crate::lex::{self, TokenKind};

/// Longest policy: room for an `only` list of thousands of operations.
pub(crate) const POLICY_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of brackets, and of `if`.
pub(crate) const DEPTH_MAX: usize = 64;
/// Most operators: each is one level of the syntax tree, and evaluation recurses into it.
pub(crate) const OPERATORS_MAX: usize = 512;

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum ParsePolicyError {
    /// Longer than the limit.
    #[error("policy `{id}` is longer than {POLICY_BYTES_MAX} bytes")]
    TooLong {
        /// The policy.
        id: String,
    },
    /// Nested deeper than the limit.
    #[error("policy `{id}` nests deeper than {DEPTH_MAX}")]
    TooDeep {
        /// The policy.
        id: String,
    },
    /// More operators than the limit.
    #[error("policy `{id}` has more than {OPERATORS_MAX} operators")]
    TooComplex {
        /// The policy.
        id: String,
    },
    /// Not the syntax of one policy.
    #[error("policy `{id}` is not valid Cedar")]
    Syntax {
        /// The policy.
        id: String,
        /// What the parser found.
        #[source]
        source: Box<ParseErrors>,
    },
}

/// Parses the text of exactly one policy.
pub(crate) fn policy(id: &str, text: &str) -> Result<Policy, ParsePolicyError> {
    check_limits(id, text)?;
    Policy::parse(Some(PolicyId::new(id)), text)
        .map_err(|source| ParsePolicyError::Syntax { id: id.to_owned(), source: Box::new(source) })
}

fn check_limits(id: &str, text: &str) -> Result<(), ParsePolicyError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(ParsePolicyError::TooLong { id: id.to_owned() });
    }
    // A string that does not end has no tokens to count; the parser reports it.
    let Ok(tokens) = lex::tokens(text) else { return Ok(()) };
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for token in tokens.iter().filter(|token| token.kind != TokenKind::Text) {
        match token.text {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "&&" | "||" | "." | "!" | "-" | "+" | "*" | "=" | "<" | ">" | "if" | "has" | "like"
            | "in" | "is" => operators = operators.saturating_add(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ParsePolicyError::TooDeep { id: id.to_owned() });
        }
    }
    if operators > OPERATORS_MAX {
        return Err(ParsePolicyError::TooComplex { id: id.to_owned() });
    }
    Ok(())
}

/// The type's full name, namespaces included.
pub(crate) fn type_name(kind: &EntityTypeName) -> String {
    kind.to_string()
}

#[cfg(test)]
mod tests;
