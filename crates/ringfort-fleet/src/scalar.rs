//! The grammar of single values: what text a field accepts, and the value it means.
//!
//! Every check answers with the exact edit where there is one. Does not know which field it reads.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use ringfort_model::{
    ByteCount, Digest, Name, Operation, PathPattern, Percent, TrustDomain, path::Segment,
    snapshot::Cidr,
};

use crate::{language::Text, suggest};

/// What is wrong with a single value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Checks a value against its grammar; references are resolved by the caller.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(kind: Text, text: &str, plain: bool) -> Result<(), Fault> {
    if text.contains(['\n', '\r']) || text.chars().any(char::is_control) {
        return Err(Fault::new("RF0012", "a value stands on one line, without control characters"));
    }
    match kind {
        Text::Word(words) => word(words, text),
        Text::Any(kinds) => any(kinds, text, plain),
        Text::Name => name(text).map(drop),
        Text::Reference(_) | Text::Line => Ok(()),
        Text::Flag => flag(text, plain).map(drop),
        Text::Count { min, max } => {
            unquoted(text, plain).and_then(|()| count(text, min, max)).map(drop)
        }
        Text::Duration { min, max } => within(text, duration(text)?, min, max, duration_text),
        Text::Bytes { min, max } => {
            let (min, max) = (ByteCount::bytes(min), ByteCount::bytes(max));
            within(text, byte_count(text)?, min, max, |bytes| bytes.to_string())
        }
        Text::Percent { min, max } => {
            let show = |value: u8| format!("{value}%");
            within(text, percent(text)?.as_u8(), min, max, show)
        }
        Text::Rate => rate(text),
        Text::Date => date(text).map(drop),
        Text::Host => host(text),
        Text::TrustDomain => trust_domain(text),
        Text::Ip => ip(text).map(drop),
        Text::Socket => socket(text).map(drop),
        Text::Network => network(text).map(drop),
        Text::Path => pattern(text).map(drop),
        Text::Prefix => prefix(text),
        Text::Method => method(text),
        Text::Operation => operation_name(text),
        Text::Header => header(text),
        Text::HeaderValue => header_value(text),
        Text::Origin => origin(text),
        Text::Variable => variable(text),
        Text::Url(schemes) => url(text, schemes),
        Text::Target => target(text),
        Text::File => file(text),
        Text::HostPath => host_path(text),
        Text::Sha256 => sha256(text).map(drop),
    }
}

fn bad(text: &str, what: &str) -> Fault {
    Fault::new("RF0012", format!("`{text}` is not {what}"))
}

fn word(words: &[&str], text: &str) -> Result<(), Fault> {
    if words.contains(&text) {
        return Ok(());
    }
    let known = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let fault = if let [only] = words {
        bad(text, &format!("`{only}`"))
    } else {
        bad(text, &format!("one of {known}"))
    };
    let near = suggest::nearest(text, words.iter().copied());
    Err(if let Some(near) = near { fault.help(format!("`{near}`")) } else { fault })
}

fn any(kinds: &[Text], text: &str, plain: bool) -> Result<(), Fault> {
    let mut last = Ok(());
    for kind in kinds {
        last = check(*kind, text, plain);
        if last.is_ok() {
            return last;
        }
    }
    last
}

fn unquoted(text: &str, plain: bool) -> Result<(), Fault> {
    if plain {
        return Ok(());
    }
    Err(Fault::new("RF0010", format!("`\"{text}\"` is text, not a number")).help(text))
}

pub(crate) fn name(text: &str) -> Result<Name, Fault> {
    text.parse().map_err(|error| {
        let mended: String = text
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let fault = Fault::new("RF0013", format!("`{text}` is no name: {error}"));
        match mended.parse::<Name>() {
            Ok(name) => fault.help(format!("`{name}`")),
            Err(_) => fault,
        }
    })
}

pub(crate) fn flag(text: &str, plain: bool) -> Result<bool, Fault> {
    match text {
        "true" if plain => Ok(true),
        "false" if plain => Ok(false),
        "yes" | "on" | "True" | "TRUE" | "true" => {
            Err(bad(text, "`true` or `false`").help("`true`"))
        }
        "no" | "off" | "False" | "FALSE" | "false" => {
            Err(bad(text, "`true` or `false`").help("`false`"))
        }
        _ => Err(bad(text, "`true` or `false`")),
    }
}

