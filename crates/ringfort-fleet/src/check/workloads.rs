//! Who could pass for whom: selectors that also match another workload's process.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{Name, selectors::WorkloadSelectors};

use super::Checker;
use crate::document::Workload;

/// One fact a process must show.
type Fact = (&'static str, String);

struct Candidate<'d> {
    name: &'d Name,
    workload: &'d Workload,
    runs_on: Option<&'d BTreeSet<Name>>,
    facts: BTreeSet<Fact>,
}

impl Checker<'_, '_> {
    pub(super) fn workloads(&mut self) {
        let document = self.document;
        let services = document.services.iter().filter(|(_, service)| !service.is_builtin);
        let services = services.map(|(name, s)| (name, &s.workload, s.runs_on.as_ref()));
        let gateways = document.gateways.iter();
        let gateways = gateways.map(|(name, g)| (name, &g.workload, g.runs_on.as_ref()));
        let candidates: Vec<Candidate<'_>> = services
            .chain(gateways)
            .map(|(name, workload, runs_on)| Candidate {
                name,
                workload,
                runs_on,
                facts: facts(&workload.selectors),
            })
            .collect();
        let mut by_fact: BTreeMap<&Fact, Vec<usize>> = BTreeMap::new();
        for (number, candidate) in candidates.iter().enumerate() {
            for fact in &candidate.facts {
                by_fact.entry(fact).or_default().push(number);
            }
        }
        for (number, wide) in candidates.iter().enumerate() {
            let sharing = wide.facts.first().and_then(|fact| by_fact.get(fact));
            for other in sharing.into_iter().flatten().copied() {
                let Some(narrow) = candidates.get(other) else { continue };
                let equal = wide.facts == narrow.facts;
                let is_new = other != number && (!equal || number < other);
                if is_new && wide.facts.is_subset(&narrow.facts) && share_a_host(wide, narrow) {
                    self.same_workload(wide, narrow);
                }
            }
        }
        self.certificates();
    }

    fn same_workload(&mut self, wide: &Candidate<'_>, narrow: &Candidate<'_>) {
        let message = format!(
            "`{}` and `{}` match the same workload: either could take the other's identity",
            narrow.name, wide.name
        );
        let help = "give each a Unix user of its own, or a fact only its own process shows";
        let problem = self.problems.error("RF0201", narrow.workload.span, message);
        problem.second(wide.workload.span, "matches it, too").help(help).done();
    }

    /// Where evidence is enforced, a certificate ends within the hour.
    fn certificates(&mut self) {
        let hour = std::time::Duration::from_secs(3600);
        let enforces = |node: Option<&crate::yaml::Node>| {
            node.and_then(|supply| supply.entry("mode")).and_then(|mode| mode.value.text())
                == Some("enforce")
        };
        let by_fleet = enforces(self.section(&["supply"]));
        for (name, service) in &self.document.services {
            let own = self.section(&["services", name.as_str(), "supply"]);
            let is_enforced = own.map_or(by_fleet, |own| enforces(Some(own)));
            if is_enforced && service.certificates.ttl > hour {
                let ttl = crate::scalar::duration_text(service.certificates.ttl);
                let message = format!("certificates of `{name}` live {ttl}, but `supply` enforces");
                let help =
                    "`certificates: { ttl: 1h }`, so that a withdrawn build is out within the hour";
                self.problems.error("RF0202", service.span, message).help(help).done();
            }
        }
    }
}

fn share_a_host(a: &Candidate<'_>, b: &Candidate<'_>) -> bool {
    match (a.runs_on, b.runs_on) {
        (Some(a), Some(b)) => !a.is_disjoint(b),
        (None, _) | (_, None) => true,
    }
}

fn facts(selectors: &WorkloadSelectors) -> BTreeSet<Fact> {
    let account = selectors.kubernetes.as_ref();
    let facts = [
        ("unix_user", selectors.unix_user.clone()),
        ("unix_group", selectors.unix_group.clone()),
        ("exe_sha256", selectors.exe_sha256.map(|digest| digest.to_string())),
        ("systemd_unit", selectors.systemd_unit.clone()),
        ("kubernetes", account.map(|a| format!("{}/{}", a.namespace, a.service_account))),
    ];
    facts.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect()
}
