//! The job: from a request to a sealed key, through any number of interruptions.

mod batch;
mod builder;
mod cancel;
mod committer;
pub(crate) mod crown;
mod done_set;
mod error;
mod fill;
mod gather;
mod governor;
mod group_size;
mod history;
mod in_flight;
mod job;
mod options;
mod pipeline;
mod prepare;
mod progress;
mod recovery;
mod request;
mod resolve;
mod rounds;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use batch::BatchComputer;
pub use builder::{KeygenBuilder, PartFiles};
pub use cancel::CancelHandle;
pub(crate) use done_set::DoneSet;
pub(crate) use error::{contradiction, disk_unreliable};
pub(crate) use fill::fill;
pub(crate) use gather::{Gathered, GatheredBatch, Gathering};
pub(crate) use history::History;
pub use job::{KeygenJob, Summary};
pub use options::JobOptions;
pub use progress::{Event, NoProgress, Phase, Progress};
pub use request::{KeyDefaults, KeyRequest};
pub(crate) use rounds::{Checked, Rounds};
