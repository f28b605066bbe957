//! Cedar text as tokens with byte positions: for splitting files, for limits before parsing, and for pointing at words.
//!
//! Does **not** judge the text: that is the parser's work. It only agrees with it on comments, strings and words.

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    /// As written.
    pub(crate) text: &'a str,
    /// Byte offset in the text.
    pub(crate) offset: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An identifier or keyword.
    Word,
    /// A string literal with its quotes.
    Text,
    /// `::`, `&&`, `||`, or one other character.
    Mark,
}

/// A string literal that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unterminated {
    /// Where it begins.
    pub(crate) offset: usize,
}

/// Cuts `text` into tokens; blanks and `//` comments are dropped.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Unterminated> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
            rest = comment.get(end..).unwrap_or_default();
            continue;
        }
        let offset = text.len().saturating_sub(rest.len());
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let (kind, len) = measure(rest, first).ok_or(Unterminated { offset })?;
        let (token, after) = rest.split_at_checked(len).ok_or(Unterminated { offset })?;
        found.push(Token { kind, text: token, offset });
        rest = after;
    }
}

fn measure(rest: &str, first: char) -> Option<(TokenKind, usize)> {
    if first == '"' {
        return Some((TokenKind::Text, string_len(rest)?));
    }
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if is_word(first) {
        return Some((TokenKind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())));
    }
    let pair = ["::", "&&", "||"].iter().any(|pair| rest.starts_with(pair));
    Some((TokenKind::Mark, if pair { 2 } else { first.len_utf8() }))
}

fn string_len(rest: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at.checked_add(1),
            _ => {}
        }
    }
    None
}

/// The value of a string literal written as `token`, quotes included; `None` when an escape is malformed.
///
/// `\*` is kept as it is: only `like` patterns have it.
pub(crate) fn unquote(token: &str) -> Option<String> {
    let mut value = String::new();
    let mut rest = token.strip_prefix('"')?.strip_suffix('"')?;
    while let Some(c) = rest.chars().next() {
        let (len, meant) = if c == '\\' { unescape(rest)? } else { (c.len_utf8(), Some(c)) };
        match meant {
            Some(c) => value.push(c),
            None => value.push_str(r"\*"),
        }
        rest = rest.get(len..)?;
    }
    Some(value)
}

fn unescape(rest: &str) -> Option<(usize, Option<char>)> {
    let simple = |c| Some((2, Some(c)));
    match rest.chars().nth(1)? {
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        '0' => simple('\0'),
        c @ ('\\' | '"' | '\'') => simple(c),
        '*' => Some((2, None)),
        'x' => {
            let code = u8::from_str_radix(rest.get(2..4)?, 16).ok()?;
            code.is_ascii().then_some((4, Some(char::from(code))))
        }
        'u' => {
            let (digits, _) = rest.get(2..)?.strip_prefix('{')?.split_once('}')?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            Some((digits.len().checked_add(4)?, Some(char::from_u32(code)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
