//! The context of a question: built by the schema, and only as far as candidate policies look at it.

use std::net::IpAddr;

use cedar_policy::{Context, RestrictedExpression};

use crate::{
    HttpFacts, Question,
    lex::{self, Token, TokenKind},
};

/// Which attributes of `context` some policies look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    source: bool,
    operation: bool,
    http: bool,
    client_ip: bool,
}

impl Needs {
    pub(crate) const NOTHING: Self =
        Self { source: false, operation: false, http: false, client_ip: false };
    const EVERYTHING: Self = Self { source: true, operation: true, http: true, client_ip: true };

    /// What the text of a policy looks at. Whatever is done to `context` as a whole looks at everything.
    pub(crate) fn of(text: &str) -> Self {
        let Ok(tokens) = lex::tokens(text) else { return Self::EVERYTHING };
        let uses = (0..tokens.len()).filter_map(|at| tokens.get(at..));
        let uses = uses.filter_map(|rest| match rest {
            [context, rest @ ..] if context.text == "context" => Some(rest),
            _ => None,
        });
        uses.map(Self::of_use).fold(Self::NOTHING, Self::and)
    }

    /// What follows the word `context`. Names of the language cannot be escaped, so the words are what they seem.
    fn of_use(rest: &[Token<'_>]) -> Self {
        let [operator, name, ..] = rest else { return Self::EVERYTHING };
        match operator.text {
            "." | "has" if name.kind == TokenKind::Word => Self::of_attribute(name.text),
            _ => Self::EVERYTHING,
        }
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            source: self.source || other.source,
            operation: self.operation || other.operation,
            http: self.http || other.http,
            client_ip: self.client_ip || other.client_ip,
        }
    }

    fn of_attribute(attribute: &str) -> Self {
        match attribute {
            "source" => Self { source: true, ..Self::NOTHING },
            "operation" => Self { operation: true, ..Self::NOTHING },
            "http" => Self { http: true, ..Self::NOTHING },
            "client_ip" => Self { client_ip: true, ..Self::NOTHING },
            _ => Self::NOTHING,
        }
    }

    /// Whether the answer depends on nothing of the request but its operation.
    pub(crate) const fn is_settled_by_operation(self) -> bool {
        !self.http && !self.client_ip
    }
}

/// The context of `question`, with exactly the attributes of `needs` that the question has.
pub(crate) fn context(question: &Question<'_>, needs: Needs) -> Result<Context, String> {
    let mut pairs = Vec::with_capacity(4);
    let (operation, http) = match *question {
        Question::Call { operation, http, .. } => {
            if needs.source {
                pairs.push(("source".to_owned(), source()?));
            }
            (operation, http)
        }
        Question::Visit { operation, http, client_ip, .. } => {
            if needs.client_ip {
                pairs.push(("client_ip".to_owned(), address(client_ip)));
            }
            (operation, Some(http))
        }
    };
    if let Some(operation) = operation.filter(|_| needs.operation) {
        let value = RestrictedExpression::new_string(operation.to_owned());
        pairs.push(("operation".to_owned(), value));
    }
    if let Some(http) = http.filter(|_| needs.http) {
        pairs.push(("http".to_owned(), request(http)?));
    }
    if pairs.is_empty() {
        return Ok(Context::empty());
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

/// What is known about the caller's build: nothing yet, but its process was attested.
fn source() -> Result<RestrictedExpression, String> {
    record([
        ("posture", RestrictedExpression::new_string("unknown".to_owned())),
        ("attested", RestrictedExpression::new_bool(true)),
        ("known_exploited", RestrictedExpression::new_bool(false)),
    ])
}

fn request(http: HttpFacts<'_>) -> Result<RestrictedExpression, String> {
    record([
        ("method", RestrictedExpression::new_string(http.method.to_owned())),
        ("host", RestrictedExpression::new_string(http.host.to_owned())),
        ("path", RestrictedExpression::new_string(http.path.to_owned())),
    ])
}

fn address(client_ip: IpAddr) -> RestrictedExpression {
    RestrictedExpression::new_ip(client_ip.to_canonical().to_string())
}

fn record<const N: usize>(
    fields: [(&str, RestrictedExpression); N],
) -> Result<RestrictedExpression, String> {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
