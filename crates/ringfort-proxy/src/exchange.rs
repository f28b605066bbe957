//! One request's account: everything that is known about it when it ends, however it ends.
//!
//! An exchange is counted exactly once: when its response body has passed, breaks off, or is dropped. It holds what
//! the request holds (room at the callee, a connection), so that these end with it.

use std::{
    cell::Cell,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, Version, header};
use ringfort_model::{
    CanonicalRequest, DecisionId, Name, Refusal, Ring, headers::trace::TraceParent,
};
use ringfort_policy::PolicyRef;
use ringfort_traffic::Permit;
use tokio::{sync::watch, time::Instant};

use crate::{
    answer, authorize,
    body::ResponseBody,
    connection::Connection,
    thread::Here,
    upstream::Lease,
    witness::{
        access_log::AccessLine,
        decisions::{DecidedBy, DecidedRequest, Decision},
        metrics::{DecisionKey, PairId, RequestKey, method_label},
    },
};

/// The status that stands for "the caller went away".
const CALLER_WENT_AWAY: u16 = 499;

/// One permit in this many is kept with its walk, so that `explain` has examples of both.
const PERMITS_SAMPLED: u64 = 1024;

/// One request's account.
pub(crate) struct Exchange(Box<Account>);

/// The fields of an account, filled in as the request passes the rings.
pub(crate) struct Account {
    /// The number of the swap by whose state the exchange was last judged.
    judged_at: Rc<Cell<u64>>,
    pub(crate) connection: Rc<Connection>,
    /// What was in force when the request arrived; it is judged by this alone.
    pub(crate) here: Rc<Here>,
    pub(crate) begun: Instant,
    pub(crate) pair: PairId,
    pub(crate) source: Option<Name>,
    pub(crate) destination: Option<Name>,
    pub(crate) route: Option<Name>,
    pub(crate) canonical: Option<CanonicalRequest>,
    pub(crate) operation: Option<Arc<str>>,
    pub(crate) policy: Option<Arc<PolicyRef>>,
    pub(crate) trace: Option<TraceParent>,
    /// Methods for `Allow` of a 405.
    pub(crate) allow: Option<HeaderValue>,
    /// The visitor's address.
    pub(crate) client: IpAddr,
    pub(crate) permit: Option<Permit>,
    pub(crate) lease: Option<Lease>,
    pub(crate) upstream: Option<Duration>,
    method: &'static str,
    version: &'static str,
    status: u16,
    error: &'static str,
    refused: Option<(Ring, DecisionId)>,
    bytes: u64,
    ended: bool,
}

impl Exchange {
    pub(crate) fn begin(connection: &Rc<Connection>, method: &Method, version: Version) -> Self {
        let here = connection.thread.here();
        connection.activity.request_begins();
        connection.thread.plain().active_requests.fetch_add(1, Ordering::Relaxed);
        let pair = here.live.unknown_pair(&connection.key);
        Self(Box::new(Account {
            connection: Rc::clone(connection),
            judged_at: Rc::new(Cell::new(*connection.thread.swaps.borrow())),
            here,
            begun: Instant::now(),
            pair,
            source: None,
            destination: None,
            route: None,
            canonical: None,
            operation: None,
            policy: None,
            trace: None,
            allow: None,
            client: connection.remote.ip(),
            permit: None,
            lease: None,
            upstream: None,
            method: method_label(method),
            version: if version == Version::HTTP_2 { "2" } else { "1.1" },
            status: CALLER_WENT_AWAY,
            error: "cancelled",
            refused: None,
            bytes: 0,
            ended: false,
        }))
    }

    /// Bytes of the response passed.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.0.bytes = self.0.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// The response has passed completely: its connection may carry another exchange.
    pub(crate) fn complete(&mut self) {
        if self.0.ended {
            return;
        }
        if self.0.error == "unfinished" {
            self.0.error = "";
        }
        if let Some(lease) = self.0.lease.take() {
            lease.give_back();
        }
        self.0.end();
    }

    /// The response broke off on our side of the caller.
    pub(crate) fn broke_off(&mut self, how: &'static str) {
        self.0.error = how;
        self.0.end();
    }

