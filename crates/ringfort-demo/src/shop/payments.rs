//! Payments: charges and refunds. Refunds work; that nobody may call them is the fleet's decision, not this program's.

use std::sync::Mutex;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ENTRIES_MAX, lock};
use crate::serve::{Asked, Reply};

/// Largest charge in cents.
const CENTS_MAX: u64 = 1_000_000;

/// The charges made.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    charges: Mutex<Vec<u64>>,
}

impl Payments {
    pub(crate) fn answer(&self, asked: &Asked) -> Reply {
        match (&asked.method, asked.path.as_str()) {
            (&Method::POST, "/charge") => self.charge(&asked.body),
            (&Method::POST, "/refunds") => {
                Reply::json(StatusCode::CREATED, &json!({ "refunded": true }))
            }
            (&Method::GET, "/healthz") => Reply::json(StatusCode::OK, &json!({ "ok": true })),
            _ => Reply::not_found(),
        }
    }

    fn charge(&self, body: &[u8]) -> Reply {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(cents) = body.get("cents").and_then(Value::as_u64).filter(|c| *c <= CENTS_MAX)
        else {
            return Reply::fault(StatusCode::BAD_REQUEST, "`cents` is missing or too large");
        };
        let mut charges = lock(&self.charges);
        if charges.len() >= ENTRIES_MAX {
            return Reply::fault(StatusCode::INSUFFICIENT_STORAGE, "no more charges today");
        }
        charges.push(cents);
        Reply::json(StatusCode::CREATED, &json!({ "charge": charges.len(), "cents": cents }))
    }
}
