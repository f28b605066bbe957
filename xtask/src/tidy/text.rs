//! T16: bytes that read the same on every machine.

use super::{File, Finding, Tree};

const SIZE_MAX: usize = 256 * 1024;

/// Files that may be larger than [`SIZE_MAX`], each with its reason.
const LARGE: &[(&str, &str)] = &[];

/// Kinds of file that are not text.
const BINARY: &[&str] =
    &[".png", ".ico", ".jpg", ".woff2", ".zip", ".gz", ".der", ".p12", ".bin", ".wasm"];

/// First folders of paths that exist on one machine only.
const MACHINE: &[&str] = &["home", "root", "Users", "tmp", "var/tmp"];

/// Text.
///
/// UTF-8, LF, one newline at the end, no trailing blanks, no tabs outside Makefiles and Go, no
/// conflict marks, no absolute home or temporary paths outside tests, no file over 256 KiB unless the
/// constant LARGE gives a reason, and the executable bit only on files that start with `#!`. Binary
/// kinds and fuzz corpora are exempt from what concerns text.
pub(super) fn plain_text(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.files {
        let path = file.path.as_str();
        if file.size > SIZE_MAX && !LARGE.iter().any(|(large, _)| *large == path) {
            let message = format!("{} KiB; list it in LARGE with a reason", file.size / 1024);
            found.push(Finding::error(path, 0, message));
        }
        if file.is_executable && !file.text.starts_with("#!") {
            found.push(Finding::error(path, 0, "executable, but it does not start with `#!`"));
        }
        let is_binary = BINARY.iter().any(|kind| path.ends_with(kind));
        if is_binary || path.starts_with("fuzz/corpus/") {
            continue;
        }
        if !file.is_utf8 {
            found.push(Finding::error(path, 0, "not UTF-8"));
        } else if !file.text.is_empty() {
            found.extend(lines(file));
        }
    }
    found
}

fn lines(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    let end = file.text.lines().count();
    if !file.text.ends_with('\n') || file.text.ends_with("\n\n") || file.text == "\n" {
        found.push(Finding::error(&file.path, end, "ends with one newline"));
    }
    let tabs_are_fine = file.name() == "Makefile" || file.path.ends_with(".go");
    for (line, text) in (1..).zip(file.text.split('\n')) {
        let faults = [
            (text.contains('\r'), "a carriage return: lines end with LF"),
            (text.ends_with([' ', '\t']), "trailing blanks"),
            (text.contains('\t') && !tabs_are_fine, "a tab"),
            (
                ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|mark| text.starts_with(mark)),
                "a conflict mark",
            ),
            (!file.is_test() && names_a_machine(text), "a path of one machine"),
        ];
        let faults = faults.into_iter().filter(|(is_fault, _)| *is_fault);
        found.extend(faults.map(|(_, message)| Finding::error(&file.path, line, message)));
    }
    found
}

/// Does an absolute path in `line` begin with one of [`MACHINE`]?
fn names_a_machine(line: &str) -> bool {
    MACHINE.iter().any(|folder| {
        line.match_indices(&format!("/{folder}/")).any(|(at, _)| {
            let before = line.get(..at).and_then(|b| b.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || "_.-/}~*$)]".contains(c))
        })
    })
}

#[cfg(test)]
mod tests;
