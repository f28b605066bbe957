//! What each command does: one module each, wiring only.

pub(crate) mod apply;
mod ca;
mod check;
mod demo;
pub(crate) mod explain;
mod roles;
mod schema;
mod status;
mod up;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Command};

/// Exit code for findings or failure.
pub(crate) const FOUND: u8 = 1;
/// Exit code for usage or bad configuration.
pub(crate) const BAD: u8 = 2;

/// Runs one command to its end.
///
/// # Errors
/// Whatever stopped it before it could report; printed as one line, exit 2.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Apply(args) => on_runtime(apply::run(&args)),
        Command::Status(args) => on_runtime(status::run(&args)),
        Command::Explain(args) => on_runtime(explain::run(&args)),
        Command::Schema(args) => schema::run(&args),
        Command::Ca(args) => on_runtime(ca::run(&args)),
        Command::Server(args) => roles::server(&args),
        Command::Agent(args) => roles::agent(&args),
        Command::Proxy(args) => roles::proxy(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ringfort", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Launch(args) => roles::launch(&args),
        Command::DemoService(args) => roles::demo_service(&args),
    }
}

/// Runs a short command on a runtime of its own.
fn on_runtime(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