pub(crate) fn count(text: &str, min: u32, max: u32) -> Result<u32, Fault> {
    let value = digits(text).ok_or_else(|| bad(text, "a whole number"))?;
    let show = |value: u64| value.to_string();
    within(text, value, u64::from(min), u64::from(max), show)?;
    u32::try_from(value).map_err(|_too_large| bad(text, "a whole number"))
}

fn within<T: PartialOrd + Copy>(
    text: &str,
    value: T,
    min: T,
    max: T,
    show: impl Fn(T) -> String,
) -> Result<(), Fault> {
    if min <= value && value <= max {
        return Ok(());
    }
    let message = format!("`{text}` is outside {} to {}", show(min), show(max));
    Err(Fault::new("RF0014", message))
}

/// Decimal digits without sign, leading zero or separators.
fn digits(text: &str) -> Option<u64> {
    let good = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    if good { text.parse().ok() } else { None }
}

/// Splits `250ms` into its number and its unit; the number may be missing.
fn number_and_unit(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    (digits(number), unit)
}

fn quantity<T>(
    text: &str,
    what: &str,
    units: &[(&str, T)],
    default_unit: &str,
) -> Result<(u64, T), Fault>
where
    T: Copy,
{
    let (number, unit) = number_and_unit(text);
    let known = units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let Some(number) = number else {
        return Err(Fault::new(
            "RF0005",
            format!("`{text}` is no {what}: a whole number and one of {known}"),
        ));
    };
    if unit.is_empty() {
        let fault = Fault::new("RF0005", format!("`{text}` has no unit"));
        return Err(fault.help(format!("`{number}{default_unit}`")));
    }
    if let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) {
        return Ok((number, *scale));
    }
    let fault = Fault::new("RF0005", format!("`{unit}` is no unit of a {what}: {known}"));
    let alike = units.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(unit));
    let near = alike.or_else(|| suggest::nearest(unit, units.iter().map(|(name, _)| *name)));
    Err(if let Some(near) = near { fault.help(format!("`{number}{near}`")) } else { fault })
}

/// A time span: `250ms`, `2s`, `5m`, `12h`, `14d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    let units = [("ms", 1_u64), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (number, scale) = quantity(text, "duration", &units, "s")?;
    number
        .checked_mul(scale)
        .map(Duration::from_millis)
        .ok_or_else(|| Fault::new("RF0014", format!("`{text}` is too long")))
}

/// A duration as the language writes it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (scale, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms != 0 && ms.is_multiple_of(scale) {
            return format!("{}{unit}", ms / scale);
        }
    }
    if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") }
}

/// A number of bytes: `512B`, `64KiB`, `1MiB`, `2GiB`.
pub(crate) fn byte_count(text: &str) -> Result<ByteCount, Fault> {
    let units = [("B", 1_u64), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, scale) = quantity(text, "size", &units, "KiB")?;
    number
        .checked_mul(scale)
        .map(ByteCount::bytes)
        .ok_or_else(|| Fault::new("RF0014", format!("`{text}` is too large")))
}

/// A share: `5%`.
pub(crate) fn percent(text: &str) -> Result<Percent, Fault> {
    let (number, ()) = quantity(text, "share", &[("%", ())], "%")?;
    u8::try_from(number)
        .ok()
        .and_then(Percent::new)
        .ok_or_else(|| Fault::new("RF0014", format!("`{text}` is outside 0% to 100%")))
}

fn rate(text: &str) -> Result<(), Fault> {
    let Some((number, per)) = text.split_once('/') else {
        let fault =
            Fault::new("RF0005", format!("`{text}` is no rate: a number per time, e.g. `60/min`"));
        return Err(if digits(text).is_some() {
            fault.help(format!("`{text}/min`"))
        } else {
            fault
        });
    };
    let units = ["s", "min", "h", "d"];
    let (span, unit) = number_and_unit(per);
    let span_is_good = span.is_some_and(|span| span > 0) || per == unit;
    if digits(number).is_none_or(|number| number == 0) || !span_is_good || !units.contains(&unit) {
        let fault =
            Fault::new("RF0005", format!("`{text}` is no rate: a number per s, min, h or d"));
        let mended = if unit == "m" {
            Some(format!("`{number}/{}min`", per.trim_end_matches('m')))
        } else {
            None
        };
        return Err(if let Some(help) = mended { fault.help(help) } else { fault });
    }
    Ok(())
}

