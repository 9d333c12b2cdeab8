//! From a directory and a request to a key that can be worked on: created, or found half done.

use std::path::Path;

use super::KeygenError;
use super::cancel::CancelHandle;
use super::request::{KeyDefaults, KeyRequest};
use crate::files::{available_bytes, make_directory, parent_of, sync_name_of};
use crate::keydir::{
    KeyDir, KeyDirError, KeyPaths, KeyState, LedgerMark, LockedDir, Manifest, Origin, Secret, Stage, is_there,
    prf_key_of,
};
use crate::layers::Medium;
use crate::ledger::{forget, is_unused};
use crate::migrations::{self, MigrationError};
use crate::plan::{BudgetTooSmall, MemoryPlan, Plan};

/// A key in the present format, under its lock if there is work left.
pub(super) struct Prepared {
    pub(super) paths: KeyPaths,
    pub(super) manifest: Manifest,
    /// What is needed to go on: memory, and the lock. None for a sealed key, which nobody writes to any more.
    pub(super) work: Option<(MemoryPlan, LockedDir)>,
}

impl Prepared {
    /// There is nothing to write, and the directory may be read-only.
    fn sealed(paths: KeyPaths, manifest: Manifest) -> Self {
        Self {
            paths,
            manifest,
            work: None,
        }
    }
}

/// How memory is planned for a given plan.
pub(super) type PlanMemory<'a> = &'a dyn Fn(&Plan) -> Result<MemoryPlan, BudgetTooSmall>;

/// Finds or creates the key. Nothing is written before the request is known to be sound and the disk to be large enough.
pub(super) fn prepare(
    directory: &Path,
    request: &KeyRequest,
    defaults: &KeyDefaults,
    plan_memory: PlanMemory<'_>,
    medium: &dyn Medium,
    cancel: &CancelHandle,
) -> Result<Prepared, KeygenError> {
    let found = match is_there(directory)? {
        true => Some(KeyPaths::open(directory)?),
        false => None,
    };
    let known = match &found {
        Some(paths) => Manifest::read(&paths.manifest())?,
        None => None,
    };
    let (paths, memory) = match (found, known) {
        (Some(paths), Some(manifest)) => {
            request.agrees_with(&manifest, &paths)?;
            refuse_vouched_for(&paths, request, &manifest)?;
            if manifest.state() == KeyState::Sealed && lost_secret(&paths, request, &manifest)?.is_none() {
                if may_have_signed_elsewhere(request, &manifest) && this_key(&paths)?.note_elsewhere()? {
                    warn_of_taken_back(directory);
                }
                return Ok(Prepared::sealed(paths, manifest));
            }
            let memory = plan_memory(manifest.plan())?;
            (paths, memory)
        }
        (found, _) => ready_for_new(directory, found, request, defaults, plan_memory)?,
    };
    let locked = paths.lock()?;
    // Once more, now that nobody else can be writing: whoever held the lock before may have made a key here.
    let manifest = match Manifest::read(&paths.manifest())? {
        Some(manifest) => {
            request.agrees_with(&manifest, &paths)?;
            refuse_vouched_for(&paths, request, &manifest)?;
            let manifest = expecting(request, manifest);
            if let Some((secret, origin)) = lost_secret(&paths, request, &manifest)? {
                if manifest.state() == KeyState::Sealed {
                    // One of an earlier version is migrated first.
                    this_key(&paths)?;
                    forget(&locked, &manifest)?;
                } else if is_unused(&paths, &manifest)? {
                    locked.take_back(&manifest)?;
                }
                secret.write(&locked, origin)?;
            } else if may_have_signed_elsewhere(request, &manifest) && locked.take_back(&manifest)? {
                warn_of_taken_back(directory);
            }
            manifest
        }
        None => begin(&locked, request, defaults)?,
    };
    if manifest.state() == KeyState::Sealed {
        let manifest = locked.note_fingerprint(manifest)?;
        return Ok(Prepared::sealed(paths, manifest));
    }
    let manifest = finish_creation(&locked, manifest, medium, cancel)?;
    let manifest = locked.note_fingerprint(manifest)?;
    Ok(Prepared {
        paths,
        manifest,
        work: Some((memory, locked)),
    })
}

