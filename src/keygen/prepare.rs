//! From a directory and a request to a key that can be worked on: created, or found half done.

use std::path::Path;

use super::builder::{Batches, KeygenBuilder, PartFiles};
use super::cancel::CancelHandle;
use super::error::{adopts_parts, nothing_to_adopt, other_part_files};
use super::request::KeyRequest;
use super::resolve::{Change, Decision, Present, resolve};
use crate::error::{Error, Reason, Result};
use crate::files::{self, make_directory, parent_of, sync_name_of};
use crate::keydir::error::{foreign, manifest_lost, no_parent};
use crate::keydir::{
    KeyDir, KeyPaths, KeyPlace, KeyState, LedgerMark, LockedDir, Manifest, Origin, Secret, SecretForm, Stage, is_there,
};
use crate::layers::{Medium, levels_in_parts};
use crate::ledger::{forget, is_unused};
use crate::migrations;
use crate::plan::{MemoryPlan, Plan};
use crate::remedy::{Argument, Remedy};

/// A key in the present format, under its lock if there is work left.
pub(super) struct Prepared {
    pub(super) key: KeyDir,
    /// What is needed to go on: memory, and the lock. None for a sealed key, to which a job writes nothing more.
    pub(super) work: Option<(MemoryPlan, LockedDir)>,
    /// The secret of the request was written; else the key had one, or got one that was drawn or found.
    pub(super) has_taken_secret: bool,
}

/// A key that is there, or was begun just now.
pub(super) struct Begun {
    pub(super) key: KeyDir,
    /// The lock; none for a sealed key of which nothing had to be written: its directory may be read-only.
    pub(super) locked: Option<LockedDir>,
    /// As in [`Prepared`].
    pub(super) has_taken_secret: bool,
}

/// Finds or creates the key. Nothing is written before the request is known to be sound and the disk to be large enough.
pub(super) fn prepare(asked: &KeygenBuilder, medium: &dyn Medium) -> Result<Prepared> {
    let Begun {
        key,
        locked,
        has_taken_secret,
    } = begin(asked, check_room)?;
    let Some(locked) = locked else {
        return Ok(Prepared {
            key,
            work: None,
            has_taken_secret,
        });
    };
    let memory = asked.options.memory_plan(key.manifest().plan())?;
    let manifest = key.manifest().clone();
    let is_sealed = manifest.state() == KeyState::Sealed;
    let manifest = if is_sealed {
        manifest
    } else {
        settle_part_files(asked.batches, &locked, &manifest)?;
        finish_creation(&locked, manifest, medium, &asked.cancel)?
    };
    let manifest = locked.note_fingerprint(manifest)?;
    Ok(Prepared {
        key: KeyDir::of(&locked, manifest),
        work: (!is_sealed).then_some((memory, locked)),
        has_taken_secret,
    })
}

/// Finds the key, or begins it with its manifest and its secret, and nothing else. `check_room` says whether the disk is large
/// enough for what will follow.
pub(super) fn begin(asked: &KeygenBuilder, check_room: impl Fn(&Path, bool, &Plan) -> Result<()>) -> Result<Begun> {
    let KeygenBuilder {
        directory,
        request,
        defaults,
        options,
        ..
    } = asked;
    let there = if is_there(directory)? {
        Some(KeyPaths::open(asked.place())?)
    } else {
        None
    };
    let found = read_present(there.as_ref(), request)?;
    let decision = resolve(request, defaults.as_ref(), directory, found)?;
    if let (Decision::Sealed { manifest, change }, Some(paths)) = (&decision, &there) {
        // Without the lock: the directory may be read-only.
        let key = KeyDir::of(paths, manifest.clone());
        if matches!(change, Change::TakeBack) && key.clone().of_this_version()?.note_elsewhere()? {
            warn_of_taken_back(directory);
        }
        return Ok(Begun {
            key,
            locked: None,
            has_taken_secret: false,
        });
    }
    options.memory_plan(decision.plan())?;
    if let Decision::Begin { plan, .. } = &decision {
        check_room(directory, there.is_some(), plan)?;
    }
    let locked = lock(asked.place(), there, &decision)?;
    // Once more, now that no other process can be writing: the one that held the lock before may have made a key here.
    let decision = resolve(
        request,
        defaults.as_ref(),
        directory,
        read_present(Some(&locked), request)?,
    )?;
    let has_taken_secret = decision.takes_secret();
    let manifest = apply(decision, asked, &locked)?;
    Ok(Begun {
        key: KeyDir::of(&locked, manifest),
        locked: Some(locked),
        has_taken_secret,
    })
}

