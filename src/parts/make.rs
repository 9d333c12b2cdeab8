//! Making a part: its batches in scratch, then one file that appears whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::division::PartIndex;
use super::error::other_secret;
use super::inspect::{OpenPart, Refusal};
use super::scratch::{Opened, Scratch};
use super::ticket::Ticket;
use crate::error::{Error, Result};
use crate::failure::IoFailure;
use crate::files::publish::{Draft, Existing, Mode};
use crate::files::{Entry, make_directories};
use crate::keydir::{Manifest, Secret, commitment, read_secret_file};
use crate::keygen::{BatchComputer, CancelHandle, Event, JobOptions, Phase, Progress, crown, fill};
use crate::keystore::Passphrase;
use crate::layers::Disk;
use crate::layers::part::{self as part_file, Layout};
use crate::plan::{MemoryPlan, Plan};
use crate::units::EpochRange;
use keymill_xmss::hash::PrfKey;

const PART_MODE: Mode = Mode::Umasked(0o644);
const OUT_MODE: Mode = Mode::Umasked(0o755);

/// Which part is made from what, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartRequest {
    /// The ticket of the key.
    pub ticket: PathBuf,
    /// Which of its parts.
    pub index: PartIndex,
    /// The secret of the key, as plain text or under a passphrase.
    pub secret: PathBuf,
    /// What the secret is under, if it is under a passphrase.
    pub passphrase: Option<Passphrase>,
    /// Where the part is made: a directory on a disk of this machine.
    pub work: PathBuf,
    /// Where its file is published; may be shared among machines.
    pub out: PathBuf,
}

impl PartRequest {
    /// This part of the key of a ticket, from the secret in a file.
    pub fn new(ticket: impl Into<PathBuf>, index: PartIndex, secret: impl Into<PathBuf>) -> Self {
        Self {
            ticket: ticket.into(),
            index,
            secret: secret.into(),
            passphrase: None,
            work: PathBuf::from("."),
            out: PathBuf::from("."),
        }
    }

    /// The same, made below `work` and published in `out`.
    #[must_use]
    pub fn through(self, work: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            work: work.into(),
            out: out.into(),
            ..self
        }
    }

    /// The same with the passphrase of the secret.
    #[must_use]
    pub fn passphrase(self, passphrase: Option<Passphrase>) -> Self {
        Self { passphrase, ..self }
    }
}

/// What became of a part.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartReport {
    /// The file of the part.
    pub file: PathBuf,
    /// The epochs of the part.
    pub epochs: EpochRange,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// It was there already, whole, and nothing was done.
    pub was_there: bool,
    /// Epochs that this run computed.
    pub epochs_computed: u64,
    /// Time that it took.
    pub elapsed: Duration,
}

/// A part that is to be made, of which everything was looked at that can be wrong beforehand.
pub struct PartJob {
    request: PartRequest,
    ticket: Ticket,
    /// The key with this part alone.
    part: Manifest,
    prf_key: PrfKey,
    memory: MemoryPlan,
    cancel: CancelHandle,
    opened: Instant,
}

impl PartJob {
    /// Reads ticket and secret.
    ///
    /// # Errors
    /// [`Error`] if one of them is missing or damaged, if they are not of one key, if there is no such part, or if there is too
    /// little memory.
    pub fn open(request: PartRequest, options: JobOptions, cancel: CancelHandle) -> Result<Self> {
        let opened = Instant::now();
        let ticket = Ticket::read(&request.ticket)?;
        let part = ticket.part(request.index)?;
        let secret = read_secret_file(&request.secret, request.passphrase.as_ref())?;
        let prf_key = prf_key_of(&secret, &request.secret, ticket.key())?;
        let memory = options.memory_plan(part.plan())?;
        Ok(Self {
            request,
            ticket,
            part,
            prf_key,
            memory,
            cancel,
            opened,
        })
    }

    /// What is made.
    pub fn plan(&self) -> &Plan {
        self.part.plan()
    }

    /// What the job keeps in memory.
    pub fn memory(&self) -> &MemoryPlan {
        &self.memory
    }

