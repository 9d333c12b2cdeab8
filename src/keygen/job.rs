//! The job as a whole.

use std::path::Path;
use std::time::{Duration, Instant};

use super::batch::BatchComputer;
use super::cancel::CancelHandle;
use super::committer::{Committer, arena_record};
use super::governor::Governor;
use super::history::History;
use super::in_flight::InFlight;
use super::options::JobOptions;
use super::pipeline;
use super::prepare::{Prepared, prepare};
use super::progress::{Event, Phase, Progress};
use super::request::{KeyDefaults, KeyRequest, check_root};
use super::{KeygenError, crown, recovery};
use crate::history::{RunCommand, RunEnd};
use crate::keydir::{KeyDir, LockedDir, Manifest};
use crate::layers::{Disk, LayerWriter, Medium};
use crate::plan::MemoryPlan;
use crate::state::{ArenaRecord, ProgressRecord, Store};
use crate::time::steady_unix_ms;
use crate::workers::Workers;
use keymill_xmss::hash::Kernel;

/// Times that batches are computed and checked again before the disk is given up.
const ROUNDS_MAX: u32 = 3;

/// What a finished job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The key was sealed before this job began, and nothing was done.
    pub was_sealed: bool,
    /// Epochs that this job computed.
    pub epochs_computed: u64,
    /// Time that this job took, from opening to sealing.
    pub elapsed: Duration,
    /// How full the workers' arenas were; none if the key was sealed before.
    pub arena: Option<ArenaRecord>,
    /// The public key: root, then parameter.
    pub public_key: Vec<u8>,
}

/// A key that is being made. Holds the directory's lock as long as it lives.
///
/// # Examples
/// ```
/// use keymill::plan::Level;
/// use keymill::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Scheme};
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path().join("key");
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let defaults = KeyDefaults { scheme, epochs: 256, trim: Level(0) };
/// let (request, options) = (KeyRequest::default(), JobOptions::default());
/// let job = KeygenJob::open(&directory, &request, &defaults, options, CancelHandle::default())?;
/// let summary = job.run(&NoProgress)?;
/// assert_eq!(summary.public_key.len(), 52);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeygenJob {
    prepared: Prepared,
    medium: Box<dyn Medium>,
    cancel: CancelHandle,
    opened: Instant,
}

impl KeygenJob {
    /// Creates the key directory, or opens one that exists to finish its key. `cancel` stops this and [`run`](Self::run).
    ///
    /// # Errors
    /// [`KeygenError`] if the request is unsound or contradicts the directory, if the directory is something else or
    /// locked, or if there is too little disk or memory. Nothing has then been written.
    pub fn open(
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        options: JobOptions,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let medium = Box::new(Disk::new(cancel.flag()));
        Self::open_on(medium, directory, request, defaults, options, cancel)
    }

    /// As [`open`](Self::open), on another medium than the disk.
    pub(super) fn open_on(
        medium: Box<dyn Medium>,
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        options: JobOptions,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let opened = Instant::now();
        let prepared = prepare(directory, request, defaults, &options, medium.as_ref(), &cancel)
            .map_err(|error| error.or_interrupted(&cancel))?;
        Ok(Self {
            prepared,
            medium,
            cancel,
            opened,
        })
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.prepared.key.manifest()
    }

    /// What the job keeps in memory; none for a sealed key, which needs nothing more.
    pub fn memory(&self) -> Option<&MemoryPlan> {
        self.prepared.work.as_ref().map(|(memory, _)| memory)
    }

    /// Computes what is missing, checks everything, folds the crown and seals the key.
    ///
    /// # Errors
    /// [`KeygenError`]; what was committed is kept, and opening the job again goes on from there.
    pub fn run(self, progress: &dyn Progress) -> Result<Summary, KeygenError> {
        let kernel = self.manifest().scheme().kernel(self.manifest().parameter());
        self.run_with(kernel.as_ref(), progress)
    }

    /// The job does not care what the hash functions are.
    pub(crate) fn run_with(self, kernel: &dyn Kernel, progress: &dyn Progress) -> Result<Summary, KeygenError> {
        self.finish(kernel, progress)
            .map_err(|error| error.or_interrupted(&self.cancel))
    }