/// Reads what is in a directory, if that is there, as far as it bears on the request.
fn read_present(paths: Option<&KeyPaths>, request: &KeyRequest) -> Result<Present> {
    let Some(paths) = paths else {
        return Ok(Present::default());
    };
    let manifest = Manifest::read(&paths.manifest())?;
    let mark = match manifest {
        Some(_) => None,
        None => refuse_foreign(paths)?,
    };
    let secret = if manifest.is_none() || request.has_a_past() {
        paths.read_secret()?
    } else {
        None
    };
    let is_unused = match &manifest {
        Some(manifest) if request.has_a_past() => is_unused(paths, manifest)?,
        _ => false,
    };
    Ok(Present {
        manifest,
        secret,
        mark,
        is_unused,
    })
}

/// Refuses a directory that holds something else, or a key that has lost its manifest. Gives the mark that an interrupted
/// creation left.
fn refuse_foreign(paths: &KeyPaths) -> Result<Option<LedgerMark>> {
    if let Some(path) = paths.foreign_entry()? {
        return Err(foreign(&path));
    }
    if let Some(part) = paths.part_of_key()? {
        return Err(manifest_lost(&part));
    }
    let mark = paths.ledger_mark();
    match LedgerMark::read_any(&mark) {
        // One that knows of spent epochs has lost its manifest.
        Ok(Some(found)) if !found.is_of_empty() => Err(manifest_lost(mark.path())),
        Err(error) if error.reason() == Reason::MarkDamaged => Err(manifest_lost(mark.path())),
        found => found,
    }
}

/// Takes the lock of a directory. That of a new key is made.
fn lock(place: KeyPlace<'_>, there: Option<KeyPaths>, decision: &Decision) -> Result<LockedDir> {
    let directory = place.path();
    if matches!(decision, Decision::Begin { .. }) {
        if there.is_some() {
            sync_name_of(directory)?;
        } else {
            // If another process was quicker, the lock decides.
            make_directory(directory)?;
        }
    }
    let paths = match there {
        Some(paths) => paths,
        None => KeyPaths::open(place)?,
    };
    paths.lock()
}

/// Writes what was decided, and gives the manifest of the key.
fn apply(decision: Decision, asked: &KeygenBuilder, locked: &LockedDir) -> Result<Manifest> {
    let (request, is_sealing) = (&asked.request, asked.is_sealing);
    let (manifest, change) = match decision {
        Decision::Begin {
            plan,
            secret,
            is_found,
            mark,
        } => {
            let (secret, origin) = match secret {
                Some(known) => known,
                None => (fresh_secret()?, Origin::Fresh),
            };
            let manifest = request.begin(plan, &secret, request.restored.unwrap_or(origin));
            if request.has_a_past() {
                begin_again(locked, &manifest, &secret, is_sealing)?;
                return Ok(manifest);
            }
            let new = NewSecret {
                secret: &secret,
                is_found,
                mark: mark.as_ref(),
                is_sealing,
            };
            return write_new(locked, manifest, &new);
        }
        Decision::Resume { manifest, change } | Decision::Sealed { manifest, change } => (manifest, change),
    };
    match change {
        Change::Nothing => {}
        Change::TakeBack => {
            if locked.take_back(&manifest)? {
                warn_of_taken_back(locked.root());
            }
        }
        Change::Secret { secret, is_unused } => {
            if manifest.state() == KeyState::Sealed {
                // One of an earlier version is migrated first.
                KeyDir::of(locked, manifest.clone()).of_this_version()?;
                forget(locked, &manifest)?;
            } else if is_unused {
                locked.take_back(&manifest)?;
            }
            locked.put_secret(&manifest, &secret, is_sealing)?;
        }
    }
    Ok(manifest)
}

fn fresh_secret() -> Result<Secret> {
    Secret::fresh().map_err(|error| {
        Error::machine(format!(
            "the operating system could not provide randomness for a fresh seed: {error}"
        ))
    })
}

/// The secret of a new key.
struct NewSecret<'a> {
    secret: &'a Secret,
    /// It was there already, beside this mark.
    is_found: bool,
    mark: Option<&'a LedgerMark>,
    /// It comes to lie under a passphrase.
    is_sealing: bool,
}

