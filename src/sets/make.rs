//! Making a set: several keys side by side, each in a key directory of its own until its files are on disk.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::begun::{self, is_of_key};
use super::derive::key_seed;
use super::finished::{Key, interrupted};
use super::key_files::{self, Fault};
use super::names::{Form, Half, KeyFiles, KeyName, Role, SECRET_SSZ};
use super::plan::{Mending, Source, directory_in_the_way};
use super::prepare::{Prepared, check_place, prepare, remove_key};
use super::probe::check_secret;
use super::progress::{OfKey, SetEvent, SetProgress};
use super::publish::Publisher;
use super::request::SetRequest;
use crate::error::{Error, Reason, Result};
use crate::exchange::{Exporter, computed_bytes};
use crate::failure::attempt;
use crate::files::publish::Existing;
use crate::files::{exists, sync_directory};
use crate::interop::secret_key::{SecretKeyFile, SecretKeyForm};
use crate::keydir::KeyDir;
use crate::keygen::{CancelHandle, JobOptions, KeyRequest, KeygenJob};
use crate::keystore::Passphrase;
use crate::ledger::SetLedger;
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};
use crate::workers::side_by_side;

/// What is kept of each key of a set: its public key, which of its files there are, and its part of the manifest.
const KEPT_BYTES: u64 = 512;

/// What was done for a set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    cancel: CancelHandle,
    opened: Instant,
    /// The one ledger of all keys, if they are to have one.
    ledger: Option<Mutex<SetLedger>>,
}

impl SetJob {
    /// Looks at everything that stands in the directory, and makes the directory if there is none. `jobs` keys are then made
    /// side by side, which share the threads and the memory of `options`.
    ///
    /// # Errors
    /// [`Error`] if the request is unsound, contradicts what was begun there or would overwrite something, or if there is
    /// too little disk or memory. No key has then been begun.
    pub fn open(
        directory: &Path,
        request: SetRequest,
        options: JobOptions,
        jobs: usize,
        cancel: CancelHandle,
    ) -> Result<Self> {
        let opened = Instant::now();
        let plan = request.plan()?;
        // All of them are opened together, by a service.
        let passphrase = request.passphrase.as_ref().map(Passphrase::for_many);
        let request = SetRequest { passphrase, ..request };
        let validators = usize::try_from(request.validators).unwrap_or(usize::MAX);
        let jobs = jobs.clamp(1, validators);
        let options = share(options, jobs);
        let plan_memory = |held_bytes| match options.held_bytes(held_bytes).memory_plan(&plan) {
            Ok(_) => Ok(()),
            Err(source) => Err(too_little_memory(source, jobs)),
        };
        // One share of what is kept of all keys; and beside the keys that the others make, one is written, or mended.
        let kept_bytes = (request.keys().saturating_mul(KEPT_BYTES)).div_ceil(jobs as u64);
        let written_bytes = computed_bytes(&plan);
        plan_memory(kept_bytes.saturating_add(written_bytes))?;
        let prepared = prepare(directory, &request, &plan, jobs)?;
        let held_bytes = kept_bytes.saturating_add(written_bytes.max(prepared.reading_bytes(&request)?));
        plan_memory(held_bytes)?;
        let ledger = if request.keys_only {
            Some(Mutex::new(SetLedger::begin(directory)?))
        } else {
            None
        };
        Ok(Self {
            ledger,
            request,
            plan,
            prepared,
            options: options.held_bytes(held_bytes),
            jobs,
            cancel,
            opened,
        })
    }

    /// The plan of each key.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The files of those finished keys whose secrets are in no file of the set any more, which [`run`](Self::run) rebuilds.
    pub fn restored_secrets(&self) -> Vec<PathBuf> {
        let mend = self.prepared.mend.iter();
        let restored = mend.filter(|(_, mending)| mending.restores_secret());
        let names = restored.filter_map(|(&key, _)| self.name(key).ok());
        names.map(|name| self.prepared.paths.file(name, SECRET_SSZ)).collect()
    }

