//! The one decision who becomes whom: rules of the fleet and attested facts, nothing else.
//!
//! Sign requests, configuration streams and the Workload API all come through [`decide`]; there is no second way to an
//! identity. What is not listed gets none, and what fits two workloads gets none either.

use ringfort_model::{
    Name, Selectors, SpiffeId,
    limits::CertificateTerms,
    selectors::{IssueRule, IssueRules, Part, StartedAs, WorkloadSelectors},
    spiffe::WorkloadKind,
};

/// What a process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueVerdict {
    /// Its identity.
    pub id: SpiffeId,
    /// The service or gateway.
    pub workload: Name,
    /// Which of the two.
    pub kind: WorkloadKind,
    /// Life of its certificates.
    pub terms: CertificateTerms,
}

/// Why a process becomes nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueRefusal {
    /// It was started as something the fleet no longer has.
    #[error("the fleet has no service or gateway `{0}`")]
    UnknownWorkload(Name),
    /// It was started as a workload whose program must be another one.
    #[error("`{workload}` demands another executable than `{exe}`")]
    Executable {
        /// The workload.
        workload: Name,
        /// What runs.
        exe: String,
    },
    /// No workload's selectors fit.
    #[error("no workload of the fleet fits the process (user `{user}`, executable `{exe}`)")]
    NoMatch {
        /// Its Unix user, or the number.
        user: String,
        /// Its executable.
        exe: String,
    },
    /// Several workloads' selectors fit.
    #[error("the process fits `{first}` and `{second}`: it could take either identity")]
    Ambiguous {
        /// One of them.
        first: Name,
        /// Another.
        second: Name,
    },
    /// The workload does not belong on this host.
    #[error("`{workload}` does not run on host `{host}`")]
    Host {
        /// The workload.
        workload: Name,
        /// The host of the process.
        host: Name,
    },
}

/// Decides the identity of one attested process on one host.
///
/// # Errors
/// [`IssueRefusal`]: the process gets no identity.
pub fn decide(
    rules: &IssueRules,
    selectors: &Selectors,
    host: &Name,
) -> Result<IssueVerdict, IssueRefusal> {
    let (workload, rule) = match &selectors.started_as {
        Some(started) => started_rule(rules, selectors, started)?,
        None => matching_rule(rules, selectors)?,
    };
    if rule.runs_on.as_ref().is_some_and(|hosts| !hosts.contains(host)) {
        return Err(IssueRefusal::Host { workload: workload.clone(), host: host.clone() });
    }
    Ok(IssueVerdict {
        id: rule.id.clone(),
        workload: workload.clone(),
        kind: rule.kind,
        terms: rule.certificates,
    })
}

/// A child of `up` is what it was started as; a program whose executable is written down must also be that one.
fn started_rule<'r>(
    rules: &'r IssueRules,
    selectors: &Selectors,
    started: &StartedAs,
) -> Result<(&'r Name, &'r IssueRule), IssueRefusal> {
    let found = rules.workloads.get_key_value(&started.workload);
    let (workload, rule) =
        found.ok_or_else(|| IssueRefusal::UnknownWorkload(started.workload.clone()))?;
    let demanded = rule.selectors.exe_sha256;
    let differs = demanded.is_some_and(|digest| digest != selectors.exe_sha256);
    if differs && started.part == Part::Program {
        let exe = selectors.exe.clone();
        return Err(IssueRefusal::Executable { workload: workload.clone(), exe });
    }
    Ok((workload, rule))
}

fn matching_rule<'r>(
    rules: &'r IssueRules,
    selectors: &Selectors,
) -> Result<(&'r Name, &'r IssueRule), IssueRefusal> {
    let mut fitting = rules.workloads.iter().filter(|(_, rule)| fits(&rule.selectors, selectors));
    let first = fitting.next().ok_or_else(|| IssueRefusal::NoMatch {
        user: selectors.unix_user.clone().unwrap_or_else(|| selectors.uid.to_string()),
        exe: selectors.exe.clone(),
    })?;
    match fitting.next() {
        None => Ok(first),
        Some((second, _)) => {
            Err(IssueRefusal::Ambiguous { first: first.0.clone(), second: second.clone() })
        }
    }
}

/// Whether every fact demanded is shown; a rule that demands nothing fits nobody.
fn fits(demanded: &WorkloadSelectors, shown: &Selectors) -> bool {
    let WorkloadSelectors { unix_user, unix_group, exe_sha256, systemd_unit, kubernetes } =
        demanded;
    // No attestor of this build sees a unit or a Kubernetes account.
    if systemd_unit.is_some() || kubernetes.is_some() {
        return false;
    }
    // Users are the fence between programs: anyone may run a genuine executable and speak in its place, so its digest
    // alone proves nothing.
    (unix_user.is_some() || unix_group.is_some())
        && (unix_user.is_none() || *unix_user == shown.unix_user)
        && (unix_group.is_none() || *unix_group == shown.unix_group)
        && exe_sha256.is_none_or(|digest| digest == shown.exe_sha256)
}

#[cfg(test)]
mod tests;
