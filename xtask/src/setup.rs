//! Installs the programs nobody here wrote that the tests run against.
//!
//! As root on Debian it installs what is missing and says what and why; elsewhere it fails and names
//! the exact command. It starts no service and leaves none running. Not here: anything the build of
//! the product needs (a Rust toolchain and a C compiler, nothing else).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, Project};

mod python;

/// A Debian package the tests need.
struct Package {
    name: &'static str,
    /// Any of these paths shows that it is there; `*` stands for a part of a name.
    programs: &'static [&'static str],
    reason: &'static str,
    /// The service it brings, and the port on which that would listen. No test uses it.
    service: Option<(&'static str, u16)>,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "nginx-light",
        programs: &["/usr/sbin/nginx"],
        reason: "an HTTP server behind a sidecar",
        service: Some(("nginx", 80)),
    },
    Package {
        name: "postgresql",
        programs: &["/usr/lib/postgresql/*/bin/initdb"],
        reason: "a database behind a raw TCP service",
        service: Some(("postgresql", 5432)),
    },
    Package {
        name: "postgresql-client",
        programs: &["/usr/bin/psql"],
        reason: "its client",
        service: None,
    },
    Package {
        name: "redis-server",
        programs: &["/usr/bin/redis-server"],
        reason: "a second protocol behind a raw TCP service",
        service: Some(("redis-server", 6379)),
    },
    Package {
        name: "redis-tools",
        programs: &["/usr/bin/redis-cli"],
        reason: "its client",
        service: None,
    },
    Package {
        name: "curl",
        programs: &["/usr/bin/curl"],
        reason: "an HTTP/1.1 and HTTP/2 client",
        service: None,
    },
    Package {
        name: "valgrind",
        programs: &["/usr/bin/valgrind"],
        reason: "callgrind counts the instructions of a decision",
        service: None,
    },
    Package {
        name: "iproute2",
        programs: &["/usr/sbin/ip", "/usr/bin/ip", "/sbin/ip", "/bin/ip"],
        reason: "`ip` and `ss` show what listens where",
        service: None,
    },
    Package {
        name: "prometheus",
        programs: &["/usr/bin/promtool"],
        reason: "promtool checks the metrics endpoint",
        service: Some(("prometheus", 9090)),
    },
    Package {
        name: "python3",
        programs: &[python::INTERPRETER],
        reason: "gRPC, SPIFFE and WebSocket clients by others",
        service: None,
    },
    Package {
        name: "python3-venv",
        programs: &["/usr/lib/python3*/ensurepip/__init__.py"],
        reason: "keeps these clients out of the system",
        service: None,
    },
];

/// Installs what is missing, or says how; returns the Python of the clients.
///
/// # Errors
/// A sentence that names what is missing and the command that mends it.
pub(crate) fn ensure(project: &Project) -> Result<PathBuf, String> {
    let missing = missing(exists);
    if missing.is_empty() {
        println!("setup: all {} Debian packages are there", PACKAGES.len());
    } else {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let can_install = is_debian(&read("/etc/os-release")) && Path::new(APT).exists();
        may_install(&missing, can_install, is_root(&read("/proc/self/status")))?;
        install(&missing)?;
    }
    python::ensure(project)
}

const APT: &str = "/usr/bin/apt-get";

/// Is the effective user root? `status` is `/proc/self/status`.
pub(crate) fn is_root(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn is_debian(os_release: &str) -> bool {
    let ids = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    ids.flat_map(|ids| ids.trim_matches('"').split(' ')).any(|id| id == "debian")
}

fn missing(exists: impl Fn(&str) -> bool) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|p| !p.programs.iter().any(|program| exists(program))).collect()
}

/// Is there a file of this path? `*` stands for any part of the name of one folder.
fn exists(pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return Path::new(pattern).exists() };
    let (folder, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').unwrap_or((after, ""));
    let Ok(entries) = std::fs::read_dir(format!("{folder}/")) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(suffix) && entry.path().join(rest).exists()
    })
}

fn apt_install(missing: &[&Package]) -> Vec<&'static str> {
    let names = missing.iter().map(|p| p.name);
    ["install", "--yes", "--no-install-recommends"].into_iter().chain(names).collect()
}

