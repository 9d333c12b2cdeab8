//! Whether a key is whole: headers, checksums, and the tree itself; on request also the leaves, from the secret.

use std::path::PathBuf;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::batches::WINDOW_BATCHES;
use super::damage::{CheckReport, Damage};
use super::tree::Tree;
use crate::error::{Reason, Result};
use crate::failure::FailureKind;
use crate::keydir::error::not_a_file;
use crate::keydir::{KEYSTORE, KeyDir, KeyPlace, KeyState, ReadLock};
use crate::keygen::JobOptions;
use crate::layers::{LayerFiles, Unusable, levels_in_parts};
use crate::memory::Limits;
use crate::state::{BatchRecord, Store};
use crate::text::counted;
use crate::units::{BatchIndex, Level};
use crate::workers::Workers;
use keymill_xmss::hash::{Kernel, PrfKey};

/// Checks the key in a directory: headers and lengths, the checksums of every batch and of the levels above, and that
/// every stored node is the hash of its children. With `deep`, also computes every leaf again from the secret. Takes as many
/// worker threads as `options` ask for and its memory allows.
///
/// # Errors
/// [`Error`](crate::Error) if the check cannot be made. Damage is not an error but part of the report.
pub fn check<'a>(place: impl Into<KeyPlace<'a>>, deep: bool, options: JobOptions) -> Result<CheckReport> {
    let mut key = KeyDir::open(place)?;
    // A check writes nothing, so what it needs of address space is what the checkpoint store needs, which is looked at when that
    // is opened, and one mapping after the other.
    let limits = Limits {
        address_bytes: None,
        ..Limits::detect()
    };
    let memory = options.memory_plan_within(key.manifest().plan(), &limits)?;
    let workers = Workers::start(memory.threads, memory.arena_bytes)?;
    loop {
        let report = check_key(&key, key.kernel().as_ref(), deep, &workers)?;
        let now = key.read_again()?.of_this_version()?;
        // A trim that ran meanwhile has deleted files that are missed now.
        if now.manifest().plan().trim() == key.manifest().plan().trim() {
            return Ok(report);
        }
        key = now;
    }
}

/// The check does not care what the hash functions are.
pub(super) fn check_key(key: &KeyDir, kernel: &dyn Kernel, deep: bool, workers: &Workers) -> Result<CheckReport> {
    // The files of an unfinished key must not change while they are looked at.
    let _lock = match key.manifest().state() {
        KeyState::Sealed => None,
        KeyState::Generating => ReadLock::take(&key.paths().lock_file())?,
    };
    let mut report = CheckReport {
        deep,
        left_over: left_over_layers(key)?,
        ..CheckReport::default()
    };
    let lock = key.paths().lock_file();
    if let Some(found) = lock.standing_for_file()? {
        report.add(Damage::of_file(&lock, None, &not_a_file(lock.path(), found.words())));
    }
    let prf_key = secret(key, &mut report)?.filter(|_| deep);
    let layers = layers(key, &mut report)?;
    let store = checkpoints(key, &mut report)?;
    if store.is_some() {
        super::ledger::check(key)?
            .into_iter()
            .for_each(|damage| report.add(damage));
    }
    let tree = Tree {
        key,
        layers: &layers,
        kernel,
        prf_key: prf_key.as_ref(),
        workers,
    };
    tree.all_batches(store.as_ref(), &mut report)?;
    if key.manifest().state() == KeyState::Sealed {
        tree.crown(store.as_ref(), &mut report)?;
        tree.root(&mut report);
        tree.parts(&mut report)?;
    }
    Ok(report)
}

/// Layer files below the trim, which a trim that did not end has left.
pub(super) fn left_over_layers(key: &KeyDir) -> Result<Vec<PathBuf>> {
    let (paths, trim) = (key.paths(), key.manifest().plan().trim());
    let unread = paths.unread_layers(trim, levels_in_parts(key.manifest().plan()))?;
    let left_over = [paths.left_over_layers(trim)?, unread, paths.left_over_parts(trim)?].concat();
    Ok(left_over.iter().map(|left| left.path().to_owned()).collect())
}

/// The secret, if it is there and can be read. A deep check cannot be made without it, nor can paths of a trimmed key be given.
fn secret(key: &KeyDir, report: &mut CheckReport) -> Result<Option<PrfKey>> {
    report.secret_form = key.paths().secret_form()?;
    let is_trimmed = key.manifest().plan().trim() > Level(0);
    let prf_key = match key.prf_key() {
        Ok(prf_key) => Some(prf_key),
        Err(error) if report.deep => return Err(error),
        Err(error) => match error.reason() {
            Reason::SecretMissing if !is_trimmed => None,
            // It is there, and whether it is this key's is not known.
            Reason::PassphraseMissing => {
                report.secret_present = true;
                return Ok(None);
            }
            Reason::SecretMissing | Reason::NotAFile | Reason::SecretDamaged => {
                let is_of_keystore = error.path().is_some_and(|path| path.ends_with(KEYSTORE));
                let file = if is_of_keystore {
                    key.paths().keystore()
                } else {
                    key.paths().secret()
                };
                report.add(Damage::of_file(&file, None, &error));
                None
            }
            _ => return Err(error),
        },
    };
    report.secret_present = prf_key.is_some();
    Ok(prf_key)
}

