//! Output that holds a secret: its owner's alone, whole and durable, and nothing left of it elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, OFlags, fsync, linkat};
use tempfile::NamedTempFile;

use super::{
    OutArguments, broken, draft, failed, parent_of, refuse_closed_output, refuse_directory, wiping, write_noting,
};
use crate::cli::failure::Failure;

const MODE: u32 = 0o600;

/// What writes the output.
type Writing<'a> = Box<dyn FnOnce(&mut dyn Write) -> Result<(), Failure> + 'a>;

impl OutArguments {
    /// As [`check`](Self::check), for a secret: nothing that is there is replaced unless that is asked for.
    pub fn check_private(&self, replace: bool) -> Result<(), Failure> {
        match self.file() {
            Some(path) => match std::fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => refuse_directory(path),
                // A new file that takes its name would replace the device or the link itself.
                Ok(found) if !found.is_file() => Err(Failure::usage(format!(
                    "--out '{}' is no regular file; choose another name",
                    path.display()
                ))),
                Ok(_) if !replace => Err(in_the_way(path)),
                _ => self.check(),
            },
            None => refuse_closed_output(),
        }
    }

    /// As [`write`](Self::write), for a secret: a file is its owner's alone, whole and durable, and in place of another one
    /// only if that is asked for.
    pub fn write_private(
        &self,
        replace: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(path) = self.file() else {
            refuse_closed_output()?;
            // Past the standard library's own buffer, which nobody wipes.
            let output = std::io::stdout().as_fd().try_clone_to_owned();
            return wiping(File::from(output.map_err(|error| broken(&error))?), write);
        };
        let parent = parent_of(path);
        // Before anything is written, which would be there although the command fails.
        let directory = File::open(parent).map_err(|error| failed(path, &error))?;
        match nameless(parent).map_err(|error| failed(path, &error))? {
            Some(file) => write_nameless(&file, path, replace, Box::new(write))?,
            None => write_draft(path, replace, Box::new(write))?,
        }
        fsync(&directory).map_err(|error| failed(path, &error.into()))
    }
}

fn in_the_way(path: &Path) -> Failure {
    Failure::usage(format!(
        "--out '{}' is there already; --force replaces it, or choose another name",
        path.display()
    ))
}

/// That the file could not be given its name.
fn unnamed(path: &Path, error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::AlreadyExists => in_the_way(path),
        _ => failed(path, error),
    }
}

/// A file that is gone when the process ends, however that ends, unless it got a name before. Not every file system has
/// such files, and without /proc none can get a name (open(2), O_TMPFILE).
fn nameless(parent: &Path) -> std::io::Result<Option<File>> {
    if !Path::new("/proc/self/fd").exists() {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE.bits() as i32;
    let opened = OpenOptions::new()
        .write(true)
        .mode(MODE)
        .custom_flags(flags)
        .open(parent);
    match opened {
        Ok(file) => Ok(Some(file)),
        // The last two are what those say that do not know the flag.
        Err(error)
            if [ErrorKind::Unsupported, ErrorKind::IsADirectory, ErrorKind::InvalidInput].contains(&error.kind()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn write_nameless(file: &File, path: &Path, replace: bool, write: Writing<'_>) -> Result<(), Failure> {
    write_whole(file, path, write)?;
    let link = |name: &Path| {
        let file = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, file, CWD, name, AtFlags::SYMLINK_FOLLOW).map_err(Error::from)
    };
    match link(path) {
        Err(error) if replace && error.kind() == ErrorKind::AlreadyExists => {
            // A link replaces nothing, only a rename does.
            let linked = draft(path, link).map_err(|error| failed(path, &error))?;
            linked.persist(path).map_err(|error| failed(path, &error.error))?;
            Ok(())
        }
        linked => linked.map_err(|error| unnamed(path, &error)),
    }
}

/// As [`write_nameless`], by a file that has a name from the beginning.
fn write_draft(path: &Path, replace: bool, write: Writing<'_>) -> Result<(), Failure> {
    let open = |name: &Path| OpenOptions::new().write(true).create_new(true).mode(MODE).open(name);
    let draft: NamedTempFile = draft(path, open).map_err(|error| failed(path, &error))?;
    write_whole(draft.as_file(), path, write)?;
    let persisted = match replace {
        true => draft.persist(path),
        false => draft.persist_noclobber(path),
    };
    persisted.map(drop).map_err(|error| unnamed(path, &error.error))
}

fn write_whole(file: &File, path: &Path, write: Writing<'_>) -> Result<(), Failure> {
    write_noting(file, path, write)?;
    fsync(file).map_err(|error| failed(path, &error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, PermissionsExt};

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

    #[test]
    fn without_nameless_files_a_draft_does_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let write = |content: &'static [u8], replace| {
            let write: Writing<'_> = Box::new(|writer| writer.write_all(content).map_err(|error| broken(&error)));
            write_draft(&path, replace, write)
        };
        write(b"first", false).unwrap();
        assert!(write(b"second", false).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        write(b"third", true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
