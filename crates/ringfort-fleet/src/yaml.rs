//! Strict YAML 1.2: bytes become a tree in which every node knows its place, or problems.
//!
//! Refuses what two readers could take differently or what costs more than it says: anchors, aliases, `<<`, tags,
//! directives, further documents, duplicate keys, keys that are no text, depth above [`DEPTH_MAX`] and fleets of more
//! than [`NODES_MAX`] nodes. Does not know what any field means.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::{
    problem::Problems,
    source::{Span, narrow, wide},
};

/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 32;

/// Most nodes of a whole fleet: 10 000 services of 25 values each fit; the tree stays below 100 MB.
pub(crate) const NODES_MAX: usize = 250_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Text; `plain` is false when it was quoted or a block.
    Scalar { text: String, plain: bool },
    /// `[a, b]` or lines with `-`.
    List(Vec<Node>),
    /// `{ a: b }` or lines with `a: b`.
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// The value under a key of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether nothing was written: an empty value, `~`, `null`, `[]` or `{}`.
    pub(crate) fn is_blank(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                text.trim().is_empty() || (*plain && matches!(text.as_str(), "~" | "null"))
            }
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// What it is, for a sentence.
    pub(crate) const fn shape(&self) -> &'static str {
        match self.value {
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map of fields",
        }
    }
}

/// Reads one file; `None` when it has problems. `nodes` counts over all files of the fleet.
pub(crate) fn parse(
    file: u16,
    text: &str,
    nodes: &mut usize,
    problems: &mut Problems<'_>,
) -> Option<Node> {
    let mut reader =
        Reader { file, text, offsets: Offsets::new(text), stack: Vec::new(), root: None, nodes };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0_u32;
    loop {
        let (event, span) = match parser.next_event() {
            None => return reader.root,
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                reader.syntax(&error, problems);
                return None;
            }
        };
        let span = reader.span(span);
        if matches!(event, Event::DocumentStart(_)) {
            documents = documents.saturating_add(1);
            if documents > 1 {
                let help = "remove the `---` and what follows it, or use a second file";
                problems.error("RF0007", span, "a second document").help(help).done();
                return None;
            }
        }
        if !reader.event(event, span, problems) {
            return None;
        }
    }
}

/// Builds the tree out of the parser's events.
struct Reader<'t, 'n> {
    file: u16,
    text: &'t str,
    offsets: Offsets<'t>,
    stack: Vec<Open>,
    root: Option<Node>,
    nodes: &'n mut usize,
}

/// A list or map that has not ended.
struct Open {
    span: Span,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Span)> },
}

