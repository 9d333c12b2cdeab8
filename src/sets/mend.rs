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
use crate::exchange::ExportError;
use crate::files::exists;
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm};
use crate::interop::ssz::PublicKey;
use crate::plan::Plan;

/// What the missing files of a key are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of its secret.
    Secret(PathBuf, SecretKeyForm),
    /// Its key directory.
    Directory(PathBuf),
    /// The seed of the set.
    Seed,
}

/// The finished keys that lack a file, and what it is made of. One that nothing is left to be made of is refused.
pub(super) type Broken = BTreeMap<(u64, Role), Source>;

pub(super) fn broken(paths: &SetPaths, request: &SetRequest, finished: &FinishedKeys) -> Result<Broken, SetError> {
    let mut broken = Broken::new();
    for (&key, public_key) in finished {
        let prefix = prefix(request, key.0, finished.get(&(key.0, Role::Proposer)))?;
        if let Some(missing) = first_missing(paths, request, &prefix, key.1)? {
            let source = source(paths, request, &prefix, key, public_key)?;
            broken.insert(key, source.ok_or(SetError::Lost(missing))?);
        }
    }
    Ok(broken)
}

fn first_missing(
    paths: &SetPaths,
    request: &SetRequest,
    prefix: &Prefix,
    role: Role,
) -> Result<Option<PathBuf>, SetError> {
    for &(half, form) in names::key_files(request.with_json) {
        let path = paths.entry(&prefix.file(role, half, form));
        if !exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
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
            let form = match form {
                Form::Ssz => SecretKeyForm::LeansigSsz,
                Form::Json => SecretKeyForm::LeansigJson,
            };
            return Ok(Some(Source::Secret(path, form)));
        }
    }
    let kept = paths.entry(&prefix.directory(role));
    // Left by a process that died before it put it away.
    let unfinished = paths.unfinished(index, role);
    for directory in [kept.clone(), unfinished] {
        if is_of_key(&directory, public_key)? {
            return Ok(Some(Source::Directory(directory)));
        }
    }
    if request.seed.is_none() {
        return Ok(None);
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
    publisher: Publisher<'_>,
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
