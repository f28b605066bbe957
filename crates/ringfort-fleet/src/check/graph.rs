//! Who calls whom: edges that lead nowhere, say nothing, or ask for what cannot be enforced.

use std::collections::BTreeMap;

use ringfort_model::{Name, Operation, snapshot::Protocol};

use super::Checker;
use crate::{
    document::{Call, Service},
    source::Span,
};

impl Checker<'_, '_> {
    pub(super) fn graph(&mut self) {
        let document = self.document;
        for (name, service) in &document.services {
            let mut seen: BTreeMap<&Name, Span> = BTreeMap::new();
            for call in &service.calls {
                if let Some(first) = seen.insert(&call.to, call.span) {
                    let message = format!("`{name}` calls `{}` twice", call.to);
                    let problem = self.problems.error("RF0614", call.span, message);
                    problem.second(first, "first here").help("join the two entries").done();
                }
                self.call(name, call);
            }
            self.bytes_service(name, service);
            self.subsets(name, service);
            self.instances(name, service);
        }
        self.silent_calls();
    }

    fn call(&mut self, caller: &Name, call: &Call) {
        if call.to == *caller {
            let message = format!("`{caller}` calls itself");
            self.problems.error("RF0611", call.span, message).help("remove the entry").done();
        }
        let Some(callee) = self.document.services.get(&call.to) else { return };
        let Some(protocol) = callee.protocol() else {
            if !callee.is_builtin {
                let message = format!("`{}` has no `listen`: nobody can call it", call.to);
                let problem = self.problems.error("RF0610", call.span, message);
                problem.second(callee.span, "defined here").help("add `listen:` to it").done();
            }
            return;
        };
        for (operation, span) in call.only.iter().flatten() {
            self.operation(&call.to, protocol, operation, *span);
        }
    }

    /// An operation that the callee's protocol does not have can never match.
    fn operation(&mut self, callee: &Name, protocol: Protocol, operation: &Operation, span: Span) {
        let (fits, help) = match (protocol, operation) {
            (Protocol::Tcp, _) => (false, "remove `only`: bytes have no operations".to_owned()),
            (Protocol::Grpc, Operation::Http { pattern, .. }) => {
                let text = pattern.as_str().trim_start_matches('/');
                (false, format!("`{text}`, as `package.Service/Method`"))
            }
            (Protocol::Http1 | Protocol::Http2, Operation::Grpc { .. }) => {
                (false, "`protocol: grpc`, or an operation such as `GET /x/{id}`".to_owned())
            }
            (Protocol::Grpc, Operation::Grpc { .. })
            | (Protocol::Http1 | Protocol::Http2, Operation::Http { .. }) => (true, String::new()),
        };
        if !fits {
            let message =
                format!("`{operation}` on `{callee}` ({}): cannot be enforced", protocol.as_str());
            self.problems.error("RF0613", span, message).help(help).done();
        }
    }

    /// The long form of a call that says no more than the short one is a narrowing somebody forgot.
    fn silent_calls(&mut self) {
        let services = self.section(&["services"]).map_or(&[][..], |node| node.entries());
        for service in services {
            let calls = service.value.entry("calls").map_or(&[][..], |entry| entry.value.items());
            for call in calls {
                if let [entry] = call.entries()
                    && entry.key == "to"
                    && let Some(to) = entry.value.text()
                {
                    let message = format!("`{{ to: {to} }}` narrows nothing");
                    let help = format!("`- {to}`, or add `only:` or `policy: required`");
                    self.problems.error("RF0612", entry.key_span, message).help(help).done();
                }
            }
        }
    }

    /// What only requests have cannot be enforced on bytes.
    fn bytes_service(&mut self, name: &Name, service: &Service) {
        if service.protocol() != Some(Protocol::Tcp) {
            return;
        }
        let own = self.section(&["services", name.as_str()]);
        let limits = own.and_then(|own| own.entry("limits")).map(|entry| &entry.value);
        let of_requests =
            ["body", "url", "headers", "header_timeout", "body_idle", "streams", "requests"];
        let mut found: Vec<(String, Span)> = Vec::new();
        found.extend(service.normalization_span.map(|span| ("normalization".to_owned(), span)));
        found.extend(
            own.and_then(|own| own.entry("contract")).map(|e| ("contract".to_owned(), e.key_span)),
        );
        for field in of_requests {
            let entry = limits.and_then(|limits| limits.entry(field));
            found.extend(entry.map(|entry| (format!("limits.{field}"), entry.key_span)));
        }
        for (field, span) in found {
            let message = format!("`{field}` on `{name}` (tcp): cannot be enforced");
            self.problems.error("RF0310", span, message).help("remove it").done();
        }
    }

    fn subsets(&mut self, name: &Name, service: &Service) {
        let sum: u32 = service.subsets.iter().map(|subset| u32::from(subset.weight.as_u8())).sum();
        if let Some(span) = service.subsets_span
            && sum > 100
        {
            let message = format!("the weights of the subsets of `{name}` sum to {sum}%");
            let help = "at most 100%; the rest goes to the other instances";
            self.problems.error("RF0705", span, message).help(help).done();
        }
    }

    fn instances(&mut self, name: &Name, service: &Service) {
        let listen = service.listen.map(|listen| (listen.address, Some(listen.span)));
        let fixed = service.static_endpoints.iter().map(|at| (*at, service.instances_span));
        for (address, span) in listen.into_iter().chain(fixed) {
            if let (true, Some(span)) = (address.ip().is_unspecified(), span) {
                let message = format!("{address} of `{name}` is no address anybody can reach");
                let help = "the address to connect to, such as 127.0.0.1";
                self.problems.error("RF0208", span, message).help(help).done();
            }
        }
        if let Some(span) = service.instances_span
            && service.static_endpoints.len() > 1
            && service.bind.is_none()
        {
            let message = format!("`{name}` has several static instances and no `bind`");
            let help = "`bind:` says at which address each proxy accepts mTLS";
            self.problems.error("RF0206", span, message).help(help).done();
        }
    }
}
