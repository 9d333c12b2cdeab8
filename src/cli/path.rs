//! `keymill path`: authentication paths, streamed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::{AuthenticationPath, PathReader};
use serde::Serialize;

use super::failure::Failure;
use super::input::epoch_numbers;
use super::output::{Format, OutArguments, formatted, hex_digits};
use crate::config::parse_count;

/// Flags of path.
#[derive(Debug, Args)]
pub struct PathArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The first epoch.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    epoch: u64,
    /// Number of consecutive epochs.
    #[arg(long, value_name = "M", value_parser = parse_count, default_value = "1")]
    count: u64,
    /// json: one object a line; hex: one line of siblings from level 0 upward; ssz: the same bytes.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    #[command(flatten)]
    out: OutArguments,
}

/// Prints the paths, each checked against the root.
pub fn run(arguments: &PathArguments) -> Result<ExitCode, Failure> {
    let reader = PathReader::open(&arguments.directory)?;
    let epochs = epoch_numbers(arguments.epoch, arguments.count)?;
    // Before the first line is written: either all epochs are in the key or nothing is printed.
    reader.epoch(epochs.start)?;
    reader.epoch(epochs.end - 1)?;
    arguments.out.write(|writer| {
        let mut paths = reader.stream();
        for number in epochs {
            let path = paths.path(reader.epoch(number)?)?;
            formatted(writer, arguments.format, &path.siblings, || as_json(path))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A path as one JSON object.
#[derive(Serialize)]
struct PathObject {
    epoch: u32,
    leaf: String,
    siblings: Vec<String>,
}

fn as_json(path: &AuthenticationPath) -> PathObject {
    PathObject {
        epoch: path.epoch.0,
        leaf: hex_digits(&path.leaf),
        siblings: path.sibling_digests().map(hex_digits).collect(),
    }
}
