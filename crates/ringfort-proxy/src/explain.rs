//! What is added to a recorded decision when somebody asks for it: why the policies said no, and the smallest change
//! that would make them say yes. Reads every policy, so it is done for the asker and not for the request.

use std::{net::SocketAddr, sync::Arc};

use ringfort_model::Name;
use ringfort_policy::{HttpFacts, Question};
use serde::Serialize;

use crate::{live::Live, witness::decisions::Decision};

/// A decision with its explanation.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    #[serde(flatten)]
    decision: Arc<Decision>,
    /// Permits for this caller and resource whose conditions did not hold, as `id (file:line)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmet: Vec<String>,
    /// The smallest change that would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<String>,
    /// Set when another revision is in force by now: then nothing is explained that might have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_then: Option<String>,
}

/// Explains a decision by the policies in force, if they are still those that decided.
pub(crate) fn explained(live: &Live, decision: &Arc<Decision>) -> Explained {
    let mut explained = Explained {
        decision: Arc::clone(decision),
        unmet: Vec::new(),
        nearest: None,
        since_then: None,
    };
    if decision.ring != "policy" || decision.permits {
        return explained;
    }
    let now = live.rules.snapshot.revision.number();
    if now != decision.revision {
        explained.since_then = Some(format!("revision {now} is in force"));
        return explained;
    }
    let Some(question) = Asked::of(live, decision) else { return explained };
    let Some(question) = question.question() else { return explained };
    let explanation = live.rules.authorizer.explain(&question);
    explained.unmet = explanation.unmet.iter().map(ToString::to_string).collect();
    explained.nearest = explanation.nearest.map(|change| change.to_string());
    explained
}

/// The parts of a question, put together again from a record.
struct Asked<'a> {
    decision: &'a Decision,
    caller: Option<Name>,
    route: Option<Name>,
    service: &'a Name,
}

impl<'a> Asked<'a> {
    fn of(live: &'a Live, decision: &'a Decision) -> Option<Self> {
        let service = &live.rules.snapshot.workload;
        let route = match &decision.route {
            Some(route) => Some(route.parse().ok()?),
            None => None,
        };
        let caller = if route.is_none() { Some(decision.source.parse().ok()?) } else { None };
        Some(Self { decision, caller, route, service })
    }

    fn question(&self) -> Option<Question<'_>> {
        let request = self.decision.request.as_ref();
        let http = request.map(|request| HttpFacts {
            method: &request.method,
            host: &request.host,
            path: &request.path,
        });
        let operation = self.decision.operation.as_deref();
        if let Some(route) = &self.route {
            let peer: SocketAddr = self.decision.peer.parse().ok()?;
            return Some(Question::Visit { route, operation, http: http?, client_ip: peer.ip() });
        }
        let caller = self.caller.as_ref()?;
        Some(Question::Call { caller, service: self.service, operation, http })
    }
}
