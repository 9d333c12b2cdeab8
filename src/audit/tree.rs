//! Verifies the stored tree: its checksums, its fillers, that it is the hash of itself, and on request the secret.

use std::path::PathBuf;

use crate::keydir::{KeyDir, KeyState, Manifest};
use crate::layers::{LayerFiles, levels_in_parts};
use crate::plan::Plan;
use crate::remedy::Remedy;
use crate::subtree::SubtreeSource;
use crate::units::{BatchIndex, Level, Slice};
use crate::workers::Workers;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::hash::{Kernel, PrfKey};
use keymill_xmss::tree::Fold;

use super::damage::Damage;

/// Everything that the nodes of a key can be compared with.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) key: &'a KeyDir,
    pub(super) layers: &'a LayerFiles,
    pub(super) kernel: &'a dyn Kernel,
    /// For a deep check: the leaves are computed again.
    pub(super) prf_key: Option<&'a PrfKey>,
    pub(super) workers: &'a Workers,
}

impl Tree<'_> {
    pub(super) fn manifest(&self) -> &Manifest {
        self.key.manifest()
    }

    pub(super) fn plan(&self) -> &Plan {
        self.manifest().plan()
    }

    /// What its levels are folded with.
    pub(super) fn fold(&self) -> Fold<'_> {
        self.manifest().fold(self.kernel)
    }

    /// Reads the nodes of a slice and compares them with their checksum, if there is one, and with the fillers of the
    /// manifest. `None` if the level's file cannot be used at all; the error says what is wrong.
    pub(super) fn read(&self, slice: &Slice, crc32: Option<u32>) -> Result<Option<Vec<u8>>, String> {
        if !self.layers.has(slice) {
            // A part that has a record and is gone: of a finished key, the file itself is named.
            let is_gone = crc32.is_some() && self.layers.file_of(slice).is_none();
            if is_gone && self.manifest().state() == KeyState::Generating {
                return Err("the part that has its nodes is missing".to_owned());
            }
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.layers
            .read(slice, &mut bytes)
            .map_err(|error| format!("it cannot be read: {}", error.advised()))?;
        if crc32.is_some_and(|crc32| crc32fast::hash(&bytes) != crc32) {
            return Err("its checksum differs".to_owned());
        }
        if !self.manifest().fillers().are_in(slice, &bytes) {
            return Err("a filler is not the manifest's".to_owned());
        }
        // Other nodes are compared with computed ones, which are canonical; those of the lowest level, leaves as a rule, are
        // only hashed, and reduced for that.
        if slice.level == self.plan().trim() && self.plan().scheme().check_canonical(&bytes).is_err() {
            return Err(format!("a {} is not canonical", self.lowest_node()));
        }
        Ok(Some(bytes))
    }

    /// Compares the nodes of a slice that are not fillers with the hash of their children.
    pub(super) fn parents(
        &self,
        slice: &Slice,
        children: &[u8],
        stored: &[u8],
        batch: Option<BatchIndex>,
    ) -> Option<Damage> {
        self.fold().first_wrong(slice, children, stored)?;
        Some(self.damage(slice, batch, "a node is not the hash of its children".to_owned()))
    }

    /// Compares the lowest nodes that a batch stores with what the secret gives, if the check is a deep one.
    pub(super) fn lowest(
        &self,
        batch: BatchIndex,
        slice: &Slice,
        stored: &[u8],
    ) -> Result<Option<Damage>, ArenaOverflow> {
        let Some(prf_key) = self.prf_key else {
            return Ok(None);
        };
        let source = SubtreeSource {
            manifest: self.manifest(),
            kernel: self.kernel,
            prf_key,
            workers: self.workers,
        };
        let subtree = source.grow(self.plan().batches(), batch, slice.level)?;
        let what = || format!("a {} is not what the secret gives", self.lowest_node());
        Ok((subtree.top() != stored).then(|| self.damage(slice, Some(batch), what())))
    }

    /// What a node of the lowest level that is stored is called.
    fn lowest_node(&self) -> &'static str {
        match self.plan().trim() {
            Level(0) => "leaf",
            _ => "node of the lowest level that is stored",
        }
    }

    /// Whether it is for a join to mend what parts have.
    fn is_joined(&self, level: Level) -> bool {
        let in_parts = levels_in_parts(self.plan());
        let adopts = !self
            .layers
            .on_disk
            .iter()
            .any(|file| file.content.level() == Some(level));
        self.manifest().state() == KeyState::Generating && in_parts.contains(&level.0) && adopts
    }

    fn repair(&self) -> Remedy {
        Remedy::Repair(self.key.path().to_owned())
    }

    pub(super) fn state_damage(&self, what: String) -> Damage {
        Damage {
            file: self.key.paths().state().path().to_owned(),
            level: None,
            batch: None,
            nodes: None,
            what,
            remedies: vec![self.repair()],
        }
    }

    pub(super) fn part_damage(&self, file: PathBuf, what: String) -> Damage {
        Damage {
            file,
            ..self.state_damage(what)
        }
    }

    pub(super) fn damage(&self, slice: &Slice, batch: Option<BatchIndex>, what: String) -> Damage {
        let file = self.layers.file_of(slice).map(|file| file.entry.path().to_owned());
        Damage {
            file: file.unwrap_or_else(|| self.key.paths().layer(slice.level).path().to_owned()),
            level: Some(slice.level),
            batch,
            nodes: Some(slice.nodes.clone()),
            what,
            remedies: vec![if self.is_joined(slice.level) {
                Remedy::Join(self.key.path().to_owned())
            } else {
                self.repair()
            }],
        }
    }
}
