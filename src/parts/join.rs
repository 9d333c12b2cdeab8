//! Joining: every part that is there is compared and put into the key, and what is missing is named.

use std::path::{Path, PathBuf};

use super::PartFiles;
use super::adopt::{adopt, check_beforehand, check_source, in_place};
use super::division::PartIndex;
use super::inspect::{OpenPart, Refusal, take};
use super::sample::{check, default_sample};
use super::ticket::Ticket;
use crate::error::{Error, Result};
use crate::files::{Directory, Entry};
use crate::keydir::{KeyDir, KeyPaths, KeyPlace, Manifest, TICKET};
use crate::keygen::{CancelHandle, Gathered, Gathering, JobOptions, KeygenJob, Progress, Summary};
use crate::keystore::Passphrase;
use crate::layers::part::{EXTENSION, name_prefix};
use crate::units::EpochRange;
use keymill_xmss::hash::Kernel;

/// Which key is joined from what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The key directory.
    pub directory: PathBuf,
    /// The directory in which the files of the parts are; files of other keys may be there too.
    pub parts: PathBuf,
    /// How many nodes of a part are computed from the secret; without it as many as find one wrong node of 500 with 99.9 %.
    pub sample: Option<u64>,
    /// What becomes of the files of the parts; without a word, what the key was begun with, and else they are copied.
    pub files: Option<PartFiles>,
    /// What the secret is under, if it is under a passphrase.
    pub passphrase: Option<Passphrase>,
}

impl JoinRequest {
    /// The key in `directory`, from the parts in `parts`.
    pub fn new(directory: impl Into<PathBuf>, parts: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            parts: parts.into(),
            sample: None,
            files: None,
            passphrase: None,
        }
    }
}

/// A part that is in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TakenPart {
    /// Its file; if it was adopted, that in the key.
    pub file: PathBuf,
    /// Its epochs.
    pub epochs: EpochRange,
    /// All of them were in the key before, so it was not looked at again.
    pub was_there: bool,
}

impl TakenPart {
    fn of(file: &Entry, epochs: EpochRange, was_there: bool) -> Self {
        Self {
            file: file.path().to_owned(),
            epochs,
            was_there,
        }
    }
}

/// A part that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadPart {
    /// Its file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// The part that the key has adopted and that has some of its epochs, if that is why.
    pub overlaps: Option<EpochRange>,
}

impl BadPart {
    fn of(file: &Entry, what: String, overlaps: Option<EpochRange>) -> Self {
        Self {
            file: file.path().to_owned(),
            what,
            overlaps,
        }
    }
}

/// Epochs that no part has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingPart {
    /// The part of the ticket that has them, if there is a ticket.
    pub index: Option<PartIndex>,
    /// The epochs of that part; without a ticket those that are missing.
    pub epochs: EpochRange,
}

/// What came of a join.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinReport {
    /// Parts that are in the key.
    pub taken: Vec<TakenPart>,
    /// Parts that were left out.
    pub bad: Vec<BadPart>,
    /// What is still missing.
    pub missing: Vec<MissingPart>,
    /// What becomes of the files of the parts of this key.
    pub files: PartFiles,
    /// The finished key; none while something is missing.
    pub summary: Option<Summary>,
}

/// A join that has its key, under its lock.
pub struct Joining {
    request: JoinRequest,
    job: KeygenJob,
    cancel: CancelHandle,
}

impl Joining {
    /// Opens the key, and makes its layer files if it has none.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if there is no key, if it is locked, or if there is too little disk or memory.
    pub fn open(request: JoinRequest, options: JobOptions, cancel: CancelHandle) -> Result<Self> {
        // A job would begin a key where there is none.
        KeyDir::open_any_version(KeyPlace::new(&request.directory))?;
        Directory::open(&request.parts).map_err(Error::unreadable)?;
        if request.files == Some(PartFiles::Adopted) {
            check_beforehand(&request.directory, &request.parts)?;
        }
        let job = KeygenJob::builder(&request.directory)
            .passphrase(request.passphrase.clone())
            .options(options)
            .cancel(cancel.clone())
            .joins(request.files)
            .open()?;
        Ok(Self { request, job, cancel })
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.job.manifest()
    }

    /// Puts in every part that is there and right, and finishes the key if none is missing.
    ///
    /// # Errors
    /// [`Error`](crate::Error); a bad part is not an error but in the report. What was committed is kept.
    pub fn run(self, progress: &dyn Progress) -> Result<JoinReport> {
        let kernel = self.manifest().scheme().kernel(self.manifest().parameter());
        self.run_with(kernel.as_ref(), progress)
    }

    /// A join does not care what the hash functions are.
    pub(super) fn run_with(self, kernel: &dyn Kernel, progress: &dyn Progress) -> Result<JoinReport> {
        let Self { request, job, cancel } = self;
        let manifest = job.manifest().clone();
        let sample = request.sample.unwrap_or_else(default_sample);
        let gathered = job.gather(kernel, progress, |gathering| {
            let source = Directory::open(&request.parts)?;
            let mut outcome = Outcome::default();
            if let Some(parts) = gathering.adopted_parts {
                check_source(parts, &source)?;
                let in_place = in_place(parts, gathering)?;
                outcome.was_there(&in_place.adopted);
                outcome.bad(in_place.bad);
                outcome.check(in_place.unfinished, sample, gathering)?;
            }
            let (parts, bad) = parts_in(&source, &manifest, &cancel)?;
            outcome.bad(bad);
            outcome.check(parts, sample, gathering)?;
            Ok(outcome)
        })?;
        let Gathered { told, missing, summary } = gathered;
        let files = files_of(&request.directory, &manifest)?;
        let Outcome { taken, bad } = told.unwrap_or_default();
        let missing = missing_parts(&request.directory, &manifest, missing);
        // Of a finished key nothing overlaps that is not there.
        let bad = bad
            .into_iter()
            .filter(|part| summary.is_none() || part.overlaps.is_none());
        let bad = bad.collect();
        Ok(JoinReport {
            taken,
            bad,
            missing,
            files,
            summary,
        })
    }
}

