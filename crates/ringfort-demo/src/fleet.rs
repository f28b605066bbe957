//! The shop's fleet folder: files that are valid as they stand, with ports and program chosen for one machine.

const SHOP_YAML: &str = include_str!("../fleet/shop.yaml");
const SHOP_CEDAR: &str = include_str!("../fleet/shop.cedar");

/// The loopback ports of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShopPorts {
    /// The gateway with TLS.
    pub https: u16,
    /// The gateway that redirects to it.
    pub http: u16,
    /// The metrics of all proxies.
    pub metrics: u16,
    /// The programs behind their sidecars.
    pub web: u16,
    /// As `web`.
    pub orders: u16,
    /// As `web`.
    pub payments: u16,
    /// As `web`.
    pub inventory: u16,
    /// As `web`.
    pub ledger: u16,
    /// The `HTTP_PROXY` of web.
    pub web_proxy: u16,
    /// The `HTTP_PROXY` of orders.
    pub orders_proxy: u16,
    /// Where orders finds payments.
    pub orders_to_payments: u16,
    /// Where orders finds the ledger.
    pub orders_to_ledger: u16,
}

impl ShopPorts {
    /// How many ports the shop needs.
    pub const COUNT: usize = 12;

    /// The ports of the files as they stand.
    pub const WRITTEN: Self =
        Self::of([8443, 8080, 9464, 7401, 7402, 7403, 7404, 7405, 7411, 7412, 7413, 7415]);

    /// The ports in the order of the fields.
    #[must_use]
    pub const fn of(ports: [u16; Self::COUNT]) -> Self {
        let [
            https,
            http,
            metrics,
            web,
            orders,
            payments,
            inventory,
            ledger,
            web_proxy,
            orders_proxy,
            orders_to_payments,
            orders_to_ledger,
        ] = ports;
        Self {
            https,
            http,
            metrics,
            web,
            orders,
            payments,
            inventory,
            ledger,
            web_proxy,
            orders_proxy,
            orders_to_payments,
            orders_to_ledger,
        }
    }

    /// [`Self::COUNT`] ports in a row; `None` when they would pass 65 535.
    #[must_use]
    pub fn from_base(base: u16) -> Option<Self> {
        let mut ports = [base; Self::COUNT];
        for (offset, port) in (0_u16..).zip(&mut ports) {
            *port = base.checked_add(offset)?;
        }
        Some(Self::of(ports))
    }

    /// The ports in the order of the fields.
    #[must_use]
    pub const fn list(&self) -> [u16; Self::COUNT] {
        [
            self.https,
            self.http,
            self.metrics,
            self.web,
            self.orders,
            self.payments,
            self.inventory,
            self.ledger,
            self.web_proxy,
            self.orders_proxy,
            self.orders_to_payments,
            self.orders_to_ledger,
        ]
    }
}

/// The files of the shop's fleet folder. `program` is the ringfort program that `run:` starts.
#[must_use]
pub fn fleet_files(ports: &ShopPorts, program: &str) -> Vec<(String, Vec<u8>)> {
    let written = ShopPorts::WRITTEN.list();
    let mut yaml = String::with_capacity(SHOP_YAML.len().saturating_add(512));
    let mut rest = SHOP_YAML;
    // Numbers are replaced in one pass, so that a chosen port cannot be taken for a written one.
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from_digit) = rest.split_at(start);
        let end = from_digit.find(|c: char| !c.is_ascii_digit()).unwrap_or(from_digit.len());
        let (digits, after) = from_digit.split_at(end);
        let place = written.iter().position(|port| port.to_string() == digits);
        yaml.push_str(before);
        match place.and_then(|place| ports.list().get(place).copied()) {
            Some(port) => yaml.push_str(&port.to_string()),
            None => yaml.push_str(digits),
        }
        rest = after;
    }
    yaml.push_str(rest);
    let yaml =
        yaml.replace("[ringfort, demo-service", &format!("[{}, demo-service", quoted(program)));
    vec![
        ("shop.yaml".to_owned(), yaml.into_bytes()),
        ("shop.cedar".to_owned(), SHOP_CEDAR.as_bytes().to_vec()),
    ]
}

/// A double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
