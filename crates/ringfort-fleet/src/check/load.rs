//! Load and supply: retries that multiply, limits that contradict each other, demands without means.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{Limits, Name};

use super::Checker;
use crate::{
    document::{Document, Target},
    scalar,
    yaml::Node,
};

/// Tries of one request above which a path is reported.
const TRIES_MAX: u32 = 8;

/// Longest path that is followed.
const DEPTH_MAX: usize = 64;

impl<'c> Checker<'c, '_> {
    pub(super) fn load(&mut self) {
        let document = self.document;
        for (name, service) in &document.services {
            let own = self.section(&["services", name.as_str()]);
            self.retry(own.and_then(|own| own.entry("resilience")).map(|entry| &entry.value));
            self.global(own);
            self.supply(own.and_then(|own| own.entry("supply")).map(|entry| &entry.value));
            let Some(timeout) = self.timeout(name) else { continue };
            for call in &service.calls {
                let Some(callee) = document.services.get(&call.to) else { continue };
                if self.timeout(&call.to).is_some()
                    && callee.resilience.timeout > service.resilience.timeout
                {
                    let message = format!(
                        "callers of `{name}` give up after {}, but its call to `{}` may take {}",
                        scalar::duration_text(service.resilience.timeout),
                        call.to,
                        scalar::duration_text(callee.resilience.timeout),
                    );
                    let problem = self.problems.error("RF0703", timeout.span, message).warning();
                    problem.help("a longer timeout here, or a shorter one there").done();
                }
            }
        }
        for section in ["gateways", "routes"] {
            let entries = self.section(&[section]).map_or(&[][..], Node::entries);
            for entry in entries {
                self.global(Some(&entry.value));
            }
        }
        self.supply(self.section(&["supply"]));
        self.bodies();
        self.amplification();
    }

    /// The timeout written for a service.
    fn timeout(&self, name: &Name) -> Option<&'c Node> {
        self.section(&["services", name.as_str(), "resilience", "timeout"])
    }

    /// A retry after an answer may repeat what was done.
    fn retry(&mut self, resilience: Option<&Node>) {
        let Some(retry) = resilience.and_then(|r| r.entry("retry")).map(|entry| &entry.value)
        else {
            return;
        };
        let list = |field: &str| retry.entry(field).map_or(&[][..], |entry| entry.value.items());
        let texts = |items: &[Node]| -> BTreeSet<String> {
            items.iter().filter_map(Node::text).map(str::to_owned).collect()
        };
        let answers: Vec<&Node> = list("when")
            .iter()
            .filter(|item| item.text().is_some_and(|text| text.parse::<u16>().is_ok()))
            .collect();
        let writes = ["POST", "PATCH"];
        let writes = texts(list("methods")).into_iter().find(|m| writes.contains(&m.as_str()));
        if let (Some(answer), Some(method)) = (answers.first(), writes) {
            let status = answer.text().unwrap_or_default();
            let message =
                format!("retry on `{status}` with `methods: [{method}]` may repeat a write");
            let help = format!("remove `{method}`, or `{status}`");
            self.problems.error("RF0701", answer.span, message).help(help).done();
        }
    }

    fn global(&mut self, item: Option<&Node>) {
        let limits = item.and_then(|item| item.entry("limits")).map(|entry| &entry.value);
        let requests = limits.and_then(|limits| limits.entry("requests"));
        for limit in requests.map_or(&[][..], |entry| entry.value.items()) {
            let scope = limit.entry("scope").filter(|scope| scope.value.text() == Some("global"));
            if let Some(scope) = scope
                && self.section(&["fleet", "quota_store"]).is_none()
            {
                let message = "`scope: global` without `fleet.quota_store`";
                let help = "add `quota_store` to `fleet`, or `scope: local`";
                self.problems.error("RF0704", scope.value.span, message).help(help).done();
            }
        }
    }

    fn supply(&mut self, supply: Option<&Node>) {
        let Some(supply) = supply else { return };
        let require = supply.entry("require");
        let items = require.map_or(&[][..], |entry| entry.value.items());
        let provenance = items.iter().find(|item| item.text() == Some("provenance"));
        let signers = self.section(&["supply", "signers"]);
        if let Some(item) = provenance
            && supply.entry("signers").is_none()
            && signers.is_none()
        {
            let message = "`require: [provenance]` without a signer";
            let help = "`signers: { ci: { key: { file: keys/ci.pub } } }`";
            self.problems.error("RF0801", item.span, message).help(help).done();
        }
    }

    /// A route cannot allow more than the service behind it.
    fn bodies(&mut self) {
        for (name, route) in &self.document.routes {
            let Target::Service { name: to, .. } = &route.target else { continue };
            let Some(service) = self.document.services.get(to) else { continue };
            let inner = service.limits.over(Limits::STANDARD).body;
            if let (Some(body), Some(span)) = (route.limits.body, route.limits.body_span)
                && body > inner
                && !service.is_builtin
            {
                let message = format!(
                    "route `{name}` allows bodies of {body}, but `{to}` refuses above {inner}"
                );
                let help =
                    format!("`limits: {{ body: {body} }}` on `{to}`, or at most {inner} here");
                self.problems.error("RF0706", span, message).warning().help(help).done();
            }
        }
    }

    /// Written retries on every hop of a path multiply.
    fn amplification(&mut self) {
        let document = self.document;
        let mut paths = Paths { document, root: self.root, known: BTreeMap::new() };
        for (gateway, targets) in document.targets() {
            for (target, span) in targets {
                let worst = paths.worst(target, 0);
                if worst.tries <= TRIES_MAX {
                    continue;
                }
                let names = worst.names.iter().rev().map(|name| name.as_str());
                let path: Vec<&str> = std::iter::once(gateway.as_str()).chain(names).collect();
                let path = path.join(" -> ");
                let message = format!("retries along {path} multiply to {} attempts", worst.tries);
                let problem = self.problems.error("RF0702", span, message).warning();
                problem.help("retry on one hop of a path only").done();
            }
        }
    }
}

/// Finds the path on which retries multiply most.
struct Paths<'d> {
    document: &'d Document,
    root: &'d Node,
    known: BTreeMap<&'d Name, Worst<'d>>,
}

#[derive(Clone)]
struct Worst<'d> {
    tries: u32,
    /// The services on the path, last first.
    names: Vec<&'d Name>,
}

impl<'d> Paths<'d> {
    fn worst(&mut self, name: &'d Name, depth: usize) -> Worst<'d> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        // A service on the way to itself counts once.
        self.known.insert(name, Worst { tries: 1, names: Vec::new() });
        let mut worst = Worst { tries: 1, names: Vec::new() };
        if depth < DEPTH_MAX
            && let Some(service) = self.document.services.get(name)
        {
            for call in &service.calls {
                let path = self.worst(&call.to, depth.saturating_add(1));
                if path.tries > worst.tries {
                    worst = path;
                }
            }
        }
        worst.tries = worst.tries.saturating_mul(self.attempts(name));
        worst.names.push(name);
        self.known.insert(name, worst.clone());
        worst
    }

    fn attempts(&self, name: &Name) -> u32 {
        let path = ["services", name.as_str(), "resilience", "retry", "attempts"];
        let entry = |node: &'d Node, key: &&str| node.entry(key).map(|entry| &entry.value);
        let written = path.iter().try_fold(self.root, entry).and_then(Node::text);
        let attempts = written.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        attempts.saturating_add(1)
    }
}
