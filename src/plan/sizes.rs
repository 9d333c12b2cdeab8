//! What a key will take: bytes on disk. Known before anything is written.

use super::batches::Batches;
use crate::units::{EpochRange, Level};
use keymill_xmss::scheme::Scheme;
use keymill_xmss::tree::{Geometry, LevelSpan};
use keymill_xmss::tree::{PlanError, stored_interval};

/// Bytes of the header that every layer file begins with: one page, so that nodes start at a page boundary.
pub const LAYER_HEADER_BYTES: u64 = 4096;

/// Bytes that RocksDB takes for a record, beside its checksums, and for each of these.
const RECORD_BYTES: u64 = 16;
const CHECKSUM_BYTES: u64 = 5;
/// A record can stand in two files while these are compacted into one, and some space to spare.
const RECORD_COPIES: u64 = 3;
/// Bytes of the checkpoint store beside its records: logs, options files, and some to spare.
const STATE_BYTES_BASE: u64 = 8 << 20;
/// The same when the key is finished and its logs are emptied into tables.
const KEPT_STATE_BYTES_BASE: u64 = 1 << 20;
/// Manifest, secret and lock.
const SMALL_FILES_BYTES: u64 = 64 << 10;

/// A key before it exists: scheme, interval, tree, files. Pure arithmetic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    scheme: &'static Scheme,
    activation_epoch: u64,
    active_epochs: u64,
    /// The interval of the whole key, of which the batches may be a part.
    key_epochs: EpochRange,
    batches: Batches,
}

impl Plan {
    /// Plans a key of `scheme` for `epochs` epochs from `activation`.
    ///
    /// # Errors
    /// [`PlanError`] if there is no epoch, or one past the lifetime.
    ///
    /// # Examples
    /// ```
    /// use keymill::{Plan, Scheme};
    /// let scheme = Scheme::by_id("leansig-p2-l32-top-v64-w8")?;
    /// let plan = Plan::new(scheme, 0, 1 << 18)?;
    /// assert_eq!(plan.stored().count(), 1 << 18);
    /// assert_eq!(plan.batches().count(), 256);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(scheme: &'static Scheme, activation: u64, epochs: u64) -> Result<Self, PlanError> {
        let stored = stored_interval(scheme, activation, epochs)?;
        let geometry = Geometry::new(scheme.log_lifetime(), stored);
        Ok(Self {
            scheme,
            activation_epoch: activation,
            active_epochs: epochs,
            key_epochs: stored,
            batches: Batches::new(geometry),
        })
    }

    /// As [`new`](Self::new), for `epochs` if they are given; else for `default_epochs`, or as many as the lifetime has
    /// left.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn or_default(
        scheme: &'static Scheme,
        activation: u64,
        epochs: Option<u64>,
        default_epochs: u64,
    ) -> Result<Self, PlanError> {
        let left = scheme.lifetime().saturating_sub(activation).max(1);
        Self::new(scheme, activation, epochs.unwrap_or(default_epochs.min(left)))
    }

    /// The same key with another trim: levels below `trim` are computed, but not stored.
    ///
    /// # Errors
    /// [`PlanError::TrimTooHigh`] if that is above the roots of the batches.
    pub fn trimmed(self, trim: Level) -> Result<Self, PlanError> {
        let limit = self.batches.root_level();
        if trim > limit {
            return Err(PlanError::TrimTooHigh {
                trim,
                limit,
                scheme: self.scheme.id(),
            });
        }
        let geometry = self.batches.geometry().clone().trimmed(trim);
        Ok(Self {
            batches: Batches::new(geometry),
            ..self
        })
    }

    /// The same with every level stored.
    pub(crate) fn untrimmed(&self) -> Self {
        Self {
            batches: Batches::new(self.geometry().clone().trimmed(Level(0))),
            ..self.clone()
        }
    }

    /// The part of the key that has just these epochs ([`Geometry::part`]); `None` if they are not a run of whole batches but for the ends of the key. Its
    /// highest level is the highest of which every node lies above these epochs alone.
    pub(crate) fn part_of(&self, epochs: EpochRange) -> Option<Self> {
        let key = self.key_epochs();
        if epochs.start >= epochs.end || epochs.start < key.start || epochs.end > key.end {
            return None;
        }
        let highest = u32::from(self.scheme.log_lifetime());
        let whole_below = |end: u64, of_key: u64| {
            if end == of_key { highest } else { end.trailing_zeros() }
        };
        let top = highest
            .min(whole_below(epochs.start, key.start))
            .min(whole_below(epochs.end, key.end));
        let is_of_batches = top >= u32::from(self.batches.root_level().0);
        is_of_batches.then(|| Self {
            batches: Batches::new(self.geometry().part(epochs, Level(top as u8))),
            ..self.clone()
        })
    }

    /// The lowest level that is stored; what is below is computed from the secret when it is needed. 0 for a key that is
    /// not trimmed.
    pub fn trim(&self) -> Level {
        self.geometry().lowest_stored()
    }

    /// The scheme.
    pub fn scheme(&self) -> &'static Scheme {
        self.scheme
    }

    /// First epoch that was asked for.
    pub fn activation_epoch(&self) -> u64 {
        self.activation_epoch
    }

    /// Number of epochs that were asked for.
    pub fn active_epochs(&self) -> u64 {
        self.active_epochs
    }

    /// The interval as widened: what the key stores and signs for. Of a part of a key, that of the part.
    pub fn stored(&self) -> EpochRange {
        self.geometry().epochs()
    }

    /// The interval as widened of the whole key, also of a part of it.
    pub(crate) fn key_epochs(&self) -> EpochRange {
        self.key_epochs
    }

    /// The levels of the tree.
    pub fn geometry(&self) -> &Geometry {
        self.batches.geometry()
    }

    /// The batches.
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// Number of filler digests.
    pub fn filler_count(&self) -> usize {
        self.geometry().fillers().count()
    }

    /// Bytes of the layer file of a level, its header included.
    pub fn layer_file_bytes(&self, span: &LevelSpan) -> u64 {
        LAYER_HEADER_BYTES + span.stored_count() * self.scheme.digest_bytes() as u64
    }

    /// Bytes of all layer files.
    pub fn layer_bytes(&self) -> u64 {
        let levels = self.geometry().stored_levels();
        levels.iter().map(|span| self.layer_file_bytes(span)).sum()
    }

    /// Bytes of everything while it is made, with an allowance for the checkpoint store.
    pub fn disk_bytes(&self) -> u64 {
        self.bytes_beside(STATE_BYTES_BASE)
    }

    /// Bytes of everything that is left of it when it is finished.
    pub fn kept_bytes(&self) -> u64 {
        self.bytes_beside(KEPT_STATE_BYTES_BASE)
    }

    fn bytes_beside(&self, state_bytes_base: u64) -> u64 {
        let record_bytes = RECORD_BYTES + self.batches.stored_levels().len() as u64 * CHECKSUM_BYTES;
        let state_bytes = state_bytes_base + RECORD_COPIES * self.batches.count() * record_bytes;
        self.layer_bytes() + SMALL_FILES_BYTES + state_bytes
    }

    /// Bytes of one batch's nodes, all levels.
    pub fn batch_bytes(&self) -> usize {
        self.batches.nodes_max() * self.scheme.digest_bytes()
    }

    /// Bytes of those of one batch's nodes that are stored.
    pub fn batch_stored_bytes(&self) -> usize {
        self.batches.stored_nodes_max() * self.scheme.digest_bytes()
    }
}
