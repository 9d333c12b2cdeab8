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

/// Batches that are looked at side by side.
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
    /// Whether the secret is there; a directory that only serves paths needs none.
    pub secret_present: bool,
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
    let prf_key = match key.prf_key() {
        Ok(prf_key) => Some(prf_key),
        Err(KeyDirError::SecretMissing(_)) if !deep => None,
        Err(error @ (KeyDirError::SecretUnreadable(_) | KeyDirError::SecretMismatch { .. })) if !deep => {
            report.damage.push(Damage {
                file: key.paths().secret(),
                level: None,
                batch: None,
                nodes: None,
                what: error.to_string(),
            });
            None
        }
        Err(error) => return Err(error.into()),
    };
    report.secret_present = prf_key.is_some();
    let prf_key = prf_key.filter(|_| deep);
    let layers = match open_layers(&key)? {
        Ok(layers) => layers,
        Err(damage) => {
            report.damage.extend(damage);
            return Ok(report);
        }
    };
    let store = Store::open_read_only(&key.paths().state(), &manifest.binding())?;
    report.damage.extend(super::ledger::check(&key)?);
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
        checker.root(&mut report)?;
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
        let mut entries = store.batches()?.peekable();
        while entries.peek().is_some() {
            let window: Vec<_> = entries.by_ref().take(WINDOW_BATCHES).collect::<Result<_, _>>()?;
            let damage: Vec<Vec<Damage>> = window
                .par_iter()
                .map(|(batch, record)| self.batch(*batch, record))
                .collect();
            report.damage.extend(damage.into_iter().flatten());
            report.batches_checked += window.len() as u64;
        }
        let count = self.manifest.plan().batches().count();
        report.batches_missing = count.saturating_sub(report.batches_checked);
        if report.batches_missing > 0 && self.manifest.state() == KeyState::Sealed {
            let missing = report.batches_missing;
            let what = format!("the checkpoint store has no record of {missing} batches");
            report.damage.push(self.state_damage(what));
        }
        Ok(())
    }

    fn batch(&self, batch: BatchIndex, record: &BatchRecord) -> Vec<Damage> {
        let batches = self.manifest.plan().batches();
        let levels = batches.levels();
        if batches.position(batch).is_none() || levels.clone().count() != record.slice_crc32.len() {
            let what = format!("the record of batch {batch} in the checkpoint store is not of this key");
            return vec![self.state_damage(what)];
        }
        let mut found = Vec::new();
        let mut slices = Vec::new();
        for (level, &crc32) in levels.zip(&record.slice_crc32) {
            let nodes = batches.slice(batch, level);
            let slice = Slice { level, nodes };
            match self.read(&slice, crc32) {
                Ok(bytes) => slices.push((slice, bytes)),
                Err(what) => found.push(self.damage(&slice, Some(batch), what)),
            }
        }
        // Where a checksum differs, that is what is wrong; the nodes above need not be blamed for it.
        if found.is_empty() {
            let (leaves, bytes) = &slices[0];
            found.extend(self.leaves(batch, leaves, bytes));
            for pair in slices.windows(2) {
                let ((_, children), (parents, stored)) = (&pair[0], &pair[1]);
                found.extend(self.parents(parents, children, stored, Some(batch)));
            }
        }
        found
    }

    fn crown(&self, store: &Store, report: &mut CheckReport) -> Result<(), CheckError> {
        let plan = self.manifest.plan();
        let lowest = usize::from(plan.batches().root_level().0);
        let mut children = Vec::new();
        let mut damaged_below: Vec<Range<u64>> = Vec::new();
        for span in &plan.geometry().levels()[lowest..] {
            let level = span.level;
            let Some(record) = store.crown(level)? else {
                let what = format!("the checkpoint store has no record of level {level}");
                report.damage.push(self.state_damage(what));
                continue;
            };
            let mut damaged = Vec::new();
            let mut crc32 = record.piece_crc32.iter();
            for piece in pieces(level, span.stored.clone()) {
                let outcome = self.read(&piece, crc32.next().copied().unwrap_or_default());
                let computed = self.computed(&piece);
                let below = 2 * computed.nodes.start..2 * computed.nodes.end;
                match outcome {
                    Err(what) => {
                        damaged.push(piece.nodes.clone());
                        // The batches' own roots have been looked at already.
                        if !report.names(&piece) {
                            report.damage.push(self.damage(&piece, None, what));
                        }
                    }
                    Ok(stored) if usize::from(level.0) > lowest && !overlaps(&damaged_below, &below) => {
                        let level = Level(level.0 - 1);
                        self.layers.read(&Slice { level, nodes: below }, &mut children)?;
                        report.damage.extend(self.parents(&piece, &children, &stored, None));
                    }
                    Ok(_) => {}
                }
            }
            damaged_below = damaged;
        }
        Ok(())
    }

    fn root(&self, report: &mut CheckReport) -> Result<(), CheckError> {
        let root = Slice {
            level: self.manifest.scheme().root_level(),
            nodes: 0..1,
        };
        let mut bytes = Vec::new();
        self.layers.read(&root, &mut bytes)?;
        if Some(&bytes[..]) != self.manifest.root() && !report.names(&root) {
            let what = "it is not the root that the manifest names".to_owned();
            report.damage.push(self.damage(&root, None, what));
        }
        Ok(())
    }

    /// Reads nodes and compares them with their checksum; the error says what is wrong.
    fn read(&self, slice: &Slice, crc32: u32) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.layers
            .read(slice, &mut bytes)
            .map_err(|error| format!("it cannot be read: {error}"))?;
        match crc32fast::hash(&bytes) == crc32 {
            true => Ok(bytes),
            false => Err("its checksum differs".to_owned()),
        }
    }

    /// Compares the nodes of a slice that are no fillers with the hash of their children.
    fn parents(&self, slice: &Slice, children: &[u8], stored: &[u8], batch: Option<BatchIndex>) -> Option<Damage> {
        let computed = self.computed(slice);
        let stored = self.part(slice, &computed, stored);
        let mut expected = vec![0; stored.len()];
        let first = NodeIndex(computed.nodes.start);
        self.kernel.parents(slice.level, first, children, &mut expected);
        let what = || "a node is not the hash of its children".to_owned();
        (expected != stored).then(|| self.damage(slice, batch, what()))
    }

    /// Compares leaves with what the secret gives, if the check is a deep one.
    fn leaves(&self, batch: BatchIndex, slice: &Slice, stored: &[u8]) -> Option<Damage> {
        let computed = self.computed(slice);
        let stored = self.part(slice, &computed, stored);
        let mut expected = vec![0; stored.len()];
        let first = Epoch(computed.nodes.start as u32);
        self.kernel.leaves(self.prf_key?, first, &mut expected);
        let what = || "a leaf is not what the secret gives".to_owned();
        (expected != stored).then(|| self.damage(slice, Some(batch), what()))
    }

    /// The part of a slice that is no filler.
    fn computed(&self, slice: &Slice) -> Slice {
        let computed = &self.manifest.plan().geometry().level(slice.level).computed;
        Slice {
            level: slice.level,
            nodes: slice.nodes.start.max(computed.start)..slice.nodes.end.min(computed.end),
        }
    }

    /// The bytes of a part of a slice.
    fn part<'b>(&self, whole: &Slice, part: &Slice, bytes: &'b [u8]) -> &'b [u8] {
        let digest_bytes = self.manifest.scheme().digest_bytes();
        let offset = |node: u64| (node - whole.nodes.start) as usize * digest_bytes;
        &bytes[offset(part.nodes.start)..offset(part.nodes.end)]
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

    fn damage(&self, slice: &Slice, batch: Option<BatchIndex>, what: String) -> Damage {
        Damage {
            file: self.key.paths().layer(slice.level),
            level: Some(slice.level),
            batch,
            nodes: Some(slice.nodes.clone()),
            what,
        }
    }
}

impl CheckReport {
    /// Whether damage among these nodes is in the report already.
    fn names(&self, slice: &Slice) -> bool {
        self.damage.iter().any(|damage| {
            let nodes = damage.nodes.as_ref();
            damage.level == Some(slice.level) && nodes.is_some_and(|nodes| overlap(nodes, &slice.nodes))
        })
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn overlaps(ranges: &[Range<u64>], with: &Range<u64>) -> bool {
    ranges.iter().any(|range| overlap(range, with))
}
