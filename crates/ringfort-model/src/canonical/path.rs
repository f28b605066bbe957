//! Paths: from raw bytes to `wire` and `key`, in one pass when nothing in them is peculiar.

use super::CanonicaliseError;

/// A path that was read; its `wire` is already appended to the request's text.
pub(super) struct Path {
    /// Where the key is.
    pub(super) key: Key,
    /// What only one kind of upstream reads so.
    pub(super) oddity: Option<CanonicaliseError>,
}

/// Where a key is.
pub(super) enum Key {
    /// The first bytes of `wire`.
    FrontOfWire(usize),
    /// A text of its own.
    Own(String),
}

/// Reads a path and appends its `wire` to `text`.
pub(super) fn read(raw: &[u8], text: &mut String) -> Result<Path, CanonicaliseError> {
    if raw.first() != Some(&b'/') {
        return Err(CanonicaliseError::NoSlash);
    }
    if is_plain(raw)
        && let Ok(plain) = std::str::from_utf8(raw)
    {
        text.push_str(plain);
        let slash = usize::from(plain.len() > 1 && plain.ends_with('/'));
        return Ok(Path { key: Key::FrontOfWire(plain.len().saturating_sub(slash)), oddity: None });
    }
    Reader::default().read(raw, text)
}

/// Whether the path is its own wire and, but for a trailing slash, its own key.
fn is_plain(raw: &[u8]) -> bool {
    #[derive(PartialEq)]
    enum Segment {
        Empty,
        Dot,
        DotDot,
        Word,
    }
    let mut segment = Segment::Word;
    for byte in raw {
        segment = match (byte, segment) {
            (b'/', Segment::Word) => Segment::Empty,
            (b'/', Segment::Empty | Segment::Dot | Segment::DotDot) => return false,
            (b'.', Segment::Empty) => Segment::Dot,
            (b'.', Segment::Dot) => Segment::DotDot,
            (&byte, _) if is_pchar(byte) => Segment::Word,
            _ => return false,
        };
    }
    matches!(segment, Segment::Empty | Segment::Word)
}

/// Characters that need no encoding, but `;`.
///
/// # Source
/// RFC 3986 section 3.3, `pchar`.
const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Reads a path segment by segment.
#[derive(Default)]
struct Reader {
    /// Grows by `/` and one segment at a time; shrinks at `..`.
    wire: String,
    key: String,
    /// The segment being read, decoded once.
    decoded: Vec<u8>,
    oddity: Option<CanonicaliseError>,
}

impl Reader {
    fn read(mut self, raw: &[u8], text: &mut String) -> Result<Path, CanonicaliseError> {
        let mut segments = raw.get(1..).unwrap_or_default().split(|byte| *byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            self.segment(segment, segments.peek().is_none())?;
        }
        if self.key.is_empty() {
            self.key.push('/');
        }
        text.push_str(&self.wire);
        Ok(Path { key: Key::Own(self.key), oddity: self.oddity })
    }

    fn segment(&mut self, raw: &[u8], is_last: bool) -> Result<(), CanonicaliseError> {
        let (wire_start, key_start) = (self.wire.len(), self.key.len());
        self.wire.push('/');
        self.decoded.clear();
        let name_bytes = self.decode(raw)?;
        let text =
            std::str::from_utf8(&self.decoded).map_err(|_not_text| CanonicaliseError::NotUtf8)?;
        let name = text.get(..name_bytes).unwrap_or_default();
        match text {
            "" if is_last => {}
            "" => {
                note(&mut self.oddity, CanonicaliseError::DoubleSlash)?;
                self.wire.truncate(wire_start);
            }
            "." | ".." => {
                note(&mut self.oddity, CanonicaliseError::Dots)?;
                self.wire.truncate(wire_start);
                if text == ".." {
                    pop(&mut self.wire);
                    pop(&mut self.key);
                }
                if is_last {
                    self.wire.push('/');
                }
            }
            _ if hides_dots(text) => return Err(CanonicaliseError::HiddenDots),
            _ if name.is_empty() && is_last => {}
            _ if name.is_empty() => return Err(CanonicaliseError::DoubleSlash),
            _ => {
                self.key.push('/');
                name.chars().for_each(|c| push_key(&mut self.key, c));
            }
        }
        debug_assert!(self.key.len() >= key_start || text == "..");
        Ok(())
    }