    /// The head of the answer is known; until the body has passed, the exchange counts as unfinished.
    pub(crate) fn answered(&mut self, status: u16) {
        self.0.status = status;
        self.0.error = "unfinished";
    }

    /// Records a refusal and makes its answer.
    pub(crate) fn refuse(mut self, refusal: &Refusal, grpc: bool) -> Response<ResponseBody> {
        let id = self.0.connection.thread.next_decision_id();
        self.0.status = refusal.status;
        self.0.error = refusal.reason;
        self.0.refused = Some((refusal.ring, id));
        self.0.count_decision(refusal.ring, false, refusal.reason);
        let decision = self.0.decision(id, refusal);
        self.0.connection.thread.witness.keep(decision);
        let response = answer::refused(refusal, id, grpc);
        let (mut parts, bytes) = response.into_parts();
        if let Some(allow) = self.0.allow.take() {
            parts.headers.insert(header::ALLOW, allow);
        }
        if refusal.closes && self.0.version != "2" {
            parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Response::from_parts(parts, self.into_body(bytes))
    }

    /// Ends when the next state comes into force.
    ///
    /// A swap since the exchange was last judged counts, so that none is missed while a stream is being set up.
    pub(crate) fn next_swap(&self) -> impl Future<Output = ()> + 'static {
        let swaps = self.0.connection.thread.swaps.subscribe();
        swapped_since(swaps, Rc::clone(&self.0.judged_at))
    }

    /// Whether a state came into force since the exchange was last judged.
    pub(crate) fn has_swapped(&self) -> bool {
        *self.0.connection.thread.swaps.borrow() != self.0.judged_at.get()
    }

    /// Whether the state in force now still allows what this exchange was allowed.
    pub(crate) fn is_still_allowed(&self) -> bool {
        authorize::is_still_allowed(&self.0)
    }

    /// The body of an answer made here.
    pub(crate) fn into_body(self, bytes: Bytes) -> ResponseBody {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        ResponseBody::Made { bytes, exchange: self }
    }
}

impl std::ops::Deref for Exchange {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.0
    }
}

impl std::ops::DerefMut for Exchange {
    fn deref_mut(&mut self) -> &mut Account {
        &mut self.0
    }
}

impl Account {
    /// Counts one decision, and keeps a sample of permits.
    pub(crate) fn permitted(&self, ring: Ring) {
        self.count_decision(ring, true, "permit");
        let thread = &self.connection.thread;
        if thread.random().is_multiple_of(PERMITS_SAMPLED) {
            let permitted = Refusal::new(ring, 0, "permit", "");
            let decision = Decision {
                permits: true,
                walk: Decision::walk(ring, true, &self.details(None)),
                ..self.decision(thread.next_decision_id(), &permitted)
            };
            thread.witness.keep(decision);
        }
    }

    fn count_decision(&self, ring: Ring, permits: bool, reason: &'static str) {
        let ids = &self.here.live.rules.policy_ids;
        let policy = self.policy.as_ref().and_then(|policy| ids.get(&policy.id).copied());
        let key = DecisionKey { pair: self.pair, ring, permits, reason, policy };
        self.connection.thread.metrics.decision(key);
    }

    fn decision(&self, id: DecisionId, refusal: &Refusal) -> Decision {
        let connection = &self.connection;
        let request = self.canonical.as_ref().map(|canonical| DecidedRequest {
            method: canonical.method().to_owned(),
            host: canonical.host().to_owned(),
            path: canonical.key().to_owned(),
        });
        let policy = self
            .policy
            .as_ref()
            .map(|policy| DecidedBy { id: policy.id.clone(), place: policy.place.to_string() });
        Decision {
            id: id.to_string(),
            time: connection.thread.clock.now().to_string(),
            permits: false,
            ring: refusal.ring.as_str(),
            reason: refusal.reason,
            detail: refusal.detail.to_string(),
            status: refusal.status,
            revision: self.here.live.rules.snapshot.revision.number(),
            ingress: connection.ingress(),
            peer: connection.remote.to_string(),
            source: self.source_text(),
            destination: self.destination_text(),
            route: self.route.as_ref().map(Name::to_string),
            operation: self.operation.as_ref().map(|operation| operation.to_string()),
            request,
            policy,
            walk: Decision::walk(refusal.ring, false, &self.details(Some(refusal))),
        }
    }

