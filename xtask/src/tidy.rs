//! The rules of this repository that neither rustc nor clippy can express.
//!
//! Each rule is a pure function over the files git tracks; its documentation is the comment above
//! it, which `cargo xtask tidy --explain T7` prints. Errors fail the run; warnings (T12, T14) are
//! printed, largest first, and never fail; notes are figures worth a look. Not here: anything a
//! lint can say (see `[workspace.lints]` in the root manifest and `clippy.toml`).

use std::path::Path;
use std::process::Command;

mod docs;
mod edges;
mod features;
mod lex;
mod manifest;
mod names;
mod purity;
mod sizes;
mod source;
mod testing;
mod text;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Fails the run.
    Error,
    /// Printed, never fails.
    Warning,
    /// A figure, not a fault.
    Note,
}

/// One thing a rule has to say about one place.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    level: Level,
    path: String,
    /// Counted from 1; 0 where the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { level: Level::Error, path: path.to_owned(), line, message: message.into() }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(path, line, message) }
    }

    fn note(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::error(path, line, message) }
    }

    fn render(&self, rule: &str) -> String {
        let Self { path, line, message, .. } = self;
        if *line == 0 {
            format!("{path}: {rule}: {message}")
        } else {
            format!("{path}:{line}: {rule}: {message}")
        }
    }
}

/// One tracked file, with the blanked views of [`lex`] if it is Rust.
pub(crate) struct File {
    path: String,
    /// Empty if the file is not UTF-8.
    text: String,
    code: String,
    comments: String,
    size: usize,
    is_utf8: bool,
    is_executable: bool,
}

impl File {
    fn new(path: &str, bytes: Vec<u8>, is_executable: bool) -> Self {
        let size = bytes.len();
        let (text, is_utf8) =
            String::from_utf8(bytes).map_or((String::new(), false), |text| (text, true));
        let views = if path.ends_with(".rs") { lex::views(&text) } else { lex::views("") };
        let (code, comments) = (views.code, views.comments);
        Self { path: path.to_owned(), text, code, comments, size, is_utf8, is_executable }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests live in `tests.rs` or below a folder `tests` (T11), measurements below `benches`.
    fn is_test(&self) -> bool {
        let in_folder = ["/tests/", "/benches/"].iter().any(|f| self.path.contains(f));
        in_folder || self.path.ends_with("/tests.rs")
    }

    /// Written by a tool, which says so in the first lines.
    fn is_generated(&self) -> bool {
        self.text.lines().take(3).any(|line| line.contains("@generated"))
    }

    /// The folder name of the workspace member the file belongs to.
    fn member(&self) -> Option<&str> {
        match self.path.split_once('/')? {
            ("crates", rest) => rest.split_once('/').map(|(name, _)| name),
            ("xtask", _) => Some("xtask"),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// An error at each word `needle` of the code.
    fn ban<'a>(
        &'a self,
        needle: &'a str,
        message: impl Fn() -> String + 'a,
    ) -> impl Iterator<Item = Finding> + 'a {
        lex::words(&self.code, needle).map(move |at| self.error_at(at, message()))
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> Finding {
        Finding::error(&self.path, lex::line_of(&self.text, at), message)
    }
}

/// Everything the rules may look at.
pub(crate) struct Tree {
    files: Vec<File>,
    /// `Cargo.lock` of the last commit, to tell how far this change moves it.
    lock_before: Option<String>,
}

impl Tree {
    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|f| f.path == path)
    }

    fn text(&self, path: &str) -> &str {
        self.file(path).map_or("", |f| &f.text)
    }

    fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|f| f.is_rust())
    }

    /// Reads what git tracks below `root`.
    ///
    /// # Errors
    /// A sentence, if git does not answer or a tracked file cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let git = |args: &[&str]| Command::new("git").arg("-C").arg(root).args(args).output();
        let listed = git(&["ls-files", "--stage", "-z"])
            .map_err(|e| format!("cannot run `git ls-files`: {e}"))?;
        if !listed.status.success() {
            let why = String::from_utf8(listed.stderr).unwrap_or_default();
            return Err(format!("`git ls-files` failed in {}: {}", root.display(), why.trim()));
        }
        let listed = String::from_utf8(listed.stdout)
            .map_err(|e| format!("a tracked path is not UTF-8: {e}"))?;
        let mut files = Vec::new();
        for entry in listed.split('\0') {
            let Some((stage, path)) = entry.split_once('\t') else { continue };
            // A path with a merge conflict is listed once per side, a symbolic link has no text.
            if files.last().is_some_and(|f: &File| f.path == path) || stage.starts_with("12") {
                continue;
            }
            match std::fs::read(root.join(path)) {
                Ok(bytes) => files.push(File::new(path, bytes, stage.starts_with("100755"))),
                // Deleted, and the deletion is not staged yet.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(format!("cannot read `{path}`: {e}")),
            }
        }
        let lock_before = git(&["show", "HEAD:Cargo.lock"])
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok());
        Ok(Self { files, lock_before })
    }
}

/// One rule: its number, the function that is the rule, and the source its documentation is in.
struct Rule {
    id: &'static str,
    function: &'static str,
    source: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

macro_rules! rules {
    ($($id:literal $module:ident $function:ident;)*) => {
        &[$(Rule {
            id: $id,
            function: stringify!($function),
            source: include_str!(concat!("tidy/", stringify!($module), ".rs")),
            check: $module::$function,
        }),*]
    };
}

const RULES: &[Rule] = rules! {
    "T1" edges imports_point_inwards;
    "T2" manifest one_form_of_manifest;
    "T3" purity pure_crates_stay_pure;
    "T4" purity one_crate_names_crypto;
    "T5" edges things_with_one_home;
    "T6" source environment_and_documents;
    "T7" names names_that_refuse_something;
    "T8" features manifests_inherit;
    "T9" source escapes_are_few;
    "T10" docs documentation_is_present;
    "T11" testing tests_in_their_place;
    "T12" sizes sizes;
    "T13" names no_dead_files;
    "T14" sizes dependency_budget;
    "T15" docs versions_agree;
    "T16" text plain_text;
    "T17" source decisions_have_no_default;
};

impl Rule {
    /// The comment above the rule's function, without its marks.
    fn documentation(&self) -> String {
        let lines: Vec<&str> = self.source.lines().collect();
        let head = format!("pub(super) fn {}(", self.function);
        let at = lines.iter().position(|line| line.starts_with(&head)).unwrap_or(0);
        let above = lines.get(..at).unwrap_or_default();
        let from = above.iter().rposition(|line| !line.starts_with("///")).map_or(0, |i| i + 1);
        let comment = above.get(from..).unwrap_or_default().iter();
        comment.map(|line| line.trim_start_matches("///").trim_start_matches(' ')).fold(
            String::new(),
            |mut out, line| {
                out.push_str(line);
                out.push('\n');
                out
            },
        )
    }
}

/// What `--explain` prints: one rule in full, or all by their first line if `id` is `None`.
///
/// # Errors
/// A sentence naming the known rules, if there is no rule `id`.
pub(crate) fn explain(id: Option<&str>) -> Result<String, String> {
    let first = |rule: &Rule| rule.documentation().lines().next().unwrap_or_default().to_owned();
    let Some(id) = id else {
        return Ok(RULES.iter().map(|r| format!("{:4} {}\n", r.id, first(r))).collect());
    };
    let rule = RULES.iter().find(|r| r.id.eq_ignore_ascii_case(id));
    rule.map(|r| format!("{}: {}", r.id, r.documentation())).ok_or_else(|| {
        let last = RULES.last().map_or("", |r| r.id);
        format!("there is no rule `{id}`; the rules are T1 to {last}")
    })
}

/// What all rules say about a tree, rendered, in the order errors, warnings, notes.
pub(crate) struct Report {
    lines: Vec<(Level, String)>,
}

impl Report {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut lines = Vec::new();
        for rule in RULES {
            lines.extend((rule.check)(tree).iter().map(|f| (f.level, f.render(rule.id))));
        }
        lines.sort_by_key(|(level, _)| *level); // stable: a rule's own order stays
        Self { lines }
    }

    pub(crate) fn count(&self, level: Level) -> usize {
        self.lines.iter().filter(|(l, _)| *l == level).count()
    }

    /// Every line of one level.
    pub(crate) fn of_level(&self, level: Level) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(move |(l, _)| *l == level).map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests;