    /// Appends the segment to `wire` and `decoded`; returns how many decoded bytes precede the first raw `;`.
    fn decode(&mut self, raw: &[u8]) -> Result<usize, CanonicaliseError> {
        let mut name_bytes = None;
        // Hex digits seen since an encoded `%`; two of them would be an escape to whoever decodes twice.
        let mut digits_after_percent = None;
        let mut bytes = raw.iter().copied();
        while let Some(byte) = bytes.next() {
            let (byte, escaped) = match byte {
                b'%' => (unescape(bytes.next(), bytes.next())?, true),
                byte => (byte, false),
            };
            match (byte, escaped) {
                (b'\\', _) => return Err(CanonicaliseError::Backslash),
                (byte, true) if byte.is_ascii_control() => return Err(CanonicaliseError::Control),
                (b'/', true) => note(&mut self.oddity, CanonicaliseError::EncodedSlash)?,
                (b'?' | b'#' | b';', true) => {
                    note(&mut self.oddity, CanonicaliseError::EncodedDelimiter)?;
                }
                (b';', false) => {
                    note(&mut self.oddity, CanonicaliseError::Parameters)?;
                    name_bytes.get_or_insert(self.decoded.len());
                }
                (b'?' | b'#' | b'/', false) => return Err(CanonicaliseError::PathByte),
                (byte, false) if !byte.is_ascii_graphic() => {
                    return Err(CanonicaliseError::PathByte);
                }
                (_, _) => {}
            }
            digits_after_percent = match digits_after_percent {
                _ if byte == b'%' => Some(0_u8),
                Some(0) if byte.is_ascii_hexdigit() => Some(1),
                Some(1) if byte.is_ascii_hexdigit() => {
                    note(&mut self.oddity, CanonicaliseError::EncodedDelimiter)?;
                    None
                }
                Some(_) | None => None,
            };
            let is_raw_semicolon = byte == b';' && !escaped;
            if is_unreserved(byte) || is_raw_semicolon || (is_pchar(byte) && !escaped) {
                self.wire.push(char::from(byte));
            } else {
                push_escape(&mut self.wire, byte);
            }
            self.decoded.push(byte);
        }
        Ok(name_bytes.unwrap_or(self.decoded.len()))
    }
}

/// Keeps the first oddity; two that no one upstream reads are a fault.
fn note(
    oddity: &mut Option<CanonicaliseError>,
    found: CanonicaliseError,
) -> Result<(), CanonicaliseError> {
    match oddity {
        Some(first) if first.only_reader() != found.only_reader() => Err(found),
        Some(_) => Ok(()),
        None => {
            *oddity = Some(found);
            Ok(())
        }
    }
}

/// Whether a segment becomes a dot segment for someone who splits it at an encoded slash or cuts it at a delimiter.
fn hides_dots(text: &str) -> bool {
    text.split(['/', ';'])
        .map(|piece| piece.split(['?', '#']).next().unwrap_or_default())
        .any(|piece| piece == "." || piece == "..")
}

/// Removes the last segment, if there is one: above the root is the root.
///
/// # Source
/// RFC 3986 section 5.2.4.
fn pop(path: &mut String) {
    path.truncate(path.rfind('/').unwrap_or_default());
}

fn push_key(key: &mut String, c: char) {
    match c {
        '/' => key.push_str("%2F"),
        ';' => key.push_str("%3B"),
        '?' => key.push_str("%3F"),
        '#' => key.push_str("%23"),
        '%' => key.push_str("%25"),
        c => key.push(c),
    }
}

fn push_escape(wire: &mut String, byte: u8) {
    wire.push('%');
    for nibble in [byte >> 4, byte & 0xF] {
        wire.extend(
            char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()),
        );
    }
}

fn unescape(high: Option<u8>, low: Option<u8>) -> Result<u8, CanonicaliseError> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(CanonicaliseError::BadEscape);
    };
    u8::try_from(high << 4 | low).map_err(|_too_big| CanonicaliseError::BadEscape)
}
