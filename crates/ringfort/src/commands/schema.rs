//! `ringfort schema`: the JSON Schema of the fleet file, or the Cedar schema of one fleet.

use std::process::ExitCode;

use ringfort_fleet::render;

use crate::{cli::SchemaArgs, commands::FOUND, fleet_folder, terminal};

pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let Some(folder) = &args.cedar else {
        println!("{:#}", ringfort_fleet::json_schema());
        return Ok(ExitCode::SUCCESS);
    };
    let loaded = ringfort_fleet::load(&fleet_folder::read(folder)?);
    let Some(fleet) = loaded.fleet else {
        eprint!("{}", render::text(&loaded.problems, terminal::stderr_is_coloured()));
        return Ok(ExitCode::from(FOUND));
    };
    print!("{}", ringfort_policy::schema_text(fleet.schema_names()));
    Ok(ExitCode::SUCCESS)
}
