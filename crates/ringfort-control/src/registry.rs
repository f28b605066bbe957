//! Who serves where: instances register on their own stream and stay listed for a while when it breaks.
//!
//! A pure state with time as an argument. Invariants: an instance belongs to the newest stream that named it; a list of
//! endpoints never goes from some to none because streams were lost, only because instances said they drain or the
//! service left the fleet.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ringfort_model::{Digest, Name, Revision, SpiffeId, WallTime, snapshot::Endpoint};

/// How long an instance stays listed after its stream broke or its server restarted.
pub(crate) const STALE_FOR: Duration = Duration::from_secs(60);

/// One stream of reports; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

/// What a proxy says of itself, with the time it was heard for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) revision: Revision,
    pub(crate) digest: Option<Digest>,
    pub(crate) certificate_not_after: WallTime,
    pub(crate) state: String,
    pub(crate) nack: String,
    pub(crate) heard_at: WallTime,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) workload: Name,
    pub(crate) class: SpiffeId,
    /// Where it accepts mTLS; `None` for gateways and for services that only call.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) link: Link,
    /// `None` after a restart of the server until the proxy is heard again.
    pub(crate) report: Option<Report>,
}

/// How the server hears of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Its stream lives.
    Connected(StreamId),
    /// Its stream lives and it takes no new work.
    Draining(StreamId),
    /// Its stream broke; it stays listed until then, or longer when it is the last of its service.
    Stale {
        /// When it may be forgotten.
        until: Instant,
    },
}

/// What one message of a stream says about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joining {
    pub(crate) stream: StreamId,
    pub(crate) workload: Name,
    pub(crate) class: SpiffeId,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) draining: bool,
    pub(crate) report: Report,
}

/// What must be written down after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Nothing: the lists are as before.
    Same,
    /// The instance is new or moved.
    Put,
    /// The instance is listed no more.
    Removed,
}

/// Every proxy known, by instance id.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: BTreeMap<String, Entry>,
}

/// Most instances of one workload, stale ones included; a further one is not told to callers. One message about all
/// of them stays far below the limit of the wire.
const INSTANCES_MAX: usize = 256;

impl Registry {
    /// Takes an instance from before a restart: stale until it is heard again.
    pub(crate) fn restore(&mut self, id: String, mut entry: Entry, now: Instant) {
        entry.link = Link::Stale { until: deadline(now) };
        self.entries.insert(id, entry);
    }

    /// Takes one message of a proxy.
    pub(crate) fn hear(&mut self, id: &str, joining: Joining) -> Listed {
        let before = self.entries.get(id);
        if before.is_some_and(|entry| entry.link.stream() > Some(joining.stream)) {
            return Listed::Same;
        }
        let siblings = self.entries.values().filter(|entry| entry.workload == joining.workload);
        if before.is_none() && siblings.count() >= INSTANCES_MAX {
            return Listed::Same;
        }
        let was = before.and_then(Entry::listed);
        let link = if joining.draining {
            Link::Draining(joining.stream)
        } else {
            Link::Connected(joining.stream)
        };
        let entry = Entry {
            workload: joining.workload,
            class: joining.class,
            address: joining.address,
            labels: joining.labels,
            link,
            report: Some(joining.report),
        };
        let listed = match (&was, entry.listed()) {
            (was, Some(is)) if was.as_ref() != Some(&is) => Listed::Put,
            (Some(_), None) => Listed::Removed,
            (_, _) => Listed::Same,
        };
        self.entries.insert(id.to_owned(), entry);
        listed
    }

    /// A stream ended; an earlier stream of an instance that has a later one says nothing.
    pub(crate) fn lose(&mut self, id: &str, stream: StreamId, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        match entry.link {
            Link::Connected(current) if current == stream && entry.address.is_some() => {
                entry.link = Link::Stale { until: deadline(now) };
            }
            Link::Connected(current) | Link::Draining(current) if current == stream => {
                self.entries.remove(id);
            }
            Link::Connected(_) | Link::Draining(_) | Link::Stale { .. } => {}
        }
    }

    /// When the next stale instance may be forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.entries
            .iter()
            .filter(|(id, entry)| entry.stale_until().is_some() && self.has_others(id, entry))
            .filter_map(|(_, entry)| entry.stale_until())
            .min()
    }

    /// Forgets the instances that were stale for long enough and are not the last of their service; returns their ids.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut gone = Vec::new();
        loop {
            let expired = self.entries.iter().find(|(id, entry)| {
                entry.stale_until().is_some_and(|until| until <= now) && self.has_others(id, entry)
            });
            let Some(id) = expired.map(|(id, _)| id.clone()) else { return gone };
            self.entries.remove(&id);
            gone.push(id);
        }
    }

    /// Forgets what belongs to classes the fleet no longer has; returns the ids that were listed.
    pub(crate) fn keep(&mut self, is_class: impl Fn(&SpiffeId) -> bool) -> Vec<String> {
        let foreign = |entry: &Entry| !is_class(&entry.class);
        let gone: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| foreign(entry))
            .map(|(id, _)| id.clone())
            .collect();
        self.entries.retain(|_, entry| !foreign(entry));
        gone
    }

    /// Every list of endpoints, sorted.
    pub(crate) fn endpoints(&self) -> BTreeMap<Name, Vec<Endpoint>> {
        let mut lists: BTreeMap<Name, Vec<Endpoint>> = BTreeMap::new();
        for entry in self.entries.values() {
            if let Some(endpoint) = entry.listed() {
                lists.entry(entry.workload.clone()).or_default().push(endpoint);
            }
        }
        lists.values_mut().for_each(|list| {
            list.sort();
            list.dedup();
        });
        lists
    }

    /// How many other instances of the same service are listed.
    pub(crate) fn others(&self, id: &str) -> u32 {
        let Some(own) = self.entries.get(id) else { return 0 };
        let others = self.entries.iter().filter(|(other, entry)| {
            *other != id && entry.workload == own.workload && entry.listed().is_some()
        });
        u32::try_from(others.count()).unwrap_or(u32::MAX)
    }

    /// Whether an instance is in the lists of endpoints.
    pub(crate) fn is_listed(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.listed().is_some())
    }

    /// Every proxy, by instance id.
    pub(crate) const fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn has_others(&self, id: &str, own: &Entry) -> bool {
        self.entries.iter().any(|(other, entry)| {
            other != id && entry.workload == own.workload && entry.listed().is_some()
        })
    }
}

impl Entry {
    /// What callers are told; `None` when it takes no new work.
    fn listed(&self) -> Option<Endpoint> {
        if matches!(self.link, Link::Draining(_)) {
            return None;
        }
        Some(Endpoint { address: self.address?, labels: self.labels.clone() })
    }

    const fn stale_until(&self) -> Option<Instant> {
        match self.link {
            Link::Stale { until } => Some(until),
            Link::Connected(_) | Link::Draining(_) => None,
        }
    }
}

impl Link {
    /// The stream that lives.
    pub(crate) const fn stream(self) -> Option<StreamId> {
        match self {
            Self::Connected(stream) | Self::Draining(stream) => Some(stream),
            Self::Stale { .. } => None,
        }
    }

    /// The word in `ringfort status`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Draining(_) => "draining",
            Self::Stale { .. } => "stale",
        }
    }
}

/// `STALE_FOR` from now, or now when the clock cannot say it.
fn deadline(now: Instant) -> Instant {
    now.checked_add(STALE_FOR).unwrap_or(now)
}

#[cfg(test)]
mod tests;
