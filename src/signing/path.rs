//! Authentication paths from disk. The checkpoint store is not needed, and the secret only if the key is trimmed.

use std::sync::Arc;

use super::PathStream;
use super::error::{damaged, outside_key};
use super::shared::{HeldLayers, KeyLayers, Shared};
use super::trimmed::Trimmed;
use crate::error::{Error, Reason, Result};
use crate::keydir::{KeyDir, KeyPlace, Manifest};
use crate::layers::LayerReader;
#[cfg(feature = "planted-leak")]
use crate::resources::{ResourceKind, register};
use crate::subtree::Subtree;
use crate::units::{Epoch, Level, NodeIndex};
use keymill_xmss::hash::Kernel;

/// A leaf and the siblings that lead from it to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthenticationPath {
    /// The epoch.
    pub epoch: Epoch,
    /// The epoch's leaf digest.
    pub leaf: Vec<u8>,
    /// `h` sibling digests, from level 0 upward, one after the other.
    pub siblings: Vec<u8>,
}

impl AuthenticationPath {
    pub(super) fn empty() -> Self {
        Self {
            epoch: Epoch(0),
            leaf: Vec::new(),
            siblings: Vec::new(),
        }
    }

    /// The sibling digests, from level 0 upward.
    pub fn sibling_digests(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.siblings.chunks_exact(self.leaf.len())
    }
}

/// A leak on purpose: memory that is not given back, with its registration.
#[cfg(feature = "planted-leak")]
fn plant_leak() {
    const LEAKED_BYTES: usize = 64 << 10;
    let registration = register(ResourceKind::Cache, LEAKED_BYTES as u64);
    std::mem::forget(std::hint::black_box((vec![1_u8; LEAKED_BYTES], registration)));
}

/// Reads paths of one sealed key from its memory-mapped layer files.
pub struct PathReader {
    key: KeyDir,
    layers: KeyLayers,
    /// For a trimmed key: what its lowest levels are computed from.
    trimmed: Option<Trimmed>,
    kernel: Box<dyn Kernel>,
    root: Vec<u8>,
}

