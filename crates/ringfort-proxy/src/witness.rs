//! Ring `witness`: what happened, in numbers, lines and decisions.
//!
//! Data threads only add to counters and hand over finished values; one thread of its own writes lines, so that a
//! full pipe or disk never holds up a request. What does not fit is counted, not waited for.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

pub(crate) mod access_log;
pub(crate) mod decisions;
pub(crate) mod metrics;

use access_log::AccessLine;
use decisions::{Decision, DecisionFile, Decisions};
use metrics::Metrics;

/// Most lines waiting for the log thread.
const LINES_MAX: usize = 4096;

/// Where access-log lines go.
pub type LogSink = Box<dyn Write + Send>;

/// What data threads hand over.
#[derive(Debug)]
pub(crate) enum Event {
    Access(Box<AccessLine>),
    Decision(Arc<Decision>),
}

/// The shared half of the witness: cheap to clone, one per data thread.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) decisions: Arc<Decisions>,
    lines: SyncSender<Event>,
}

/// The thread that writes lines; it ends when the last [`Witness`] is gone.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<()>);

impl Witness {
    /// Starts the writer. `decisions_file` is where refusals are appended; `None` keeps them in memory alone.
    ///
    /// # Errors
    /// The operating system refuses the thread.
    pub(crate) fn start(
        sink: LogSink,
        decisions_file: Option<PathBuf>,
    ) -> std::io::Result<(Self, Writer)> {
        let (lines, events) = sync_channel(LINES_MAX);
        let thread = std::thread::Builder::new()
            .name("witness".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || write_lines(&events, sink, decisions_file.map(DecisionFile::new)))?;
        let witness =
            Self { metrics: Arc::default(), decisions: Arc::new(Decisions::new()), lines };
        Ok((witness, Writer(thread)))
    }

    /// Hands over one access-log line.
    pub(crate) fn log(&self, line: AccessLine) {
        self.hand_over(Event::Access(Box::new(line)));
    }

    /// Keeps one decision for questions about it, and has it written.
    pub(crate) fn keep(&self, decision: Decision) {
        let decision = Arc::new(decision);
        self.decisions.insert(Arc::clone(&decision));
        if !decision.permits {
            self.hand_over(Event::Decision(decision));
        }
    }

    fn hand_over(&self, event: Event) {
        if self.lines.try_send(event).is_err() {
            self.metrics.plain.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until every line is written; the caller has dropped its [`Witness`].
    pub(crate) fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!("the log writer ended with a panic");
        }
    }
}

/// Writes until every sender is gone. A sink that fails loses its line; the next one is tried again.
fn write_lines(events: &Receiver<Event>, mut sink: LogSink, mut file: Option<DecisionFile>) {
    while let Ok(first) = events.recv() {
        let mut wrote_access = false;
        for event in std::iter::once(first).chain(events.try_iter()) {
            let written = match event {
                Event::Access(line) => {
                    wrote_access = true;
                    line.write_to(&mut sink)
                }
                Event::Decision(decision) => {
                    file.as_mut().map_or(Ok(()), |file| file.append(&decision))
                }
            };
            if let Err(error) = written {
                tracing::warn!(%error, "a log line could not be written");
            }
        }
        if wrote_access && let Err(error) = sink.flush() {
            tracing::warn!(%error, "the access log could not be flushed");
        }
    }
}
