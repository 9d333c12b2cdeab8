//! The part of a path that a trimmed key does not store: computed from the secret, a block of epochs at a time.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::{damaged_block, secret_needed};
use crate::error::Result;
use crate::keydir::KeyDir;
use crate::layers::LayerReader;
use crate::plan::Batches;
use crate::resources::{Registration, ResourceKind, register};
use crate::subtree::{Subtree, SubtreeSource};
use crate::units::{BatchIndex, Epoch, Level, NodeIndex};
use crate::workers::Workers;
use keymill_xmss::hash::{Kernel, PrfKey};

/// What paths of a trimmed key need beside its layer files: the secret, and the block that was computed last.
pub(super) struct Trimmed {
    prf_key: PrfKey,
    workers: Workers,
    /// Each below a node of the lowest level that is stored.
    blocks: Batches,
    last: Mutex<Option<(BatchIndex, Arc<Subtree>)>>,
    _registration: Registration,
}

impl Trimmed {
    /// Reads the secret of a key that is trimmed; `None` for one that stores every level.
    #[track_caller]
    pub(super) fn open(key: &KeyDir) -> Result<Option<Self>> {
        let plan = key.manifest().plan();
        if plan.trim() == Level(0) {
            return Ok(None);
        }
        let needed = |why| secret_needed(why, plan.trim(), key.path());
        let prf_key = key.prf_key().map_err(needed)?;
        // A block is a whole tree.
        let nodes = (2 << plan.trim().0) - 1;
        let block_bytes = nodes * plan.scheme().digest_bytes() as u64;
        Ok(Some(Self {
            prf_key,
            workers: Workers::start(0, plan.scheme().scratch_bytes())?,
            blocks: Batches::with_roots_at(plan.trim(), plan.geometry().clone()),
            last: Mutex::default(),
            _registration: register(ResourceKind::Cache, block_bytes),
        }))
    }

    /// The nodes below the trim that stand above or beside an epoch of the key. They are compared with the node that is
    /// stored above them.
    pub(super) fn block(
        &self,
        epoch: Epoch,
        key: &KeyDir,
        kernel: &dyn Kernel,
        layers: &LayerReader,
    ) -> Result<Arc<Subtree>> {
        let level = self.blocks.root_level();
        let index = u64::from(epoch.0) >> level.0;
        let block = BatchIndex(index);
        // The lock is not held while a block is computed: if rayon called this, the thread that waits for the workers can be
        // given another path to compute meanwhile, and would wait for itself.
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, subtree)) = last.filter(|(known, _)| *known == block) {
            return Ok(subtree);
        }
        let source = SubtreeSource {
            manifest: key.manifest(),
            kernel,
            prf_key: &self.prf_key,
            workers: &self.workers,
        };
        let subtree = Arc::new(source.grow(&self.blocks, block, level)?);
        if layers.node(level, NodeIndex(index)) != Some(subtree.top()) {
            let epochs = self.blocks.epochs(block);
            return Err(damaged_block(level, NodeIndex(index), epochs, key.path()));
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((block, Arc::clone(&subtree)));
        Ok(subtree)
    }
}
