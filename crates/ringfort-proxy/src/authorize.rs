//! Ring `policy` in the request path: puts the question, and turns the verdict into passage or refusal.

use std::{rc::Rc, sync::Arc};

use ringfort_model::{
    CanonicalRequest, Refusal, Ring, SpiffeId,
    snapshot::{Protocol, Role},
};
use ringfort_policy::{HttpFacts, PolicyRef, Question, Verdict};

use crate::{
    exchange::{Account, Exchange},
    live::{Live, Part},
    route::{self, Asks},
};

/// Asks whether a request may pass.
///
/// # Errors
/// The refusal of ring `policy`: whatever is not a permit.
pub(crate) fn authorize(
    exchange: &mut Exchange,
    asks: &Asks,
    canonical: &CanonicalRequest,
) -> Result<(), Refusal> {
    let here = Rc::clone(&exchange.here);
    let rules = &here.live.rules;
    let operation = exchange.operation.clone();
    let question = match asks {
        Asks::AtCallee => return Ok(()),
        Asks::Visit(route) => Question::Visit {
            route: &route.name,
            operation: operation.as_deref(),
            http: facts(canonical),
            client_ip: exchange.client,
        },
        Asks::Call { caller } => Question::Call {
            caller,
            service: &rules.snapshot.workload,
            operation: operation.as_deref(),
            http: Some(facts(canonical)),
        },
    };
    let thread = &exchange.connection.thread;
    let judged = judge(thread.decide(&rules.authorizer, &question));
    exchange.policy = judged.policy;
    match judged.refusal {
        Some(refusal) => Err(refusal),
        None => {
            exchange.permitted(Ring::Policy);
            Ok(())
        }
    }
}

/// Asks whether a caller may open a connection for bytes; says which policy decided.
pub(crate) fn may_connect(live: &Live, caller: Option<&SpiffeId>) -> Judged {
    let Part::Sidecar(sidecar) = &live.rules.part else { return Judged::no_edge() };
    // Bytes go to a program that speaks bytes: a service that became HTTP is reached through ring `protocol` alone.
    let speaks_bytes = match &live.rules.snapshot.role {
        Role::Sidecar(sidecar) => {
            sidecar.local.as_ref().is_some_and(|local| local.protocol == Protocol::Tcp)
        }
        Role::Gateway(_) => false,
    };
    if !speaks_bytes {
        return Judged::no_edge();
    }
    let Some(caller) = caller.and_then(|id| sidecar.callers.get(id)) else {
        return Judged::no_edge();
    };
    judge(live.rules.authorizer.decide(&Question::Call {
        caller: &caller.name,
        service: &live.rules.snapshot.workload,
        operation: None,
        http: None,
    }))
}

/// Whether what is in force now still allows an exchange that began earlier. Its route or edge may be gone.
pub(crate) fn is_still_allowed(account: &Account) -> bool {
    let here = account.connection.thread.here();
    let rules = &here.live.rules;
    let Some(canonical) = &account.canonical else { return true };
    match &rules.part {
        Part::Gateway(_) => account.route.as_ref().is_some_and(|route| {
            let question = Question::Visit {
                route,
                operation: None,
                http: facts(canonical),
                client_ip: account.client,
            };
            rules.authorizer.decide(&question).is_permit()
        }),
        Part::Sidecar(sidecar) => match &account.connection.caller {
            Some(id) => sidecar.callers.get(id).is_some_and(|caller| {
                let operation = route::operation(caller, canonical);
                let question = Question::Call {
                    caller: &caller.name,
                    service: &rules.snapshot.workload,
                    operation: operation.as_deref(),
                    http: Some(facts(canonical)),
                };
                rules.authorizer.decide(&question).is_permit()
            }),
            None => account.destination.as_ref().is_some_and(|callee| here.door(callee).is_some()),
        },
    }
}

/// A verdict as the request path uses it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) policy: Option<Arc<PolicyRef>>,
    /// `None` lets pass.
    pub(crate) refusal: Option<Refusal>,
}

impl Judged {
    fn no_edge() -> Self {
        let refusal = Refusal::new(Ring::Policy, 403, "no_edge", "the caller may not call here");
        Self { policy: None, refusal: Some(refusal) }
    }
}

fn judge(verdict: Verdict) -> Judged {
    let reason = verdict.reason();
    let (policy, detail) = match verdict {
        Verdict::Permit { policy } => return Judged { policy: Some(policy), refusal: None },
        Verdict::Forbid { policy } => {
            let detail = format!("policy {policy} forbids it");
            (Some(policy), detail)
        }
        Verdict::NoPermit => (None, "no policy permits it".to_owned()),
        Verdict::Failed { policy, reason } => {
            (policy, format!("a policy could not be evaluated: {reason}"))
        }
    };
    Judged { policy, refusal: Some(Refusal::new(Ring::Policy, 403, reason, detail)) }
}

fn facts(canonical: &CanonicalRequest) -> HttpFacts<'_> {
    HttpFacts { method: canonical.method(), host: canonical.host(), path: canonical.key() }
}
