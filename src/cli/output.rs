//! Writing results: to standard output, or to a file.

mod destination;
mod place;

use std::io::{BufWriter, Error, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
pub use destination::{OutArguments, PRIVATE_OUT};
use keymill::exchange::leansig_json;
pub use keymill::support::{human_bytes, human_duration};
use keymill::support::{visible, visible_json};
use keymill::{Remedy, Scheme};
pub use place::refuse_in_key;
use serde::Serialize;
use signal_hook::consts::SIGXFSZ;

use super::advice::advised;
use super::failure::Failure;
use super::streams::standard_output;

/// Makes a write beyond the limit on file sizes an error like any other: left alone, the signal that comes with it ends
/// the process without a word (setrlimit(2)).
pub fn outlive_size_limits() -> std::io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Hex digits, one line.
    Hex,
    /// The bytes themselves, as SSZ.
    Ssz,
    /// One JSON object.
    Json,
}

/// How a public key or a signature is shown, which other programs take as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SharedFormat {
    /// Hex digits, one line.
    Hex,
    /// The bytes themselves, as SSZ.
    Ssz,
    /// One JSON object.
    Json,
    /// JSON of leanSig, with field elements in Montgomery form.
    LeansigJson,
}

/// Writes one result in its format; `json` is asked for only where it is wanted.
pub fn formatted<T: Serialize>(
    writer: &mut dyn Write,
    format: Format,
    result: &[u8],
    json: impl FnOnce() -> T,
) -> Result<(), Failure> {
    let written = match format {
        Format::Hex => writer.write_all(format!("{}\n", hex_digits(result)).as_bytes()),
        Format::Ssz => writer.write_all(result),
        // In one piece: it is much quicker than what `Display` does.
        Format::Json => serde_json::to_vec(&json()).map_err(Into::into).and_then(|mut text| {
            text.push(b'\n');
            writer.write_all(&text)
        }),
    };
    written.map_err(|error| broken(&error))
}

impl SharedFormat {
    /// Refuses a format that keys of this scheme do not have.
    pub fn check(self, scheme: &Scheme) -> Result<(), Failure> {
        match self {
            Self::LeansigJson => Ok(leansig_json::check_has_form(scheme)?),
            Self::Json | Self::Hex | Self::Ssz => Ok(()),
        }
    }
}

/// The same for what has a JSON form of leanSig too; that has no end of line.
pub fn shared<T: Serialize, L: Serialize>(
    writer: &mut dyn Write,
    format: SharedFormat,
    result: &[u8],
    json: impl FnOnce() -> T,
    leansig_json: impl FnOnce() -> L,
) -> Result<(), Failure> {
    let format = match format {
        SharedFormat::Hex => Format::Hex,
        SharedFormat::Ssz => Format::Ssz,
        SharedFormat::Json => Format::Json,
        SharedFormat::LeansigJson => {
            let written = serde_json::to_writer(writer, &leansig_json());
            return written.map_err(|error| broken(&error.into()));
        }
    };
    formatted(writer, format, result, json)
}

/// The hex digits of bytes, as `hex::encode` gives them, in a fraction of its time.
pub fn hex_digits(bytes: impl AsRef<[u8]>) -> String {
    let mut digits = vec![0; 2 * bytes.as_ref().len()];
    // It has room for them.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// Writes a text as it is, and the end of its line.
pub fn line(writer: &mut dyn Write, text: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(writer, "{text}").map_err(|error| broken(&error))
}

/// Writes one JSON object in a line, as it is made.
pub fn json_line(writer: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let mut visible = VisibleJson(BufWriter::new(writer));
    let written = serde_json::to_writer(&mut visible, value).map_err(std::io::Error::from);
    let written = written
        .and_then(|()| visible.0.write_all(b"\n"))
        .and_then(|()| visible.0.flush());
    written.map_err(|error| broken(&error))
}

/// JSON in which whatever a terminal would obey is escaped; serde escapes only a part of that. It gets text in whole
/// characters: the escapes, quotes and pieces of strings that serde writes.
struct VisibleJson<W>(W);

impl<W: Write> Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(Error::other)?;
        self.0.write_all(visible_json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Prints one JSON object on standard output.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut writer = standard_output()?;
    json_line(&mut writer, value)?;
    writer.flush().map_err(|error| broken(&error))
}

/// Prints lines on standard output, each of them one line whatever is in it.
pub fn print_lines<T: std::fmt::Display>(lines: impl IntoIterator<Item = T>) -> Result<(), Failure> {
    let mut writer = standard_output()?;
    for text in lines {
        line(&mut writer, visible(&text.to_string()))?;
    }
    writer.flush().map_err(|error| broken(&error))
}

/// Prints what clap has to tell: what is wrong with the command line, or a help or version that was asked for.
pub fn print_told(told: &clap::Error) -> ExitCode {
    let code = ExitCode::from(told.exit_code() as u8);
    if told.use_stderr() {
        super::messages::wrong_usage(told);
        return code;
    }
    let printed = standard_output().and_then(|mut output| {
        let printed = told.print().and_then(|()| output.flush());
        printed.map_err(|error| broken(&error))
    });
    match printed {
        Err(failure) => failure.report(),
        Ok(()) => code,
    }
}

fn failed(path: &Path, error: &Error) -> Failure {
    let message = format!(
        "'{}' cannot be written: {error}{}",
        path.display(),
        advised(&Remedy::at(error, path))
    );
    match error.kind() {
        // Another name mends it.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Failure::usage(message),
        _ => Failure::machine(message),
    }
}

/// That the output cannot be written, or that its reader is gone.
pub fn broken(error: &Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::ReaderGone;
    }
    Failure::machine(format!(
        "the output cannot be written: {error}{}",
        advised(&Remedy::of(error))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits_are_those_of_every_byte() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(hex_digits(&bytes), hex::encode(&bytes));
        assert_eq!(hex_digits([]), "");
    }
}
