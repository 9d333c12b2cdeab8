//! Where `--out` leads, and what is not written over.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keymill::support::{open_to_read, parent_of, place_of};

use crate::cli::failure::Failure;

/// More links than any way to a file has (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// What a name leads to.
pub enum Way {
    /// Standard output, as by /dev/stdout and /dev/fd/1. Opened again by that name, a file would be cut and a socket refused.
    StandardOutput,
    /// Something else that a process has open.
    Open,
    /// What lies there, or nothing yet.
    Place(PathBuf),
}

/// Follows the links that have a name. Those below /proc lead to what a process has open, whatever is in them.
pub fn way(path: &Path) -> Way {
    let own = PathBuf::from(format!("/proc/{}", std::process::id()));
    let mut place = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(parent) = parent_of(&place).canonicalize() else {
            break;
        };
        let is_own = parent.starts_with(&own) && parent.ends_with("fd");
        if is_own && place.file_name().is_some_and(|name| name == "1") {
            return Way::StandardOutput;
        }
        match std::fs::read_link(&place) {
            Ok(_) if parent.starts_with("/proc") => return Way::Open,
            Ok(target) => place = parent.join(target),
            Err(_) => break,
        }
    }
    Way::Place(place)
}

/// Refuses a destination that is a directory, or is said to be one.
pub fn refuse_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
        Err(Failure::usage(format!(
            "--out '{}' is a directory; choose the name of a file",
            path.display()
        )))
    } else {
        Ok(())
    }
}

/// Refuses a destination that is, or lies in, a key directory.
pub fn refuse_in_key(flag: &str, path: &Path) -> Result<(), Failure> {
    match place_of(path).ancestors().find(|directory| is_key(directory)) {
        Some(directory) => Err(Failure::usage(format!(
            "{flag} '{}' lies in the key directory '{}', whose files are not to be overwritten; choose another place",
            path.display(),
            directory.display()
        ))),
        None => Ok(()),
    }
}

/// Whether a directory is that of a key, or what is left of one: each of its parts may be the last that there is.
fn is_key(directory: &Path) -> bool {
    begins_with(&directory.join("manifest.toml"), b"format_version")
        || begins_with(&directory.join("secret"), b"keymill-secret")
        || is_there(&directory.join("ledger.mark"))
        || is_there(&directory.join("state/CURRENT"))
        || has_layers(&directory.join("layers"))
}

/// Whatever else has this name, somewhere above, is not waited for and not read whole.
fn begins_with(path: &Path, beginning: &[u8]) -> bool {
    let mut found = vec![0; beginning.len()];
    open_to_read(path).is_ok_and(|mut file| file.read_exact(&mut found).is_ok()) && found == beginning
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn has_layers(directory: &Path) -> bool {
    let mut entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.any(|entry| {
        Path::new(&entry.file_name())
            .extension()
            .is_some_and(|end| end == "nodes")
    })
}