    /// Makes the keys that are not finished, and then writes the manifest.
    ///
    /// # Errors
    /// [`Error`]; finished keys stay, of the others everything that was committed, and the same request goes on from there.
    pub fn run(&self, progress: &dyn SetProgress) -> Result<SetSummary> {
        let keys = self.request.keys();
        let keys_found = self.prepared.finished.count() - self.prepared.mend.len() as u64;
        // Whose process died after it had finished them.
        for &key in &self.prepared.settle {
            if let Some(public_key) = self.prepared.finished.public_key(key) {
                self.settle(key, self.name(key)?, &public_key)?;
            }
        }
        progress.event(SetEvent::Begun {
            keys,
            keys_finished: keys_found,
            epochs_a_key: self.plan.stored().count(),
        });
        self.make_all(progress)?;
        // One that names files of secrets would name what is not there.
        if self.request.with_manifest && !self.request.keys_only {
            self.write_manifest()?;
        }
        Ok(SetSummary {
            keys_made: keys - keys_found,
            keys_found,
            elapsed: self.opened.elapsed(),
        })
    }

    /// Makes keys on several threads, until there are none left or one fails, which ends the others too.
    fn make_all(&self, progress: &dyn SetProgress) -> Result<()> {
        let make = |index| {
            if self.cancel.is_cancelled() {
                Err(interrupted())
            } else {
                self.make_validator(index, progress)
            }
        };
        side_by_side(self.jobs, self.request.indices(), make, || self.cancel.cancel())
    }

    fn make_validator(&self, index: u64, progress: &dyn SetProgress) -> Result<()> {
        for &role in &self.request.roles {
            let key = (index, role);
            match (self.prepared.mend.get(&key), self.prepared.finished.public_key(key)) {
                (_, None) => self.make_key(key, progress)?,
                (Some(&mending), Some(public_key)) => self.mend_key(key, mending, &public_key, progress)?,
                (None, Some(_)) => self.enter(self.name(key)?)?,
            }
        }
        Ok(())
    }

    /// Makes a key and its files. Only when all of them are on disk is it noted as finished, and only then does its directory
    /// go: before, a run that died finds it again.
    fn make_key(&self, key: Key, progress: &dyn SetProgress) -> Result<()> {
        let Prepared { paths, finished, .. } = &self.prepared;
        let key_progress = OfKey::new(progress, self.plan.stored().count());
        let public_key = self.grow(key, &key_progress)?;
        key_progress.sealed();
        let name = match key.1 {
            Role::Proposer => begun::name(&self.request, key, Some(&public_key))?,
            Role::Attester => self.name(key)?,
        };
        self.write_all(&paths.unfinished(key.0, key.1), name, &public_key)?;
        finished.add(paths, key, &public_key)?;
        self.settle(key, name, &public_key)?;
        self.enter(name)?;
        progress.event(SetEvent::KeyFinished);
        Ok(())
    }

    /// Makes the key in its directory, or finishes it. Gives its public key.
    fn grow(&self, (index, role): Key, progress: &OfKey<'_>) -> Result<Vec<u8>> {
        self.check_place()?;
        let request = &self.request;
        let seed = |seed| key_seed(seed, request.scheme, request.log_epochs, index, role);
        let key = KeyRequest {
            secret: request.seed.as_deref().map(seed),
            ..KeyRequest::new(request.scheme)
                .epochs(1 << request.log_epochs)
                .trim(request.trim)
        };
        let asked = KeygenJob::builder(self.prepared.paths.unfinished(index, role))
            .request(key)
            .options(self.options)
            .cancel(self.cancel.clone());
        let job = match &request.passphrase {
            Some(passphrase) => asked.seal_secret(passphrase.clone()),
            None => asked,
        }
        .open();
        match job.and_then(|job| job.run(progress)) {
            Ok(summary) => Ok(summary.public_key),
            Err(error) if error.reason() == Reason::Interrupted => Err(interrupted()),
            Err(error) => Err(error.within(format!("validator {index}, {role} key"))),
        }
    }

    /// Writes all files of a key from its directory.
    fn write_all(&self, directory: &Path, name: KeyName, public_key: &[u8]) -> Result<()> {
        self.check_place()?;
        let files = self.request.files().iter().copied().collect();
        if self.request.keys_only {
            // Its secret does not leave.
            return self.write_files(name, files, public_key, &|_, _| Ok(()));
        }
        let exporter = Exporter::open(directory)?;
        // Compares all of its nodes with each other.
        let window = exporter.window(None)?;
        self.write_files(name, files, public_key, &|form, to| window.write(form, to))
    }