/// # Errors
/// What to run instead, if this is not Debian or the user is not root.
fn may_install(missing: &[&Package], is_debian: bool, is_root: bool) -> Result<(), String> {
    let list: String = missing.iter().map(|p| format!("\n  {}: {}", p.name, p.reason)).collect();
    if is_debian && is_root {
        return Ok(());
    }
    let command = if is_debian {
        let services: Vec<&str> = missing.iter().filter_map(|p| p.service).map(|s| s.0).collect();
        let install = apt_install(missing).join(" ");
        let stop = match services.as_slice() {
            [] => String::new(),
            services => format!(" && sudo systemctl disable --now {}", services.join(" ")),
        };
        format!("sudo apt-get update && sudo apt-get {install}{stop}")
    } else {
        "docker run --rm -it -v \"$PWD:/src\" -w /src rust:1.95-bookworm cargo xtask test"
            .to_owned()
    };
    Err(format!(
        "the tests need Debian packages that are not here:{list}\n\
         as root on Debian this command installs them itself; here, run:\n  {command}"
    ))
}

/// Installs the packages and leaves no service of theirs running.
fn install(missing: &[&Package]) -> Result<(), String> {
    println!("setup: installs {} Debian packages that the tests need:", missing.len());
    for package in missing {
        println!("  {:18} {}", package.name, package.reason);
    }
    let before = listening();
    let apt = |args: &[&str]| {
        let mut command = Command::new(APT);
        shell::run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    {
        let _no_services = NoServices::begin()?;
        apt(&["update", "--quiet"])?;
        apt(&apt_install(missing))?;
    }
    disable_services(missing)?;
    let absent: Vec<&str> =
        missing.iter().filter(|p| !p.programs.iter().any(|f| exists(f))).map(|p| p.name).collect();
    if !absent.is_empty() {
        return Err(format!("installed, but their programs are not there: {}", absent.join(", ")));
    }
    left_running(missing, &before, &listening())
}

/// While it lives, Debian's packages start no service they bring (see `policy-rc.d`).
struct NoServices {
    /// Ours to remove; a file that was there before (containers have one) stays.
    created: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt as _;
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { created: false });
        }
        let fail = |e| format!("cannot write {}: {e}", Self::POLICY);
        std::fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").map_err(fail)?;
        let this = Self { created: true };
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(Self::POLICY, executable).map_err(fail)?;
        Ok(this)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.created
            && let Err(e) = std::fs::remove_file(Self::POLICY)
        {
            eprintln!("setup: remove {} by hand, or no service starts: {e}", Self::POLICY);
        }
    }
}

/// Where systemd runs, a package also enables its service for the next boot: take that back.
fn disable_services(installed: &[&Package]) -> Result<(), String> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    let services = installed.iter().filter_map(|p| p.service);
    let mut disable =
        |(service, _)| shell::run(Command::new("systemctl").args(["disable", service]));
    services.into_iter().try_for_each(&mut disable)
}

/// Ports on which something listens.
fn listening() -> BTreeSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().filter_map(|t| std::fs::read_to_string(t).ok()).flat_map(|t| ports(&t)).collect()
}

/// The ports of sockets in state LISTEN (0A) of a table in `/proc/net`.
fn ports(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut columns = line.split_whitespace();
        let (local, state) = (columns.nth(1)?, columns.nth(1)?);
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (state == "0A").then_some(port)
    };
    table.lines().skip(1).filter_map(port).collect()
}

/// # Errors
/// The services among `installed` that listen now and did not before.
fn left_running(
    installed: &[&Package],
    before: &BTreeSet<u16>,
    after: &BTreeSet<u16>,
) -> Result<(), String> {
    let started: Vec<String> = installed
        .iter()
        .filter_map(|p| p.service)
        .filter(|(_, port)| after.contains(port) && !before.contains(port))
        .map(|(service, port)| format!("{service} (port {port})"))
        .collect();
    if started.is_empty() {
        println!("setup: installed; no service of theirs listens");
        return Ok(());
    }
    let started = started.join(", ");
    Err(format!("installing started services that no test uses; stop and disable them: {started}"))
}

#[cfg(test)]
mod tests;
