//! Dates that end something. They are collected here and compared when somebody knows the time.

use ringfort_model::WallTime;

use super::Checker;
use crate::{
    fleet::Fleet,
    problem::{Problem, Severity},
    scalar,
    source::Span,
    yaml::Node,
};

/// A written date.
#[derive(Debug)]
pub(crate) struct Deadline {
    span: Span,
    /// What ends: `waiver CVE-2023-44487`.
    what: String,
    /// As written.
    text: String,
    /// Days since 1970-01-01.
    day: u64,
    code: &'static str,
    /// Most days it may lie ahead.
    ahead_max: u64,
}

impl Checker<'_, '_> {
    pub(super) fn deadlines(&self) -> Vec<Deadline> {
        let mut found = Vec::new();
        let mut add = |node: Option<&Node>, what: String, code, ahead_max| {
            let text = node.and_then(Node::text);
            if let (Some(node), Some(text)) = (node, text)
                && let Ok(day) = scalar::date(text)
            {
                let text = text.to_owned();
                found.push(Deadline { span: node.span, what, text, day, code, ahead_max });
            }
        };
        let under = |node: &Node, key: &str| node.entry(key).map(|entry| entry.value.clone());
        let services = self.section(&["services"]).map_or(&[][..], Node::entries);
        for service in services {
            let what = format!("plaintext entry of `{}`", service.key);
            add(under(&service.value, "plaintext_until").as_ref(), what, "RF0203", 90);
        }
        let lists = [
            (self.section(&["supply", "waivers"]), "id", "waiver", "RF0802"),
            (self.section(&["drill", "accept"]), "attack", "acceptance of", "RF0901"),
        ];
        for (list, id, noun, code) in lists {
            for item in list.map_or(&[][..], Node::items) {
                let id = item.entry(id).and_then(|entry| entry.value.text()).unwrap_or_default();
                add(under(item, "until").as_ref(), format!("{noun} {id}"), code, 30);
            }
        }
        for service in services {
            let waivers = service.value.entry("supply").and_then(|s| s.value.entry("waivers"));
            for item in waivers.map_or(&[][..], |entry| entry.value.items()) {
                let id = item.entry("id").and_then(|entry| entry.value.text()).unwrap_or_default();
                add(under(item, "until").as_ref(), format!("waiver {id}"), "RF0802", 30);
            }
        }
        found
    }
}

impl Fleet {
    /// What the written dates mean today: expired exceptions, and those that reach too far ahead.
    #[must_use]
    pub fn check_dates(&self, now: WallTime) -> Vec<Problem> {
        let today = now.unix_seconds() / 86_400;
        self.deadlines.iter().filter_map(|deadline| deadline.problem(today, self)).collect()
    }
}

impl Deadline {
    fn problem(&self, today: u64, fleet: &Fleet) -> Option<Problem> {
        let Self { what, text, day, code, ahead_max, .. } = self;
        let (message, help) = if *day < today {
            (format!("{what} expired on {text}"), "remove it, or decide again".to_owned())
        } else if day.saturating_sub(today) > *ahead_max {
            let message = format!("{what} lasts until {text}");
            (message, format!("at most {ahead_max} days ahead"))
        } else {
            return None;
        };
        Some(Problem {
            code,
            severity: Severity::Error,
            message,
            spot: Some(fleet.sources.spot(self.span)),
            second: None,
            help: Some(help),
        })
    }
}
