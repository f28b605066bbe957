//! Orders: takes an order, reserves stock, charges, and writes the ledger; each through its own sidecar.

use std::sync::Mutex;

use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{ENTRIES_MAX, lock};
use crate::{
    call::{Answer, Ask, CallError, Upstreams},
    serve::{Asked, Reply},
};

/// The orders taken.
#[derive(Debug)]
pub(crate) struct Orders {
    upstreams: Upstreams,
    orders: Mutex<Vec<Value>>,
}

impl Orders {
    pub(crate) fn new(upstreams: Upstreams) -> Self {
        Self { upstreams, orders: Mutex::default() }
    }

    pub(crate) async fn answer(&self, asked: Asked) -> Reply {
        let path = asked.path.trim_end_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (&asked.method, segments.as_slice()) {
            (&Method::GET, ["api", "orders"]) => {
                let orders = lock(&self.orders).clone();
                Reply::json(StatusCode::OK, &json!({ "count": orders.len(), "orders": orders }))
            }
            (&Method::POST, ["api", "orders"]) => {
                self.take(&asked).await.unwrap_or_else(|reply| reply)
            }
            (&Method::GET, ["api", "orders", id]) => match self.find(id) {
                Some(order) => Reply::json(StatusCode::OK, &order),
                None => Reply::fault(StatusCode::NOT_FOUND, "no such order"),
            },
            (&Method::POST, ["api", "orders", id, "refund"]) => {
                self.refund(id, asked.trace).await.unwrap_or_else(|reply| reply)
            }
            (&Method::GET, ["healthz"]) => Reply::json(StatusCode::OK, &json!({ "ok": true })),
            _ => Reply::not_found(),
        }
    }

    async fn take(&self, asked: &Asked) -> Result<Reply, Reply> {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let sku = body.get("sku").and_then(Value::as_str).unwrap_or("tea/green");
        let quantity = body.get("quantity").and_then(Value::as_u64).unwrap_or(1);
        if lock(&self.orders).len() >= ENTRIES_MAX {
            return Err(Reply::fault(StatusCode::INSUFFICIENT_STORAGE, "no more orders today"));
        }

        let wanted = json!({ "sku": sku, "quantity": quantity });
        let trace = || asked.trace.clone();
        let reserved = self.post("inventory", "/reservations", wanted, trace()).await?;
        let cents = reserved.get("cents").and_then(Value::as_u64).unwrap_or_default();
        let paid = self.post("payments", "/charge", json!({ "cents": cents }), trace()).await?;
        let charge = paid.get("charge").and_then(Value::as_u64).unwrap_or_default();
        let line = format!("APPEND charge {charge}: {quantity} x {}, {cents} cents", plain(sku));
        let place = self.upstreams.ledger(&line).await.map_err(|error| broken("ledger", &error))?;

        let mut orders = lock(&self.orders);
        let order = json!({
            "id": orders.len().saturating_add(1),
            "sku": sku,
            "quantity": quantity,
            "cents": cents,
            "charge": charge,
            "ledger_line": place,
        });
        orders.push(order.clone());
        Ok(Reply::json(StatusCode::CREATED, &order))
    }

    async fn refund(&self, id: &str, trace: Option<HeaderValue>) -> Result<Reply, Reply> {
        let no_order = || Reply::fault(StatusCode::NOT_FOUND, "no such order");
        let order = self.find(id).ok_or_else(no_order)?;
        let charge = json!({ "charge": order.get("charge") });
        let refunded = self.post("payments", "/refunds", charge, trace).await?;
        Ok(Reply::json(StatusCode::CREATED, &refunded))
    }

    fn find(&self, id: &str) -> Option<Value> {
        let place = id.parse::<usize>().ok()?.checked_sub(1)?;
        lock(&self.orders).get(place).cloned()
    }

    /// Posts to a neighbour; anything but a success becomes the answer to our own caller.
    async fn post(
        &self,
        callee: &str,
        path: &str,
        body: Value,
        trace: Option<HeaderValue>,
    ) -> Result<Value, Reply> {
        let ask = Ask { method: Method::POST, callee, path, body: Some(body), trace };
        let answer = self.upstreams.call(ask).await.map_err(|error| broken(callee, &error))?;
        match answer.status {
            200..=299 => Ok(answer.body),
            404 | 409 if answer.decision.is_none() => {
                let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CONFLICT);
                Err(Reply::json(status, &answer.body))
            }
            _ => Err(refused(callee, &answer)),
        }
    }
}

/// Text that cannot begin a second line in the ledger.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn broken(callee: &str, error: &CallError) -> Reply {
    let message = format!("{callee}: {error}");
    Reply::fault(StatusCode::BAD_GATEWAY, &message)
}

fn refused(callee: &str, answer: &Answer) -> Reply {
    let body = json!({ "failed": callee, "status": answer.status, "decision": answer.decision });
    Reply::json(StatusCode::BAD_GATEWAY, &body)
}
