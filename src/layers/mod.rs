//! Layer files: one a level of the tree, a header page and then the digests in index order.
//!
//! Nodes are written to preallocated files through a shared mapping, synced range by range, and read through read-only
//! mappings once the key is sealed.

mod header;
mod mapping;
mod medium;
mod reader;
mod touched;
mod writer;

use std::ops::Range;
use std::path::PathBuf;

pub(crate) use header::Header;
pub use header::KeyId;
pub(crate) use medium::{Disk, LayerFile, Medium};
pub use reader::LayerReader;
pub(crate) use touched::Touched;
pub(crate) use writer::LayerWriter;

use crate::failure::IoFailure;
use crate::plan::Level;

/// A layer file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The header is not that of this key and level.
    #[error("'{}' is damaged or belongs to another key: at offset {offset} {what}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// First byte that is wrong.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The length is not what the header demands.
    #[error("'{}' is {found_bytes} bytes long but has to be {expected_bytes}; it was truncated or replaced", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// What it has to be.
        expected_bytes: u64,
    },
    /// The file does not exist.
    #[error("the layer file '{}' is missing", .0.display())]
    Missing(PathBuf),
}

/// A run of nodes of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The level.
    pub level: Level,
    /// Node indices, as counted in the whole tree.
    pub nodes: Range<u64>,
}