/// Writes secret and manifest of a new key.
fn write_new(locked: &LockedDir, manifest: Manifest, new: &NewSecret<'_>) -> Result<Manifest> {
    let NewSecret {
        secret,
        is_found,
        mark,
        is_sealing,
    } = *new;
    let key_id = manifest.key_id();
    // A fresh secret that is found was drawn by a creation that was interrupted, if that left its mark; else it was put here
    // by hand, with the mark of a key that exists or without one, and may have signed elsewhere.
    let was_drawn_here = mark.is_some_and(|mark| mark.key_id == key_id && mark.stage == Stage::Creating);
    let is_put_here = is_found && !was_drawn_here;
    if is_found {
        let secret = match locked.secret_form()? {
            SecretForm::Keystore => locked.keystore(),
            _ => locked.secret(),
        };
        let secret = secret.path().display();
        if is_put_here {
            tracing::warn!(
                ledger_init = %locked.root().display(),
                "there is a secret in '{secret}', and the key is made from it; it may have signed elsewhere, so the key signs \
                 nothing before its ledger is begun"
            );
        } else {
            tracing::warn!("there is a secret in '{secret}', and the key is made from it");
        }
    }
    let manifest = if is_put_here && manifest.origin() == Origin::Fresh {
        manifest.of_origin(Origin::Seed)
    } else {
        manifest
    };
    // Before the secret, so that no fresh secret stands here without it.
    if manifest.origin() == Origin::Fresh {
        LedgerMark::of_creation(key_id).write(locked)?;
    } else if locked.ledger_mark().exists()? {
        locked.ledger_mark().unlink()?;
    }
    // The secret before the manifest: a manifest without its secret would be a key that cannot be finished.
    locked.put_secret(&manifest, secret, is_sealing)?;
    manifest.write(locked)?;
    Ok(manifest)
}

/// As [`write_new`], of a key that existed before. Its manifest comes before its secret: if this ends in between, no
/// command takes the secret for that of another key, or makes a key of it whatever its root, and the same request finishes a
/// manifest without its secret. At no moment does a mark beside them say that the key has not signed.
fn begin_again(locked: &LockedDir, manifest: &Manifest, secret: &Secret, is_sealing: bool) -> Result<()> {
    let mark = locked.ledger_mark();
    if mark.exists()? {
        mark.unlink()?;
        locked.directory().sync()?;
    }
    manifest.write(locked)?;
    locked.put_secret(manifest, secret, is_sealing)
}

/// Whether an unfinished key adopts its parts is said by the directory for them, which is made before any layer file.
fn settle_part_files(batches: Batches, locked: &LockedDir, manifest: &Manifest) -> Result<()> {
    let plan = manifest.plan();
    let parts = locked.adopted_parts(plan.trim());
    let in_parts = levels_in_parts(plan);
    let has_begun_adopting = !in_parts.is_empty() && parts.exists()?;
    match (batches, has_begun_adopting) {
        (Batches::Computed, true) => Err(adopts_parts(locked.root())),
        (Batches::Joined(Some(PartFiles::Copied)), true) => Err(other_part_files(locked.root(), Argument::Copy)),
        (Batches::Joined(Some(PartFiles::Adopted)), false) => {
            if in_parts.is_empty() {
                return Err(nothing_to_adopt(plan.trim()));
            }
            if locked.layer(plan.trim()).exists()? {
                return Err(other_part_files(locked.root(), Argument::Adopt));
            }
            locked.layers().make_directory()?;
            Ok(parts.make_directory()?)
        }
        _ => Ok(()),
    }
}

fn warn_of_taken_back(directory: &Path) {
    let directory = directory.display();
    tracing::warn!(
        ledger_init = %directory,
        "the key in '{directory}' may have signed where its secret comes from, so it signs nothing more here before its ledger \
         says from which epoch on it is unused; import its history from there first"
    );
}

/// Brings a key that is being made to the present format. Finishing a creation, or going on with a key that an earlier
/// program began, is not a migration that a person has to ask for.
fn finish_creation(
    locked: &LockedDir,
    manifest: Manifest,
    medium: &dyn Medium,
    cancel: &CancelHandle,
) -> Result<Manifest> {
    let proceed = |_: &str| !cancel.is_cancelled();
    match migrations::run(locked, manifest, medium, &migrations::steps(), proceed) {
        // A user who makes a key does not think of it as a migration.
        Err(error) if error.reason() == Reason::Interrupted => Err(cancel.reason()),
        outcome => outcome,
    }
}

/// Compares the plan with the space on the file system, before the first byte is written.
fn check_room(directory: &Path, exists: bool, plan: &Plan) -> Result<()> {
    let on = if exists { directory } else { parent_of(directory) };
    if !is_there(on)? {
        return Err(no_parent(on));
    }
    let fewer = Remedy::Fewer(Argument::Epochs);
    files::check_room(directory, on, plan.disk_bytes(), fewer)
}
