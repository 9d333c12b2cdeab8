//! `keymill path`: authentication paths, streamed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::{AuthenticationPath, KeyPlace, PathReader};
use serde::Serialize;

use super::failure::Failure;
use super::input::epoch_numbers;
use super::output::{Format, OutArguments, formatted, hex_digits};
use super::passphrase::PassphraseArguments;
use crate::config::parse_count;

/// Flags of path.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  The path of an epoch, as JSON:
    keymill path key --epoch 100
  The paths of 50 epochs, a line each, in hex:
    keymill path key --epoch 100 --count 50 --format hex --out paths.hex")]
pub struct PathArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
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
    let passphrase = arguments.passphrase.read()?;
    let reader = PathReader::open(KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()))?;
    let epochs = epoch_numbers(arguments.epoch, arguments.count)?;
    // Before the first line is written: either all epochs are in the key or nothing is printed.
    reader.epoch(epochs.start)?;
    reader.epoch(epochs.end - 1)?;
    arguments
        .out
        .write(|writer| write_paths(writer, &reader, epochs, arguments.format))?;
    Ok(ExitCode::SUCCESS)
}

fn write_paths(
    writer: &mut dyn Write,
    reader: &PathReader,
    epochs: impl Iterator<Item = u64>,
    format: Format,
) -> Result<(), Failure> {
    let mut paths = reader.stream();
    for number in epochs {
        let path = paths.path(reader.epoch(number)?)?;
        formatted(writer, format, &path.siblings, || as_json(path))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use keymill::{JobOptions, KeyRequest, KeygenJob, NoProgress, Scheme};

    use super::*;

    const EPOCHS: u64 = 256;

    /// Bytes of the heap that writing these paths takes at its peak.
    fn heap_bytes_max(reader: &PathReader, epochs: impl Iterator<Item = u64>, format: Format) -> u64 {
        let mut is_written = false;
        let taken = measure(|| is_written = write_paths(&mut std::io::sink(), reader, epochs, format).is_ok());
        assert!(is_written, "{format:?}");
        taken.bytes_max
    }

    #[test]
    fn half_a_million_paths_are_written_in_the_memory_of_a_few_in_every_format() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("key");
        let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
        let request = KeyRequest::new(scheme).epochs(EPOCHS);
        let options = JobOptions::DEFAULT
            .threads(1)
            .group_batches(1)
            .memory(keymill::MemoryRequest::NoLimit);
        let job = KeygenJob::builder(&directory)
            .request(request)
            .options(options)
            .open()
            .unwrap();
        job.run(&NoProgress).unwrap();
        let reader = PathReader::open(&directory).unwrap();
        for format in [Format::Json, Format::Hex, Format::Ssz] {
            // With epochs of three digits each, so that all lines are of the same length.
            let epochs = 100..EPOCHS;
            let few = heap_bytes_max(&reader, epochs.clone(), format);
            let many = heap_bytes_max(&reader, epochs.cycle().take(500_000), format);
            assert!(few < 16 << 10, "{format:?}: {few} bytes");
            assert_eq!(many, few, "{format:?}");
        }
    }
}
