//! One thread's connections to one endpoint: idle HTTP/1.1 connections, newest first, and HTTP/2 connections.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use super::InUse;
use crate::body::RequestBody;

/// Most idle HTTP/1.1 connections per thread and endpoint.
const IDLE_MAX: usize = 128;

/// How long an endpoint that refused a connection is avoided while there is another.
const AVOID: Duration = Duration::from_secs(1);

/// Connections of one thread to one endpoint.
pub(crate) struct Pool {
    pub(crate) address: SocketAddr,
    pub(super) in_flight: Rc<Cell<u32>>,
    pub(super) failed_at: Cell<Option<Instant>>,
    idle: RefCell<Vec<Idle>>,
    pub(super) multiplexed: RefCell<Vec<Multiplexed>>,
    /// One HTTP/2 connection is opened at a time, so that a burst does not open one each.
    pub(super) opening: tokio::sync::Mutex<()>,
}

struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: Instant,
}

/// One HTTP/2 connection and the streams in use on it.
pub(super) struct Multiplexed {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) streams: Rc<Cell<u32>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pool of {}", self.address)
    }
}

impl Pool {
    pub(crate) fn new(address: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            in_flight: Rc::default(),
            failed_at: Cell::new(None),
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            opening: tokio::sync::Mutex::const_new(()),
        })
    }

    /// Takes the idle connection used last; dead and expired ones are dropped on the way.
    pub(super) fn take_idle(&self, idle_max: Duration) -> Option<http1::SendRequest<RequestBody>> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while let Some(newest) = idle.pop() {
            if now.duration_since(newest.since) > idle_max {
                // All others are older.
                idle.clear();
                return None;
            }
            if newest.sender.is_ready() {
                return Some(newest.sender);
            }
        }
        None
    }

    fn give_back(&self, sender: http1::SendRequest<RequestBody>) {
        let mut idle = self.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    /// Drops what has been idle too long or has died.
    pub(crate) fn tidy(&self, idle_max: Duration) {
        let now = Instant::now();
        let keep =
            |one: &Idle| !one.sender.is_closed() && now.duration_since(one.since) <= idle_max;
        self.idle.borrow_mut().retain(keep);
        self.multiplexed.borrow_mut().retain(|one| !one.sender.is_closed());
    }

    /// Exchanges in flight; the most there can be while the endpoint is avoided.
    pub(super) fn load(&self, now: Instant) -> u32 {
        let avoided = self.failed_at.get().is_some_and(|at| now.duration_since(at) < AVOID);
        if avoided { u32::MAX } else { self.in_flight.get() }
    }
}

/// One exchange's hold on a connection.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Rc<Pool>,
    _in_flight: InUse,
    sender: Option<http1::SendRequest<RequestBody>>,
    stream: Option<InUse>,
}

impl Lease {
    pub(super) fn new(pool: &Rc<Pool>) -> Self {
        let in_flight = InUse::new(&pool.in_flight);
        Self { pool: Rc::clone(pool), _in_flight: in_flight, sender: None, stream: None }
    }

    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(super) fn hold_connection(&mut self, sender: http1::SendRequest<RequestBody>) {
        self.sender = Some(sender);
    }

    pub(super) fn hold_stream(&mut self, stream: InUse) {
        self.stream = Some(stream);
    }

    /// The exchange is complete: its connection can carry another one.
    pub(crate) fn give_back(mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.give_back(sender);
        }
    }
}
