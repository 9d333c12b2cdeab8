//! Whether a key is whole: headers, checksums, and the tree itself; on request also the leaves, from the secret.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::hash::{Kernel, PrfKey};
use crate::keydir::{DirectoryLock, KeyDir, KeyDirError, KeyState, Manifest};
use crate::layers::{LayerError, LayerReader};
use crate::plan::pieces;
use crate::state::{BatchRecord, StateError, Store};
use crate::units::{BatchIndex, Epoch, Level, NodeIndex, Slice};

/// Batches whose pages are looked at before they are given up.
const WINDOW_BATCHES: usize = 64;

/// A piece of a key that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The level of the damaged nodes.
    pub level: Option<Level>,
    /// The batch that owns them; none above the batches.
    pub batch: Option<BatchIndex>,
    /// The nodes among which the damage lies.
    pub nodes: Option<Range<u64>>,
    /// What was found.
    pub what: String,
}

/// What a check looked at, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Batches that have a checkpoint and were compared with it.
    pub batches_checked: u64,
    /// Batches that have no checkpoint; of a sealed key there must be none.
    pub batches_missing: u64,
    /// Whether the leaves were computed again.
    pub deep: bool,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
}

/// A check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The directory is not a key directory, or locked.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// The checkpoint store cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A layer file could not be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Checks the key in a directory: headers and lengths, the checksums of every batch and of the levels above, and that
/// every stored node is the hash of its children. With `deep`, also computes every leaf again from the secret.
///
/// # Errors
/// [`CheckError`] if the check cannot be made. Damage is no error but part of the report.
pub fn check(directory: &Path, deep: bool) -> Result<CheckReport, CheckError> {
    let key = KeyDir::open(directory)?;
    // The files of an unfinished key must not change while they are looked at.
    let _lock = match key.manifest().state() {
        KeyState::Sealed => None,
        KeyState::Generating => Some(DirectoryLock::take(&key.paths().lock())?),
    };
    let manifest = key.manifest();
    let mut report = CheckReport {
        deep,
        ..CheckReport::default()
    };
    let prf_key = if deep { Some(key.prf_key()?) } else { None };
    let layers = match open_layers(&key)? {
        Ok(layers) => layers,
        Err(damage) => {
            report.damage = damage;
            return Ok(report);
        }
    };
    let store = Store::open_read_only(&key.paths().state(), &manifest.binding())?;
    let kernel = key.kernel();
    let checker = Checker {
        key: &key,
        manifest,
        layers: &layers,
        kernel: kernel.as_ref(),
        prf_key: prf_key.as_ref(),
    };
    checker.batches(&store, &mut report)?;
    if manifest.state() == KeyState::Sealed {
        checker.crown(&store, &mut report)?;
        checker.root(&mut report);
    }
    Ok(report)
}

/// The layer files, or everything that keeps them from being used.
fn open_layers(key: &KeyDir) -> Result<Result<LayerReader, Vec<Damage>>, CheckError> {
    let manifest = key.manifest();
    let layers = key.paths().layers();
    let geometry = manifest.plan().geometry();
    let digest_bytes = manifest.scheme().digest_bytes();
    let unusable = LayerReader::unusable_files(&layers, geometry, digest_bytes, manifest.key_id());
    let mut damage = Vec::new();
    for (level, error) in unusable {
        let (LayerError::Header { path, .. } | LayerError::Length { path, .. } | LayerError::Missing(path)) = &error
        else {
            return Err(error.into());
        };
        damage.push(Damage {
            file: path.clone(),
            level: Some(level),
            batch: None,
            nodes: None,
            what: error.to_string(),
        });
    }
    if damage.is_empty() {
        let layers = LayerReader::open(&layers, geometry, digest_bytes, manifest.key_id())?;
        return Ok(Ok(layers));
    }
    Ok(Err(damage))
}

struct Checker<'a> {
    key: &'a KeyDir,
    manifest: &'a Manifest,
    layers: &'a LayerReader,
    kernel: &'a dyn Kernel,
    prf_key: Option<&'a PrfKey>,
}

