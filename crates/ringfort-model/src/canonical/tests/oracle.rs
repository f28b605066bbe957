//! A slow second reading of paths, one profile at a time, written from the table of profiles and not from the code.

use super::Normalization;

/// `wire` and `key`, or nothing when the profile refuses the path.
pub(super) fn read(path: &str, profile: Normalization) -> Option<(String, String)> {
    let merge = profile == Normalization::MergeSlashes;
    let mut wires: Vec<String> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    let raw_segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let mut ends_with_slash = false;
    for (index, raw) in raw_segments.iter().enumerate() {
        let is_last = index + 1 == raw_segments.len();
        let tokens = tokens(raw)?;
        let decoded = String::from_utf8(tokens.iter().map(|(byte, _)| *byte).collect()).ok()?;
        if !delimiters_are_readable(&tokens, profile) || hides_dots(&decoded) {
            return None;
        }
        ends_with_slash = is_last && (decoded.is_empty() || decoded == "." || decoded == "..");
        match decoded.as_str() {
            "" if is_last => {}
            "" | "." | ".." if !merge => return None,
            "" | "." => {}
            ".." => {
                wires.pop();
                keys.pop();
            }
            _ => {
                let name = match tokens.iter().position(|token| *token == (b';', false)) {
                    Some(bytes) => decoded.get(..bytes)?,
                    None => &decoded,
                };
                if name.is_empty() && !is_last {
                    return None;
                }
                wires.push(tokens.iter().map(wire_token).collect());
                if !name.is_empty() {
                    keys.push(name.chars().map(key_character).collect());
                }
            }
        }
    }
    let mut wire = wires.iter().map(|segment| format!("/{segment}")).collect::<String>();
    if ends_with_slash || wire.is_empty() {
        wire.push('/');
    }
    Some((wire, format!("/{}", keys.join("/"))))
}

/// The bytes of a segment, each with whether it was escaped.
fn tokens(segment: &str) -> Option<Vec<(u8, bool)>> {
    let mut tokens = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            tokens.push((byte, true));
            rest = tail;
        } else {
            tokens.push((byte, false));
        }
    }
    Some(tokens)
}

fn delimiters_are_readable(tokens: &[(u8, bool)], profile: Normalization) -> bool {
    let encoded = profile == Normalization::EncodedSlash;
    let alone = tokens.iter().all(|token| match token {
        (b'\\' | 0..=0x1F | 0x7F, _) | (b' ' | b'?' | b'#' | 0x80.., false) => false,
        (b'/' | b'?' | b'#' | b';', true) => encoded,
        (b';', false) => profile == Normalization::MatrixParams,
        _ => true,
    });
    let twice = tokens.windows(3).any(|three| {
        matches!(three, [(b'%', true), (a, _), (b, _)] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    });
    alone && (encoded || !twice)
}

fn hides_dots(decoded: &str) -> bool {
    let is_dots = |piece: &str| {
        let end = piece.find(['?', '#']).unwrap_or(piece.len());
        matches!(piece.get(..end), Some("." | ".."))
    };
    !matches!(decoded, "." | "..") && decoded.split(['/', ';']).any(is_dots)
}

fn wire_token(token: &(u8, bool)) -> String {
    let (byte, escaped) = *token;
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if unreserved || (!escaped && b"!$&'()*+,;=:@".contains(&byte)) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

fn key_character(c: char) -> String {
    if "/;?#%".contains(c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
}
