//! The ledger: an append-only list of lines over a TCP protocol of one line per request.
//!
//! `APPEND text` answers `OK place`, `READ place` answers `OK text`, `COUNT` answers `OK count`; anything else
//! answers `ERR reason`.

use std::{sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{ENTRIES_MAX, lock};
use crate::call::LINE_BYTES_MAX;

/// Longest wait for the next line.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The lines written.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    lines: Mutex<Vec<String>>,
}

impl Ledger {
    /// Answers lines until the client is done.
    pub(crate) async fn converse(&self, stream: TcpStream, shutdown: CancellationToken) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let line = tokio::select! {
                // Losing it loses a line of a client that is being cut off anyway.
                line = next_line(&mut reader) => line,
                // Cancel-safe: a token stays cancelled.
                () = shutdown.cancelled() => None,
            };
            let Some(line) = line else { return };
            let answer = format!("{}\n", self.answer(&line));
            if writer.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn answer(&self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut lines = lock(&self.lines);
        match verb {
            "APPEND" if rest.is_empty() => "ERR nothing to append".to_owned(),
            "APPEND" if lines.len() >= ENTRIES_MAX => "ERR the ledger is full".to_owned(),
            "APPEND" => {
                lines.push(rest.to_owned());
                format!("OK {}", lines.len())
            }
            "READ" => {
                let place = rest.parse().ok().and_then(|place: usize| place.checked_sub(1));
                match place.and_then(|place| lines.get(place)) {
                    Some(text) => format!("OK {text}"),
                    None => "ERR no such line".to_owned(),
                }
            }
            "COUNT" => format!("OK {}", lines.len()),
            _ => "ERR say APPEND, READ or COUNT".to_owned(),
        }
    }
}

/// The next whole line of text within the limits; `None` ends the conversation.
async fn next_line(reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<String> {
    let mut line = String::new();
    let mut limited = reader.take(LINE_BYTES_MAX);
    tokio::time::timeout(IDLE_MAX, limited.read_line(&mut line)).await.ok()?.ok()?;
    line.strip_suffix('\n').map(|line| line.trim_end_matches('\r').to_owned())
}

#[cfg(test)]
mod tests;
