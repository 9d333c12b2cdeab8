//! The part of a path that a trimmed key does not store: computed from the secret, a block of epochs at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::PathReader;
use super::error::{damaged_block, secret_needed};
use super::shared::SharedWorkers;
use crate::error::Result;
use crate::keydir::KeyDir;
use crate::plan::Batches;
use crate::resources::{Registration, ResourceKind, register};
use crate::subtree::{Subtree, SubtreeSource};
use crate::units::{BatchIndex, Epoch, Level, NodeIndex};
use crate::workers::Workers;
use keymill_xmss::hash::PrfKey;

/// Blocks that are kept: that of the epochs of now, and the one behind it, which is computed before its first epoch comes.
const KEPT_BLOCKS: usize = 2;

/// What paths of a trimmed key need beside its layer files: the secret, and the blocks that were computed last.
pub(super) struct Trimmed {
    prf_key: PrfKey,
    workers: Arc<Workers>,
    /// Each below a node of the lowest level that is stored.
    blocks: Batches,
    kept: Mutex<KeptBlocks>,
    _registration: Registration,
}

/// The blocks that were used last, the last one at the end.
#[derive(Default)]
struct KeptBlocks(Vec<(BatchIndex, Arc<Subtree>)>);

impl KeptBlocks {
    fn find(&mut self, block: BatchIndex) -> Option<Arc<Subtree>> {
        let place = self.0.iter().position(|(known, _)| *known == block)?;
        let found = self.0.remove(place);
        let subtree = Arc::clone(&found.1);
        self.0.push(found);
        Some(subtree)
    }

    fn add(&mut self, block: BatchIndex, subtree: Arc<Subtree>) {
        self.0.retain(|(known, _)| *known != block);
        if self.0.len() == KEPT_BLOCKS {
            self.0.remove(0);
        }
        self.0.push((block, subtree));
    }
}

impl Trimmed {
    /// Reads the secret of a key that is trimmed; `None` for one that stores every level.
    #[track_caller]
    pub(super) fn open(key: &KeyDir, workers: &SharedWorkers) -> Result<Option<Self>> {
        let plan = key.manifest().plan();
        if plan.trim() == Level(0) {
            return Ok(None);
        }
        let needed = |why| secret_needed(why, plan.trim(), key.path());
        let prf_key = key.prf_key().map_err(needed)?;
        // A block is a whole tree.
        let nodes = (2 << plan.trim().0) - 1;
        let block_bytes = KEPT_BLOCKS as u64 * nodes * plan.scheme().digest_bytes() as u64;
        Ok(Some(Self {
            prf_key,
            workers: workers.with_arenas(plan.scheme().scratch_bytes())?,
            blocks: Batches::with_roots_at(plan.trim(), plan.geometry().clone()),
            kept: Mutex::default(),
            _registration: register(ResourceKind::Cache, block_bytes),
        }))
    }

    /// The nodes below the trim that stand above or beside an epoch of the key. They are compared with the node that is
    /// stored above them.
    pub(super) fn block(&self, epoch: Epoch, paths: &PathReader) -> Result<Arc<Subtree>> {
        let key = paths.key();
        let level = self.blocks.root_level();
        let index = u64::from(epoch.0) >> level.0;
        let block = BatchIndex(index);
        // The lock is not held while a block is computed: if rayon called this, the thread that waits for the workers can be
        // given another path to compute meanwhile, and would wait for itself.
        if let Some(subtree) = self.kept().find(block) {
            return Ok(subtree);
        }
        let source = SubtreeSource {
            manifest: key.manifest(),
            kernel: paths.kernel(),
            prf_key: &self.prf_key,
            workers: &self.workers,
        };
        let subtree = Arc::new(source.grow(&self.blocks, block, level)?);
        let (layers, node) = (paths.layers()?, NodeIndex(index));
        if layers.node(level, node) != Some(subtree.top()) {
            let epochs = self.blocks.epochs(block);
            let file = layers.file_of(level, node).unwrap_or(key.path());
            return Err(damaged_block(level, node, epochs, file, key.path()));
        }
        self.kept().add(block, Arc::clone(&subtree));
        Ok(subtree)
    }

    /// How many blocks are kept that lie above that of an epoch, or at all.
    #[cfg(feature = "serve")]
    pub(super) fn kept_above(&self, epoch: Option<u32>) -> usize {
        let level = self.blocks.root_level();
        let block = epoch.map(|epoch| BatchIndex(u64::from(epoch) >> level.0));
        let kept = self.kept();
        kept.0.iter().filter(|(known, _)| Some(*known) > block).count()
    }

    #[cfg(all(test, feature = "serve"))]
    pub(super) fn is_kept(&self, epoch: Epoch) -> bool {
        let block = BatchIndex(u64::from(epoch.0) >> self.blocks.root_level().0);
        self.kept().0.iter().any(|(known, _)| *known == block)
    }

    fn kept(&self) -> MutexGuard<'_, KeptBlocks> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