    /// Makes the part, or goes on with it, and publishes its file; does nothing if that is there and whole.
    ///
    /// # Errors
    /// [`Error`]; what was committed in scratch is kept, and the same request goes on from there.
    pub fn run(self, progress: &dyn Progress) -> Result<PartReport> {
        self.make(progress).map_err(|error| self.cancel.or_reason(error))
    }

    fn make(&self, progress: &dyn Progress) -> Result<PartReport> {
        make_directories(&self.request.out, OUT_MODE)?;
        let target = Entry::of(
            &self
                .request
                .out
                .join(part_file::file_name(self.part.plan(), self.part.key_id())),
        )?;
        let layout = Layout::of(self.part.plan(), &self.part.binding());
        let was_there = self.is_published(&target)?;
        let epochs_computed = if was_there {
            0
        } else {
            self.publish_new(&target, &layout, progress)?
        };
        Ok(PartReport {
            file: target.path().to_owned(),
            epochs: self.part.plan().stored(),
            file_bytes: layout.file_bytes(),
            was_there,
            epochs_computed,
            elapsed: self.opened.elapsed(),
        })
    }

    /// Whether the file is there and whole. One that is not is made again, and replaced.
    fn is_published(&self, target: &Entry) -> Result<bool> {
        if !target.exists()? {
            return Ok(false);
        }
        let found =
            OpenPart::open(target, self.ticket.key()).and_then(|part| part.check_content(&self.prf_key, &self.cancel));
        match found {
            Ok(_) => Ok(true),
            Err(Refusal::Bad(what)) => {
                let path = target.path().display();
                tracing::warn!("'{path}' is there, but it is not whole ({what}); it is made again");
                Ok(false)
            }
            Err(Refusal::Failed(error)) => Err(error),
        }
    }

    fn publish_new(&self, target: &Entry, layout: &Layout, progress: &dyn Progress) -> Result<u64> {
        let scratch = Scratch::take(
            &self.request.work,
            &part_file::stem(self.part.plan(), self.part.key_id()),
        )?;
        let (medium, memory) = (Disk::new(self.cancel.flag()), &self.memory);
        let mut opened = scratch.open(&medium, &self.ticket, &self.part, memory.store)?;
        let epochs_computed = self.fill(&mut opened, progress)?;
        progress.event(Event::Phase(Phase::Sealing));
        self.publish(target, layout, &opened)?;
        drop(opened);
        // The part is made; what is left of its scratch harms nobody.
        if let Err(failure) = scratch.remove() {
            tracing::warn!("the scratch of a part that is finished was not deleted: {failure}");
        }
        Ok(epochs_computed)
    }

    fn fill(&self, opened: &mut Opened, progress: &dyn Progress) -> Result<u64> {
        let kernel = self.part.scheme().kernel(self.part.parameter());
        let computer = BatchComputer {
            manifest: &self.part,
            kernel: kernel.as_ref(),
            prf_key: &self.prf_key,
            cancel: &self.cancel,
            progress,
        };
        let Opened { writer, store } = opened;
        let (epochs, _) = fill(&computer, &self.memory, writer, store)?;
        progress.event(Event::Phase(Phase::Folding));
        crown::fold(&self.part, kernel.as_ref(), writer, store, &self.cancel)?;
        Ok(epochs)
    }

    /// Whoever publishes it, and however often: it is the same file.
    fn publish(&self, target: &Entry, layout: &Layout, opened: &Opened) -> Result<()> {
        let draft = Draft::of(target.clone(), PART_MODE)?;
        let written = draft.write(|out| {
            part_file::write(
                self.part.plan(),
                layout,
                &self.prf_key,
                |slice, bytes| {
                    self.cancel.proceed()?;
                    opened.writer.read(slice, bytes)
                },
                |bytes| out.write_all(bytes).map_err(Error::unwritten),
            )
        })?;
        written?;
        let published: Result<(), IoFailure> = draft.publish(Existing::Replaced);
        Ok(published?)
    }
}

/// The PRF key of a secret, if it is that of the key.
fn prf_key_of(secret: &Secret, path: &Path, key: &Manifest) -> Result<PrfKey> {
    let drawn = secret.draw(key.plan(), key.parameter());
    if commitment(&drawn.prf_key) == *key.secret_commitment() {
        Ok(drawn.prf_key)
    } else {
        Err(other_secret(path))
    }
}