    fn write_files(
        &self,
        name: KeyName,
        files: KeyFiles,
        public_key: &[u8],
        write_secret: &dyn Fn(SecretKeyForm, &mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let paths = &self.prepared.paths;
        let public_key = begun::parsed(self.request.scheme, public_key, &paths.finished())?;
        let publisher = self.publisher()?;
        for file in files.iter() {
            self.check_place()?;
            publisher.publish(&paths.file(name, file), file.0 == Half::Secret, |to| {
                key_files::write(&public_key, file, to, write_secret)
            })?;
        }
        Ok(publisher.sync_names()?)
    }

    /// Rebuilds the missing files of a finished key.
    fn mend_key(&self, key: Key, mending: Mending, public_key: &[u8], progress: &dyn SetProgress) -> Result<()> {
        self.check_place()?;
        let paths = &self.prepared.paths;
        let name = self.name(key)?;
        let unfinished = paths.unfinished(key.0, key.1);
        let key_progress = OfKey::new(progress, self.plan.stored().count());
        match mending.source {
            Source::Secret(form) => {
                let secret = self.sound_secret(&paths.file(name, (Half::Secret, form)), form, public_key)?;
                self.write_files(name, mending.missing, public_key, &|form, to| {
                    secret.write(form, to).map_err(Error::unwritten)
                })?;
            }
            Source::Kept => self.write_all(&paths.kept(name), name, public_key)?,
            Source::Unfinished => self.write_all(&unfinished, name, public_key)?,
            Source::Seed => {
                // It cannot be read, but is sealed, so its job would find nothing to do.
                if is_of_key(&unfinished, public_key)? {
                    remove_key(&unfinished)?;
                }
                if self.grow(key, &key_progress)? != public_key {
                    let what = "it is the directory of another key than the one that was finished";
                    return Err(Fault::wrong(&unfinished, what).into());
                }
                self.write_all(&unfinished, name, public_key)?;
            }
        }
        key_progress.sealed();
        self.settle(key, name, public_key)?;
        self.enter(name)?;
        progress.event(SetEvent::KeyFinished);
        Ok(())
    }

    /// Reads a secret key, which has to be the one that was finished, and sound.
    fn sound_secret(&self, path: &Path, form: Form, public_key: &[u8]) -> Result<SecretKeyFile, Fault> {
        let secret = key_files::read_secret(path, form, self.request.scheme)?;
        check_secret(&secret, self.request.scheme, self.plan.stored(), public_key)
            .map_err(|what| Fault::wrong(path, what))?;
        Ok(secret)
    }

    /// The directory of a finished key goes, or goes where it is kept. What its name says is not enough for either.
    fn settle(&self, (index, role): Key, name: KeyName, public_key: &[u8]) -> Result<()> {
        self.check_place()?;
        let paths = &self.prepared.paths;
        let directory = paths.unfinished(index, role);
        if !exists(&directory)? {
            return Ok(());
        }
        if self.request.keeps() {
            let kept = paths.kept(name);
            // Of a key that was made again, the directory may be there.
            if exists(&kept)? {
                if !is_of_key(&kept, public_key)? {
                    return Err(directory_in_the_way(&kept));
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

    /// Lets a kept key sign by the ledger of the set, if it has never signed by another one.
    fn enter(&self, name: KeyName) -> Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let key = KeyDir::open_sealed(&self.prepared.paths.kept(name))?;
        ledger.lock().unwrap_or_else(PoisonError::into_inner).take_in_new(&key)
    }

    fn check_place(&self) -> Result<()> {
        Ok(check_place(&self.prepared.lock, &self.prepared.paths)?)
    }

    fn name(&self, key: Key) -> Result<KeyName> {
        let proposer = self.prepared.finished.public_key((key.0, Role::Proposer));
        begun::name(&self.request, key, proposer.as_ref())
    }

    fn publisher(&self) -> Result<Publisher> {
        let request = &self.request;
        let existing = if request.overwrites {
            Existing::Replaced
        } else {
            Existing::InTheWay
        };
        Ok(Publisher::open(&self.prepared.paths, request.public_mode, existing)?)
    }

    /// Replaces the manifest by that of all validators.
    fn write_manifest(&self) -> Result<()> {
        self.check_place()?;
        let Prepared { paths, finished, .. } = &self.prepared;
        let manifest = finished.manifest(&self.request);
        // One of fewer validators of this set may be there; anything else was refused before.
        let publisher = Publisher::open(paths, self.request.public_mode, Existing::Replaced)?;
        publisher.publish(&paths.manifest(), false, |to| {
            manifest.write(to).map_err(Error::unwritten)
        })?;
        Ok(publisher.sync_names()?)
    }
}

/// Memory is too small for so many keys at once.
fn too_little_memory(error: Error, jobs: usize) -> Error {
    let error = error.within(format!("with {jobs} keys made side by side"));
    if jobs > 1 {
        error.mend([Remedy::Change(Argument::Jobs)])
    } else {
        error
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
    options.threads(threads).jobs(jobs)
}
