//! Making a damaged key whole again, from its secret: exactly what is damaged is written, in the order of a job's commit.

mod batches;
mod crown;
#[cfg(test)]
mod durability_tests;
pub(super) mod files;
mod parts;
mod report;
mod store;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

pub use report::{BatchSet, RepairReport, RestoredFile, RewrittenLevel, StoreReplaced};

use super::tree::Tree;
use crate::error::{Error, Reason, Result};
use crate::keydir::{KeyDir, KeyPlace, KeyState};
use crate::keygen::{CancelHandle, DoneSet, JobOptions};
use crate::layers::{Disk, LayerWriter, Medium};
use crate::plan::{LevelSpan, MemoryPlan};
use crate::state::Store;
use crate::workers::Workers;
use keymill_xmss::hash::PrfKey;

/// Repairs the key in a directory: layer files that are missing, cut or headed wrongly, the checkpoint store, every batch
/// that is damaged, and the levels above them. What is right is not written. Of an unfinished key, batches that have no
/// checkpoint are left to keygen.
///
/// A repair that ended early, in whatever way, is finished by another one.
///
/// # Errors
/// [`Error`](crate::Error). Manifest and secret are never changed; both have to be this key's.
pub fn repair<'a>(place: impl Into<KeyPlace<'a>>, options: JobOptions, cancel: &CancelHandle) -> Result<RepairReport> {
    let medium = Disk::new(cancel.flag());
    repair_on(&medium, place.into(), options, cancel).map_err(|error| cancel.or_reason(error))
}

fn repair_on(
    medium: &dyn Medium,
    place: KeyPlace<'_>,
    options: JobOptions,
    cancel: &CancelHandle,
) -> Result<RepairReport> {
    let locked = KeyDir::open(place)?.lock()?;
    let key = locked.key()?.of_this_version()?;
    let manifest = key.manifest();
    let prf_key = key.prf_key()?;
    locked.note_fingerprint(manifest.clone())?;
    let memory = options.memory_plan(manifest.plan())?;
    let workers = Workers::start(memory.threads, memory.arena_bytes)?;
    let kernel = key.kernel();
    // Nothing is changed before all of it can be.
    files::look(&key)?;
    let (store, store_replaced) = store::open(&locked, manifest, memory.store)?;
    let files_restored = files::restore(&key, medium, &Disk::new(cancel.flag()))?;
    let report = RepairReport {
        store_replaced,
        files_restored,
        ..RepairReport::default()
    };
    if manifest.state() == KeyState::Generating && key.shelf()?.has_adopted() {
        // The join that has to come looks at every part that has not all of its records, and at every record.
        return Ok(report);
    }
    let layers = key.layers()?;
    let tree = Tree {
        key: &key,
        layers: &layers,
        kernel: kernel.as_ref(),
        prf_key: None,
        workers: &workers,
    };
    let repair = Repair {
        tree: &tree,
        medium,
        prf_key: &prf_key,
        store: &store,
        writer: None,
        memory: &memory,
        workers: &workers,
        cancel,
        report,
    };
    repair.run()
}

/// A repair whose layer files are files of this key again, but may hold anything.
struct Repair<'a> {
    tree: &'a Tree<'a>,
    medium: &'a dyn Medium,
    prf_key: &'a PrfKey,
    store: &'a Store,
    /// Opened when there is something to write.
    writer: Option<LayerWriter>,
    memory: &'a MemoryPlan,
    workers: &'a Workers,
    cancel: &'a CancelHandle,
    report: RepairReport,
}

impl Repair<'_> {
    fn run(mut self) -> Result<RepairReport> {
        let survey = self.survey()?;
        self.report.batches_left = survey.left;
        self.recompute_all_but(&survey.kept, survey.sound)?;
        if self.tree.manifest().state() == KeyState::Sealed {
            let mut recorded = survey.recorded;
            self.compare_with_root(&mut recorded)?;
            self.mend_crown()?;
            self.mend_parts()?;
            // Only now: a record says that a batch is right, and it is the root that has proven it.
            self.renew_records(&recorded)?;
        }
        let foreign = self.tree.foreign_records(self.store)?;
        self.report.records_removed = self.store.remove_batches(foreign)?;
        files::protect(self.tree.key, self.medium)?;
        Ok(self.report)
    }

    /// Makes sure that the batches lead to the root in the manifest. If they do not, the leaves of those without a record
    /// are compared with the secret, then those of all: a batch can agree with itself and be made of wrong leaves.
    fn compare_with_root(&mut self, recorded: &mut DoneSet) -> Result<()> {
        let batches = self.tree.plan().batches();
        let expected = self.tree.manifest().root().unwrap_or_default();
        let mut found = self.folded_root()?;
        for trusted in [recorded.clone(), DoneSet::none(batches)] {
            if found == expected {
                return Ok(());
            }
            let right = self.trusted_or_right(&trusted)?;
            self.recompute_all_but(&right, right.count())?;
            let recomputed = right.pending(batches).filter_map(|batch| batches.position(batch));
            recomputed.for_each(|position| recorded.insert(position));
            found = self.folded_root()?;
        }
        if found == expected {
            return Ok(());
        }
        let directory = self.tree.key.path();
        let what = format!(
            "the secret in '{}' leads to the root {}, but the manifest names {}: the manifest was changed together with its \
             checksum, or this machine computes or stores wrongly. The manifest and the levels above the batches were left as \
             they are",
            directory.display(),
            hex::encode(found),
            hex::encode(expected)
        );
        Err(Error::directory(what).because(Reason::OtherRoot).at(directory))
    }

    /// Does something with the layer files open for writing. They stay open.
    fn with_writer<T>(&mut self, operation: impl FnOnce(&Self, &mut LayerWriter) -> Result<T>) -> Result<T> {
        let (key, manifest) = (self.tree.key, self.tree.manifest());
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                files::open_for_writing(key)?;
                let layers = key.paths().layers();
                LayerWriter::open(self.medium, &layers, manifest.plan(), &manifest.binding())?
            }
        };
        let outcome = operation(self, &mut writer);
        self.writer = Some(writer);
        outcome
    }

    /// Makes whole levels durable: before a record is renewed that vouches for what nobody has written just now.
    fn sync_levels(&mut self, levels: &[LevelSpan]) -> Result<()> {
        self.with_writer(|repair, writer| {
            let mut levels = levels.iter();
            levels.try_for_each(|level| writer.sync_level(level, || repair.go_on()))
        })
    }

    /// Ends the repair here if it was asked to stop.
    fn go_on(&self) -> Result<()> {
        self.cancel.proceed()
    }
}