impl Reader<'_, '_> {
    /// Takes one event; false when reading must end.
    fn event(&mut self, event: Event<'_>, span: Span, problems: &mut Problems<'_>) -> bool {
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            Event::Alias(_) => (1, false),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => (0, false),
        };
        if anchor != 0 || tag {
            let what = if tag { "a tag (`!`)" } else { "an anchor (`&`) or alias (`*`)" };
            let message = format!("{what} is not part of the fleet language");
            let help = "write the value itself; quote it if it begins with `&`, `*` or `!`";
            problems.error("RF0007", span, message).help(help).done();
            return false;
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                self.scalar(text.into_owned(), plain, span, problems)
            }
            Event::SequenceStart(..) => self.open(Body::List(Vec::new()), span, problems),
            Event::MappingStart(..) => {
                self.open(Body::Map { entries: Vec::new(), key: None }, span, problems)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(problems),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Alias(_) => true,
        }
    }

    fn scalar(
        &mut self,
        text: String,
        plain: bool,
        span: Span,
        problems: &mut Problems<'_>,
    ) -> bool {
        if let Some(Open { body: Body::Map { key: key @ None, .. }, .. }) = self.stack.last_mut() {
            if text == "<<" {
                let help = "write the fields themselves";
                problems
                    .error("RF0007", span, "the merge key `<<` is not part of the fleet language")
                    .help(help)
                    .done();
                return false;
            }
            *key = Some((text, span));
            return true;
        }
        self.place(Node { span, value: Value::Scalar { text, plain } }, problems)
    }

    fn open(&mut self, body: Body, span: Span, problems: &mut Problems<'_>) -> bool {
        if let Some(Open { body: Body::Map { key: None, .. }, .. }) = self.stack.last() {
            let help = "a key is text, followed by `:`; quote a value that contains `{` or `[`";
            problems.error("RF0001", span, "a key cannot be a list or a map").help(help).done();
            return false;
        }
        if self.stack.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            problems.error("RF0008", span, message).done();
            return false;
        }
        self.stack.push(Open { span, body });
        true
    }

    fn close(&mut self, problems: &mut Problems<'_>) -> bool {
        let Some(Open { mut span, body }) = self.stack.pop() else { return false };
        let (value, end) = match body {
            Body::List(items) => {
                let end = items.last().map(|item| item.span.end);
                (Value::List(items), end)
            }
            Body::Map { entries, .. } => {
                let end = entries.last().map(|entry| entry.value.span.end);
                doubles(&entries, problems);
                (Value::Map(entries), end)
            }
        };
        span.end = end.unwrap_or(span.end).max(span.end);
        self.place(Node { span, value }, problems)
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, problems: &mut Problems<'_>) -> bool {
        *self.nodes = self.nodes.saturating_add(1);
        if *self.nodes > NODES_MAX {
            let message = format!("the fleet has more than {NODES_MAX} values");
            problems.error("RF0008", node.span, message).done();
            return false;
        }
        match self.stack.last_mut().map(|open| &mut open.body) {
            None => self.root = Some(node),
            Some(Body::List(items)) => items.push(node),
            Some(Body::Map { entries, key, .. }) => {
                let Some((key, key_span)) = key.take() else { return false };
                entries.push(Entry { key, key_span, value: node });
            }
        }
        true
    }

    /// Reports what the parser could not read, with the commonest cause named.
    fn syntax(&self, error: &ScanError, problems: &mut Problems<'_>) {
        let at = self.offsets.byte(error.marker().index());
        let span = Span { file: self.file, start: at, end: at.saturating_add(1) };
        if let Some((word, span)) = self.brace_word(at) {
            let message = format!("a plain value cannot contain `{{` here: `{word}`");
            problems.error("RF0001", span, message).help(format!("`\"{word}\"`")).done();
            return;
        }
        let message = format!("not YAML: {}", error.info());
        problems.error("RF0006", span, message).done();
    }

    /// The unquoted word with a `{` inside, at or shortly before the place of an error.
    fn brace_word(&self, at: u32) -> Option<(String, Span)> {
        let front = self.text.get(..wide(at))?;
        let line_start = front.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let line = self.text.get(line_start..)?.split('\n').next()?;
        if line.len() > LINE_MAX {
            return None;
        }
        for (open, _) in line.match_indices('{') {
            let front = line.get(..open)?;
            let start =
                front.rfind([' ', ',', '[', '{', ':', '"']).map_or(0, |i| i.saturating_add(1));
            let tail = line.get(open..)?;
            let close = tail.find('}').map_or(tail.len(), |i| i.saturating_add(1));
            let more = tail.get(close..)?;
            let rest = more.find([' ', ',', ']', '}']).unwrap_or(more.len());
            let end = open.saturating_add(close).saturating_add(rest);
            let word = line.get(start..end)?;
            if start < open && word.starts_with('/') {
                let from = line_start.saturating_add(start);
                let to = line_start.saturating_add(end);
                let span = Span { file: self.file, start: narrow(from), end: narrow(to) };
                return Some((word.to_owned(), span));
            }
        }
        None
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span {
            file: self.file,
            start: self.offsets.byte(span.start.index()),
            end: self.offsets.byte(span.end.index()),
        }
    }
}

/// Longest line in which the cause of a syntax error is looked for.
const LINE_MAX: usize = 1000;

/// Reports keys that are written twice in one map.
fn doubles(entries: &[Entry], problems: &mut Problems<'_>) {
    let mut keys: Vec<(&str, Span)> =
        entries.iter().map(|entry| (entry.key.as_str(), entry.key_span)).collect();
    keys.sort_unstable();
    for pair in keys.windows(2) {
        if let [(first, first_span), (key, span)] = pair
            && first == key
        {
            problems
                .error("RF0003", *span, format!("`{key}` is written twice"))
                .second(*first_span, "first here")
                .help("keep one of the two")
                .done();
        }
    }
}

/// Turns the parser's character positions into byte positions.
struct Offsets<'t> {
    text: &'t str,
    /// Byte position of every [`STRIDE`]th character; empty for ASCII, where both are equal.
    marks: Vec<u32>,
}

/// Characters between two marks: 10 MiB of text need 640 KiB of marks.
const STRIDE: usize = 64;

impl<'t> Offsets<'t> {
    fn new(text: &'t str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(STRIDE).map(|(at, _)| narrow(at)).collect()
        };
        Self { text, marks }
    }

    fn byte(&self, character: usize) -> u32 {
        if self.marks.is_empty() {
            return narrow(character.min(self.text.len()));
        }
        let Some(mark) = self.marks.get(character / STRIDE).copied() else {
            return narrow(self.text.len());
        };
        let rest = self.text.get(wide(mark)..).unwrap_or_default();
        let inside = rest.char_indices().nth(character % STRIDE);
        let ahead = inside.map_or(rest.len(), |(at, _)| at);
        mark.saturating_add(narrow(ahead))
    }
}

#[cfg(test)]
mod tests;
