//! What one decision costs: instructions counted by callgrind, among 10 policies and among 10 000.
//!
//! Instructions, not seconds: the same binary and inputs give the same count on a busy machine, too. The index promises
//! that the policies of other callers cost nothing; this holds it to that.

use std::path::PathBuf;

use crate::shell::{self, Project};

/// Few and many policies.
const FEW: u32 = 10;
const MANY: u32 = 10_000;
/// How many decisions a run makes; the build of the policies is taken off.
const DECISIONS: u32 = 5_000;
/// The most that a decision among many may cost, in hundredths of one among few.
const LIMIT_PERCENT: u64 = 110;

/// Measures and prints both costs.
///
/// # Errors
/// A sentence, if the program or valgrind cannot be run, or the ratio is over the limit.
pub(crate) fn measure(project: &Project) -> Result<(), String> {
    let program = build(project)?;
    let cost = |policies| -> Result<u64, String> {
        let without = instructions(project, &program, policies, 0)?;
        let with = instructions(project, &program, policies, DECISIONS)?;
        Ok(with.saturating_sub(without) / u64::from(DECISIONS))
    };
    let (few, many) = (cost(FEW)?, cost(MANY)?);
    println!("decision: {few} instructions among {FEW} policies, {many} among {MANY}");
    verdict(few, many)
}

/// # Errors
/// If the index costs more with more policies, or nothing was measured.
fn verdict(few: u64, many: u64) -> Result<(), String> {
    if few == 0 {
        return Err("no instructions were counted".to_owned());
    }
    let percent = many.saturating_mul(100) / few;
    if percent > LIMIT_PERCENT {
        return Err(format!(
            "a decision among {MANY} policies costs {percent} % of one among {FEW}"
        ));
    }
    Ok(())
}

/// Builds the benchmark as the rest of the release build, and says where it is.
fn build(project: &Project) -> Result<PathBuf, String> {
    let args = ["bench", "--workspace", "--bench", "decision", "--no-run", "--locked"];
    let mut cargo = project.cargo(&args);
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
    let what = shell::typed(&cargo);
    let output = cargo.output().map_err(|e| format!("cannot run `{what}`: {e}"))?;
    let text = String::from_utf8(output.stderr).map_err(|e| format!("`{what}`: {e}"))?;
    if !output.status.success() {
        return Err(format!("`{what}`: {}\n{text}", output.status));
    }
    let program = executable(&text).ok_or_else(|| format!("`{what}` names no program"))?;
    Ok(project.root.join(program))
}

/// The program that cargo names in its last words.
fn executable(text: &str) -> Option<&str> {
    let line = text.lines().rfind(|line| line.trim_start().starts_with("Executable"))?;
    line.rsplit_once('(')?.1.strip_suffix(')')
}

fn instructions(
    project: &Project,
    program: &PathBuf,
    policies: u32,
    decisions: u32,
) -> Result<u64, String> {
    let mut valgrind = project.command("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args([policies.to_string(), decisions.to_string()]);
    let what = shell::typed(&valgrind);
    let output = valgrind.output().map_err(|e| format!("cannot run `{what}`: {e}"))?;
    let text = String::from_utf8(output.stderr).map_err(|e| format!("`{what}`: {e}"))?;
    collected(&text).ok_or_else(|| format!("`{what}` counted nothing: {}\n{text}", output.status))
}

/// The count in valgrind's report: `==12== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests;
