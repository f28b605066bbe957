//! The few files of a proxy: written whole or not at all, read up to a limit.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ringfort_model::Name;

/// Where a proxy keeps what outlives it.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Key, certificate and bundle; survives the process, not the host.
    pub(crate) identity: PathBuf,
    /// The admin socket.
    pub(crate) socket: PathBuf,
    /// Refusals, one JSON line each.
    pub(crate) decisions: PathBuf,
    /// The last good snapshot.
    pub(crate) snapshot: PathBuf,
    /// The mTLS port, kept so that callers find a restarted sidecar where it was.
    pub(crate) port: PathBuf,
}

impl Files {
    pub(crate) fn new(run_dir: &Path, state_dir: &Path, name: &Name) -> Self {
        let own = state_dir.join(name.as_str());
        Self {
            identity: run_dir.join(format!("{name}.identity")),
            socket: run_dir.join(format!("{name}.sock")),
            decisions: run_dir.join(format!("{name}.decisions.jsonl")),
            snapshot: own.join("snapshot.bin"),
            port: own.join("port"),
        }
    }

    /// Makes the folders.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for file in [&self.socket, &self.snapshot] {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
        }
        Ok(())
    }

    /// The port of last time; 0 when there is none.
    pub(crate) fn kept_port(&self) -> u16 {
        let text = read(&self.port, 16).ok().flatten();
        text.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok()).unwrap_or(0)
    }
}

/// Reads a whole file of at most `bytes_max` bytes; `None` when there is no such file.
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large"));
    }
    Ok(Some(bytes))
}

/// Replaces a file: its old or its new content is there at any moment. Readable by its owner alone.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
