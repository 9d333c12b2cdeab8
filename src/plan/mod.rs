//! Pure arithmetic, done before anything is written: batches, sizes, memory.

mod batches;
mod memory;
mod pieces;
mod reading;
mod sizes;

pub use crate::units::{BatchIndex, Epoch, EpochRange, Fingerprint, KeyId, Level, NodeIndex, Slice};
pub use batches::Batches;
pub use keymill_xmss::tree::{Geometry, LevelSpan, PlanError, stored_interval};
pub(crate) use memory::{JobDemand, PLANNED_PERCENT, WORKER_BYTES};
pub use memory::{MemoryPlan, MemoryRequest, StoreBuffers};
pub use pieces::{piece_count, pieces};
pub use reading::{Readers, Reading};
pub use sizes::{LAYER_HEADER_BYTES, Plan};