/// A key that may have signed elsewhere does not go on where its ledger would begin with the word that it has not. Where the
/// secret is lost it does, and the word with it: nothing else leads on from there.
fn refuse_vouched_for(paths: &KeyPaths, request: &KeyRequest, manifest: &Manifest) -> Result<(), KeygenError> {
    match request.has_a_past() && paths.secret().exists()? && is_unused(paths, manifest)? {
        true => Err(KeygenError::VouchedFor(paths.root().to_owned())),
        false => Ok(()),
    }
}

/// Whether the request brings a secret that may have signed wherever it comes from, to a key that need not know of that: the
/// file of another program, or the secret of a key that was drawn here. A backup is no place that signs.
fn may_have_signed_elsewhere(request: &KeyRequest, manifest: &Manifest) -> bool {
    let is_given = request.secret.is_some() && manifest.origin() == Origin::Fresh;
    request.restored.is_none() && (request.root.is_some() || is_given)
}

/// The sealed key of a directory that is open, of the present format.
fn this_key(paths: &KeyPaths) -> Result<KeyDir, KeyDirError> {
    KeyDir::in_directory(paths)?.of_this_version()?.sealed()
}

fn warn_of_taken_back(directory: &Path) {
    let directory = directory.display();
    tracing::warn!(
        "the key in '{directory}' may have signed where its secret comes from, so it signs nothing more here before 'keymill \
         ledger init {directory} --first-epoch N' says from which epoch on it is unused; import its history from there first, \
         with 'keymill ledger import'"
    );
}

/// Makes sure that a new key can be made, and only then makes its directory.
fn ready_for_new(
    directory: &Path,
    found: Option<KeyPaths>,
    request: &KeyRequest,
    defaults: &KeyDefaults,
    plan_memory: PlanMemory<'_>,
) -> Result<(KeyPaths, MemoryPlan), KeygenError> {
    request.check_parameter()?;
    let plan = request.plan(defaults)?;
    request.check_secret_form(plan.scheme())?;
    request.check_fillers(&plan)?;
    request.check_root_form(plan.scheme())?;
    let memory = plan_memory(&plan)?;
    check_room(directory, found.is_some(), &plan)?;
    if let Some(paths) = found {
        refuse_foreign(&paths)?;
        sync_name_of(directory)?;
        return Ok((paths, memory));
    }
    // If somebody else was quicker, the lock decides.
    make_directory(directory)?;
    Ok((KeyPaths::open(directory)?, memory))
}

/// Writes secret and manifest of a new key.
fn begin(paths: &LockedDir, request: &KeyRequest, defaults: &KeyDefaults) -> Result<Manifest, KeygenError> {
    let mark = refuse_foreign(paths)?;
    let left = Secret::read(&paths.secret())?;
    let is_found = left.is_some() && request.secret.is_none();
    let (secret, origin) = request.secret(left, paths)?;
    let plan = request.plan(defaults)?;
    if request.has_a_past() {
        let origin = request.restored.unwrap_or(origin);
        return begin_again(paths, request.begin(plan, &secret, origin), &secret);
    }
    let key_id = request.begin(plan.clone(), &secret, origin).key_id();
    // A fresh secret that is found was drawn by a creation that was interrupted, if that left its mark; else it was put here
    // by hand, with the mark of a key that exists or without one, and may have signed elsewhere.
    let was_drawn_here =
        request.secret.is_none() && mark.is_some_and(|mark| mark.key_id == key_id && mark.stage == Stage::Creating);
    if is_found {
        let secret = paths.secret();
        let past = match was_drawn_here {
            true => "",
            false => "; it may have signed elsewhere, so the key signs nothing before 'keymill ledger init'",
        };
        tracing::warn!(
            "there is a secret in '{}', and the key is made from it{past}",
            secret.path().display()
        );
    }
    let origin = match origin {
        Origin::Fresh if paths.secret().exists()? && !was_drawn_here => Origin::Seed,
        origin => origin,
    };
    // Before the secret, so that no fresh secret stands here without it.
    if origin == Origin::Fresh {
        LedgerMark::of_creation(key_id).write(paths)?;
    } else if paths.ledger_mark().exists()? {
        paths.ledger_mark().unlink()?;
    }
    let manifest = request.begin(plan, &secret, origin);
    // The secret before the manifest: a manifest without its secret would be a key that nobody can finish.
    secret.write(paths, origin)?;
    manifest.write(paths)?;
    Ok(manifest)
}

