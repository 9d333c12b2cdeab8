//! What is known of a set before more of it is made: what was noted, and what became of its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::finished::{FinishedKeys, Key, read_finished};
use super::key_files::{Fault, check_public, check_secret_head, read_manifest, shape_of};
use super::manifest::SetManifest;
use super::names::{Form, Half, KeyName, PUBLIC_SSZ, Prefix, Role, SECRET_SSZ, SetPaths};
use super::record::Record;
use super::request::SetRequest;
use super::survey::{Survey, unfinished};
use crate::error::{Error, Reason, Result};
use crate::exchange::Exporter;
use crate::failure::{FailureKind, IoFailure};
use crate::files::{allocated_bytes, exists};
use crate::keydir::{KeyDir, KeyPlace};
use crate::keystore::Passphrase;
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};
use keymill_xmss::PublicKey;
use keymill_xmss::scheme::Scheme;

/// Whose set the notes are of.
#[derive(Debug, Default)]
pub(super) enum Noted {
    #[default]
    Nothing,
    /// This one's, with the keys that are finished.
    This(FinishedKeys),
    /// Another one's, or they cannot be understood: why the request does not go on with it.
    Another(Error),
}

/// The directory of a key that is not finished, or was not put away.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// If it is sealed.
    pub(super) public_key: Option<Vec<u8>>,
    pub(super) bytes: u64,
}

/// What stands where the directory of a finished key may be.
#[derive(Debug)]
pub(super) enum Place {
    Nothing,
    /// It is not known to be of that key.
    Other,
    /// The files of the key can be made of it.
    Usable,
    /// It is of the key, and they cannot.
    Unusable(Error),
}

/// What a set was before.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) noted: Noted,
    pub(super) manifest: Result<Option<SetManifest>, Fault>,
    pub(super) unfinished: BTreeMap<Key, Unfinished>,
    /// Of each finished key without a file of its secret: where it is kept, and where it was made.
    pub(super) directories: BTreeMap<Key, [Place; 2]>,
    /// Bytes of files of keys that are not finished.
    pub(super) loose_bytes: u64,
}

impl Begun {
    /// Nothing is there.
    pub(super) fn nothing() -> Self {
        Self {
            noted: Noted::Nothing,
            manifest: Ok(None),
            unfinished: BTreeMap::new(),
            directories: BTreeMap::new(),
            loose_bytes: 0,
        }
    }

    /// Looks at the notes, and at the files and directories of the keys. Refuses files of finished keys that are others'.
    pub(super) fn read(survey: &Survey, request: &SetRequest, plan: &Plan) -> Result<Self> {
        let paths = &survey.paths;
        let mut begun = Self {
            noted: noted(paths, request)?,
            manifest: read_manifest(paths),
            ..Self::nothing()
        };
        if let Err(Fault::Io(failure)) = begun.manifest {
            return Err(failure.into());
        }
        if matches!(begun.noted, Noted::Another(_)) {
            return Ok(begun);
        }
        if exists(&paths.work())? {
            for name in unfinished(paths)? {
                let Prefix::Index(index) = name.prefix else { continue };
                let directory = paths.unfinished(index, name.role);
                let found = Unfinished {
                    public_key: sealed_public_key(&directory)?,
                    bytes: allocated_bytes(&directory)?,
                };
                begun.unfinished.insert((index, name.role), found);
            }
        }
        if let Noted::This(finished) = &begun.noted {
            let names = names(request, finished)?;
            begun.loose_bytes = loose_bytes(survey, &names)?;
            for (&name, (key, public_key)) in &names {
                if let Some(places) = look_at(survey, request, plan, *key, name, public_key)? {
                    begun.directories.insert(*key, places);
                }
            }
        }
        Ok(begun)
    }
}

fn noted(paths: &SetPaths, request: &SetRequest) -> Result<Noted> {
    match read_notes(paths, request) {
        Err(Fault::Io(failure)) => Err(failure.into()),
        Err(Fault::Wrong { path, what }) => {
            let error = Error::directory(format!("'{}': {what}", path.display())).at(path);
            let remedies = [Remedy::OtherDirectory, Remedy::Overwrite];
            Ok(Noted::Another(error.because(Reason::Damaged).mend(remedies)))
        }
        Ok(noted) => Ok(noted),
    }
}

fn read_notes(paths: &SetPaths, request: &SetRequest) -> Result<Noted, Fault> {
    match Record::read(&paths.request())? {
        Some(record) => Ok(match record.contradiction(request, &paths.request()) {
            Some(error) => Noted::Another(error),
            None => Noted::This(read_finished(paths, request.scheme)?),
        }),
        None if exists(&paths.finished())? => {
            let what = "it is missing, but there are finished keys";
            Err(Fault::damaged(&paths.request(), what))
        }
        None => Ok(Noted::Nothing),
    }
}

