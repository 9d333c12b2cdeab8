//! Pure arithmetic, done before anything is written: interval, tree, batches, sizes, memory.

mod batches;
mod geometry;
mod interval;
mod memory;
mod sizes;
mod units;

pub use batches::Batches;
pub use geometry::{Geometry, LevelSpan};
pub use interval::{PlanError, stored_interval};
pub use memory::{BudgetTooSmall, MemoryPlan};
pub use sizes::{LAYER_HEADER_BYTES, Plan};
pub use units::{BatchIndex, Epoch, EpochRange, Level, NodeIndex};