    /// What each ring saw, for explanations.
    fn details(&self, refusal: Option<&Refusal>) -> Vec<(Ring, String)> {
        let mut details = Vec::new();
        if let Some(refusal) = refusal {
            details.push((refusal.ring, format!("{}: {}", refusal.reason, refusal.detail)));
        }
        let peer = match &self.connection.caller {
            Some(id) => format!("mTLS, {id}"),
            None => format!("{} over {}", self.connection.remote, self.connection.security),
        };
        details.push((Ring::Transport, peer));
        if let Some(canonical) = &self.canonical {
            let (method, host, key) = (canonical.method(), canonical.host(), canonical.key());
            details.push((Ring::Protocol, format!("{method} {host} {key}")));
        }
        if let Some(policy) = &self.policy {
            details.push((Ring::Policy, format!("decided by {policy}")));
        }
        details
    }

    fn source_text(&self) -> String {
        self.source.as_ref().map_or_else(
            || if self.connection.ingress() == "gateway" { "visitor" } else { "_OTHER" }.to_owned(),
            Name::to_string,
        )
    }

    fn destination_text(&self) -> String {
        self.destination.as_ref().map_or_else(|| "_OTHER".to_owned(), Name::to_string)
    }

    /// Counts the exchange and writes its line, once.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.permit = None;
        let connection = &self.connection;
        let duration = Instant::now().duration_since(self.begun);
        let key = RequestKey {
            pair: self.pair,
            method: self.method,
            status: self.status,
            version: self.version,
            error: self.error,
            security: connection.security,
        };
        connection.thread.metrics.request(key, duration);
        connection.thread.plain().active_requests.fetch_sub(1, Ordering::Relaxed);
        if self.is_worth_a_line() {
            connection.thread.witness.log(self.line(duration));
        }
        connection.activity.request_ends();
        connection.request_ended(self.status == CALLER_WENT_AWAY || self.error == "unfinished");
    }

    /// Successes are sampled; everything else always has its line.
    fn is_worth_a_line(&self) -> bool {
        let fine = (200..300).contains(&self.status) && self.error.is_empty();
        let share = u64::from(self.here.live.rules.snapshot.access_log_2xx.as_u8());
        !fine || self.connection.thread.random() % 100 < share
    }

    fn line(&self, duration: Duration) -> AccessLine {
        let part = |part: fn(&CanonicalRequest) -> &str| {
            self.canonical.as_ref().map_or_else(String::new, |it| part(it).to_owned())
        };
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        AccessLine {
            time: self.connection.thread.clock.now().to_string(),
            method: part(CanonicalRequest::method),
            host: part(CanonicalRequest::host),
            path: part(CanonicalRequest::key),
            status: self.status,
            route: self.route.as_ref().map(Name::to_string),
            version: self.version,
            client: self.client.to_string(),
            bytes: self.bytes,
            duration_ms: ms(duration),
            upstream_ms: self.upstream.map(ms),
            source: self.source_text(),
            destination: self.destination_text(),
            ring: self.refused.map(|(ring, _)| ring.as_str()),
            error: Some(self.error).filter(|error| !error.is_empty()),
            decision: self.refused.map(|(_, id)| id.to_string()),
            policy: self.policy.as_ref().map(|policy| policy.id.clone()),
            trace_id: self.trace.map(|trace| format!("{:032x}", trace.trace_id)),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.end();
    }
}

/// Ends when a state is in force that `judged` does not count yet, and counts it.
pub(crate) async fn swapped_since(mut swaps: watch::Receiver<u64>, judged: Rc<Cell<u64>>) {
    loop {
        let now = *swaps.borrow_and_update();
        if now != judged.get() {
            judged.set(now);
            return;
        }
        if swaps.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
