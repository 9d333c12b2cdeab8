//! Making a set: several keys side by side, each in a key directory of its own until its files are on disk.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::derive::key_seed;
use super::error::SetError;
use super::key_files;
use super::mend::{self, Source};
use super::names::{self, Half, Prefix, Role};
use super::prepare::{Prepared, check_place, is_of_key, prefix, prepare, remove_key};
use super::progress::{OfKey, SetEvent, SetProgress};
use super::publish::Publisher;
use super::request::SetRequest;
use crate::exchange::{ExportError, Exporter, computed_bytes};
use crate::failure::{IoFailure, attempt};
use crate::files::publish::Existing;
use crate::files::{exists, sync_directory};
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenError, KeygenJob};
use crate::plan::Plan;
use crate::resources::{ResourceKind, THREAD_STACK_BYTES, register};
use crate::signing::SigningError;
use crate::units::Level;
use crate::workers::spawn_scoped;
use keymill_xmss::PublicKey;

/// What is kept of each key of a set: its public key, which of its files there are, and its part of the manifest.
const KEPT_BYTES: u64 = 512;

/// What was done for a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSummary {
    /// Keys that this run finished.
    pub keys_made: u64,
    /// Keys that were finished before.
    pub keys_found: u64,
    /// Time that it took.
    pub elapsed: Duration,
}

/// A set that is being made. Holds the lock of its directory as long as it lives.
pub struct SetJob {
    request: SetRequest,
    plan: Plan,
    prepared: Prepared,
    /// How each of the keys that are made side by side may use the machine.
    options: JobOptions,
    jobs: usize,
    /// What each job has beside it.
    held_bytes: u64,
    cancel: CancelHandle,
    opened: Instant,
}

impl SetJob {
    /// Looks at everything that stands in the directory, and makes the directory if there is none. `jobs` keys are then made
    /// side by side, which share the threads and the memory of `options`.
    ///
    /// # Errors
    /// [`SetError`] if the request is unsound, contradicts what was begun there or would overwrite something, or if there is
    /// too little disk or memory. No key has then been begun.
    pub fn open(
        directory: &Path,
        request: SetRequest,
        options: JobOptions,
        jobs: usize,
        cancel: CancelHandle,
    ) -> Result<Self, SetError> {
        let opened = Instant::now();
        let plan = request.plan()?;
        let validators = usize::try_from(request.validators).unwrap_or(usize::MAX);
        let jobs = jobs.clamp(1, validators);
        let options = share(options, jobs);
        let plan_memory = |held_bytes| {
            let planned = options.memory_plan_holding(&plan, jobs, held_bytes);
            planned.map(drop).map_err(|source| SetError::Budget { jobs, source })
        };
        // One share of what is kept of all keys; and beside the keys that the others make, one is written, or mended.
        let kept_bytes = (request.keys().saturating_mul(KEPT_BYTES)).div_ceil(jobs as u64);
        let written_bytes = computed_bytes(&plan);
        plan_memory(kept_bytes.saturating_add(written_bytes))?;
        let prepared = prepare(directory, &request, &plan, jobs)?;
        let held_bytes = kept_bytes.saturating_add(written_bytes.max(mend::reading_bytes(&prepared.broken)?));
        plan_memory(held_bytes)?;
        Ok(Self {
            request,
            plan,
            prepared,
            options,
            jobs,
            held_bytes,
            cancel,
            opened,
        })
    }

    /// The plan of each key.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The files of those finished keys whose secrets are in no file of the set any more, which [`run`](Self::run) makes again.
    pub fn restored_secrets(&self) -> Vec<&Path> {
        mend::secrets_gone(&self.prepared.broken).collect()
    }

    /// Makes the keys that are not finished, and then writes the manifest.
    ///
    /// # Errors
    /// [`SetError`]; finished keys stay, of the others everything that was committed, and the same request goes on from there.
    pub fn run(&self, progress: &dyn SetProgress) -> Result<SetSummary, SetError> {
        let keys = self.request.keys();
        let keys_found = self.settle_finished()?;
        progress.event(SetEvent::Begun {
            keys,
            keys_finished: keys_found,
            epochs_a_key: self.plan.stored().count(),
        });
        self.make_all(progress)?;
        if self.request.with_manifest {
            self.write_manifest()?;
        }
        Ok(SetSummary {
            keys_made: keys - keys_found,
            keys_found,
            elapsed: self.opened.elapsed(),
        })
    }

    /// Puts away the directories of keys whose process died after it had finished them. Gives the number of finished keys.
    fn settle_finished(&self) -> Result<u64, SetError> {
        let mut found = 0;
        for index in self.request.indices() {
            for &role in &self.request.roles {
                let is_broken = self.prepared.broken.contains_key(&(index, role));
                let public_key = self.prepared.finished.public_key(index, role);
                if let Some(public_key) = public_key.filter(|_| !is_broken) {
                    let prefix = self.prefix(index)?;
                    self.settle(index, role, &prefix, &public_key)?;
                    found += 1;
                }
            }
        }
        Ok(found)
    }