/// A day as the number of days since 1970-01-01.
///
/// # Source
/// The days-from-civil algorithm (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn date(text: &str) -> Result<u64, Fault> {
    let fault = || bad(text, "a day: `2026-12-31`");
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(fault()) };
    let number = |part: &str, len: usize| {
        let good = part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
        if good { part.parse::<u64>().ok() } else { None }
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return Err(fault());
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return Err(fault()),
    };
    if year < 1970 || day == 0 || day > days_in_month {
        return Err(fault());
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Ok((era * 146_097 + day_of_era).saturating_sub(719_468))
}

fn host(text: &str) -> Result<(), Fault> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if text.parse::<std::net::Ipv4Addr>().is_ok()
        || inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    {
        return Ok(());
    }
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if text.len() <= 253 && !numeric && text.split('.').all(label) {
        return Ok(());
    }
    let mended = text.to_ascii_lowercase();
    let mended =
        mended.split_once(':').map_or(mended.as_str(), |(host, _)| host).trim_end_matches('.');
    let fault = bad(text, "a host: a DNS name in lower case or an IP address, without port");
    let can_mend = mended != text && !mended.is_empty() && mended.split('.').all(label);
    Err(if can_mend { fault.help(format!("`{mended}`")) } else { fault })
}

fn trust_domain(text: &str) -> Result<(), Fault> {
    match text.parse::<TrustDomain>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new("RF0012", format!("`{text}` is no trust domain: {error}"))),
    }
}

/// An IP address.
pub(crate) fn ip(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_not_ip| bad(text, "an IP address"))
}

/// An IP address with port.
pub(crate) fn socket(text: &str) -> Result<SocketAddr, Fault> {
    let parsed: Result<SocketAddr, _> = text.parse();
    match parsed {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err(Fault::new("RF0014", format!("`{text}` has no port of its own: 1 to 65535"))),
        Err(_) => {
            let fault = bad(text, "an IP address with port: `127.0.0.1:8443`");
            let port = text.strip_prefix(':').unwrap_or(text);
            let can_mend = port.parse::<u16>().is_ok_and(|port| port != 0);
            Err(if can_mend { fault.help(format!("`127.0.0.1:{port}`")) } else { fault })
        }
    }
}

/// A network; bits behind the prefix must be zero, so that it says what it means.
pub(crate) fn network(text: &str) -> Result<Cidr, Fault> {
    let fault = || bad(text, "a network: `10.0.0.0/24`");
    let Some((address, prefix)) = text.split_once('/') else {
        let full = if text.contains(':') { 128 } else { 32 };
        let fault = fault();
        return Err(if ip(text).is_ok() { fault.help(format!("`{text}/{full}`")) } else { fault });
    };
    let address = ip(address)?;
    let prefix = digits(prefix).and_then(|prefix| u8::try_from(prefix).ok()).ok_or_else(fault)?;
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    if prefix > width {
        return Err(Fault::new("RF0014", format!("`{text}` has a prefix above {width}")));
    }
    let host_bits = bits.checked_shl(u32::from(prefix)).unwrap_or(0);
    if host_bits != 0 {
        let kept = bits & !(u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0));
        let base = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept >> 96).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(kept.into()),
        };
        let fault = Fault::new("RF0012", format!("`{text}` names one host inside a network"));
        return Err(fault.help(format!("`{base}/{prefix}`")));
    }
    Ok(Cidr { address, prefix })
}

/// A path pattern.
pub(crate) fn pattern(text: &str) -> Result<PathPattern, Fault> {
    text.parse().map_err(|error| {
        let fault = Fault::new("RF0012", format!("`{text}` is no path pattern: {error}"));
        let slashed = format!("/{text}");
        let can_mend = !text.starts_with('/') && slashed.parse::<PathPattern>().is_ok();
        if can_mend { fault.help(format!("`{slashed}`")) } else { fault }
    })
}

fn prefix(text: &str) -> Result<(), Fault> {
    let pattern = pattern(text)?;
    let parameter =
        pattern.segments().iter().any(|segment| matches!(segment, Segment::Parameter(_)));
    if pattern.is_subtree() || parameter {
        return Err(bad(text, "a plain path: it has no `{x}` and no `*`"));
    }
    if text.len() > 1 && text.ends_with('/') {
        return Err(bad(text, "a plain path: it has no `/` at its end")
            .help(format!("`{}`", text.trim_end_matches('/'))));
    }
    Ok(())
}