    fn finish(&self, kernel: &dyn Kernel, progress: &dyn Progress) -> Result<Summary, KeygenError> {
        let manifest = self.prepared.key.manifest();
        let Some((memory, locked)) = &self.prepared.work else {
            return Ok(self.summary(manifest, None));
        };
        let prf_key = self.prepared.key.prf_key()?;
        let mut writer = LayerWriter::open(
            self.medium.as_ref(),
            &locked.layers(),
            manifest.plan(),
            manifest.key_id(),
        )?;
        let store = Store::open_with(&locked.state(), &manifest.binding(), memory.store)?;
        let history = History::begin(locked.history(), RunCommand::Keygen, memory, progress);
        let computer = BatchComputer {
            manifest,
            kernel,
            prf_key: &prf_key,
            cancel: &self.cancel,
            progress: &history,
        };
        let outcome = self.make(locked, &computer, memory, &mut writer, &store);
        history.end(outcome.as_ref().map_or_else(RunEnd::from, |_| RunEnd::Finished));
        outcome
    }

    fn make(
        &self,
        locked: &LockedDir,
        computer: &BatchComputer<'_>,
        memory: &MemoryPlan,
        writer: &mut LayerWriter,
        store: &Store,
    ) -> Result<Summary, KeygenError> {
        let BatchComputer {
            manifest,
            kernel,
            progress,
            ..
        } = *computer;
        let (epochs_computed, arena) = self.generate(computer, memory, writer, store)?;
        progress.event(Event::Phase(Phase::Folding));
        let root = crown::fold(manifest, kernel, writer, store, &self.cancel)?;
        check_root(
            manifest.expected_root(),
            &root,
            manifest.state(),
            self.prepared.key.path(),
        )?;
        progress.event(Event::Phase(Phase::Sealing));
        store.compact()?;
        let sealed = self.seal(locked, root)?;
        Ok(self.summary(&sealed, Some((epochs_computed, arena))))
    }

    /// Checks and generates until every batch is on disk and matches its record. Returns the epochs that were computed,
    /// and how full the arenas were.
    fn generate(
        &self,
        computer: &BatchComputer<'_>,
        memory: &MemoryPlan,
        writer: &mut LayerWriter,
        store: &Store,
    ) -> Result<(u64, ArenaRecord), KeygenError> {
        let plan = computer.manifest.plan();
        let workers = Workers::start(memory.threads, memory.arena_bytes)?;
        let in_flight = InFlight::new(memory.group_batches, plan.batch_bytes())?;
        let progress = computer.progress;
        let governor = Governor {
            memory,
            in_flight: &in_flight,
            cancel: &self.cancel,
            progress,
        };
        let mut record = ProgressRecord::default();
        for _round in 0..ROUNDS_MAX {
            progress.event(Event::Phase(Phase::Checking));
            let done = recovery::check_batches(plan, writer, store, &self.cancel, progress)?;
            if done.count() == plan.batches().count() {
                return Ok((record.run_epochs, arena_record(&workers)));
            }
            progress.event(Event::Phase(Phase::Generating));
            let missing = done.pending(plan.batches());
            let missing: u64 = missing.map(|b| plan.batches().epochs(b).count()).sum();
            let epochs = plan.stored().count();
            progress.event(Event::Resuming {
                epochs,
                epochs_done: epochs - missing,
            });
            record.batches_done = done.count();
            if record.run_epochs == 0 {
                // Checking what is there says nothing about the rate of the run.
                record.run_started_unix_ms = steady_unix_ms();
            }
            let pending = done.pending(plan.batches());
            let committer = Committer {
                manifest: computer.manifest,
                writer: &mut *writer,
                store,
                progress,
                record: record.clone(),
                workers: &workers,
            };
            record.run_epochs = governor.watch(|| pipeline::run(computer, &workers, &in_flight, pending, committer))?;
            self.cancel.proceed()?;
        }
        Err(KeygenError::DiskUnreliable {
            directory: self.prepared.key.path().to_owned(),
            rounds: ROUNDS_MAX,
        })
    }

    /// Names the root in the manifest. From here on the directory is read-only data.
    fn seal(&self, locked: &LockedDir, root: Vec<u8>) -> Result<Manifest, KeygenError> {
        // It would vouch for checkpoints that are found by name.
        locked.directory().check()?;
        let sealed = self.manifest().clone().sealed(root);
        sealed.write(locked)?;
        // Afterwards: whoever resumes an unsealed key has to be able to write its files.
        for span in sealed.plan().geometry().stored_levels() {
            if let Err(failure) = self.medium.protect(&locked.layer(span.level)) {
                tracing::warn!("a sealed layer file stays writable: {failure}");
            }
        }
        Ok(sealed)
    }

    /// What was done: `computed` is none for a key that was sealed before.
    fn summary(&self, manifest: &Manifest, computed: Option<(u64, ArenaRecord)>) -> Summary {
        Summary {
            was_sealed: computed.is_none(),
            epochs_computed: computed.map_or(0, |(epochs, _)| epochs),
            arena: computed.map(|(_, arena)| arena),
            elapsed: self.opened.elapsed(),
            public_key: manifest.public_key().unwrap_or_default(),
        }
    }
}