/// What became of the parts so far.
#[derive(Default)]
struct Outcome {
    taken: Vec<TakenPart>,
    bad: Vec<BadPart>,
}

impl Outcome {
    fn was_there(&mut self, parts: &[PublishedPart]) {
        let parts = parts.iter().map(|(file, epochs)| TakenPart::of(file, *epochs, true));
        self.taken.extend(parts);
    }

    fn bad(&mut self, files: Vec<NotAPart>) {
        let bad = files.into_iter().map(|(file, what)| BadPart::of(&file, what, None));
        self.bad.extend(bad);
    }

    /// Puts in those of these parts that are not there and right.
    fn check(&mut self, parts: Vec<PublishedPart>, sample: u64, gathering: &mut Gathering<'_>) -> Result<()> {
        for (mut file, epochs) in parts {
            if gathering.has_all(epochs) {
                // A copy of a part that is adopted is not another one.
                let is_copy = gathering.adopted_parts.is_some() && self.taken.iter().any(|part| part.epochs == epochs);
                if !is_copy {
                    self.taken.push(TakenPart::of(&file, epochs, true));
                }
                continue;
            }
            if let Some(other) = gathering.overlapping(epochs) {
                let what = "some of its epochs are in the key already".to_owned();
                self.bad.push(BadPart::of(&file, what, Some(other)));
                continue;
            }
            let put_in = match gathering.adopted_parts {
                Some(parts) => adopt(parts, &mut file, sample, gathering),
                None => copy(&file, sample, gathering),
            };
            match put_in {
                Ok(()) => self.taken.push(TakenPart::of(&file, epochs, false)),
                Err(Refusal::Bad(what)) => self.bad.push(BadPart::of(&file, what, None)),
                Err(Refusal::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Compares a part with everything that it can be compared with, and copies it into the key.
fn copy(file: &Entry, sample: u64, gathering: &mut Gathering<'_>) -> Result<(), Refusal> {
    let part = OpenPart::open(file, gathering.manifest)?;
    let highest = part.check_content(gathering.prf_key, gathering.cancel)?;
    check(&part, sample, gathering)?;
    take(&part, &highest, gathering)
}

/// What becomes of the files of parts of this key.
fn files_of(directory: &Path, manifest: &Manifest) -> Result<PartFiles> {
    let shelf = KeyDir::of(&KeyPaths::open(directory)?, manifest.clone()).shelf()?;
    Ok(if shelf.has_adopted() {
        PartFiles::Adopted
    } else {
        PartFiles::Copied
    })
}

/// The file of a part, and its epochs.
pub(super) type PublishedPart = (Entry, EpochRange);

/// A file that has the name of a part, and why it is not one.
pub(super) type NotAPart = (Entry, String);

/// The files in a directory that call themselves parts of the key, in the order of their epochs, and those that are not.
pub(super) fn parts_in(
    directory: &Directory,
    key: &Manifest,
    cancel: &CancelHandle,
) -> Result<(Vec<PublishedPart>, Vec<NotAPart>)> {
    let prefix = name_prefix(key.key_id());
    let (mut parts, mut bad) = (Vec::new(), Vec::new());
    let mut names: Vec<String> = Vec::new();
    directory.each_entry(|name, _| names.push(name))?;
    names.sort();
    for name in names
        .iter()
        .filter(|name| name.starts_with(&prefix) && name.ends_with(EXTENSION))
    {
        cancel.proceed()?;
        let file = directory.entry(name);
        match OpenPart::open(&file, key) {
            // Closed again: there can be more of them than descriptors.
            Ok(part) => parts.push((file, part.part.plan().stored())),
            Err(Refusal::Bad(what)) => bad.push((file, what)),
            Err(Refusal::Failed(error)) => return Err(error),
        }
    }
    parts.sort_by_key(|(_, epochs)| (epochs.start, epochs.end));
    Ok((parts, bad))
}

/// The parts of the ticket that have any of the missing epochs; the epochs themselves where there is no ticket that can be read.
fn missing_parts(directory: &Path, key: &Manifest, missing: Vec<EpochRange>) -> Vec<MissingPart> {
    let ticket = Ticket::read(&directory.join(TICKET))
        .ok()
        .filter(|ticket| ticket.is_of(key));
    let Some(ticket) = ticket else {
        let without_index = |epochs| MissingPart { index: None, epochs };
        return missing.into_iter().map(without_index).collect();
    };
    let is_missing = |epochs: &EpochRange| {
        missing
            .iter()
            .any(|run| run.start < epochs.end && epochs.start < run.end)
    };
    let parts = ticket.division().all(key.plan());
    let missing_parts = parts.filter(|(_, epochs)| is_missing(epochs));
    let with_index = missing_parts.map(|(index, epochs)| MissingPart {
        index: Some(index),
        epochs,
    });
    with_index.collect()
}
