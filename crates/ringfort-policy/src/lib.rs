//! May A do X to B, and why: Cedar evaluation with an index, strict validation, and explanation.
//!
//! The only crate that names a policy engine. It decides from arguments alone: no IO, no clock, no randomness. It does
//! **not** read fleet files ([`ringfort_model::Snapshot`] brings the policies) and does not act on its verdicts.
//!
//! Invariants: only [`Verdict::Permit`] allows; a forbid wins; a policy that cannot be evaluated denies; what
//! [`Authorizer::decide`] costs does not depend on how many policies belong to other callers.

pub mod generated;

mod authorizer;
mod check;
mod entities;
mod explain;
mod facts;
mod index;
mod lex;
mod memo;
mod names;
mod parse;
mod question;
mod schema;
mod scope;
mod split;

pub use authorizer::{Authorizer, BuildAuthorizerError};
pub use check::{PolicyProblem, ProblemKind, check};
pub use explain::{Change, Edit, Explanation};
pub use memo::Memo;
pub use names::{NamedEdge, NamedRoute, NamedService, SchemaNames};
pub use parse::ParsePolicyError;
pub use question::{HttpFacts, PolicyRef, Question, Verdict};
pub use schema::schema_text;
pub use scope::Scope;
pub use split::{PolicyFile, Span, SplitPolicyError, split};

/// The id of the one `Visitor`: whoever has not signed in.
pub const VISITOR: &str = "anonymous";

/// The `Service` behind a route that the gateway answers itself; a reserved name, so no service of a fleet has it.
pub const GATEWAY_ITSELF: &str = "ringfort";

/// What `context.source.posture` can say.
pub const POSTURES: [&str; 5] = ["clean", "waived", "grace", "unknown", "quarantined"];
