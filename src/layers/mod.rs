//! Layer files: one a level of the tree, a header page and then the digests in index order.
//!
//! Nodes are written to preallocated files through a shared mapping, synced range by range, and read through read-only
//! mappings once the key is sealed.

mod header;
mod medium;
mod mend;
mod reader;
mod touched;
mod writer;

use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub(crate) use header::Header;
pub(crate) use medium::{Disk, LayerFile, Medium};
pub(crate) use mend::{look, make_writable, mend, protect_again};
pub use reader::LayerReader;
pub(crate) use touched::Touched;
pub(crate) use writer::LayerWriter;

use crate::failure::{Classified, FailureKind, IoFailure};
use crate::files::{Entry, not_regular};
use crate::remedy::{Remedied, Remedy, advised};
use crate::units::Level;

/// A layer file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The header is not that of this key and level.
    #[error(
        "'{}' is damaged or belongs to another key: at offset {offset} {what}{}", .path.display(), advised([repair(.path)])
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// First byte that is wrong.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The length is not what the header demands.
    #[error(
        "'{}' is {found_bytes} bytes long but has to be {expected_bytes}; it was truncated or replaced{}",
        .path.display(), advised([repair(.path)])
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// What it has to be.
        expected_bytes: u64,
    },
    /// The file does not exist.
    #[error("the layer file '{}' is missing{}", .0.display(), advised([repair(.0)]))]
    Missing(PathBuf),
    /// Something else stands in the place of the file.
    #[error("'{}' is damaged: {what}{}", .path.display(), advised([repair(.path)]))]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// A symbolic link through which something had to be written, or that leads nowhere.
    #[error(
        "'{}' is a symbolic link. A file behind one is read, but nothing is written through a link{}",
        .0.display(), advised(for_link(.0))
    )]
    Link(PathBuf),
}

impl Classified for LayerError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io(_) => FailureKind::Machine,
            _ => FailureKind::Directory,
        }
    }
}

impl Remedied for LayerError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Io(failure) => failure.remedies(),
            Self::Header { path, .. }
            | Self::Length { path, .. }
            | Self::Missing(path)
            | Self::NotAFile { path, .. } => vec![repair(path)],
            Self::Link(path) => for_link(path).into(),
        }
    }
}

/// What mends a layer file.
fn repair(layer: &Path) -> Remedy {
    Remedy::Repair(layer.ancestors().nth(2).unwrap_or(layer).to_owned())
}

/// What it leads to may come back, as a disk does that is not mounted.
fn for_link(link: &Path) -> [Remedy; 2] {
    [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(link.to_owned()))
}

/// Compares the length of a file with what it has to be: a page past the end of a mapped file would be SIGBUS.
pub(crate) fn check_length(path: &Path, found_bytes: u64, expected_bytes: u64) -> Result<(), LayerError> {
    if found_bytes == expected_bytes {
        return Ok(());
    }
    Err(LayerError::Length {
        path: path.to_owned(),
        found_bytes,
        expected_bytes,
    })
}

/// Answers of open(2) to a name behind which there is nothing.
const NOT_THERE: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];

fn is_not_there(failure: &IoFailure) -> bool {
    NOT_THERE.map(Some).contains(&Errno::from_io_error(&failure.source))
}

/// A file that was opened, or the error that says that it is missing, or what stands in its place.
pub(crate) fn present<T>(layer: &Entry, opened: Result<T, IoFailure>) -> Result<T, LayerError> {
    let failure = match opened {
        Ok(file) => return Ok(file),
        Err(failure) => failure,
    };
    match not_regular(&failure) {
        Some(_) if layer.is_link()? => Err(LayerError::Link(failure.path)),
        Some(found) => Err(LayerError::NotAFile {
            path: failure.path,
            what: found.words(),
        }),
        // Also where a link that leads nowhere, or something else, is in the place of the directory.
        None if is_not_there(&failure) => match layer.exists() {
            // By its own name it is.
            Ok(true) => Err(LayerError::Link(failure.path)),
            Ok(false) => Err(LayerError::Missing(failure.path)),
            Err(again) if is_not_there(&again) => Err(LayerError::Missing(failure.path)),
            Err(other) => Err(other.into()),
        },
        None => Err(failure.into()),
    }
}

/// The file of a level within the directory of layer files.
pub(crate) fn layer_file(layers: &Entry, level: Level) -> Entry {
    layers.join(format!("{:02}.nodes", level.0))
}
