//! Finished keys that lack a file: what it can be made of again, byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::SetError;
use super::json_twin::read_failed;
use super::key_files;
use super::names::{self, Form, Half, Prefix, Role, SetPaths};
use super::notes::FinishedKeys;
use super::prepare::{is_of_key, prefix};
use super::probe::check_secret;
use super::publish::Publisher;
use super::request::SetRequest;
use crate::exchange::{ExportError, Exporter};
use crate::failure::{Classified, FailureKind, attempt};
use crate::files::exists;
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm, reading_bytes_max};
use crate::plan::Plan;
use keymill_xmss::PublicKey;

/// What the missing files of a key are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of its secret.
    Secret(PathBuf, SecretKeyForm),
    /// Its key directory, which can be read.
    Directory(PathBuf),
    /// The seed of the set.
    Seed,
}

/// A finished key that lacks a file.
pub(super) struct Mending {
    pub(super) missing: Vec<(Half, Form)>,
    pub(super) source: Source,
    /// The file of its secret, if the secret is in no file of the set any more: then it may have gone to sign elsewhere.
    pub(super) secret_gone: Option<PathBuf>,
}

pub(super) type Broken = BTreeMap<(u64, Role), Mending>;

/// The finished keys that lack a file. One that nothing is left to be made of is refused, and so is one whose secret is gone,
/// unless that was asked for.
pub(super) fn broken(paths: &SetPaths, request: &SetRequest, finished: &FinishedKeys) -> Result<Broken, SetError> {
    let mut broken = Broken::new();
    for (&(index, role), public_key) in finished {
        let prefix = prefix(request, index, finished.get(&(index, Role::Proposer)))?;
        let path = |(half, form)| paths.entry(&prefix.file(role, half, form));
        let mut missing = Vec::new();
        for &file in names::key_files(request.with_json) {
            if !exists(&path(file))? {
                missing.push(file);
            }
        }
        let Some(&first) = missing.first() else { continue };
        let source = source(paths, request, &prefix, (index, role), public_key)?;
        let source = source.ok_or_else(|| SetError::Lost(path(first)))?;
        let is_secret_there = matches!(source, Source::Secret(..));
        let mending = Mending {
            missing,
            source,
            secret_gone: (!is_secret_there).then(|| path((Half::Secret, Form::Ssz))),
        };
        broken.insert((index, role), mending);
    }
    let gone: Vec<_> = secrets_gone(&broken).collect();
    match gone.first() {
        Some(&first) if !request.restores_secrets => Err(SetError::SecretsGone {
            first: first.to_owned(),
            keys: gone.len() as u64,
        }),
        _ => Ok(broken),
    }
}

/// The most that reading one of the secrets takes of which files are made again.
pub(super) fn reading_bytes(broken: &Broken) -> Result<u64, SetError> {
    let mut most = 0;
    for mending in broken.values() {
        if let Source::Secret(path, form) = &mending.source {
            let file_bytes = attempt("stat", path, || std::fs::metadata(path))?.len();
            most = most.max(reading_bytes_max(Some(*form), file_bytes));
        }
    }
    Ok(most)
}

/// The files of secrets that are in no file of the set any more.
pub(super) fn secrets_gone(broken: &Broken) -> impl Iterator<Item = &Path> {
    broken.values().filter_map(|mending| mending.secret_gone.as_deref())
}

/// What a file of a finished key can be made of. The seed comes last: only with it is the key computed again.
fn source(
    paths: &SetPaths,
    request: &SetRequest,
    prefix: &Prefix,
    (index, role): (u64, Role),
    public_key: &[u8],
) -> Result<Option<Source>, SetError> {
    for &(half, form) in names::key_files(request.with_json) {
        let path = paths.entry(&prefix.file(role, half, form));
        if half == Half::Secret && exists(&path)? {
            return Ok(Some(Source::Secret(path, form.of_secret())));
        }
    }
    let kept = paths.entry(&prefix.directory(role));
    // Left by a process that died before it put it away.
    let unfinished = paths.unfinished(index, role);
    let mut unusable = None;
    for directory in [kept.clone(), unfinished] {
        if is_of_key(&directory, public_key)? {
            match Exporter::open(&directory) {
                Ok(_) => return Ok(Some(Source::Directory(directory))),
                Err(error) if error.kind() == FailureKind::Machine => return Err(error.into()),
                Err(error) => unusable = Some(error),
            }
        }
    }
    if request.seed.is_none() {
        return unusable.map_or(Ok(None), |error| Err(error.into()));
    }
    // The key that is made again is to be kept there.
    if request.keeps_directories && exists(&kept)? && !is_of_key(&kept, public_key)? {
        return Err(SetError::KeptDirectory(kept));
    }
    Ok(Some(Source::Seed))
}

/// Reads a secret key, which has to be the one that was finished, and sound.
pub(super) fn read_secret(
    path: &Path,
    form: SecretKeyForm,
    plan: &Plan,
    public_key: &[u8],
) -> Result<SecretKeyFile, SetError> {
    let foreign = |what: String| SetError::Foreign {
        path: path.to_owned(),
        what,
    };
    let file = &mut key_files::open_own(path)?;
    let secret = SecretKeyFile::read(file, Some(form), None).map_err(|error| match error {
        SecretKeyError::Read(source) => read_failed(path, source).into(),
        error => foreign(error.to_string()),
    })?;
    check_secret(&secret, plan.scheme(), plan.stored(), public_key).map_err(foreign)?;
    Ok(secret)
}

/// Writes those files of a key that are missing.
pub(super) fn write_missing(
    publisher: &Publisher,
    file: impl Fn(Half, Form) -> PathBuf,
    with_json: bool,
    public_key: &PublicKey,
    secret: &SecretKeyFile,
) -> Result<(), SetError> {
    for &(half, form) in names::key_files(with_json) {
        let target = file(half, form);
        if exists(&target)? {
            continue;
        }
        publisher.publish(&target, half == Half::Secret, |to| {
            key_files::write(public_key, half, form, to, |form, to| {
                secret.write(form, to).map_err(ExportError::Write)
            })
        })?;
    }
    Ok(())
}
