//! The files of a fleet folder as text with positions: spans are byte ranges, people read lines and columns.

use std::sync::Arc;

use ringfort_model::snapshot::Place;

/// One file of a fleet folder, as given by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetFile {
    /// Path inside the folder, with `/`, e.g. `shop.yaml` or `contracts/orders.openapi.yaml`.
    pub path: String,
    /// Its bytes, unread.
    pub bytes: Vec<u8>,
}

/// A byte range of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Index of the file in [`Sources`].
    pub(crate) file: u16,
    /// First byte.
    pub(crate) start: u32,
    /// After the last byte.
    pub(crate) end: u32,
}

/// A span as people read it, with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// File, relative to the fleet folder.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters, on this line; at least 1.
    pub length: u32,
    /// The line's text, cut to what fits a report.
    pub text: String,
    /// Characters cut from the front of `text`.
    pub(crate) cut: u32,
}

/// The readable files of a fleet.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: Arc<str>,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

/// Longest excerpt of a line in a report, in characters.
const EXCERPT_MAX: usize = 200;

impl Sources {
    /// Adds a file and returns its index.
    pub(crate) fn add(&mut self, path: &str, text: &str) -> u16 {
        let mut line_starts = vec![0];
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'\n' {
                line_starts.push(narrow(at.saturating_add(1)));
            }
        }
        self.files.push(Source { path: Arc::from(path), text: Arc::from(text), line_starts });
        u16::try_from(self.files.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: u16) -> Arc<str> {
        self.files
            .get(usize::from(file))
            .map_or_else(|| Arc::from(""), |source| Arc::clone(&source.text))
    }

    /// The path of a file.
    pub(crate) fn path(&self, file: u16) -> String {
        self.files.get(usize::from(file)).map(|source| source.path.to_string()).unwrap_or_default()
    }

    /// The index of a file.
    pub(crate) fn index(&self, path: &str) -> Option<u16> {
        let found = self.files.iter().position(|source| *source.path == *path)?;
        u16::try_from(found).ok()
    }

    /// The first byte of a line, counted from 1.
    pub(crate) fn line_start(&self, file: u16, line: u32) -> u32 {
        let source = self.files.get(usize::from(file));
        let starts = source.map_or(&[][..], |source| source.line_starts.as_slice());
        starts.get(wide(line).saturating_sub(1)).copied().unwrap_or(0)
    }

    /// Where a span stands, without its text.
    pub(crate) fn place(&self, span: Span) -> Place {
        let Some(source) = self.files.get(usize::from(span.file)) else {
            return Place { file: String::new(), line: 0 };
        };
        Place { file: source.path.to_string(), line: narrow(source.line_of(span.start)) }
    }

    /// A span as people read it; what continues on further lines is cut.
    pub(crate) fn spot(&self, span: Span) -> Spot {
        let Some(source) = self.files.get(usize::from(span.file)) else {
            return Spot {
                file: Arc::from(""),
                line: 1,
                column: 1,
                length: 1,
                text: String::new(),
                cut: 0,
            };
        };
        let line = source.line_of(span.start);
        let line_start = source.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let rest = source.text.get(wide(line_start)..).unwrap_or_default();
        let full = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let before = source.text.get(wide(line_start)..wide(span.start)).unwrap_or_default();
        let line_end = wide(line_start).saturating_add(full.len());
        let end = wide(span.end).min(line_end).max(wide(span.start));
        let marked = source.text.get(wide(span.start)..end).unwrap_or_default();
        let column = before.chars().count();
        let cut = column.saturating_sub(EXCERPT_MAX / 2);
        Spot {
            file: Arc::clone(&source.path),
            line: narrow(line),
            column: narrow(column.saturating_add(1)),
            length: narrow(marked.chars().count().max(1)),
            text: full.chars().skip(cut).take(EXCERPT_MAX).collect(),
            cut: narrow(cut),
        }
    }
}

impl Source {
    /// The line of a byte, from 1.
    fn line_of(&self, at: u32) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }
}

/// An offset as stored; files are capped far below 4 GiB.
pub(crate) fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// An offset as an index.
pub(crate) fn wide(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
