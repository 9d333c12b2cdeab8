//! The tree above the leaves: which epochs a key stores, which nodes that makes, and where fillers stand.

mod geometry;
mod interval;

pub use geometry::{Geometry, LevelSpan};
pub use interval::{PlanError, stored_interval};