impl PathReader {
    /// Opens the sealed key in a directory.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it is not a sealed key, or if a layer file is missing, cut, or another key's; of a trimmed key
    /// also if the secret is.
    pub fn open<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        Self::open_beside(place, &Shared::default())
    }

    /// As [`open`](Self::open), of one key among many, which have something in common.
    pub(crate) fn open_beside<'a>(place: impl Into<KeyPlace<'a>>, shared: &Shared) -> Result<Self> {
        let mut key = KeyDir::open_sealed(place)?;
        loop {
            let missing = match key.mapped_layers() {
                Err(error) if error.reason() == Reason::LayerMissing => error,
                layers => return Self::over(key, layers?, shared),
            };
            // A trim that ran meanwhile has deleted what the manifest of a moment ago names.
            let now = key.read_again()?.of_this_version()?.sealed()?;
            if now.manifest().plan().trim() == key.manifest().plan().trim() {
                return Err(missing);
            }
            key = now;
        }
    }

    /// A reader of the layer files that a key's manifest names.
    pub(crate) fn of(key: KeyDir) -> Result<Self> {
        let layers = key.mapped_layers()?;
        Self::over(key, layers, &Shared::default())
    }

    fn over(key: KeyDir, layers: LayerReader, shared: &Shared) -> Result<Self> {
        #[cfg(feature = "planted-leak")]
        plant_leak();
        Ok(Self {
            root: key.manifest().root().unwrap_or_default().to_vec(),
            kernel: key.kernel(),
            trimmed: Trimmed::open(&key, &shared.workers)?,
            layers: shared.layers_of(layers),
            key,
        })
    }

    /// The same with other hash functions.
    #[cfg(test)]
    pub(crate) fn with_kernel(self, kernel: Box<dyn Kernel>) -> Self {
        Self { kernel, ..self }
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.key.manifest()
    }

    /// The epoch of this number, if the key stores it.
    ///
    /// # Errors
    /// [`Reason::OutsideKey`](crate::Reason::OutsideKey).
    pub fn epoch(&self, number: u64) -> Result<Epoch> {
        let stored = self.manifest().plan().stored();
        u32::try_from(number)
            .map(Epoch)
            .ok()
            .filter(|&epoch| stored.contains(epoch))
            .ok_or_else(|| outside_key(number, stored))
    }

    /// The path of an epoch, checked against the root.
    ///
    /// # Errors
    /// [`Reason::OutsideKey`](crate::Reason::OutsideKey), or [`Reason::Damaged`](crate::Reason::Damaged) if what is stored does
    /// not lead to the root.
    pub fn path(&self, epoch: Epoch) -> Result<AuthenticationPath> {
        let path = self.unchecked_path(epoch)?;
        let mut node = path.leaf.clone();
        self.kernel.fold_path(epoch, &path.siblings, &mut node);
        // The kernel reduces what is not canonical, so that two forms of a digest would lead to the same root.
        let is_canonical = [&path.leaf, &path.siblings]
            .into_iter()
            .all(|d| self.key.manifest().scheme().check_canonical(d).is_ok());
        if node == self.root && is_canonical {
            return Ok(path);
        }
        Err(self.damaged(epoch))
    }

    /// Paths of many epochs, at less cost a path than [`path`](Self::path) if they are near each other.
    pub fn stream(&self) -> PathStream<'_> {
        PathStream::new(self)
    }

    /// The path of an epoch as it stands in the files: a plain copy of `h + 1` digests. Of a trimmed key, those that are not
    /// stored are computed, unless that was done for an epoch of the same block just before.
    ///
    /// # Errors
    /// [`Reason::OutsideKey`](crate::Reason::OutsideKey), or [`Reason::Damaged`](crate::Reason::Damaged) if the node above those that were computed differs.
    pub fn unchecked_path(&self, epoch: Epoch) -> Result<AuthenticationPath> {
        let mut path = AuthenticationPath::empty();
        self.copy_path(epoch, &mut path)?;
        Ok(path)
    }

    /// The same, in the memory of another path.
    pub(super) fn copy_path(&self, epoch: Epoch, path: &mut AuthenticationPath) -> Result<()> {
        let plan = self.manifest().plan();
        self.epoch(epoch.0.into())?;
        let (block, layers) = (self.block(epoch)?, self.layers()?);
        let node = |level: Level, node: NodeIndex| {
            let computed = block.as_ref().and_then(|block| block.node(level, node));
            let node = computed.or_else(|| layers.node(level, node));
            node.ok_or_else(|| outside_key(epoch.0.into(), plan.stored()))
        };
        path.epoch = epoch;
        path.leaf.clear();
        path.leaf.extend_from_slice(node(Level(0), NodeIndex(epoch.0.into()))?);
        path.siblings.clear();
        let height = usize::from(plan.scheme().log_lifetime());
        path.siblings.reserve_exact(height * path.leaf.len());
        for (level, sibling) in plan.geometry().path(epoch) {
            path.siblings.extend_from_slice(node(level, sibling)?);
        }
        Ok(())
    }

    /// The nodes below the trim that stand above or beside an epoch of the key, computed; `None` if it is not trimmed.
    pub(crate) fn block(&self, epoch: Epoch) -> Result<Option<Arc<Subtree>>> {
        let compute = |trimmed: &Trimmed| trimmed.block(epoch, self);
        self.trimmed.as_ref().map(compute).transpose()
    }

    /// Computes the block of an epoch ahead of its time, if the key is trimmed and stores the epoch. What is wrong with it shows
    /// when it is used.
    #[cfg(feature = "serve")]
    pub(crate) fn prepare_block(&self, epoch: u64) {
        if let Ok(epoch) = self.epoch(epoch) {
            drop(self.block(epoch));
        }
    }

    /// How many blocks are computed and kept that lie above that of an epoch, or at all; none if the key is not trimmed.
    #[cfg(feature = "serve")]
    pub(crate) fn blocks_above(&self, epoch: Option<u32>) -> usize {
        let trimmed = self.trimmed.as_ref();
        trimmed.map_or(0, |trimmed| trimmed.kept_above(epoch))
    }

    /// Whether the block of an epoch is computed already.
    #[cfg(all(test, feature = "serve"))]
    pub(crate) fn has_block(&self, epoch: Epoch) -> bool {
        self.trimmed.as_ref().is_some_and(|trimmed| trimmed.is_kept(epoch))
    }

    pub(crate) fn key(&self) -> &KeyDir {
        &self.key
    }

    pub(crate) fn kernel(&self) -> &dyn Kernel {
        self.kernel.as_ref()
    }

    /// The layer files, mapped for as long as they are held.
    ///
    /// # Errors
    /// As [`KeyDir::layers`], if other keys had to make room for them.
    pub(crate) fn layers(&self) -> Result<HeldLayers<'_>> {
        self.layers.get(&self.key)
    }

    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    pub(super) fn damaged(&self, epoch: Epoch) -> Error {
        damaged(epoch, self.key.path())
    }
}
