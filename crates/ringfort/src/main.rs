//! The `ringfort` command: reads what was typed, the files and the environment, and starts roles. No decisions here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the terminal")]

mod admin;
mod cli;
mod clock;
mod commands;
mod fleet_folder;
mod folders;
mod host;
mod logging;
mod map;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", terminal::error_chain(&error));
            ExitCode::from(2)
        }
    }
}
