//! Tells code, comments and literals of Rust source apart, so that no rule fires on prose.
//!
//! Every view keeps byte offsets and line numbers of the original: what does not belong is blanked
//! with spaces. It is a lexer for well-formed source (rustc has the last word), not a parser.

/// What a byte of Rust source belongs to. Delimiters of literals count as code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The two blanked views of one source text.
pub(crate) struct Views {
    /// Code, with comments and the insides of literals blanked.
    pub(crate) code: String,
    /// Comments (marks included), with everything else blanked.
    pub(crate) comments: String,
}

/// Splits `text` into its code and its comments.
pub(crate) fn views(text: &str) -> Views {
    let spans = Lexer { bytes: text.as_bytes(), at: 0, spans: Vec::new() }.run();
    Views { code: keep(text, &spans, Kind::Code), comments: keep(text, &spans, Kind::Comment) }
}

/// Blanks each span of another kind. Spans end between characters: their marks are ASCII.
fn keep(text: &str, spans: &[(Kind, usize)], wanted: Kind) -> String {
    let mut out = String::with_capacity(text.len());
    for (kind, end) in spans {
        let span = text.get(out.len()..*end).unwrap_or_default();
        if *kind == wanted {
            out.push_str(span);
            continue;
        }
        for (at, line) in span.split('\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n(' ', line.len()));
        }
    }
    out
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Each kind with the offset at which it ends.
    spans: Vec<(Kind, usize)>,
}

impl Lexer<'_> {
    fn run(mut self) -> Vec<(Kind, usize)> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'/' if self.peek(1) == Some(b'/') => self.until_newline(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.quote(),
                b'r' => self.raw_string(1),
                b'b' | b'c' if self.peek(1) == Some(b'r') => self.raw_string(2),
                _ => self.word(),
            }
        }
        self.spans
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn advance(&mut self, count: usize, kind: Kind) {
        self.at = self.bytes.len().min(self.at + count);
        match self.spans.last_mut() {
            Some((last, end)) if *last == kind => *end = self.at,
            _ => self.spans.push((kind, self.at)),
        }
    }

    /// How many bytes from here on have the property.
    fn count(&self, has: impl Fn(u8) -> bool) -> usize {
        self.bytes.iter().skip(self.at).take_while(|&&byte| has(byte)).count()
    }

    /// A whole word, so that the `r` at its end is not taken for the mark of a raw string.
    fn word(&mut self) {
        self.advance(self.count(is_word).max(1), Kind::Code);
    }

    fn until_newline(&mut self) {
        self.advance(self.count(|byte| byte != b'\n'), Kind::Comment);
    }

    fn block_comment(&mut self) {
        let mut depth = 0_u32;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.advance(2, Kind::Comment);
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.advance(2, Kind::Comment);
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.advance(1, Kind::Comment),
                (None, _) => return,
            }
        }
    }

    fn string(&mut self) {
        self.advance(1, Kind::Code);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.advance(2, Kind::Literal),
                b'"' => return self.advance(1, Kind::Code),
                _ => {
                    let plain = self.count(|byte| byte != b'\\' && byte != b'"');
                    self.advance(plain, Kind::Literal);
                }
            }
        }
    }

    /// At `r`, `br` or `cr`: a raw string if hashes and a quote follow, else an ordinary word.
    fn raw_string(&mut self, prefix: usize) {
        let hashes = (prefix..).take_while(|&i| self.peek(i) == Some(b'#')).count();
        if self.peek(prefix + hashes) != Some(b'"') {
            return self.word();
        }
        self.advance(prefix + hashes + 1, Kind::Code);
        while let Some(byte) = self.peek(0) {
            let closed = byte == b'"' && (1..=hashes).all(|i| self.peek(i) == Some(b'#'));
            if closed {
                return self.advance(1 + hashes, Kind::Code);
            }
            self.advance(1, Kind::Literal);
        }
    }

    /// At `'`: a character (blanked) or a lifetime (kept).
    fn quote(&mut self) {
        self.advance(1, Kind::Code);
        let width = match self.peek(0) {
            Some(b'\\') => {
                self.advance(2, Kind::Literal);
                while self.peek(0).is_some_and(|b| b != b'\'' && b != b'\n') {
                    self.advance(1, Kind::Literal);
                }
                return self.advance(1, Kind::Code);
            }
            Some(b) if b < 0x80 => 1,
            Some(b) if b < 0xe0 => 2,
            Some(b) if b < 0xf0 => 3,
            _ => 4,
        };
        if self.peek(width) == Some(b'\'') {
            self.advance(width, Kind::Literal);
            self.advance(1, Kind::Code);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Offsets at which `needle` stands in `text` as a word: where it begins (or ends) with a letter,
/// digit or underscore, none of these stands before (or after) it.
pub(crate) fn words<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let open = needle.as_bytes().first().is_some_and(|&b| is_word(b));
    let close = needle.as_bytes().last().is_some_and(|&b| is_word(b));
    text.match_indices(needle).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|&b| is_word(b));
        let after = bytes.get(at + needle.len()).is_some_and(|&b| is_word(b));
        !(open && before || close && after)
    })
}

/// The line, counted from 1, in which the byte `at` lies.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&b| b == b'\n').count()
}

/// Offsets at which `code` names `path`: in full, through a `use` list (`use std::{fs, io}`), or,
/// for any path below a crate, behind a renamed crate (`use std as s`).
pub(crate) fn uses_of(code: &str, path: &str) -> Vec<usize> {
    let after = |at: usize| code.get(at + path.len()..).unwrap_or_default();
    let mut found: Vec<usize> =
        words(code, path).filter(|&at| !after(at).starts_with('!')).collect();
    let root = path.split("::").next().unwrap_or(path);
    for at in words(code, "use") {
        let rest = code.get(at + 3..).unwrap_or_default();
        let tree = rest.split(';').next().unwrap_or_default();
        if tree.trim().starts_with(&format!("{root} as ")) {
            found.push(at);
        }
        if tree.contains('{') {
            let mut paths = Vec::new();
            expand("", tree, &mut paths);
            let below = format!("{path}::");
            if paths.iter().any(|p| p == path || p.starts_with(&below)) {
                found.push(at);
            }
        }
    }
    found.sort_unstable();
    found
}

/// Writes out each path of a `use` tree.
fn expand(prefix: &str, tree: &str, out: &mut Vec<String>) {
    let mut depth = 0_u32;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(tree.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(tree.get(start..).unwrap_or_default());
    for part in parts.into_iter().map(str::trim).filter(|p| !p.is_empty()) {
        if let Some((head, inner)) = part.split_once('{') {
            let inner = inner.rsplit_once('}').map_or(inner, |(inside, _)| inside);
            expand(&format!("{prefix}{}", head.trim()), inner, out);
        } else {
            let name = part.split(" as ").next().unwrap_or(part).trim();
            let full = format!("{prefix}{name}");
            out.push(full.trim_end_matches("::self").to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
