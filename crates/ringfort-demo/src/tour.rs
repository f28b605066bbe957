//! The guided tour: every wall of the shop is attacked and must hold, and what is allowed must work.
//!
//! The steps are data; what was seen is judged by a pure function. The IO lives in [`run`], over a [`Host`] that the
//! caller provides, for this crate makes no TLS and knows no control plane.

mod drive;
mod report;
mod steps;

pub use drive::{Host, first_request, run};
pub use report::{Outcome, Report};
pub use steps::steps;

use ringfort_model::Ring;

/// One thing the tour tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The wall it shows.
    pub ring: Ring,
    /// What is tried, as a sentence without a full stop.
    pub title: &'static str,
    /// How.
    pub attempt: Attempt,
    /// What must come back.
    pub expected: Expected,
}

/// How a step is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// A request through the gateway, over TLS.
    Visit(Visit),
    /// The same without TLS, on the gateway's plain port.
    PlainVisit(Visit),
    /// Plain HTTP on the port where a service's sidecar accepts mutual TLS.
    PlaintextToSidecar(&'static str),
    /// A TLS handshake with that port, and a request if it is accepted.
    Intrude(&'static str, Intruder),
    /// `explain` for the newest refusal of the tour.
    ExplainLast,
    /// The control plane is killed, the request made, and the control plane awaited.
    WithoutControlPlane(Visit),
    /// All certificates are renewed while the request is repeated.
    WhileRenewing(Visit),
    /// The fleet folder is edited, and the request repeated until the edit is in force.
    AfterEdit(Edit, Visit),
}

/// Who knocks at a sidecar, past the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intruder {
    /// Nobody: no certificate at all.
    Stranger,
    /// A thief with the key and certificate of `web`.
    Web,
    /// The name of `orders`, vouched for by an authority of the intruder's own.
    Forger,
    /// A certificate of `orders` by the fleet's authority that has expired.
    Expired,
}

/// An edit of the fleet folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// shop.cedar lets orders refund.
    PermitRefund,
    /// What was written before.
    Restore,
}

/// One request of a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Method.
    pub method: &'static str,
    /// Path and query, sent as they are.
    pub target: &'static str,
    /// Value of `Host`; `None` is the gateway's own.
    pub host: Option<&'static str>,
    /// Fields a visitor should not be believed.
    pub fields: &'static [(&'static str, &'static str)],
    /// Body.
    pub body: Content,
}

/// A request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// None.
    Empty,
    /// This JSON.
    Json(&'static str),
    /// So many bytes.
    Filler(usize),
}

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An answer of the shop itself: this status, and no wall's decision id.
    Served(u16),
    /// A wall's refusal: this status, and a decision id.
    Refused(u16),
    /// A redirect to https.
    ToHttps,
    /// The intruder in web reports that a wall refused it.
    IntruderRefused,
    /// The intruder in web reports success: the control of the line above.
    IntruderServed,
    /// None of these texts came through to the program.
    NotForwarded(&'static [&'static str]),
    /// Orders reports that a wall refused its own call to this callee with 403.
    RefusedInside(&'static str),
    /// The connection ended without a byte of HTTP.
    Closed,
    /// The program behind the sidecar answered: the control of the line above.
    Reached,
    /// The explanation has all of these words.
    Explains(&'static [&'static str]),
    /// The request was repeated and never failed.
    NoFailure,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An HTTP answer.
    Answer {
        /// Its status.
        status: u16,
        /// The decision id, when a wall answered.
        decision: Option<String>,
        /// `Location`.
        location: Option<String>,
        /// Its body.
        body: String,
    },
    /// The connection ended, after these bytes.
    Closed {
        /// What was read before the end.
        bytes: Vec<u8>,
    },
    /// A text, from `explain`.
    Text(String),
    /// Repeated requests.
    Repeated {
        /// How often it was made.
        made: u32,
        /// How often it failed.
        failed: u32,
    },
    /// The step could not be tried.
    Fault(String),
}

impl Expected {
    /// Whether what was seen is what must come back.
    #[must_use]
    pub fn holds(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Self::Served(wanted), Seen::Answer { status, decision, .. }) => {
                status == wanted && decision.is_none()
            }
            (Self::Refused(wanted), Seen::Answer { status, decision, .. }) => {
                status == wanted && decision.is_some()
            }
            (Self::ToHttps, Seen::Answer { status, location, .. }) => {
                let location = location.as_deref().unwrap_or_default();
                (300..400).contains(status) && location.starts_with("https://")
            }
            (Self::IntruderRefused, Seen::Answer { status: 200, .. }) => {
                seen.inner_status().is_some_and(|status| status >= 400) && seen.decision().is_some()
            }
            (Self::IntruderServed, Seen::Answer { status: 200, .. }) => {
                seen.inner_status() == Some(200)
            }
            (Self::NotForwarded(texts), Seen::Answer { status: 200, body, .. }) => {
                texts.iter().all(|text| !body.contains(text))
            }
            (Self::RefusedInside(callee), Seen::Answer { status: 502, .. }) => {
                let failed = seen.json();
                let failed = failed.get("failed").and_then(serde_json::Value::as_str);
                failed == Some(callee)
                    && seen.inner_status() == Some(403)
                    && seen.decision().is_some()
            }
            (Self::Closed, Seen::Closed { bytes }) => !bytes.starts_with(b"HTTP/"),
            (Self::Reached, Seen::Closed { bytes }) => bytes.starts_with(b"HTTP/1.1 200"),
            (Self::Explains(words), Seen::Text(text)) => {
                words.iter().all(|word| text.contains(word))
            }
            (Self::NoFailure, Seen::Repeated { made, failed }) => *made > 0 && *failed == 0,
            (_, _) => false,
        }
    }
}

impl Seen {
    /// The id of the wall's decision: of the gateway, or of a wall further inside that a program reports.
    #[must_use]
    pub fn decision(&self) -> Option<String> {
        if let Self::Answer { decision: Some(id), .. } = self {
            return Some(id.clone());
        }
        let body = self.json();
        let inner = body.get("seen").unwrap_or(&body).get("decision")?;
        inner.as_str().map(str::to_owned)
    }

    /// The status that a program reports of its own call.
    fn inner_status(&self) -> Option<u64> {
        let body = self.json();
        body.get("seen").unwrap_or(&body).get("status")?.as_u64()
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Answer { body, .. } => serde_json::from_str(body).unwrap_or_default(),
            Self::Closed { .. } | Self::Text(_) | Self::Repeated { .. } | Self::Fault(_) => {
                serde_json::Value::Null
            }
        }
    }
}

#[cfg(test)]
mod tests;