impl Checker<'_> {
    fn batches(&self, store: &Store, report: &mut CheckReport) -> Result<(), CheckError> {
        let batches = self.manifest.plan().batches();
        let mut entries = store.batches()?.peekable();
        while entries.peek().is_some() {
            let window: Vec<_> = entries.by_ref().take(WINDOW_BATCHES).collect::<Result<_, _>>()?;
            let damage: Vec<Vec<Damage>> = window
                .par_iter()
                .map(|(batch, record)| self.batch(*batch, record))
                .collect();
            report.damage.extend(damage.into_iter().flatten());
            report.batches_checked += window.len() as u64;
            for (batch, _) in &window {
                for level in batches.levels() {
                    let nodes = batches.slice(*batch, level);
                    self.layers.release(&Slice { level, nodes })?;
                }
            }
        }
        report.batches_missing = batches.count().saturating_sub(report.batches_checked);
        if report.batches_missing > 0 && self.manifest.state() == KeyState::Sealed {
            let what = format!(
                "the checkpoint store has no record of {} batches",
                report.batches_missing
            );
            report.damage.push(self.state_damage(what));
        }
        Ok(())
    }

    fn batch(&self, batch: BatchIndex, record: &BatchRecord) -> Vec<Damage> {
        let batches = self.manifest.plan().batches();
        let slices: Vec<Slice> = batches
            .levels()
            .map(|level| Slice {
                level,
                nodes: batches.slice(batch, level),
            })
            .collect();
        if batches.position(batch).is_none() || slices.len() != record.slice_crc32.len() {
            let mut damage = self.damage(&slices[0], Some(batch), "its checkpoint is not of this key");
            damage.file = self.key.paths().state();
            return vec![damage];
        }
        let mut found = Vec::new();
        for (slice, &crc32) in slices.iter().zip(&record.slice_crc32) {
            if crc32fast::hash(self.bytes(slice)) != crc32 {
                found.push(self.damage(slice, Some(batch), "its checksum differs"));
            }
        }
        if found.is_empty() {
            found.extend(self.leaves(batch, &slices[0]));
            let above = slices.windows(2).filter_map(|pair| {
                let computed = self.computed(&pair[1]);
                self.parents(&computed, Some(batch))
            });
            found.extend(above);
        }
        found
    }

    fn crown(&self, store: &Store, report: &mut CheckReport) -> Result<(), CheckError> {
        let plan = self.manifest.plan();
        let lowest = usize::from(plan.batches().root_level().0);
        for span in &plan.geometry().levels()[lowest..] {
            let level = span.level;
            let Some(record) = store.crown(level)? else {
                report
                    .damage
                    .push(self.state_damage(format!("the checkpoint store has no record of level {level}")));
                continue;
            };
            let mut sound = true;
            let mut expected = record.piece_crc32.iter();
            for piece in pieces(level, span.stored.clone()) {
                if expected.next() != Some(&crc32fast::hash(self.bytes(&piece))) {
                    sound = false;
                    let damage = self.damage(&piece, None, "its checksum differs");
                    report.damage.push(damage);
                }
            }
            if sound && usize::from(level.0) > lowest {
                for piece in pieces(level, span.computed.clone()) {
                    report.damage.extend(self.parents(&piece, None));
                }
            }
        }
        Ok(())
    }

    fn root(&self, report: &mut CheckReport) {
        let root = Slice {
            level: self.manifest.scheme().root_level(),
            nodes: 0..1,
        };
        if Some(self.bytes(&root)) != self.manifest.root() {
            let damage = self.damage(&root, None, "it is not the root that the manifest names");
            report.damage.push(damage);
        }
    }

    /// Compares nodes with the hash of their children.
    fn parents(&self, slice: &Slice, batch: Option<BatchIndex>) -> Option<Damage> {
        let children = Slice {
            level: Level(slice.level.0 - 1),
            nodes: 2 * slice.nodes.start..2 * slice.nodes.end,
        };
        let stored = self.bytes(slice);
        let mut computed = vec![0; stored.len()];
        let first = NodeIndex(slice.nodes.start);
        self.kernel
            .parents(slice.level, first, self.bytes(&children), &mut computed);
        (computed != stored).then(|| self.damage(slice, batch, "a node is not the hash of its children"))
    }

    /// Compares leaves with what the secret gives, if the check is a deep one.
    fn leaves(&self, batch: BatchIndex, slice: &Slice) -> Option<Damage> {
        let computed_slice = self.computed(slice);
        let stored = self.bytes(&computed_slice);
        let mut computed = vec![0; stored.len()];
        let first = self.manifest.plan().batches().epochs(batch).start;
        self.kernel.leaves(self.prf_key?, Epoch(first as u32), &mut computed);
        (computed != stored).then(|| self.damage(slice, Some(batch), "a leaf is not what the secret gives"))
    }

    /// The part of a slice that is no filler.
    fn computed(&self, slice: &Slice) -> Slice {
        let computed = &self.manifest.plan().geometry().level(slice.level).computed;
        Slice {
            level: slice.level,
            nodes: slice.nodes.start.max(computed.start)..slice.nodes.end.min(computed.end),
        }
    }

    fn bytes(&self, slice: &Slice) -> &[u8] {
        self.layers.slice(slice).unwrap_or_default()
    }

    fn state_damage(&self, what: String) -> Damage {
        Damage {
            file: self.key.paths().state(),
            level: None,
            batch: None,
            nodes: None,
            what,
        }
    }

    fn damage(&self, slice: &Slice, batch: Option<BatchIndex>, what: &str) -> Damage {
        Damage {
            file: self.key.paths().layer(slice.level),
            level: Some(slice.level),
            batch,
            nodes: Some(slice.nodes.clone()),
            what: what.to_owned(),
        }
    }
}
