//! `ringfort check`: every problem of a fleet folder at once, offline.

use std::process::ExitCode;

use ringfort_fleet::{Severity, render};

use crate::{
    cli::{CheckArgs, CheckFormat},
    commands::FOUND,
    fleet_folder, terminal,
};

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let files = fleet_folder::read(&args.fleet)?;
    let loaded = ringfort_fleet::load(&files);
    let coloured = terminal::stdout_is_coloured();
    match args.format {
        CheckFormat::Text => print!("{}", render::text(&loaded.problems, coloured)),
        CheckFormat::Json => println!("{}", render::json(&loaded.problems)),
        CheckFormat::Sarif => {
            println!("{}", render::sarif(&loaded.problems, env!("CARGO_PKG_VERSION")));
        }
        CheckFormat::Github => print!("{}", render::github(&loaded.problems)),
    }
    let errors =
        loaded.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = loaded.problems.len().saturating_sub(errors);
    if args.format == CheckFormat::Text {
        println!("{}", summary(&loaded, errors, warnings));
    }
    let refused = errors > 0 || loaded.fleet.is_none() || (args.strict && warnings > 0);
    Ok(if refused { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn summary(loaded: &ringfort_fleet::Loaded, errors: usize, warnings: usize) -> String {
    let plural =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let Some(fleet) = loaded.fleet.as_ref().filter(|_| errors == 0) else {
        return format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
    };
    let waiting = fleet.unbuilt_demands();
    let mut text = format!("the fleet is valid: {}", plural(warnings, "warning"));
    if !waiting.is_empty() {
        text.push_str(&format!(
            "; `up` would refuse {} of rings this build does not enforce yet",
            plural(waiting.len(), "demand")
        ));
    }
    text
}
