//! Limits and resilience settings with their units, as compiled into a snapshot.

use std::time::Duration;

use crate::{ByteCount, Percent};

/// Bounds of one listener, route or service; the inner one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body.
    pub body: ByteCount,
    /// Longest request target.
    pub url: ByteCount,
    /// Largest head: all field names and values.
    pub header_bytes: ByteCount,
    /// Most header fields.
    pub header_count: u32,
    /// Longest wait for a complete request head.
    pub header_timeout: Duration,
    /// Longest pause between two pieces of a request body.
    pub body_idle: Duration,
    /// Longest life of a connection without a request.
    pub idle: Duration,
    /// Most concurrent HTTP/2 streams on a connection.
    pub streams: u32,
    /// Most open connections of a listener.
    pub connections: u32,
}

impl Limits {
    /// What holds where the fleet file says nothing.
    pub const STANDARD: Self = Self {
        body: ByteCount::mib(1),
        url: ByteCount::kib(8),
        header_bytes: ByteCount::kib(16),
        header_count: 100,
        header_timeout: Duration::from_secs(10),
        body_idle: Duration::from_secs(15),
        idle: Duration::from_secs(60),
        streams: 100,
        connections: 10_000,
    };
}

/// How callers treat one callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resilience {
    /// From the request's arrival to the response head.
    pub timeout: Duration,
    /// To an established mTLS connection.
    pub connect: Duration,
    /// Most requests in flight from one proxy to the callee.
    pub concurrency: u32,
}

impl Resilience {
    /// What holds where the fleet file says nothing.
    pub const STANDARD: Self = Self {
        timeout: Duration::from_secs(15),
        connect: Duration::from_secs(1),
        concurrency: 1024,
    };
}

/// How long certificates live and when they are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateTerms {
    /// Life of an SVID; 10 minutes to 24 hours.
    pub ttl: Duration,
    /// Share of the life after which it is renewed, before jitter.
    pub renew_at: Percent,
}
