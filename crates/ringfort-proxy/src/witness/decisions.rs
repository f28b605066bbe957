//! Decisions by id: the newest ones in memory for `explain`, refusals also in a bounded file.

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ringfort_model::{DecisionId, Ring};
use serde::Serialize;

/// Most decisions kept in memory.
const KEPT_MAX: usize = 4096;

/// Largest file of refusals in bytes; one older file of this size is kept beside it.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// One decision and the walk that led to it.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Its id, as the caller saw it.
    pub id: String,
    /// When, RFC 3339.
    pub time: String,
    /// Whether the request was let through.
    pub permits: bool,
    /// The ring that refused, or the last one that permitted.
    pub ring: &'static str,
    /// The fixed word of the reason.
    pub reason: &'static str,
    /// One sentence; may quote the request.
    pub detail: String,
    /// The status the caller saw; 0 when there was no HTTP answer.
    pub status: u16,
    /// The revision in force.
    pub revision: u64,
    /// `gateway`, `inbound` or `outbound`.
    pub ingress: &'static str,
    /// Address of the peer.
    pub peer: String,
    /// Who asked: a workload, `visitor`, or `_OTHER`.
    pub source: String,
    /// Whom it was for.
    pub destination: String,
    /// The route of a gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The operation the request was recognised as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The canonical request, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<DecidedRequest>,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<DecidedBy>,
    /// The rings in order, as far as the request came.
    pub walk: Vec<Step>,
}

/// The canonical request of a decision.
#[derive(Debug, Clone, Serialize)]
pub struct DecidedRequest {
    /// Method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path as decided on; no query.
    pub path: String,
}

/// A policy and where it is written.
#[derive(Debug, Clone, Serialize)]
pub struct DecidedBy {
    /// Its id.
    pub id: String,
    /// `file:line`.
    pub place: String,
}

/// What one ring said.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The ring.
    pub ring: &'static str,
    /// `passed`, `refused`, `not reached` or `not in force`.
    pub outcome: &'static str,
    /// What it saw.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Decision {
    /// The walk of a request that ended at `last`: rings before it passed, later ones were not reached.
    #[must_use]
    pub fn walk(last: Ring, permits: bool, details: &[(Ring, String)]) -> Vec<Step> {
        let step = |ring: Ring| {
            let outcome = if !is_enforced(ring) {
                "not in force"
            } else if ring == last && !permits {
                "refused"
            } else if ring < last || permits {
                "passed"
            } else {
                "not reached"
            };
            let detail = details.iter().find(|(of, _)| *of == ring);
            let detail = detail.map_or_else(String::new, |(_, detail)| detail.clone());
            Step { ring: ring.as_str(), outcome, detail }
        };
        Ring::ALL.into_iter().map(step).collect()
    }
}

/// The rings this proxy enforces. Of `load` only room and deadlines exist yet.
const fn is_enforced(ring: Ring) -> bool {
    ring.is_built() || matches!(ring, Ring::Load)
}

/// The newest decisions by id. Taken only on refusals and sampled permits, never by a plain request.
#[derive(Debug)]
pub(crate) struct Decisions {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    order: VecDeque<String>,
    by_id: HashMap<String, Arc<Decision>>,
}

impl Decisions {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::new(Kept { order: VecDeque::new(), by_id: HashMap::new() }) }
    }

    pub(crate) fn insert(&self, decision: Arc<Decision>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.order.len() >= KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_id.remove(&oldest);
        }
        kept.order.push_back(decision.id.clone());
        kept.by_id.insert(decision.id.clone(), decision);
    }

    pub(crate) fn find(&self, id: DecisionId) -> Option<Arc<Decision>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_id.get(&id.to_string()).map(Arc::clone)
    }
}

/// The file of refusals: one JSON line each.
#[derive(Debug)]
pub(crate) struct DecisionFile {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl DecisionFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Appends one line; begins a new file when this one is full.
    pub(crate) fn append(&mut self, decision: &Decision) -> io::Result<()> {
        let mut line = serde_json::to_vec(decision)?;
        line.push(b'\n');
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let (mut file, bytes) = match self.open.take() {
            Some((_full, bytes)) if bytes.saturating_add(length) > FILE_BYTES_MAX => {
                std::fs::rename(&self.path, older(&self.path))?;
                open(&self.path)?
            }
            Some(open) => open,
            None => open(&self.path)?,
        };
        file.write_all(&line)?;
        self.open = Some((file, bytes.saturating_add(length)));
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

fn older(path: &Path) -> PathBuf {
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    PathBuf::from(older)
}

#[cfg(test)]
mod tests;
