//! The job as a whole.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::batch::BatchComputer;
use super::builder::KeygenBuilder;
use super::cancel::CancelHandle;
use super::history::History;
use super::prepare::{Prepared, prepare};
use super::progress::{Event, Phase, Progress};
use super::request::check_root;
use super::{crown, fill};
use crate::error::Result;
use crate::history::{RunCommand, RunEnd};
use crate::keydir::{LockedDir, Manifest};
use crate::layers::{LayerWriter, Medium};
use crate::plan::MemoryPlan;
use crate::state::{ArenaRecord, Store};
use keymill_xmss::hash::Kernel;

/// What a finished job did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
/// use keymill::{KeyRequest, KeygenJob, NoProgress, Scheme};
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path().join("key");
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let request = KeyRequest::new(scheme).epochs(256);
/// let job = KeygenJob::builder(&directory).request(request).open()?;
/// let summary = job.run(&NoProgress)?;
/// assert_eq!(summary.public_key.len(), 52);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeygenJob {
    pub(super) prepared: Prepared,
    pub(super) medium: Box<dyn Medium>,
    pub(super) cancel: CancelHandle,
    opened: Instant,
}

impl KeygenJob {
    /// A job in this directory, which is created if it does not exist.
    pub fn builder(directory: impl Into<PathBuf>) -> KeygenBuilder {
        KeygenBuilder::new(directory.into())
    }

    /// As [`KeygenBuilder::open`], on another medium than the disk.
    pub(super) fn open_on(medium: Box<dyn Medium>, asked: KeygenBuilder) -> Result<Self> {
        let opened = Instant::now();
        let prepared = prepare(&asked, medium.as_ref()).map_err(|error| asked.cancel.or_reason(error))?;
        Ok(Self {
            prepared,
            medium,
            cancel: asked.cancel,
            opened,
        })
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.prepared.key.manifest()
    }

    /// Whether opening the job wrote the secret of the request into the directory: from then on it can sign in two places.
    pub fn has_taken_secret(&self) -> bool {
        self.prepared.has_taken_secret
    }

    /// What the job keeps in memory; none for a sealed key, which needs nothing more.
    pub fn memory(&self) -> Option<&MemoryPlan> {
        self.prepared.work.as_ref().map(|(memory, _)| memory)
    }

    /// Computes what is missing, checks everything, folds the crown and seals the key.
    ///
    /// # Errors
    /// [`Error`](crate::Error); what was committed is kept, and opening the job again goes on from there.
    pub fn run(self, progress: &dyn Progress) -> Result<Summary> {
        let kernel = self.manifest().scheme().kernel(self.manifest().parameter());
        self.run_with(kernel.as_ref(), progress)
    }

    /// The job does not care what the hash functions are.
    pub(crate) fn run_with(self, kernel: &dyn Kernel, progress: &dyn Progress) -> Result<Summary> {
        self.finish(kernel, progress)
            .map_err(|error| self.cancel.or_reason(error))
    }

    fn finish(&self, kernel: &dyn Kernel, progress: &dyn Progress) -> Result<Summary> {
        let manifest = self.prepared.key.manifest();
        let Some((memory, locked)) = &self.prepared.work else {
            return Ok(self.summary(manifest, None));
        };
        let prf_key = self.prepared.key.prf_key()?;
        let mut writer = LayerWriter::open(
            self.medium.as_ref(),
            &locked.layers(),
            manifest.plan(),
            &manifest.binding(),
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
    ) -> Result<Summary> {
        let BatchComputer { kernel, progress, .. } = *computer;
        let filled = fill::fill(computer, memory, writer, store)?;
        let sealed = self.finish_tree(locked, kernel, writer, store, progress)?;
        Ok(self.summary(&sealed, Some(filled)))
    }

    /// Folds what is above the batches, and seals the key.
    pub(super) fn finish_tree(
        &self,
        locked: &LockedDir,
        kernel: &dyn Kernel,
        writer: &mut LayerWriter,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Manifest> {
        let manifest = self.manifest();
        progress.event(Event::Phase(Phase::Folding));
        crown::fold(manifest, kernel, writer, store, &self.cancel)?;
        let root = crown::root(manifest, writer)?;
        check_root(
            manifest.expected_root(),
            &root,
            manifest.state(),
            self.prepared.key.path(),
        )?;
        progress.event(Event::Phase(Phase::Sealing));
        store.compact()?;
        self.seal(locked, root)
    }

    /// Names the root in the manifest. From here on the directory is read-only data.
    fn seal(&self, locked: &LockedDir, root: Vec<u8>) -> Result<Manifest> {
        // It would vouch for checkpoints that are found by name.
        locked.directory().check()?;
        let files = self.prepared.key.shelf()?.files;
        let sealed = self.manifest().clone().sealed(root);
        sealed.write(locked)?;
        // Afterwards: a job that resumes an unsealed key has to be able to write its files.
        for file in files {
            if let Err(failure) = self.medium.protect(&file.entry) {
                tracing::warn!("a sealed layer file stays writable: {failure}");
            }
        }
        Ok(sealed)
    }

    /// What was done: `computed` is none for a key that was sealed before.
    pub(super) fn summary(&self, manifest: &Manifest, computed: Option<(u64, ArenaRecord)>) -> Summary {
        Summary {
            was_sealed: computed.is_none(),
            epochs_computed: computed.map_or(0, |(epochs, _)| epochs),
            arena: computed.map(|(_, arena)| arena),
            elapsed: self.opened.elapsed(),
            public_key: manifest.public_key().unwrap_or_default(),
        }
    }
}
