//! What children print, as lines with their names.
//!
//! # Invariants
//! A child is never held up by whoever reads its lines: a full queue drops lines and later says how many.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    sync::mpsc,
};

use super::ChildKey;

/// Longest line; a longer one is cut into several.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// One line of a child, or about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Whose line it is.
    pub child: ChildKey,
    /// Where it came from.
    pub source: OutputSource,
    /// The line without its end; bytes that are no UTF-8 are written as `\xNN`.
    pub text: String,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputSource {
    /// The child's standard output.
    Stdout,
    /// The child's standard error.
    Stderr,
    /// The supervisor, about the child.
    Supervisor,
}

/// Where lines go; clones share the queue and the count of what was dropped.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug)]
struct Queue {
    /// `None` once the last child has ended, so that the reader comes to an end.
    lines: Option<mpsc::Sender<OutputLine>>,
    dropped: u64,
}

impl Sink {
    pub(super) fn new(lines: mpsc::Sender<OutputLine>) -> Self {
        Self { queue: Arc::new(Mutex::new(Queue { lines: Some(lines), dropped: 0 })) }
    }

    /// Puts a line into the queue, or counts it as dropped.
    pub(super) fn put(&self, child: &ChildKey, source: OutputSource, text: String) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Queue { lines: Some(lines), dropped } = &mut *queue else { return };
        if *dropped > 0 {
            let text =
                format!("{dropped} lines were dropped: they came faster than they were read");
            let source = OutputSource::Supervisor;
            let notice = OutputLine { child: child.clone(), source, text };
            if lines.try_send(notice).is_ok() {
                *dropped = 0;
            }
        }
        if lines.try_send(OutputLine { child: child.clone(), source, text }).is_err() {
            *dropped = dropped.saturating_add(1);
        }
    }

    /// Ends the queue: the reader gets what is in it, and then the end.
    pub(super) fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).lines = None;
    }

    /// Reads lines of a child until its end of the pipe is closed.
    pub(super) async fn drain(
        self,
        child: ChildKey,
        source: OutputSource,
        pipe: impl AsyncRead + Unpin,
    ) {
        let mut pipe = BufReader::with_capacity(LINE_BYTES_MAX, pipe);
        let mut line = Vec::new();
        // A read error ends the lines like a closed pipe: there is nothing else to do with either.
        while let Ok(piece) = pipe.fill_buf().await {
            if piece.is_empty() {
                break;
            }
            let room = LINE_BYTES_MAX.saturating_sub(line.len());
            let found = piece.iter().take(room).position(|byte| *byte == b'\n');
            let taken = found.unwrap_or_else(|| piece.len().min(room));
            line.extend_from_slice(piece.get(..taken).unwrap_or_default());
            pipe.consume(taken.saturating_add(usize::from(found.is_some())));
            if found.is_some() || line.len() >= LINE_BYTES_MAX {
                self.put(&child, source, text_of(&line));
                line.clear();
            }
        }
        if !line.is_empty() {
            self.put(&child, source, text_of(&line));
        }
    }
}

/// The bytes as text, without a carriage return at the end.
fn text_of(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.utf8_chunks().fold(String::with_capacity(line.len()), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().escape_ascii().map(char::from));
        text
    })
}

#[cfg(test)]
mod tests;
