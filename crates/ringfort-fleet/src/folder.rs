//! From the files of a folder to a checked fleet: which files are read, in what order faults are found.
//!
//! Fleet documents are the `*.yaml` files directly in the folder; a file below is read only when a field names it.
//! Anything that looks like part of the fleet and would not be read is an error.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::snapshot::PolicySource;

use crate::{
    check, decode,
    fleet::{Fleet, WrittenPolicy},
    language::{ROOT, Space},
    problem::{Problem, Problems},
    source::{FleetFile, Sources, Span},
    structure::{Names, Structure},
    yaml::{self, Entry, Node, Value},
};

/// Most files of a folder.
pub const FILES_MAX: usize = 1000;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Largest sum of all fleet documents and policies, in bytes: read within a second, held in 100 MB.
const FOLDER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a folder was found to be.
#[derive(Debug)]
pub struct Loaded {
    /// The fleet; `None` as soon as one problem is an error.
    pub fleet: Option<Fleet>,
    /// All problems, in the order of files and lines.
    pub problems: Vec<Problem>,
}

/// Reads and checks a whole folder. Files that no fleet document names and that are neither `*.yaml`, `*.yml` nor
/// `*.cedar` are ignored.
#[must_use]
pub fn load(files: &[FleetFile]) -> Loaded {
    let mut sources = Sources::default();
    let folder = match Folder::new(files, &mut sources) {
        Ok(folder) => folder,
        Err(problems) => return Loaded { fleet: None, problems },
    };
    let (parts, problems) = read(&folder, &sources);
    if let Some(parts) = parts {
        return Loaded { fleet: Some(parts.fleet(sources)), problems };
    }
    Loaded { fleet: None, problems }
}

/// Everything of a [`Fleet`] but its sources, which are borrowed while it is read.
struct Parts {
    document: crate::document::Document,
    policies: check::Policies,
    chains: BTreeMap<String, String>,
    demands: Vec<Problem>,
    files: BTreeSet<String>,
    deadlines: Vec<check::Deadline>,
}

impl Parts {
    fn fleet(self, sources: Sources) -> Fleet {
        Fleet {
            document: self.document,
            sources,
            policies: self.policies.written,
            names: self.policies.names,
            chains: self.chains,
            demands: self.demands,
            files: self.files,
            deadlines: self.deadlines,
        }
    }
}

/// The files that can be read at all.
pub(crate) struct Folder<'f> {
    /// Fleet documents, with their index in the sources.
    documents: Vec<u16>,
    /// Policy files, by path.
    pub(crate) policies: BTreeMap<&'f str, u16>,
    /// Every file by path.
    pub(crate) files: BTreeMap<&'f str, &'f [u8]>,
}

impl<'f> Folder<'f> {
    fn new(files: &'f [FleetFile], sources: &mut Sources) -> Result<Self, Vec<Problem>> {
        if files.len() > FILES_MAX {
            let message =
                format!("the folder has {} files; a fleet has at most {FILES_MAX}", files.len());
            return Err(vec![Problem::new("RF0008", message)]);
        }
        let mut folder =
            Self { documents: Vec::new(), policies: BTreeMap::new(), files: BTreeMap::new() };
        let mut problems = Vec::new();
        let mut total = 0_usize;
        for file in files {
            if let Some(problem) = folder.add(file, &mut total, sources) {
                problems.push(problem);
            }
        }
        if folder.documents.is_empty() && problems.is_empty() {
            let mut problem = Problem::new("RF0016", "the folder has no fleet document");
            problem.help =
                Some("a file such as `fleet.yaml` that begins with `ringfort: v1`".to_owned());
            problems.push(problem);
        }
        if problems.is_empty() { Ok(folder) } else { Err(problems) }
    }

