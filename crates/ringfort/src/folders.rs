//! Where state and sockets live, and who may read them.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::cli::Folders;

/// The longest path of a Unix socket, `sun_path` of Linux less its NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The two folders of a host's ringfort, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// What must survive: store, keys, snapshots. Mode 0700.
    pub(crate) state: PathBuf,
    /// Sockets and cached identities. Mode 0755; each secret in it is 0600.
    pub(crate) run: PathBuf,
}

impl Places {
    /// Resolves flags, then the environment, then the defaults for this user.
    ///
    /// # Errors
    /// Fails when neither a flag nor the environment names a folder for a user who is not root.
    pub(crate) fn resolve(folders: &Folders) -> anyhow::Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let state = match (&folders.state, is_root) {
            (Some(dir), _) => dir.clone(),
            (None, true) => PathBuf::from("/var/lib/ringfort"),
            (None, false) => environment_dir("XDG_STATE_HOME")
                .or_else(|| environment_dir("HOME").map(|home| home.join(".local/state")))
                .context("no state folder: pass --state DIR, or set XDG_STATE_HOME or HOME")?
                .join("ringfort"),
        };
        let run = match (&folders.run, is_root) {
            (Some(dir), _) => dir.clone(),
            (None, true) => PathBuf::from("/run/ringfort"),
            (None, false) => environment_dir("XDG_RUNTIME_DIR")
                .context("no runtime folder: pass --run DIR, or set XDG_RUNTIME_DIR")?
                .join("ringfort"),
        };
        Ok(Self { state: std::path::absolute(state)?, run: std::path::absolute(run)? })
    }

    /// Makes both folders with their modes and refuses a runtime folder too deep for sockets.
    ///
    /// # Errors
    /// Fails when a folder cannot be made or its mode cannot be set, or a socket path would be too long.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        let longest = self
            .proxies()
            .join(format!("{}.sock", "n".repeat(ringfort_model::name::NAME_BYTES_MAX)));
        let longest = longest.as_os_str().len();
        if longest > SOCKET_PATH_BYTES_MAX {
            let over = longest.saturating_sub(SOCKET_PATH_BYTES_MAX);
            bail!(
                "runtime folder `{}` is {over} bytes too long for Unix sockets: pass a shorter --run DIR",
                self.run.display()
            );
        }
        make(&self.state, 0o700)?;
        make(&self.state.join("proxies"), 0o700)?;
        make(&self.run, 0o755)?;
        make(&self.proxies(), 0o755)
    }

    /// The server's socket: its own user and root only.
    pub(crate) fn server_socket(&self) -> PathBuf {
        self.run.join("server.sock")
    }

    /// Where proxies reach the agent.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// Folder of the proxies' admin sockets and cached identities.
    pub(crate) fn proxies(&self) -> PathBuf {
        self.run.join("proxies")
    }
}

fn make(dir: &Path, mode: u32) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(dir);
    made.with_context(|| format!("cannot make folder `{}`", dir.display()))?;
    let set: io::Result<()> = fs::set_permissions(dir, fs::Permissions::from_mode(mode));
    set.with_context(|| format!("cannot set the mode of `{}`", dir.display()))
}

#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn environment_dir(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    let path = PathBuf::from(value);
    path.is_absolute().then_some(path)
}
