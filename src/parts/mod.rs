//! One key on many machines: a key is divided into parts, each is made anywhere from ticket and secret and published as one file,
//! and the files are joined to the key (docs/FORMAT.md, "Parts of a key").
//!
//! Nothing here schedules anything, and nothing that comes from elsewhere is believed: [`Joining`] compares each part with the secret
//! and hashes all of it again.

mod adopt;
mod cost;
mod division;
mod error;
mod inspect;
mod join;
mod make;
mod sample;
mod scratch;
mod speed;
#[cfg(test)]
mod tests;
mod ticket;

pub use crate::keygen::PartFiles;
pub use crate::layers::ADOPTED_PARTS_MAX;
pub use cost::{DivisionCost, JoinCost, Work};
pub use division::{Division, PARTS_MAX, PartIndex};
pub use join::{BadPart, JoinReport, JoinRequest, Joining, MissingPart, TakenPart};
pub use make::{PartJob, PartReport, PartRequest};
pub use sample::sample_for;
pub use speed::{Estimate, Speed};
pub use ticket::{Split, Ticket, split};
