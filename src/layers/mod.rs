//! Layer files: one a level of the tree, a header page and then the digests in index order.
//!
//! Nodes are written to preallocated files through a shared mapping, synced range by range, and read through read-only
//! mappings once the key is sealed.

mod dirty;
mod header;
mod medium;
mod mend;
pub(crate) mod part;
mod reader;
mod shelf;
mod writer;

use std::path::Path;

use rustix::io::Errno;

pub(crate) use dirty::DirtyNodes;
pub(crate) use header::Header;
pub(crate) use medium::{Disk, LayerFile, Medium};
pub(crate) use mend::{look, make_writable, mend, protect_again};
pub(crate) use reader::LayerFiles;
pub use reader::LayerReader;
pub use shelf::ADOPTED_PARTS_MAX;
pub(crate) use shelf::{
    AdoptedPart, Content, NodeFile, Shelf, Unusable, adopted_parts, has_adopted_parts, levels_in_parts,
};
pub(crate) use writer::LayerWriter;

use crate::error::{Error, Reason, Result};
use crate::failure::IoFailure;
use crate::files::{Entry, not_regular};
use crate::remedy::Remedy;
use crate::units::Level;

/// The header is not that of this key and level.
fn bad_header(path: &Path, offset: u64, what: &str) -> Error {
    let what = format!(
        "'{}' is damaged or belongs to another key: the file header is wrong at byte {offset} ({what})",
        path.display()
    );
    to_repair(what, path)
}

/// The file does not exist.
fn missing(path: &Path) -> Error {
    to_repair(format!("the layer file '{}' is missing", path.display()), path).because(Reason::LayerMissing)
}

/// A symbolic link through which something had to be written, or that leads nowhere.
pub(crate) fn link(path: &Path) -> Error {
    let what = format!(
        "'{}' is a symbolic link. A file behind one is read, but nothing is written through a link",
        path.display()
    );
    // What it leads to may come back, as a disk does that is not mounted.
    let remedies = [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(path.to_owned()));
    Error::directory(what).because(Reason::Damaged).at(path).mend(remedies)
}

fn to_repair(what: String, layer: &Path) -> Error {
    Error::directory(what)
        .because(Reason::Damaged)
        .at(layer)
        .mend([repair(layer)])
}

/// What mends a layer file, or an adopted part, whose directory is one below.
fn repair(layer: &Path) -> Remedy {
    let depth = if layer.extension() == Some(part::EXTENSION.trim_start_matches('.').as_ref()) {
        3
    } else {
        2
    };
    Remedy::Repair(layer.ancestors().nth(depth).unwrap_or(layer).to_owned())
}

/// Compares the length of a file with what it has to be: a page past the end of a mapped file would be SIGBUS.
pub(crate) fn check_length(path: &Path, found_bytes: u64, expected_bytes: u64) -> Result<()> {
    if found_bytes == expected_bytes {
        return Ok(());
    }
    let what = format!(
        "'{}' is {found_bytes} bytes long but has to be {expected_bytes}; it was truncated or replaced",
        path.display()
    );
    Err(to_repair(what, path))
}

/// Answers of open(2) to a name behind which there is nothing.
const NOT_THERE: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];

fn is_not_there(failure: &IoFailure) -> bool {
    NOT_THERE.map(Some).contains(&Errno::from_io_error(&failure.source))
}

/// A file that was opened, or the error that says that it is missing, or what stands in its place.
pub(crate) fn present<T>(layer: &Entry, opened: Result<T, IoFailure>) -> Result<T> {
    let failure = match opened {
        Ok(file) => return Ok(file),
        Err(failure) => failure,
    };
    match not_regular(&failure) {
        Some(_) if layer.is_link()? => Err(link(&failure.path)),
        Some(found) => {
            let error = Error::damaged("", &failure.path, found.words());
            Err(error.because(Reason::NotAFile).mend([repair(&failure.path)]))
        }
        // Also where a link that leads nowhere, or something else, is in the place of the directory.
        None if is_not_there(&failure) => match layer.exists() {
            // By its own name it is.
            Ok(true) => Err(link(&failure.path)),
            Ok(false) => Err(missing(&failure.path)),
            Err(again) if is_not_there(&again) => Err(missing(&failure.path)),
            Err(other) => Err(other.into()),
        },
        None => Err(failure.into()),
    }
}

/// The file of a level within the directory of layer files.
pub(crate) fn layer_file(layers: &Entry, level: Level) -> Entry {
    layers.join(format!("{:02}.nodes", level.0))
}