/// What the files of a key are called.
pub(super) fn name(request: &SetRequest, (index, role): Key, proposer: Option<&Vec<u8>>) -> Result<KeyName> {
    let prefix = match (request.is_distributed, proposer) {
        (false, _) => Prefix::Index(index),
        (true, Some(proposer)) => Prefix::of_public_key(proposer),
        (true, None) => {
            let what = format!("validator {index} has no proposer key to be named by");
            return Err(Error::usage(what).mend([Remedy::Change(Argument::Roles)]));
        }
    };
    Ok(KeyName { prefix, role })
}

/// Finished keys by their names.
pub(super) fn names<'a>(
    request: &SetRequest,
    finished: &'a FinishedKeys,
) -> Result<BTreeMap<KeyName, (Key, &'a [u8])>> {
    let named = |(&key, public_key): (&Key, &'a Vec<u8>)| {
        let name = name(request, key, finished.get(&(key.0, Role::Proposer)))?;
        Ok((name, (key, &public_key[..])))
    };
    finished.iter().map(named).collect()
}

fn loose_bytes(survey: &Survey, finished: &BTreeMap<KeyName, (Key, &[u8])>) -> Result<u64, IoFailure> {
    let mut bytes = 0;
    for (&name, key) in survey.keys.iter().filter(|(name, _)| !finished.contains_key(name)) {
        for file in key.files.iter() {
            bytes += allocated_bytes(&survey.paths.file(name, file))?;
        }
    }
    Ok(bytes)
}

/// The files of a finished key that are there belong together. Where its secret is in none of them, gives what stands in the
/// places of its directory.
fn look_at(
    survey: &Survey,
    request: &SetRequest,
    plan: &Plan,
    (index, role): Key,
    name: KeyName,
    public_key: &[u8],
) -> Result<Option<[Place; 2]>> {
    let (paths, files) = (&survey.paths, survey.key(name).files);
    let parsed = parsed(request.scheme, public_key, &paths.finished())?;
    if files.has(PUBLIC_SSZ) {
        check_public(&paths.file(name, PUBLIC_SSZ), &parsed, Form::Ssz)?;
    }
    if files.has(SECRET_SSZ) {
        let file = paths.file(name, SECRET_SSZ);
        check_secret_head(&file, &request.kind(), &shape_of(plan), &parsed)?;
    }
    let mut secrets = request.files().iter().filter(|(half, _)| *half == Half::Secret);
    if secrets.any(|&file| files.has(file)) {
        return Ok(None);
    }
    let place = |directory: PathBuf| place(&directory, request.passphrase.as_ref(), public_key);
    let kept = place(paths.kept(name))?;
    // Left by a process that died before it put it away.
    Ok(Some([kept, place(paths.unfinished(index, role))?]))
}

/// The public key of a key that a set has in this place.
pub(super) fn parsed(scheme: &'static Scheme, public_key: &[u8], path: &Path) -> Result<PublicKey, Fault> {
    PublicKey::from_ssz(scheme, public_key).map_err(|error| Fault::wrong(path, error.to_string()))
}

fn place(directory: &Path, passphrase: Option<&Passphrase>, public_key: &[u8]) -> Result<Place> {
    if !exists(directory)? {
        return Ok(Place::Nothing);
    }
    if !is_of_key(directory, public_key)? {
        return Ok(Place::Other);
    }
    match Exporter::open(KeyPlace::new(directory).passphrase(passphrase)) {
        Ok(_) => Ok(Place::Usable),
        Err(error) if error.kind() == FailureKind::Machine => Err(error),
        // Further keys would be under another passphrase than this one.
        Err(error) if error.reason() == Reason::WrongPassphrase => Err(error),
        Err(error) => Ok(Place::Unusable(error)),
    }
}

/// The public key of a directory, if there is one of a sealed key.
fn sealed_public_key(directory: &Path) -> Result<Option<Vec<u8>>> {
    if !exists(directory)? {
        return Ok(None);
    }
    match KeyDir::open_sealed(directory) {
        Ok(key) => Ok(key.manifest().public_key()),
        Err(error) if error.kind() == FailureKind::Machine => Err(error),
        // What is wrong with it, its job will say.
        Err(_) => Ok(None),
    }
}

/// Whether a directory is that of this key, sealed.
pub(super) fn is_of_key(directory: &Path, public_key: &[u8]) -> Result<bool> {
    Ok(sealed_public_key(directory)?.as_deref() == Some(public_key))
}
