//! What is wrong with a fleet: one value per fault, with its code, its place and the edit that cures it.

use crate::source::{Sources, Span, Spot};

/// How much a problem weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The fleet is refused.
    Error,
    /// The fleet is accepted; `check --strict` refuses it.
    Warning,
}

impl Severity {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One fault of a fleet folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `RFrrnn`; [`crate::code()`] explains it.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One lower-case sentence, input in backticks.
    pub message: String,
    /// Where the fault is; `None` when no file holds it.
    pub spot: Option<Spot>,
    /// A second place that belongs to it, with what it is: `first here`.
    pub second: Option<(Spot, String)>,
    /// The exact edit that cures it.
    pub help: Option<String>,
}

impl Problem {
    /// An error without a place; the other parts are added by the `with` methods.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            spot: None,
            second: None,
            help: None,
        }
    }
}

/// Most problems reported at once; what follows them is rarely independent.
const PROBLEMS_MAX: usize = 500;

/// Collects problems while a fleet is read.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    sources: &'a Sources,
    list: Vec<Problem>,
    left_out: usize,
}

/// A problem under construction; it is recorded when dropped from the chain by [`Draft::done`].
#[must_use]
#[derive(Debug)]
pub(crate) struct Draft<'p, 'a> {
    problems: &'p mut Problems<'a>,
    problem: Problem,
}

impl<'a> Problems<'a> {
    pub(crate) const fn new(sources: &'a Sources) -> Self {
        Self { sources, list: Vec::new(), left_out: 0 }
    }

    /// Starts an error at `span`.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Draft<'_, 'a> {
        let mut problem = Problem::new(code, message);
        problem.spot = Some(self.sources.spot(span));
        Draft { problems: self, problem }
    }

    /// Records a finished problem.
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    pub(crate) const fn sources(&self) -> &'a Sources {
        self.sources
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.left_out > 0 || self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// How many problems there were so far.
    pub(crate) const fn count(&self) -> usize {
        self.list.len().saturating_add(self.left_out)
    }

    /// Whether a file has an error.
    pub(crate) fn has_error_in(&self, file: u16) -> bool {
        let path = self.sources.path(file);
        self.list
            .iter()
            .any(|problem| problem.spot.as_ref().is_some_and(|spot| *spot.file == *path))
    }

    /// All problems in the order of files and lines; equal ones once.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.list.sort_by(|a, b| {
            let key = |p: &Problem| (p.spot.clone(), p.code, p.message.clone());
            key(a).cmp(&key(b))
        });
        self.list.dedup();
        if self.left_out > 0 {
            let message = format!("{} more problems are not shown", self.left_out);
            let mut problem = Problem::new("RF0008", message);
            problem.help = Some("repair the ones above first".to_owned());
            self.list.push(problem);
        }
        self.list
    }
}

impl Draft<'_, '_> {
    /// Adds the edit that cures it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.problem.help = Some(help.into());
        self
    }

    /// Adds the edit that cures it, when there is one.
    pub(crate) fn help_if(mut self, help: Option<String>) -> Self {
        self.problem.help = help;
        self
    }

    /// Adds a second place.
    pub(crate) fn second(mut self, span: Span, label: impl Into<String>) -> Self {
        self.problem.second = Some((self.problems.sources.spot(span), label.into()));
        self
    }

    /// Makes it a warning: nothing is weakened by accepting it.
    pub(crate) const fn warning(mut self) -> Self {
        self.problem.severity = Severity::Warning;
        self
    }

    /// Records it.
    pub(crate) fn done(self) {
        self.problems.push(self.problem);
    }
}
