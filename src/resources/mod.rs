//! The ledger of resources: everything long-lived says when it begins and when it ends.
//!
//! What holds a mapping, an open file, a database, a cache, an arena, a buffer or a thread keeps a [`Registration`] beside
//! it, as its last field, so that the end is noted when the thing itself is gone. Unless a [`Trace`] is running this costs
//! one atomic load. Under a trace both moments are written as a line, from which it can be told what was never given back.

pub mod report;
#[cfg(test)]
mod report_tests;
pub mod trace;

use std::panic::Location;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use trace::Trace;

/// The stack that a thread has unless it is told otherwise, as the standard library documents it for all common platforms.
pub const THREAD_STACK_BYTES: u64 = 2 << 20;

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A file mapped into memory; its bytes are those that are mapped, resident or not.
    Mapping,
    /// An open file.
    File,
    /// An open RocksDB; its bytes are those of its write buffers.
    Database,
    /// What is kept to be found again; its bytes are its bound.
    Cache,
    /// A worker's scratch memory.
    Arena,
    /// Memory that carries results from one thread to another.
    Buffer,
    /// A thread; its bytes are its stack, most of which is never touched.
    Thread,
    /// A key that is open for a program in C; what it holds is registered beside it.
    Handle,
}

/// Where the bytes of a resource show up when the process is looked at from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Anonymous memory (RssAnon).
    Anonymous,
    /// Pages of a file (RssFile), which the kernel can drop.
    FilePages,
    /// Address space, of which only what is touched becomes memory.
    Reserved,
    /// Nowhere.
    None,
}

impl ResourceKind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Mapping,
        Self::File,
        Self::Database,
        Self::Cache,
        Self::Arena,
        Self::Buffer,
        Self::Thread,
        Self::Handle,
    ];

    /// The word that stands for it in a trace.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::File => "file",
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Arena => "arena",
            Self::Buffer => "buffer",
            Self::Thread => "thread",
            Self::Handle => "handle",
        }
    }

    /// Where its bytes are.
    pub fn backing(self) -> Backing {
        match self {
            Self::Mapping => Backing::FilePages,
            Self::File | Self::Handle => Backing::None,
            Self::Database | Self::Cache | Self::Arena | Self::Buffer => Backing::Anonymous,
            Self::Thread => Backing::Reserved,
        }
    }
}

/// Notes that a resource has come to be, at the place of the caller; its end is noted when the value is dropped.
///
/// A constructor that registers what it makes is `#[track_caller]` itself, so that the place is where the thing is made.
#[must_use = "the resource counts as gone when this is dropped"]
#[track_caller]
pub fn register(kind: ResourceKind, bytes: u64) -> Registration {
    match trace::running() {
        Some(trace) => trace.register(kind, bytes),
        None => Registration { noted: None },
    }
}

/// Stands for a resource for as long as it lives.
#[derive(Debug)]
pub struct Registration {
    /// None if no trace was running when the resource came to be.
    noted: Option<Noted>,
}

#[derive(Debug)]
struct Noted {
    trace: Arc<Trace>,
    resource: Resource,
}

/// A resource as a trace knows it.
#[derive(Clone, Copy, Debug)]
struct Resource {
    id: u64,
    kind: ResourceKind,
    bytes: u64,
    place: &'static Location<'static>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(Noted { trace, resource }) = self.noted.take() {
            trace.drop_resource(resource);
        }
    }
}
