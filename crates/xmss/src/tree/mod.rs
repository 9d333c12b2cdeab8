//! The tree above the leaves: which epochs a key stores, which nodes that makes, and where fillers stand.

mod fillers;
mod fold;
mod geometry;
mod interval;
mod nodes;

pub use fillers::Fillers;
pub use fold::{Fold, first_wrong};
pub use geometry::{Geometry, LevelSpan};
pub use interval::{PlanError, stored_interval};
pub use nodes::Nodes;