    fn add(
        &mut self,
        file: &'f FleetFile,
        total: &mut usize,
        sources: &mut Sources,
    ) -> Option<Problem> {
        let path = file.path.as_str();
        let refuse = |code, message: String| Some(Problem::new(code, message));
        let bad = |part: &str| matches!(part, "" | "." | "..");
        if path.split('/').any(bad) || path.chars().any(char::is_control) {
            return refuse(
                "RF0015",
                format!("`{}` is no path inside the folder", path.escape_debug()),
            );
        }
        if self.files.insert(path, &file.bytes).is_some() {
            return refuse("RF0003", format!("the file `{path}` was given twice"));
        }
        if path.ends_with(".yml") {
            let message = format!("`{path}` would not be read: fleet documents end in `.yaml`");
            return refuse("RF0018", message);
        }
        let is_document = path.ends_with(".yaml") && !path.contains('/');
        let is_policy = path.ends_with(".cedar");
        if !is_document && !is_policy {
            return None;
        }
        *total = total.saturating_add(file.bytes.len());
        if file.bytes.len() > FILE_BYTES_MAX || *total > FOLDER_BYTES_MAX {
            let message = format!(
                "`{path}` is too large: a file has at most {} MiB, all documents and policies together {} MiB",
                FILE_BYTES_MAX >> 20,
                FOLDER_BYTES_MAX >> 20
            );
            return refuse("RF0008", message);
        }
        let text = match std::str::from_utf8(&file.bytes) {
            Ok(text) if text.starts_with('\u{feff}') => {
                return refuse(
                    "RF0008",
                    format!("`{path}` begins with a byte-order mark; remove it"),
                );
            }
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{path}` is not UTF-8 at byte {}", error.valid_up_to());
                return refuse("RF0008", message);
            }
        };
        let index = sources.add(path, text);
        if is_document {
            self.documents.push(index);
        } else {
            self.policies.insert(path, index);
        }
        None
    }
}

fn read(folder: &Folder<'_>, sources: &Sources) -> (Option<Parts>, Vec<Problem>) {
    let mut problems = Problems::new(sources);
    let mut nodes = 0;
    let mut roots = Vec::new();
    for file in &folder.documents {
        let text = sources.text(*file);
        match yaml::parse(*file, &text, &mut nodes, &mut problems) {
            Some(root) if matches!(root.value, Value::Map(_)) => roots.push(root),
            Some(_) => {}
            None if problems.has_errors() => {}
            None => {}
        }
        if text.trim().is_empty() || roots.last().is_none_or(|root| root.span.file != *file) {
            no_document(*file, &text, &mut problems);
        }
    }
    if problems.has_errors() {
        return (None, problems.finish());
    }
    let names = names(&roots);
    let paths: BTreeSet<&str> = folder.files.keys().copied().collect();
    let mut structure = Structure::new(&names, &paths, &mut problems);
    for root in &roots {
        structure.object(&ROOT, root, "");
    }
    let (used, demands, broken) = structure.finish();
    let Some(root) = merge(roots, &mut problems) else { return (None, problems.finish()) };
    let Some(document) = decode::document(&root, &broken, &mut problems) else {
        return (None, problems.finish());
    };
    let mut checker =
        check::Checker::new(&root, &document, folder, &mut problems, broken.is_empty());
    let found = checker.run();
    stray_files(folder, &used, sources, &mut problems);
    if problems.has_errors() {
        return (None, problems.finish());
    }
    let mut files = used;
    files.extend(folder.documents.iter().map(|file| sources.path(*file)));
    let check::Found { policies, chains, deadlines } = found;
    let mut demands = demands;
    demands.extend(policies.written.iter().filter_map(supply_demand));
    let parts = Parts { document, policies, chains, demands, files, deadlines };
    (Some(parts), problems.finish())
}

/// The demand of a policy that reads what only ring `supply` will know. Without that ring the facts never change: a
/// forbid on them would never fire, a permit always.
fn supply_demand(policy: &WrittenPolicy) -> Option<Problem> {
    let reads = [".source", "has source", "[\"source\"]"];
    let PolicySource { id, text, place, .. } = &policy.source;
    reads.iter().any(|word| text.contains(word)).then(|| {
        let mut problem = Problem::new(
            "RF1004",
            format!("policy `{id}` ({place}) reads `context.source`, which needs ring `supply`, which this build does not have"),
        );
        problem.help = Some("remove it: nothing would enforce it".to_owned());
        problem
    })
}

/// Reports a document that holds no map, unless its syntax was reported already.
fn no_document(file: u16, text: &str, problems: &mut Problems<'_>) {
    if problems.has_error_in(file) {
        return;
    }
    let span = Span { file, start: 0, end: 0 };
    let what =
        if text.trim().is_empty() { "the file is empty" } else { "the file is no map of sections" };
    problems.error("RF0016", span, what).help("begin it with `ringfort: v1`").done();
}

/// Every name by space, over all files.
fn names(roots: &[Node]) -> Names {
    let mut names = Names::new();
    for root in roots {
        let identity = root.entry("identity").map(|entry| &entry.value);
        let sections = [
            (Space::Service, root.entry("services")),
            (Space::Gateway, root.entry("gateways")),
            (Space::Client, identity.and_then(|node| node.entry("clients"))),
            (Space::Group, identity.and_then(|node| node.entry("groups"))),
        ];
        for (space, section) in sections {
            let entries = section.map_or(&[][..], |section| section.value.entries());
            names.entry(space).or_default().extend(entries.iter().map(|entry| entry.key.clone()));
        }
    }
    names
}

/// Sections whose entries may stand in several files.
const MERGED: [&str; 3] = ["services", "gateways", "routes"];

/// Makes one root of all files; a name or section defined in two of them is an error.
fn merge(roots: Vec<Node>, problems: &mut Problems<'_>) -> Option<Node> {
    let mut span = None;
    let mut merged: Vec<Entry> = Vec::new();
    for root in roots {
        span = span.or(Some(root.span));
        let Value::Map(entries) = root.value else { continue };
        for entry in entries {
            let known = merged.iter_mut().find(|known| known.key == entry.key);
            match known {
                None => merged.push(entry),
                Some(_) if entry.key == "ringfort" => {}
                Some(known) if MERGED.contains(&known.key.as_str()) => {
                    add_entries(known, entry, problems);
                }
                Some(known) if known.key_span.file == entry.key_span.file => {}
                Some(known) => {
                    let message = format!("the section `{}` stands in two files", entry.key);
                    let problem = problems.error("RF0003", entry.key_span, message);
                    problem.second(known.key_span, "first here").help("join the two").done();
                }
            }
        }
    }
    let root = Node { span: span?, value: Value::Map(merged) };
    shared_names(&root, problems);
    Some(root)
}

fn add_entries(known: &mut Entry, more: Entry, problems: &mut Problems<'_>) {
    let (Value::Map(known), Value::Map(more)) = (&mut known.value.value, more.value.value) else {
        return;
    };
    let first: BTreeMap<String, Span> =
        known.iter().map(|entry| (entry.key.clone(), entry.key_span)).collect();
    for entry in more {
        match first.get(&entry.key) {
            Some(first) if first.file != entry.key_span.file => twice(&entry, *first, problems),
            Some(_) | None => known.push(entry),
        }
    }
}

fn twice(entry: &Entry, first: Span, problems: &mut Problems<'_>) {
    let message = format!("the name `{}` is used twice", entry.key);
    let problem = problems.error("RF0003", entry.key_span, message);
    problem.second(first, "first here").help("rename one of the two").done();
}

/// Services, gateways and clients share one name space: a name has one owner.
fn shared_names(root: &Node, problems: &mut Problems<'_>) {
    let identity = root.entry("identity").map(|entry| &entry.value);
    let sections = [
        root.entry("services"),
        root.entry("gateways"),
        identity.and_then(|identity| identity.entry("clients")),
    ];
    let mut seen: BTreeMap<&str, (usize, Span)> = BTreeMap::new();
    for (section, entry) in sections.into_iter().enumerate() {
        for entry in entry.map_or(&[][..], |entry| entry.value.entries()) {
            match seen.get(entry.key.as_str()) {
                Some((other, first)) if *other != section => twice(entry, *first, problems),
                Some(_) => {}
                None => {
                    seen.insert(&entry.key, (section, entry.key_span));
                }
            }
        }
    }
}

/// Reports files that look like part of the fleet and are not read.
fn stray_files(
    folder: &Folder<'_>,
    used: &BTreeSet<String>,
    sources: &Sources,
    problems: &mut Problems<'_>,
) {
    let documents: BTreeSet<String> =
        folder.documents.iter().map(|file| sources.path(*file)).collect();
    for path in folder.files.keys() {
        if used.contains(*path) || documents.contains(*path) {
            continue;
        }
        let (message, help) = if path.ends_with(".cedar") {
            (
                format!("the policies of `{path}` are not in force"),
                format!("list it: `policies: [{path}]`"),
            )
        } else if path.ends_with(".yaml") {
            let message =
                format!("`{path}` is not read: fleet documents stand directly in the folder");
            (message, "move it up, or remove it".to_owned())
        } else {
            continue;
        };
        let mut problem = Problem::new("RF0018", message);
        problem.help = Some(help);
        problems.push(problem);
    }
}

#[cfg(test)]
mod tests;
