//! `--out`: what a result is written to.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keymill::resources::{ResourceKind, register};
use keymill::support::IoFailure;
use keymill::support::{Draft, Existing, Mode, write_named};
use zeroize::Zeroize;

use super::place::{Way, refuse_directory, refuse_in_key, way};
use super::{broken, failed};
use crate::cli::failure::Failure;
use crate::cli::streams::{refuse_closed_output, standard_output};

/// Of a file that is not there before. One that is there keeps its mode.
const NEW_MODE: Mode = Mode::Umasked(0o666);
const SECRET_MODE: Mode = Mode::Exact(0o600);

/// The help of `--out` where a new file gets [`SECRET_MODE`], or the mode that the umask of the process leaves.
pub const PRIVATE_OUT: &str = "Write to this file instead of standard output. A new file is readable by you alone";

/// Where results go.
#[derive(Debug, Args)]
pub struct OutArguments {
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a result is written to.
enum Destination {
    /// A file, there or not, that appears where it lies when it is whole and durable.
    File { place: PathBuf, mode: Mode },
    /// A device, a pipe, or what a process has open: it is written straight.
    Stream,
}

impl Destination {
    fn of(path: &Path) -> Result<Self, Failure> {
        let Way::Place(place) = way(path) else {
            return Ok(Self::Stream);
        };
        let mode = match std::fs::symlink_metadata(&place) {
            Ok(found) if !found.is_file() => return Ok(Self::Stream),
            Ok(found) => Mode::Exact(found.permissions().mode() & 0o777),
            Err(error) if error.kind() == ErrorKind::NotFound => NEW_MODE,
            Err(error) => return Err(failed(path, &error)),
        };
        Ok(Self::File { place, mode })
    }
}

impl OutArguments {
    /// The file to write to; none where that is standard output, by whatever name.
    fn file(&self) -> Option<&Path> {
        let is_file = |path: &&Path| !matches!(way(path), Way::StandardOutput);
        self.out.as_deref().filter(is_file)
    }

    /// Refuses a destination that is a directory, or lies among the files of a key. For commands that must not do their work
    /// in vain.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(path) = self.file() else {
            return refuse_closed_output();
        };
        if path == Path::new("-") {
            let message = "--out '-' is not a file; without --out the result goes to standard output";
            return Err(Failure::usage(message));
        }
        refuse_directory(path)?;
        refuse_in_key("--out", path)
    }

    /// As [`check`](Self::check), and that a file can be made there. For what is done only once.
    pub fn check_writable(&self) -> Result<(), Failure> {
        self.check()?;
        let Some(path) = self.file() else {
            return Ok(());
        };
        match Destination::of(path)? {
            // It is opened when there is something for it.
            Destination::Stream => Ok(()),
            Destination::File { place, mode } => {
                let draft = Draft::new(&place, mode);
                draft.map(drop).map_err(|failure| failed(path, &failure.source))
            }
        }
    }

    /// As [`check`](Self::check), for a secret: nothing that is there is replaced unless that is asked for.
    pub fn check_private(&self, replace: bool) -> Result<(), Failure> {
        match self.file() {
            Some(path) => match std::fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => refuse_directory(path),
                // A new file that takes its name would replace the device or the link itself.
                Ok(found) if !found.is_file() => Err(Failure::usage(format!(
                    "--out '{}' is not a regular file; choose another name",
                    path.display()
                ))),
                Ok(_) if !replace => Err(in_the_way(path)),
                _ => self.check(),
            },
            None => refuse_closed_output(),
        }
    }

    /// Whether results go to standard output.
    pub fn is_standard_output(&self) -> bool {
        self.file().is_none()
    }

    /// Opens the destination, hands it to `write`, and makes sure that everything arrived. A file is whole and durable then,
    /// and the old one stays what it is until the new one is.
    pub fn write(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(path) = self.file() else {
            let mut writer = standard_output()?;
            return write(&mut writer).and_then(|()| writer.flush().map_err(|error| broken(&error)));
        };
        self.check()?;
        match Destination::of(path)? {
            Destination::Stream => {
                let file = File::create(path).map_err(|error| failed(path, &error))?;
                let _registration = register(ResourceKind::File, 0);
                write_named(&file, path, write).map_err(|failure| failed(path, &failure.source))?
            }
            Destination::File { place, mode } => publish(&place, mode, Existing::Replaced, write, |failure| {
                failed(path, &failure.source)
            }),
        }
    }

    /// As [`write`](Self::write), for a secret: a file is its owner's alone, and in place of another one only if that is
    /// asked for.
    pub fn write_private(
        &self,
        replace: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(path) = self.file() else {
            refuse_closed_output()?;
            // Past the standard library's own buffer, which is not wiped.
            let output = std::io::stdout().as_fd().try_clone_to_owned();
            return wiping(File::from(output.map_err(|error| broken(&error))?), write);
        };
        let existing = if replace {
            Existing::Replaced
        } else {
            Existing::InTheWay
        };
        publish(path, SECRET_MODE, existing, write, |failure| {
            match failure.source.kind() {
                ErrorKind::AlreadyExists => in_the_way(path),
                _ => failed(path, &failure.source),
            }
        })
    }
}

fn publish(
    place: &Path,
    mode: Mode,
    existing: Existing,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    failed: impl Fn(IoFailure) -> Failure,
) -> Result<(), Failure> {
    // A stream of paths can hold it for hours.
    let _registration = register(ResourceKind::File, 0);
    let draft = Draft::new(place, mode).map_err(&failed)?;
    draft.write(write).map_err(&failed)??;
    draft.publish(existing).map_err(&failed)
}

fn in_the_way(path: &Path) -> Failure {
    Failure::usage(format!(
        "--out '{}' is there already; --force replaces it, or choose another name",
        path.display()
    ))
}

/// Writes through a buffer that is wiped, for what was in it may be a secret.
fn wiping(output: impl Write, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut writer = BufWriter::new(output);
    let written = write(&mut writer).and_then(|()| writer.flush().map_err(|error| broken(&error)));
    if let (_, Ok(mut buffer)) = writer.into_parts() {
        buffer.zeroize();
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    const SECRET: [u8; 32] = *b"what nobody but its owner knows.";

    /// Remembers where in memory the bytes lay that were written.
    struct Watching(Option<u64>);

    impl Write for Watching {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let found = bytes.windows(SECRET.len()).position(|part| part == SECRET);
            self.0 = found.map(|at| bytes[at..].as_ptr() as u64);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_of_what_was_written_stays_in_memory() {
        let mut watching = Watching(None);
        // In the middle of the buffer: its ends may be overwritten when it is given back.
        let write = |writer: &mut dyn Write| {
            for bytes in [&[0; 1000][..], &SECRET, &[0; 1000]] {
                writer.write_all(bytes).map_err(|error| broken(&error))?;
            }
            Ok(())
        };
        wiping(&mut watching, write).unwrap();
        let memory = File::open("/proc/self/mem").unwrap();
        let mut found = [0; SECRET.len()];
        // An error says that the memory was given back to the system; a secret that is there is found in the same way.
        let _ = memory.read_exact_at(&mut found, watching.0.unwrap());
        assert_ne!(found, SECRET);
        memory.read_exact_at(&mut found, SECRET.as_ptr() as u64).unwrap();
        assert_eq!(found, SECRET);
    }
}
