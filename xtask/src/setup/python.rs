//! The Python environment of the clients written by others, under `target/foreign-clients`.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{self, Project};

/// Debian's own interpreter: the same on every machine, whatever else `PATH` holds.
pub(super) const INTERPRETER: &str = "/usr/bin/python3";

const REQUIREMENTS: &str = "tools/foreign-clients/requirements.txt";

/// What the tests import; an environment in which one of these fails is no environment.
const IMPORTS: &str = "import google.protobuf, grpc, grpc_tools.protoc, spiffe, websockets";

/// Makes the environment unless it is there for these requirements and this interpreter.
///
/// # Errors
/// A sentence naming the step that failed.
pub(super) fn ensure(project: &Project) -> Result<PathBuf, String> {
    let fail = |what: &str, e: std::io::Error| format!("cannot {what}: {e}");
    let requirements = std::fs::read_to_string(project.root.join(REQUIREMENTS))
        .map_err(|e| fail(&format!("read {REQUIREMENTS}"), e))?;
    let version = shell::output(Command::new(INTERPRETER).arg("--version"))?;
    let home = project.root.join("target/foreign-clients");
    let (python, stamp) = (home.join("bin/python"), home.join("made-from.txt"));
    let made_from = format!("{version}{requirements}");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|s| s == made_from) {
        println!("setup: the Python environment is there (target/foreign-clients)");
        return Ok(python);
    }
    println!("setup: makes the Python environment target/foreign-clients for {}", version.trim());
    println!("  it holds gRPC, SPIFFE and WebSocket clients that the tests run: {REQUIREMENTS}");
    if home.exists() {
        std::fs::remove_dir_all(&home).map_err(|e| fail("remove target/foreign-clients", e))?;
    }
    shell::run(Command::new(INTERPRETER).args(["-m", "venv"]).arg(&home))?;
    let mut pip = project.command(&python.display().to_string());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    shell::run(pip.args(["--only-binary", ":all:", "--no-deps", "--requirement", REQUIREMENTS]))?;
    shell::run(Command::new(&python).args(["-m", "pip", "--quiet", "check"]))?;
    shell::run(Command::new(&python).args(["-c", IMPORTS]))?;
    std::fs::write(&stamp, made_from).map_err(|e| fail("write target/foreign-clients", e))?;
    Ok(python)
}
