//! From a directory and a request to a key that can be worked on: created, or found half done.

use std::path::{Path, PathBuf};

use super::KeygenError;
use super::request::{KeyDefaults, KeyRequest};
use crate::failure::{IoFailure, Named};
use crate::keydir::{DirectoryLock, FORMAT_VERSION, KeyDir, KeyDirError, KeyPaths, KeyState, Manifest, Secret};
use crate::layers::Medium;
use crate::migrations;
use crate::plan::{BudgetTooSmall, MemoryPlan, Plan};

/// Disk space that is left free when the plan is compared with what there is.
const DISK_MARGIN_BYTES: u64 = 16 << 20;

/// A key under its lock, in the present format.
pub(super) struct Prepared {
    pub(super) paths: KeyPaths,
    pub(super) manifest: Manifest,
    pub(super) memory: MemoryPlan,
    pub(super) lock: Option<DirectoryLock>,
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
) -> Result<Prepared, KeygenError> {
    let paths = KeyPaths::new(directory);
    let exists = match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => true,
        Ok(_) => return Err(KeyDirError::NotADirectory(directory.to_owned()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => Err(error).named("stat", directory)?,
    };
    let known = if exists {
        Manifest::read(&paths.manifest())?
    } else {
        None
    };
    let Some(manifest) = known else {
        request.check_parameter()?;
        let plan = request.plan(defaults)?;
        let memory = plan_memory(&plan)?;
        check_room(directory, exists, &plan)?;
        return create(paths, exists, request, plan, memory, medium);
    };
    request.agrees_with(&manifest, &paths)?;
    let memory = plan_memory(manifest.plan())?;
    if manifest.state() == KeyState::Sealed {
        // There is nothing to write, and the directory may be read-only.
        return Ok(Prepared {
            paths,
            manifest,
            memory,
            lock: None,
        });
    }
    let lock = DirectoryLock::take(&paths.lock())?;
    remove_temporaries(&paths)?;
    // Once more, now that nobody else can be writing it.
    let manifest = KeyDir::open_any_version(directory)?.manifest().clone();
    if manifest.format_version != 0 && manifest.format_version < FORMAT_VERSION {
        return Err(KeyDirError::OlderFormat {
            path: paths.manifest(),
            found: manifest.format_version,
            newest: FORMAT_VERSION,
        }
        .into());
    }
    let manifest = finish_creation(&paths, manifest, medium)?;
    Ok(Prepared {
        paths,
        manifest,
        memory,
        lock: Some(lock),
    })
}

fn create(
    paths: KeyPaths,
    exists: bool,
    request: &KeyRequest,
    plan: Plan,
    memory: MemoryPlan,
    medium: &dyn Medium,
) -> Result<Prepared, KeygenError> {
    let directory = paths.root();
    if exists {
        let foreign = paths.foreign_entry().named("readdir", directory)?;
        // A directory with layer files or checkpoints but no manifest has lost it: that is no place for a new key.
        let orphan = [paths.layers(), paths.state()].into_iter().find(|path| path.exists());
        if let Some(path) = foreign.or(orphan) {
            return Err(KeyDirError::Foreign(path).into());
        }
    } else {
        std::fs::create_dir(directory).named("mkdir", directory)?;
        crate::keydir::durable::sync_directory(parent_of(directory))?;
    }
    let lock = DirectoryLock::take(&paths.lock())?;
    remove_temporaries(&paths)?;
    let (secret, origin) = request.secret(Secret::read(&paths.secret())?, &paths)?;
    let manifest = request.begin(plan, &secret, origin);
    // The secret first: a manifest without its secret would be a key that nobody can finish.
    secret.write(&paths.secret(), origin)?;
    manifest.write(&paths.manifest())?;
    let manifest = finish_creation(&paths, manifest, medium)?;
    Ok(Prepared {
        paths,
        manifest,
        memory,
        lock: Some(lock),
    })
}

/// Removes what a process that died was writing. One of these files may hold the secret.
fn remove_temporaries(paths: &KeyPaths) -> Result<(), KeygenError> {
    for path in paths.temporaries().named("readdir", paths.root())? {
        std::fs::remove_file(&path).named("unlink", &path)?;
    }
    Ok(())
}

/// Version 0 is a creation in progress; finishing it is not a migration that a person has to ask for.
fn finish_creation(paths: &KeyPaths, manifest: Manifest, medium: &dyn Medium) -> Result<Manifest, KeygenError> {
    if manifest.format_version > 0 {
        return Ok(manifest);
    }
    let steps = migrations::steps();
    Ok(migrations::run(paths, manifest, medium, &steps, |_| true)?)
}

/// Compares the plan with the space on the file system, before the first byte is written.
fn check_room(directory: &Path, exists: bool, plan: &Plan) -> Result<(), KeygenError> {
    let on = if exists { directory } else { parent_of(directory) };
    if !on.is_dir() {
        return Err(KeyDirError::NoParent(on.to_owned()).into());
    }
    let available_bytes = available_bytes(on)?;
    let needed_bytes = plan.disk_bytes();
    if available_bytes >= needed_bytes + DISK_MARGIN_BYTES {
        return Ok(());
    }
    Err(KeygenError::TooLittleDisk {
        directory: directory.to_owned(),
        needed_bytes: needed_bytes + DISK_MARGIN_BYTES,
        available_bytes,
    })
}

/// Bytes that an ordinary user may still write on the file system that holds `path`.
fn available_bytes(path: &Path) -> Result<u64, IoFailure> {
    let stat = rustix::fs::statvfs(path).named("statvfs", path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The directory that holds `directory`, which for a bare name is the current one.
fn parent_of(directory: &Path) -> &Path {
    match directory.parent() {
        Some(parent) if parent != PathBuf::new() => parent,
        _ => Path::new("."),
    }
}