/// The layer files that can be used. Those that cannot are damage.
fn layers(key: &KeyDir, report: &mut CheckReport) -> Result<LayerFiles> {
    let manifest = key.manifest();
    let (layers, unusable) = LayerFiles::open_usable(&key.paths().layers(), manifest.plan(), &manifest.binding())?;
    for Unusable { entry, level, error } in unusable {
        if error.kind() == FailureKind::Machine {
            return Err(error);
        }
        // Parts of an unfinished key may still have to come.
        let is_expected = manifest.state() == KeyState::Generating && level.is_none();
        if !(is_expected && error.reason() == Reason::LayerMissing) {
            report.add(Damage::of_file(&entry, level, &error));
        }
    }
    Ok(layers)
}

/// The checkpoint store, unless it is damaged.
fn checkpoints(key: &KeyDir, report: &mut CheckReport) -> Result<Option<Store>> {
    match Store::read_beside_a_writer(&key.paths().state(), &key.manifest().binding(), Ok) {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.kind() == FailureKind::Directory => {
            report.add(Damage::of_file(&key.paths().state(), None, &error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a read of the checkpoint store gave; damage of the store is part of the report.
fn found<T>(tree: &Tree<'_>, read: Result<Option<T>>, report: &mut CheckReport) -> Result<Option<T>> {
    match read {
        Ok(record) => Ok(record),
        Err(error) if error.reason() == Reason::Damaged => {
            let damage = Damage::of_file(&tree.key.paths().state(), None, &error);
            // One damaged block of the store can hold many records.
            if report.is_full() || !report.damage.contains(&damage) {
                report.add(damage);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Tree<'_> {
    /// Checks every batch that has a record, and of a sealed key also those that have none.
    fn all_batches(&self, store: Option<&Store>, report: &mut CheckReport) -> Result<()> {
        let sealed = self.manifest().state() == KeyState::Sealed;
        let mut batches = self.plan().batches().all();
        while batches.len() > 0 {
            let mut window = Vec::new();
            for batch in batches.by_ref().take(WINDOW_BATCHES) {
                let record = self.record(store, batch, report)?;
                report.batches_missing += u64::from(record.is_none());
                if sealed || record.is_some() {
                    window.push((batch, record));
                }
            }
            let found = self.workers.install(|| {
                let found = window.par_iter();
                let found = found.map(|(batch, record)| self.batch(*batch, record.as_ref()));
                found.collect::<Result<Vec<_>, _>>()
            })?;
            let damage = found.into_iter().flat_map(|found| found.damage);
            damage.for_each(|damage| report.add(damage));
            report.batches_checked += window.len() as u64;
        }
        let Some(store) = store else {
            return Ok(());
        };
        if sealed && report.batches_missing > 0 {
            let missing = report.batches_missing;
            let what = format!("the checkpoint store has no record of {}", counted(missing, "batch"));
            report.add(self.state_damage(what));
        }
        let foreign = self.foreign_records(store).and_then(|mut foreign| {
            let count = foreign.try_fold(0_u64, |count, key| key.map(|_| count + 1))?;
            Ok(Some(count))
        });
        let foreign = found(self, foreign, report)?.unwrap_or_default();
        if foreign > 0 {
            let (batches, are) = (counted(foreign, "batch"), if foreign == 1 { "is" } else { "are" });
            let what = format!("the checkpoint store has records of {batches} that {are} not of this key");
            report.add(self.state_damage(what));
        }
        Ok(())
    }

    /// The record of a batch, if it has one of the right form.
    fn record(
        &self,
        store: Option<&Store>,
        batch: BatchIndex,
        report: &mut CheckReport,
    ) -> Result<Option<BatchRecord>> {
        let Some(store) = store else {
            return Ok(None);
        };
        let record = found(self, store.batch(batch), report)?;
        if record.as_ref().is_some_and(|record| !self.fits(record)) {
            let what = "the record in the checkpoint store is not of this key".to_owned();
            let batch = Some(batch);
            report.add(Damage {
                batch,
                ..self.state_damage(what)
            });
            return Ok(None);
        }
        Ok(record)
    }

    /// The keys of records of batches that this key does not have.
    pub(super) fn foreign_records<'s>(
        &self,
        store: &'s Store,
    ) -> Result<impl Iterator<Item = Result<Box<[u8]>>> + use<'s>> {
        let batches = self.plan().batches();
        // Every key has at least one batch.
        let first = batches.all().next().unwrap_or(BatchIndex(0));
        store.batches_outside(first, BatchIndex(first.0 + batches.count() - 1))
    }

    /// Checks the levels above the batches.
    fn crown(&self, store: Option<&Store>, report: &mut CheckReport) -> Result<()> {
        let lowest = usize::from(self.plan().batches().root_level().0);
        let mut damaged = Vec::new();
        for span in &self.plan().geometry().levels()[lowest..] {
            let level = span.level;
            let record = match store {
                Some(store) => found(self, store.crown(level), report)?,
                None => None,
            };
            if store.is_some() && record.is_none() {
                let what = format!("the checkpoint store has no record of level {level}");
                report.add(self.state_damage(what));
            }
            damaged = self.crown_level(span, record.as_ref(), &damaged, report);
        }
        Ok(())
    }
}