    /// Makes keys on several threads, until there are none left or one fails, which ends the others too.
    fn make_all(&self, progress: &dyn SetProgress) -> Result<(), SetError> {
        let next = AtomicU64::new(self.request.start_index);
        let failure: Mutex<Option<SetError>> = Mutex::new(None);
        let fail = |error: SetError| {
            self.cancel.cancel();
            let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
            // That the others were stopped for it is not the reason.
            if failure.as_ref().is_none_or(SetError::is_interruption) {
                *failure = Some(error);
            }
        };
        let work = || {
            while !self.cancel.is_cancelled() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if !self.request.indices().contains(&index) {
                    return;
                }
                if let Err(error) = self.make_validator(index, progress) {
                    fail(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.jobs {
                let thread = register(ResourceKind::Thread, THREAD_STACK_BYTES);
                let work = &work;
                let worker = spawn_scoped(scope, move || {
                    let _thread = thread;
                    work();
                });
                if let Err(error) = worker {
                    fail(error.into());
                }
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) if error.is_interruption() => Err(SetError::Interrupted),
            Some(error) => Err(error),
            None if self.cancel.is_cancelled() => Err(SetError::Interrupted),
            None => Ok(()),
        }
    }

    fn make_validator(&self, index: u64, progress: &dyn SetProgress) -> Result<(), SetError> {
        for &role in &self.request.roles {
            match (
                self.prepared.broken.get(&(index, role)),
                self.prepared.finished.public_key(index, role),
            ) {
                (Some(mending), Some(public_key)) => {
                    self.mend_key(index, role, &mending.source, &public_key, progress)?;
                }
                (_, None) => self.make_key(index, role, progress)?,
                (None, Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Makes a key and its files. Only when all of them are on disk is it noted as finished, and only then does its directory
    /// go: before, a run that died finds it again.
    fn make_key(&self, index: u64, role: Role, progress: &dyn SetProgress) -> Result<(), SetError> {
        self.check_place()?;
        let Prepared { paths, finished, .. } = &self.prepared;
        let directory = paths.unfinished(index, role);
        let key_progress = OfKey::new(progress, self.plan.stored().count());
        let public_key = self
            .grow(index, role, &directory, &key_progress)
            .map_err(|source| SetError::Key { index, role, source })?;
        key_progress.sealed();
        self.check_place()?;
        let prefix = match role {
            Role::Proposer => prefix(&self.request, index, Some(&public_key))?,
            Role::Attester => self.prefix(index)?,
        };
        self.write_files(&directory, &prefix, role, &public_key)?;
        finished.add(paths, index, role, &public_key)?;
        self.settle(index, role, &prefix, &public_key)?;
        progress.event(SetEvent::KeyFinished);
        Ok(())
    }

    fn grow(&self, index: u64, role: Role, directory: &Path, progress: &OfKey<'_>) -> Result<Vec<u8>, KeygenError> {
        let request = &self.request;
        let key = KeyRequest {
            scheme: Some(request.scheme),
            activation_epoch: Some(0),
            epochs: Some(1 << request.log_epochs),
            secret: request
                .seed
                .as_ref()
                .map(|seed| key_seed(seed, request.scheme, request.log_epochs, index, role)),
            trim: Some(request.trim),
            ..KeyRequest::default()
        };
        let defaults = KeyDefaults {
            scheme: request.scheme,
            epochs: 1 << request.log_epochs,
            trim: Level(0),
        };
        let job = KeygenJob::open_beside(
            directory,
            &key,
            &defaults,
            self.options,
            self.jobs,
            self.held_bytes,
            self.cancel.clone(),
        )?;
        // It holds the secret, which the job reads from its directory.
        drop(key);
        Ok(job.run(progress)?.public_key)
    }

    fn write_files(&self, directory: &Path, prefix: &Prefix, role: Role, public_key: &[u8]) -> Result<(), SetError> {
        let Prepared { paths, .. } = &self.prepared;
        let publisher = self.publisher()?;
        let public_key = self.parsed(public_key, directory)?;
        let exporter = Exporter::open(directory)?;
        // Holds all of its nodes against each other.
        let window = exporter.window(None)?;
        for &(half, form) in names::key_files(self.request.with_json) {
            self.check_place()?;
            let target = paths.entry(&prefix.file(role, half, form));
            publisher.publish(&target, half == Half::Secret, |to| {
                key_files::write(&public_key, half, form, to, |form, to| window.write(form, to))
            })?;
        }
        Ok(publisher.sync_names()?)
    }

    /// Makes the missing files of a finished key again.
    fn mend_key(
        &self,
        index: u64,
        role: Role,
        source: &Source,
        public_key: &[u8],
        progress: &dyn SetProgress,
    ) -> Result<(), SetError> {
        self.check_place()?;
        let Prepared { paths, .. } = &self.prepared;
        let prefix = self.prefix(index)?;
        let key_progress = OfKey::new(progress, self.plan.stored().count());
        match source {
            Source::Secret(path, form) => {
                let secret = mend::read_secret(path, *form, &self.plan, public_key)?;
                let publisher = self.publisher()?;
                let file = |half, form| paths.entry(&prefix.file(role, half, form));
                let with_json = self.request.with_json;
                let public_key = self.parsed(public_key, path)?;
                mend::write_missing(&publisher, file, with_json, &public_key, &secret)?;
                publisher.sync_names()?;
            }
            Source::Directory(directory) => self.write_files(directory, &prefix, role, public_key)?,
            Source::Seed => {
                let directory = paths.unfinished(index, role);
                // It cannot be read, but is sealed, so its job would find nothing to do.
                if is_of_key(&directory, public_key)? {
                    remove_key(&directory)?;
                }
                let found = self
                    .grow(index, role, &directory, &key_progress)
                    .map_err(|source| SetError::Key { index, role, source })?;
                if found != public_key {
                    return Err(SetError::Foreign {
                        path: directory,
                        what: "it is the directory of another key than the one that was finished".to_owned(),
                    });
                }
                self.write_files(&directory, &prefix, role, public_key)?;
            }
        }
        key_progress.sealed();
        self.settle(index, role, &prefix, public_key)?;
        progress.event(SetEvent::KeyFinished);
        Ok(())
    }

    /// The public key of what is at `path`.
    fn parsed(&self, public_key: &[u8], path: &Path) -> Result<PublicKey, ExportError> {
        PublicKey::from_ssz(self.request.scheme, public_key).map_err(|source| {
            let directory = path.to_owned();
            ExportError::Key(SigningError::PublicKey { directory, source })
        })
    }

    /// The directory of a finished key goes, or goes where it is kept. What its name says is not enough for either.
    fn settle(&self, index: u64, role: Role, prefix: &Prefix, public_key: &[u8]) -> Result<(), SetError> {
        self.check_place()?;
        let Prepared { paths, .. } = &self.prepared;
        let directory = paths.unfinished(index, role);
        if !exists(&directory)? {
            return Ok(());
        }
        if self.request.keeps_directories {
            let kept = paths.entry(&prefix.directory(role));
            // Of a key that was made again, the directory may be there.
            if exists(&kept)? {
                if !is_of_key(&kept, public_key)? {
                    return Err(SetError::KeptDirectory(kept));
                }
            } else if is_of_key(&directory, public_key)? {
                attempt("rename", &kept, || std::fs::rename(&directory, &kept))?;
                // Its new name first: with neither of the two it would be lost.
                sync_directory(paths.root())?;
                return Ok(sync_directory(&paths.work())?);
            }
        }
        Ok(remove_key(&directory)?)
    }

    fn check_place(&self) -> Result<(), SetError> {
        Ok(check_place(&self.prepared.lock, &self.prepared.paths)?)
    }

    fn prefix(&self, index: u64) -> Result<Prefix, SetError> {
        let proposer = self.prepared.finished.public_key(index, Role::Proposer);
        prefix(&self.request, index, proposer.as_ref())
    }

    fn publisher(&self) -> Result<Publisher, IoFailure> {
        let request = &self.request;
        let existing = match request.overwrites {
            true => Existing::Replaced,
            false => Existing::InTheWay,
        };
        Publisher::open(&self.prepared.paths, request.public_mode, existing)
    }

    /// Replaces the manifest by that of all validators.
    fn write_manifest(&self) -> Result<(), SetError> {
        self.check_place()?;
        let Prepared { paths, finished, .. } = &self.prepared;
        let manifest = finished.manifest(&self.request);
        // One of fewer validators of this set may be there; anything else was refused before.
        let publisher = Publisher::open(paths, self.request.public_mode, Existing::Replaced)?;
        publisher.publish(&paths.manifest(), false, |to| {
            Ok(manifest.write(to).map_err(ExportError::Write)?)
        })?;
        Ok(publisher.sync_names()?)
    }
}

/// What each of so many jobs may have.
fn share(options: JobOptions, jobs: usize) -> JobOptions {
    let threads = match (options.threads, jobs) {
        // One job has as many as its budget lets it have.
        (threads, 1) => threads,
        (0, jobs) => (std::thread::available_parallelism().map_or(1, usize::from) / jobs).max(1),
        (threads, jobs) => (threads / jobs).max(1),
    };
    JobOptions { threads, ..options }
}
