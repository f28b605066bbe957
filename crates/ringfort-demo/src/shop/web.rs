//! Web: the front page, and an intruder that shows what a captured front end could reach.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    call::{Ask, Upstreams},
    serve::{Asked, Reply},
};

const FRONT: &str = include_str!("web/front.html");

/// The front page and its way to orders.
#[derive(Debug)]
pub(crate) struct Web {
    upstreams: Upstreams,
    public_url: String,
}

impl Web {
    pub(crate) fn new(upstreams: Upstreams, public_url: String) -> Self {
        Self { upstreams, public_url }
    }

    pub(crate) async fn answer(&self, asked: Asked) -> Reply {
        if asked.method != Method::GET {
            return Reply::fault(StatusCode::METHOD_NOT_ALLOWED, "only GET");
        }
        match asked.path.trim_end_matches('/') {
            "" => self.front(asked.trace).await,
            "/healthz" => Reply::json(StatusCode::OK, &json!({ "ok": true })),
            "/intruder/fields" => show(&asked.fields),
            path => match path.strip_prefix("/intruder/").and_then(attempt) {
                Some(attempt) => self.intrude(attempt, asked.trace).await,
                None => Reply::not_found(),
            },
        }
    }

    async fn front(&self, trace: Option<HeaderValue>) -> Reply {
        let ask =
            Ask { method: Method::GET, callee: "orders", path: "/api/orders", body: None, trace };
        let count = match self.upstreams.call(ask).await {
            Ok(answer) => answer.body.get("count").and_then(Value::as_u64),
            Err(_) => None,
        };
        let count = count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        let page = FRONT.replace("{{COUNT}}", &count).replace("{{URL}}", &escape(&self.public_url));
        Reply::html(page)
    }

    /// Does what an attacker in this program would do, and reports what came back.
    async fn intrude(&self, (callee, method, path): Attempt, trace: Option<HeaderValue>) -> Reply {
        let body = (method == Method::POST).then(|| json!({ "cents": 1 }));
        let tried = format!("{method} {path}");
        let ask = Ask { method, callee, path, body, trace };
        let seen = match self.upstreams.call(ask).await {
            Ok(answer) => json!({ "status": answer.status, "decision": answer.decision }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        Reply::json(StatusCode::OK, &json!({ "callee": callee, "tried": tried, "seen": seen }))
    }
}

/// Every field that reached this program, whoever set it.
fn show(fields: &HeaderMap) -> Reply {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("(not text)").to_owned();
    let fields: Vec<Value> =
        fields.iter().map(|(name, value)| json!([name.as_str(), text(value)])).collect();
    Reply::json(StatusCode::OK, &json!({ "fields": fields }))
}

/// Callee, method and path of one attempt.
type Attempt = (&'static str, Method, &'static str);

/// The attempts the intruder knows; `read-orders` is its control, for it is allowed.
fn attempt(name: &str) -> Option<Attempt> {
    match name {
        "read-orders" => Some(("orders", Method::GET, "/api/orders")),
        "forge-order" => Some(("orders", Method::POST, "/api/orders")),
        "charge" => Some(("payments", Method::POST, "/charge")),
        "stock" => Some(("inventory", Method::GET, "/api/stock")),
        "ledger" => Some(("ledger", Method::GET, "/")),
        _ => None,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
