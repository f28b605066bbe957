//! The one way from text to a policy: limits first, because the parser recurses, then Cedar.

use cedar_policy::{EntityTypeName, ParseErrors, Policy, PolicyId};

use crate::lex::{self, TokenKind};

/// Longest policy: room for an `only` list of thousands of operations.
pub(crate) const POLICY_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of brackets. Cedar 4.14 built without optimisation overflows a 2 MiB stack between 32 and 64.
pub(crate) const DEPTH_MAX: usize = 24;
/// Most links of chains, each of which is one level of the syntax tree: it overflows between 128 and 256 of them.
pub(crate) const LINKS_MAX: usize = 96;
/// How many links one sign of arithmetic counts as: its evaluation takes that much more stack.
const ARITHMETIC_LINKS: usize = 3;
/// Longest run of names joined by `.`.
pub(crate) const DOTS_MAX: usize = 12;

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
    /// Chains longer than the limit.
    #[error(
        "policy `{id}` has more than {LINKS_MAX} of `&& || if` (`+ - *` count three), or more than {DOTS_MAX} names in a row"
    )]
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

/// Bounds the depth of the syntax tree from the tokens: the parser and everything after it recurse.
fn check_limits(id: &str, text: &str) -> Result<(), ParsePolicyError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(ParsePolicyError::TooLong { id: id.to_owned() });
    }
    // A string that does not end has no tokens to count; the parser reports it.
    let Ok(tokens) = lex::tokens(text) else { return Ok(()) };
    let (mut depth, mut links, mut dots) = (0_usize, 0_usize, 0_usize);
    let (mut depth_most, mut dots_most) = (0, 0);
    for token in tokens.iter().filter(|token| token.kind != TokenKind::Text) {
        match token.text {
            "(" | "[" | "{" => depth = depth.saturating_add(1),
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "." => dots = dots.saturating_add(1),
            "&&" | "||" | "if" => links = links.saturating_add(1),
            "+" | "-" | "*" => links = links.saturating_add(ARITHMETIC_LINKS),
            _ => {}
        }
        // `a.f(x).g(y)["k"]` is one run; what separates operands or arguments ends it.
        if matches!(token.text, "&&" | "||" | "," | "=" | "<" | ">" | "{" | ";" | "in" | "like") {
            dots = 0;
        }
        (depth_most, dots_most) = (depth.max(depth_most), dots.max(dots_most));
    }
    if depth_most > DEPTH_MAX {
        return Err(ParsePolicyError::TooDeep { id: id.to_owned() });
    }
    if links > LINKS_MAX || dots_most > DOTS_MAX {
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