/// As [`begin`], of a key that existed before. Its manifest comes before its secret: if this ends in between, nobody takes
/// the secret for that of another key, or makes a key of it whatever its root, and a manifest without its secret is one that
/// the same request finishes. A mark that says that nobody has signed does not stand beside them at any moment.
fn begin_again(paths: &LockedDir, manifest: Manifest, secret: &Secret) -> Result<Manifest, KeygenError> {
    let mark = paths.ledger_mark();
    if mark.exists()? {
        mark.unlink()?;
        paths.directory().sync()?;
    }
    manifest.write(paths)?;
    secret.write(paths, manifest.origin())?;
    Ok(manifest)
}

/// The key with the root that it has to have. Where it was begun without one, this run alone is held to it: the leaves that
/// are there are not to be lost to a source that is damaged.
fn expecting(request: &KeyRequest, manifest: Manifest) -> Manifest {
    match manifest.expected_root().is_some() || manifest.state() == KeyState::Sealed {
        true => manifest,
        false => manifest.expecting(request.root.clone()),
    }
}

/// The secret that a key which existed before does not have yet, or not any more.
fn lost_secret<'a>(
    paths: &KeyPaths,
    request: &'a KeyRequest,
    manifest: &Manifest,
) -> Result<Option<(&'a Secret, Origin)>, KeygenError> {
    let Some(secret) = request.secret.as_ref().filter(|_| request.has_a_past()) else {
        return Ok(None);
    };
    let origin = manifest.origin();
    match Secret::read(&paths.secret())? {
        Some((found, _)) if found.is_same_as(secret) => Ok(None),
        // A PRF key does not tell the seed that it was drawn from.
        _ if matches!(secret, Secret::PrfKey(_)) != (origin == Origin::PrfKey) => Ok(None),
        None => Ok(Some((secret, origin))),
        // The one that was given is this key's. Nothing is written over what may be another one's.
        Some((found, _)) => match prf_key_of(&found, paths, manifest) {
            Ok(_) => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

/// The mark that an interrupted creation left. One that knows of spent epochs has lost its manifest.
fn empty_mark(paths: &KeyPaths) -> Result<Option<LedgerMark>, KeygenError> {
    match LedgerMark::read_any(&paths.ledger_mark()) {
        Ok(Some(mark)) if !mark.is_of_empty() => {
            Err(KeyDirError::ManifestLost(paths.ledger_mark().path().to_owned()).into())
        }
        Err(KeyDirError::LedgerMark { path, .. }) => Err(KeyDirError::ManifestLost(path).into()),
        mark => Ok(mark?),
    }
}

/// A directory with something else in it is no place for a new key, nor is one that has lost its manifest. Gives the mark
/// that an interrupted creation left.
fn refuse_foreign(paths: &KeyPaths) -> Result<Option<LedgerMark>, KeygenError> {
    if let Some(path) = paths.foreign_entry()? {
        return Err(KeyDirError::Foreign(path).into());
    }
    match paths.part_of_key()? {
        Some(part) => Err(KeyDirError::ManifestLost(part).into()),
        None => empty_mark(paths),
    }
}

/// Brings a key that is being made to the present format. Finishing a creation, or going on with a key that an earlier
/// program began, is not a migration that a person has to ask for.
fn finish_creation(
    paths: &LockedDir,
    manifest: Manifest,
    medium: &dyn Medium,
    cancel: &CancelHandle,
) -> Result<Manifest, KeygenError> {
    let proceed = |_: &str| !cancel.is_cancelled();
    match migrations::run(paths, manifest, medium, &migrations::steps(), proceed) {
        // To whoever makes a key, this is no migration.
        Err(MigrationError::Interrupted(_)) => Err(cancel.reason()),
        outcome => Ok(outcome?),
    }
}

/// Compares the plan with the space on the file system, before the first byte is written.
fn check_room(directory: &Path, exists: bool, plan: &Plan) -> Result<(), KeygenError> {
    let on = if exists { directory } else { parent_of(directory) };
    if !is_there(on)? {
        return Err(KeyDirError::NoParent(on.to_owned()).into());
    }
    let available_bytes = available_bytes(on)?;
    let needed_bytes = plan.disk_bytes();
    if available_bytes >= needed_bytes {
        return Ok(());
    }
    Err(KeygenError::TooLittleDisk {
        directory: directory.to_owned(),
        needed_bytes,
        available_bytes,
    })
}
