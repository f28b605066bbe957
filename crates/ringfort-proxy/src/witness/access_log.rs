//! The access log: one JSON line per request worth a line, with the flat names of OpenTelemetry. Never a query string,
//! a header or a body.

use std::io::{self, Write};

use serde::Serialize;

/// One line. Absent parts are left out.
#[derive(Debug, Serialize)]
pub(crate) struct AccessLine {
    /// RFC 3339.
    pub(crate) time: String,
    #[serde(rename = "http.request.method")]
    pub(crate) method: String,
    #[serde(rename = "server.address")]
    pub(crate) host: String,
    /// The canonical path; never the query.
    #[serde(rename = "url.path")]
    pub(crate) path: String,
    #[serde(rename = "http.response.status_code")]
    pub(crate) status: u16,
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    #[serde(rename = "network.protocol.version")]
    pub(crate) version: &'static str,
    #[serde(rename = "client.address")]
    pub(crate) client: String,
    #[serde(rename = "http.response.body.size")]
    pub(crate) bytes: u64,
    pub(crate) duration_ms: f64,
    #[serde(rename = "rf.upstream_ms", skip_serializing_if = "Option::is_none")]
    pub(crate) upstream_ms: Option<f64>,
    #[serde(rename = "rf.source")]
    pub(crate) source: String,
    #[serde(rename = "rf.destination")]
    pub(crate) destination: String,
    #[serde(rename = "rf.ring", skip_serializing_if = "Option::is_none")]
    pub(crate) ring: Option<&'static str>,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'static str>,
    #[serde(rename = "rf.decision_id", skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<String>,
    #[serde(rename = "rf.policy", skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

impl AccessLine {
    /// Writes the line with its end. JSON escapes control characters, so one request is always one line.
    pub(crate) fn write_to(&self, sink: &mut dyn Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        sink.write_all(&line)
    }
}