fn method(text: &str) -> Result<(), Fault> {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"];
    if !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
    {
        let near = suggest::nearest(text, KNOWN);
        return match near {
            Some(near) if !KNOWN.contains(&text) => {
                Err(bad(text, "a method").help(format!("`{near}`")))
            }
            _ => Ok(()),
        };
    }
    let upper = text.to_ascii_uppercase();
    let fault = bad(text, "a method in upper case");
    let can_mend = KNOWN.contains(&upper.as_str());
    Err(if can_mend { fault.help(format!("`{upper}`")) } else { fault })
}

/// An operation; `None` is an operationId, which only a contract can resolve.
pub(crate) fn operation(text: &str) -> Result<Option<Operation>, Fault> {
    if let Some((verb, path)) = text.split_once(' ') {
        method(verb)?;
        let pattern = pattern(path)?;
        return Ok(Some(Operation::Http { method: verb.to_owned(), pattern }));
    }
    let word = |text: &str| {
        text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if text.starts_with('/') {
        let fault = bad(text, "an operation: the method is missing");
        return Err(fault.help(format!("`GET {text}`")));
    }
    if let Some((service, method)) = text.split_once('/') {
        if service.split('.').all(word) && word(method) {
            return Ok(Some(Operation::Grpc {
                service: service.to_owned(),
                method: method.to_owned(),
            }));
        }
        return Err(bad(text, "an operation: `GET /x/{id}` or `pkg.Service/Method`"));
    }
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        return Ok(None);
    }
    Err(bad(text, "an operation: `GET /x/{id}`, `pkg.Service/Method` or an operationId"))
}

fn operation_name(text: &str) -> Result<(), Fault> {
    operation(text).map(drop)
}

fn header(text: &str) -> Result<(), Fault> {
    let good = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'-' | b'_' | b'.' | b'!' | b'~')
    };
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(good) {
        return Ok(());
    }
    let fault = bad(text, "a header name in lower case");
    let lower = text.to_ascii_lowercase();
    Err(if lower.bytes().all(good) && !lower.is_empty() {
        fault.help(format!("`{lower}`"))
    } else {
        fault
    })
}

fn header_value(text: &str) -> Result<(), Fault> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if visible && !text.starts_with(' ') && !text.ends_with(' ') {
        return Ok(());
    }
    Err(bad(text, "a header value: visible ASCII, without blanks at its ends"))
}

fn origin(text: &str) -> Result<(), Fault> {
    url(text, &["https", "http"])?;
    let host = authority(text).unwrap_or_default();
    if text.split_once("://").is_some_and(|(_, rest)| rest == host) {
        return Ok(());
    }
    let scheme = text.split("://").next().unwrap_or_default();
    let fault = bad(text, "a web origin: it has no path, and browsers send none");
    Err(fault.help(format!("`{scheme}://{host}`")))
}

fn variable(text: &str) -> Result<(), Fault> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if text.bytes().all(good) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Ok(());
    }
    Err(bad(text, "the name of an environment variable: letters, digits and `_`"))
}

/// Host and port part of a URL.
pub(crate) fn authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.is_empty() || authority.contains('@') { None } else { Some(authority) }
}

fn url(text: &str, schemes: &[&str]) -> Result<(), Fault> {
    let known = schemes.iter().map(|s| format!("`{s}://`")).collect::<Vec<_>>().join(" or ");
    let clean = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`'));
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if !clean || !scheme.is_some_and(|scheme| schemes.contains(&scheme)) {
        return Err(bad(text, &format!("a URL that begins with {known}")));
    }
    let Some(authority) = authority(text) else {
        return Err(bad(text, "a URL with a host and without user name"));
    };
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        Some(_) | None => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(bad(text, "a URL with a valid port"));
    }
    host(name)
}

fn target(text: &str) -> Result<(), Fault> {
    if text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    {
        return Ok(());
    }
    url(text, &["https", "http"])
        .map_err(|_neither| bad(text, "an absolute URL or an absolute path"))
}

fn file(text: &str) -> Result<(), Fault> {
    let inside = !text.starts_with('/')
        && !text.contains('\\')
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if inside {
        return Ok(());
    }
    Err(Fault::new("RF0015", format!("`{text}` leaves the fleet folder"))
        .help("a path inside the folder, without `.` and `..`"))
}

fn host_path(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') && text.split('/').all(|part| part != "..") {
        return Ok(());
    }
    Err(bad(text, "an absolute path without `..`"))
}

/// A SHA-256 digest in hex.
pub(crate) fn sha256(text: &str) -> Result<Digest, Fault> {
    text.parse().map_err(|_not_hex| bad(text, "a SHA-256: 64 hex digits"))
}

#[cfg(test)]
mod tests;
