//! `keymill trim`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::plan::EpochRange;
use keymill::{KeyPlace, Level, TrimReport, trim};

use super::answer::{Answer, Value, fields};
use super::failure::Failure;
use super::messages::counted_files;
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use crate::config::parse_level;

/// Flags of trim.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Keep one byte in 16; each path then computes 16 leaves:
    keymill trim key --level 4")]
pub struct TrimArguments {
    /// The key directory; its key has to be finished.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Lowest level to keep, at most 10. A path then computes 2^L leaves from the secret. This cannot be undone.
    #[arg(long, value_name = "L", value_parser = parse_level)]
    level: Level,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trims, and prints what was compared and deleted.
pub fn run(arguments: &TrimArguments) -> Result<ExitCode, Failure> {
    keep_files_private();
    let passphrase = arguments.passphrase.read()?;
    let report = trim(
        KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()),
        arguments.level,
    )?;
    answer(&report).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn answer(report: &TrimReport) -> Answer<'_> {
    let (before, level) = (report.before, report.level);
    let block = |block: &EpochRange| Answer::default().field("first", block.start).field("end", block.end);
    let blocks: Vec<String> = report.blocks_compared.iter().map(ToString::to_string).collect();
    let compared = format!(
        "the secret is this key's, and the epochs {} computed from it lead to level {level} and the root",
        blocks.join(", ")
    );
    let deleted = match &report.files_removed[..] {
        [] => None,
        [file] => Some(format!("deleted: {}", file.display())),
        [first, .., last] => {
            let count = counted_files(&report.files_removed);
            Some(format!("deleted: {count}, {} to {}", first.display(), last.display()))
        }
    };
    let verdict = if before != level {
        format!("trimmed to level {level}")
    } else if level == Level(0) {
        "the key is not trimmed: every level is stored".to_owned()
    } else {
        format!("the key was trimmed to level {level} already")
    };
    Answer::default()
        .field("trim_before", before)
        .field("trim", level)
        .field("blocks_compared", Value::each(report.blocks_compared.iter().map(block)))
        .and(fields!(report; files_removed))
        .text((!blocks.is_empty()).then(|| format!("compared: {compared}")))
        .text(deleted)
        .text([verdict])
}
