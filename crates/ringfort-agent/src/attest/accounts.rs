//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! Only these two files: a name service that answers over the network must not decide identities.

use std::{fs::File, io::Read as _, path::PathBuf};

/// Largest file read; a bigger one gives no names, and then no selector by name matches.
const ACCOUNTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where the names stand.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    /// Users: `name:password:id:...`.
    pub(super) passwd: PathBuf,
    /// Groups: `name:password:id:...`.
    pub(super) group: PathBuf,
}

impl Accounts {
    /// The host's own files.
    pub(super) fn host() -> Self {
        Self { passwd: PathBuf::from("/etc/passwd"), group: PathBuf::from("/etc/group") }
    }

    /// The user's name; `None` when the file does not say.
    pub(super) fn user(&self, uid: u32) -> Option<String> {
        name_in(&self.passwd, uid)
    }

    /// The group's name; `None` when the file does not say.
    pub(super) fn group(&self, gid: u32) -> Option<String> {
        name_in(&self.group, gid)
    }
}

fn name_in(path: &PathBuf, id: u32) -> Option<String> {
    let mut text = String::new();
    let limit = ACCOUNTS_BYTES_MAX.saturating_add(1);
    let read = File::open(path).ok()?.take(limit).read_to_string(&mut text).ok()?;
    if u64::try_from(read).ok()? > ACCOUNTS_BYTES_MAX {
        return None;
    }
    name_of(&text, id).map(str::to_owned)
}

/// The first entry with this id, as `getpwuid(3)` finds it. Lines that are not entries are passed over.
fn name_of(text: &str, id: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        let is_entry = !name.is_empty() && !name.starts_with(['#', '+', '-']);
        (is_entry && number.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests;
