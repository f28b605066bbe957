//! Inventory: what is in stock, and reservations. SKUs contain `/`, so that a path has `%2F` in one segment.

use std::{collections::BTreeMap, sync::Mutex};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::lock;
use crate::serve::{Asked, Reply};

/// One kind of goods.
#[derive(Debug, Clone, Copy)]
struct Goods {
    left: u64,
    cents: u64,
}

/// What is in stock, by SKU.
#[derive(Debug)]
pub(crate) struct Inventory {
    stock: Mutex<BTreeMap<String, Goods>>,
}

impl Inventory {
    /// The stock on opening day.
    pub(crate) fn opening() -> Self {
        let goods = [
            ("tea/green", 500, 790),
            ("tea/black", 800, 650),
            ("pot/clay", 40, 4_200),
            ("cup/glass", 120, 1_100),
        ];
        let stock = goods.map(|(sku, left, cents)| (sku.to_owned(), Goods { left, cents }));
        Self { stock: Mutex::new(stock.into()) }
    }

    pub(crate) fn answer(&self, asked: &Asked) -> Reply {
        let path = asked.path.trim_end_matches('/');
        match (&asked.method, path) {
            (&Method::GET, "/api/stock") => self.all(),
            (&Method::GET, "/healthz") => Reply::json(StatusCode::OK, &json!({ "ok": true })),
            (&Method::POST, "/reservations") => self.reserve(&asked.body),
            (&Method::GET, path) => match path.strip_prefix("/api/stock/").and_then(decode) {
                Some(sku) => self.one(&sku),
                None => Reply::not_found(),
            },
            _ => Reply::not_found(),
        }
    }

    fn all(&self) -> Reply {
        let stock = lock(&self.stock);
        let all: Vec<Value> = stock.iter().map(|(sku, goods)| describe(sku, goods)).collect();
        Reply::json(StatusCode::OK, &json!({ "stock": all }))
    }

    fn one(&self, sku: &str) -> Reply {
        match lock(&self.stock).get(sku) {
            Some(goods) => Reply::json(StatusCode::OK, &describe(sku, goods)),
            None => Reply::fault(StatusCode::NOT_FOUND, "no such SKU"),
        }
    }

    fn reserve(&self, body: &[u8]) -> Reply {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let sku = body.get("sku").and_then(Value::as_str).unwrap_or_default();
        let quantity = body.get("quantity").and_then(Value::as_u64).unwrap_or_default();
        let mut stock = lock(&self.stock);
        let Some(goods) = stock.get_mut(sku) else {
            return Reply::fault(StatusCode::NOT_FOUND, "no such SKU");
        };
        match goods.left.checked_sub(quantity) {
            Some(left) if quantity > 0 => {
                goods.left = left;
                let cents = goods.cents.saturating_mul(quantity);
                Reply::json(
                    StatusCode::CREATED,
                    &json!({ "sku": sku, "left": left, "cents": cents }),
                )
            }
            Some(_) => Reply::fault(StatusCode::BAD_REQUEST, "`quantity` is missing"),
            None => Reply::fault(StatusCode::CONFLICT, "not enough in stock"),
        }
    }
}

fn describe(sku: &str, goods: &Goods) -> Value {
    json!({ "sku": sku, "left": goods.left, "cents": goods.cents })
}

/// Decodes one path segment; `None` when it is more than one, or no text.
fn decode(segment: &str) -> Option<String> {
    if segment.contains('/') {
        return None;
    }
    let mut decoded = Vec::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(bytes.next())? << 4 | digit(bytes.next())?).ok()?
        } else {
            byte
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok()
}
