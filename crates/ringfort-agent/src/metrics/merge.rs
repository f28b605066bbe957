//! Many OpenMetrics texts as one. Pure.
//!
//! Every sample gets the label `service`; what a source already calls `service` becomes `exported_service`. Each
//! family is described once, with all its samples together, as the format demands.
//!
//! # Source
//! OpenMetrics 1.0, sections "Overall Structure" and "Metric Types": a family's name, its suffixes by type, one
//! `# EOF` at the end.

use std::collections::{BTreeMap, btree_map::Entry};

/// What one proxy reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source<'a> {
    /// The value of the label `service`.
    pub(super) service: &'a str,
    /// Its metrics.
    pub(super) text: &'a str,
}

/// The text of all sources.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The metrics, without the end mark, so that more can follow.
    pub(super) text: String,
    /// Lines that were left out: no sample, or of a family that another source describes differently.
    pub(super) left_out: u64,
}

/// Suffixes a sample's name may have beyond its family's.
const SUFFIXES: [&str; 8] =
    ["_total", "_created", "_bucket", "_sum", "_count", "_info", "_gsum", "_gcount"];

#[derive(Debug, Default)]
struct Family<'a> {
    kind: Option<&'a str>,
    unit: Option<&'a str>,
    help: Option<&'a str>,
    samples: Vec<Sample<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample<'a> {
    service: &'a str,
    name: &'a str,
    labels: &'a str,
    /// Value, timestamp and exemplar, as they were.
    rest: &'a str,
}

/// Merges sources, in the order given; families are sorted by name.
pub(super) fn merge(sources: &[Source<'_>]) -> Merged {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    let mut left_out = 0_u64;
    for source in sources {
        // The family that described lines belong to, and whether this source describes it as the others do.
        let mut current: Option<(&str, bool)> = None;
        for line in source.text.lines().filter(|line| !line.is_empty()) {
            let is_taken = match line.strip_prefix("# ") {
                Some(comment) => describe(&mut families, &mut current, comment),
                None => take(&mut families, current, source.service, line),
            };
            left_out = left_out.saturating_add(u64::from(!is_taken));
        }
    }
    let mut text = String::new();
    for (name, family) in families.iter().filter(|(_, family)| !family.samples.is_empty()) {
        family.write(name, &mut text);
    }
    Merged { text, left_out }
}

/// Takes one line of description.
fn describe<'a>(
    families: &mut BTreeMap<&'a str, Family<'a>>,
    current: &mut Option<(&'a str, bool)>,
    comment: &'a str,
) -> bool {
    if comment == "EOF" {
        return true;
    }
    let mut words = comment.splitn(3, ' ');
    let (Some(keyword), Some(name)) = (words.next(), words.next()) else { return false };
    let value = words.next().unwrap_or_default();
    if !is_name(name) {
        return false;
    }
    let fits = match *current {
        Some((known, fits)) if known == name => fits,
        Some(_) | None => true,
    };
    let family = families.entry(name).or_default();
    let field = match keyword {
        "TYPE" => &mut family.kind,
        "UNIT" => &mut family.unit,
        "HELP" => &mut family.help,
        _ => return false,
    };
    let known = *field.get_or_insert(value);
    // A family has one type. What people wrote about it may differ between versions; the first is kept.
    let fits = fits && (keyword != "TYPE" || known == value);
    *current = Some((name, fits));
    fits
}

/// Takes one sample.
fn take<'a>(
    families: &mut BTreeMap<&'a str, Family<'a>>,
    current: Option<(&'a str, bool)>,
    service: &'a str,
    line: &'a str,
) -> bool {
    let Some((name, labels, rest)) = split(line) else { return false };
    let belongs = |family: &str| {
        name.strip_prefix(family)
            .is_some_and(|suffix| suffix.is_empty() || SUFFIXES.contains(&suffix))
    };
    let family = match current {
        Some((_, false)) => return false,
        Some((family, true)) if belongs(family) => family,
        Some(_) | None => name,
    };
    let sample = Sample { service, name, labels, rest };
    match families.entry(family) {
        Entry::Occupied(mut family) => family.get_mut().samples.push(sample),
        Entry::Vacant(family) => family.insert(Family::default()).samples.push(sample),
    }
    true
}

/// Splits a sample into name, labels without braces, and the rest. A `}` in a quoted value ends nothing.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let name_end = line.find(['{', ' '])?;
    let (name, after) = line.split_at_checked(name_end)?;
    if !is_name(name) {
        return None;
    }
    let Some(inner) = after.strip_prefix('{') else {
        return Some((name, "", value_of(after)?));
    };
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'}' && !is_quoted;
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let (labels, rest) = inner.split_at_checked(end)?;
    Some((name, labels.trim_end_matches(','), value_of(rest.strip_prefix('}')?)?))
}

/// What follows the labels: a number first.
fn value_of(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(' ');
    let number = text.split(' ').next()?;
    number.parse::<f64>().is_ok().then_some(text)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

impl Family<'_> {
    fn write(&self, name: &str, text: &mut String) {
        let described = [("TYPE", self.kind), ("UNIT", self.unit), ("HELP", self.help)].into_iter();
        for (keyword, value) in described {
            if let Some(value) = value {
                line(text, format_args!("# {keyword} {name} {value}"));
            }
        }
        for Sample { service, name, labels, rest } in &self.samples {
            let service = escaped(service);
            let own = renamed(labels);
            let comma = if own.is_empty() { "" } else { "," };
            line(text, format_args!("{name}{{service=\"{service}\"{comma}{own}}} {rest}"));
        }
    }
}

/// The labels with `service` renamed, so that no sample has it twice.
fn renamed(labels: &str) -> std::borrow::Cow<'_, str> {
    if labels.starts_with("service=") {
        return format!("exported_{labels}").into();
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in labels.bytes().enumerate() {
        if byte == b','
            && !is_quoted
            && let Some((before, after)) = labels.split_at_checked(at.saturating_add(1))
            && after.starts_with("service=")
        {
            return format!("{before}exported_{after}").into();
        }
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
    }
    labels.into()
}

/// A label value as the format wants it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Appends one line.
pub(super) fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    text.push_str(&content.to_string());
    text.push('\n');
}

#[cfg(test)]
mod tests;
