//! The job as a whole.

use std::path::Path;
use std::time::{Duration, Instant};

use super::batch::BatchComputer;
use super::cancel::CancelHandle;
use super::committer::{Committer, arena_record};
use super::governor::Governor;
use super::history::History;
use super::in_flight::InFlight;
use super::pipeline;
use super::prepare::{PlanMemory, Prepared, prepare};
use super::progress::{Event, Phase, Progress};
use super::request::{KeyDefaults, KeyRequest, check_root};
use super::{KeygenError, crown, recovery};
use crate::history::{RunCommand, RunEnd};
use crate::keydir::{KeyDir, LockedDir, Manifest};
use crate::layers::{Disk, LayerWriter, Medium};
use crate::memory::Limits;
use crate::plan::{BudgetTooSmall, MemoryPlan, MemoryRequest, Plan, Wishes};
use crate::state::{ArenaRecord, ProgressRecord, Store};
use crate::time::steady_unix_ms;
use crate::workers::Workers;
use keymill_xmss::hash::Kernel;

/// Times that batches are computed and checked again before the disk is given up.
const ROUNDS_MAX: u32 = 3;

/// How a job may use the machine. None of it changes a byte of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// Worker threads; 0 for one a core.
    pub threads: usize,
    /// Batches that are synced and committed as one.
    pub group_batches: usize,
    /// How much memory it may take.
    pub memory: MemoryRequest,
}

impl JobOptions {
    /// What a job with these options keeps in memory for a plan, within the limits that hold here and now.
    ///
    /// # Errors
    /// [`BudgetTooSmall`] if the least that works does not fit.
    pub fn memory_plan(&self, plan: &Plan) -> Result<MemoryPlan, BudgetTooSmall> {
        self.memory_plan_holding(plan, 1, 0)
    }

    /// As [`memory_plan`](Self::memory_plan), for a check: it writes nothing, so what it needs of address space is what the
    /// checkpoint store needs, which is looked at when that is opened, and one mapping after the other.
    pub(crate) fn memory_plan_of_check(&self, plan: &Plan) -> Result<MemoryPlan, BudgetTooSmall> {
        let limits = Limits {
            address_bytes: None,
            ..Limits::detect()
        };
        MemoryPlan::new(plan, &self.wishes(plan, 1, 0), &limits)
    }

    /// As [`memory_plan`](Self::memory_plan), for each of `jobs` such jobs that run side by side in this process, while whoever
    /// runs each of them holds so many bytes.
    pub(crate) fn memory_plan_holding(
        &self,
        plan: &Plan,
        jobs: usize,
        held_bytes: u64,
    ) -> Result<MemoryPlan, BudgetTooSmall> {
        MemoryPlan::new(plan, &self.wishes(plan, jobs, held_bytes), &Limits::detect())
    }

    fn wishes(&self, plan: &Plan, jobs: usize, held_bytes: u64) -> Wishes {
        Wishes {
            threads: self.threads,
            group_batches: self.group_batches,
            arena_bytes: plan.scheme().scratch_bytes(),
            memory: self.memory,
            held_bytes,
            jobs,
        }
    }
}

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
/// use keymill::plan::{Level, MemoryRequest};
/// use keymill::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Scheme};
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path().join("key");
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let defaults = KeyDefaults { scheme, epochs: 256, trim: Level(0) };
/// let options = JobOptions { threads: 0, group_batches: 8, memory: MemoryRequest::Auto };
/// let job = KeygenJob::open(&directory, &KeyRequest::default(), &defaults, options, CancelHandle::default())?;
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
        Self::open_holding(directory, request, defaults, options, 0, cancel)
    }

    /// As [`open`](Self::open), by somebody who holds so many bytes for as long as the job runs: they are a part of what is
    /// planned into its memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_holding(
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        options: JobOptions,
        held_bytes: u64,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let plan_memory = |plan: &Plan| options.memory_plan_holding(plan, 1, held_bytes);
        Self::open_on_disk(directory, request, defaults, &plan_memory, cancel)
    }

    /// As [`open_holding`](Self::open_holding), for one of `jobs` jobs with the same options that run side by side in this
    /// process.
    pub(crate) fn open_beside(
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        options: JobOptions,
        jobs: usize,
        held_bytes: u64,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let plan_memory = |plan: &Plan| options.memory_plan_holding(plan, jobs, held_bytes);
        Self::open_on_disk(directory, request, defaults, &plan_memory, cancel)
    }

    fn open_on_disk(
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        plan_memory: PlanMemory<'_>,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let medium = Box::new(Disk::new(cancel.flag()));
        Self::open_planned(medium, directory, request, defaults, plan_memory, cancel)
    }

    #[cfg(test)]
    pub(super) fn open_on(
        medium: Box<dyn Medium>,
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        options: JobOptions,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let plan_memory = |plan: &Plan| options.memory_plan(plan);
        Self::open_planned(medium, directory, request, defaults, &plan_memory, cancel)
    }

    fn open_planned(
        medium: Box<dyn Medium>,
        directory: &Path,
        request: &KeyRequest,
        defaults: &KeyDefaults,
        plan_memory: PlanMemory<'_>,
        cancel: CancelHandle,
    ) -> Result<Self, KeygenError> {
        let opened = Instant::now();
        let prepared = prepare(directory, request, defaults, plan_memory, medium.as_ref(), &cancel)
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
        &self.prepared.manifest
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
        let manifest = &self.prepared.manifest;
        let Some((memory, locked)) = &self.prepared.work else {
            return Ok(self.summary(manifest, None));
        };
        let prf_key = KeyDir::in_directory(&self.prepared.paths)?
            .of_this_version()?
            .prf_key()?;
        let mut writer = LayerWriter::open(
            self.medium.as_ref(),
            &self.prepared.paths.layers(),
            manifest.plan(),
            manifest.key_id(),
        )?;
        let store = Store::open_with(&self.prepared.paths.state(), &manifest.binding(), memory.store)?;
        let history = History::begin(self.prepared.paths.history(), RunCommand::Keygen, memory, progress);
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
            self.prepared.paths.root(),
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
            directory: self.prepared.paths.root().to_owned(),
            rounds: ROUNDS_MAX,
        })
    }

    /// Names the root in the manifest. From here on the directory is read-only data.
    fn seal(&self, locked: &LockedDir, root: Vec<u8>) -> Result<Manifest, KeygenError> {
        // It would vouch for checkpoints that are found by name.
        locked.directory().check()?;
        let sealed = self.prepared.manifest.clone().sealed(root);
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
