//! Bringing a key directory from one format version to the next, one numbered step at a time.
//!
//! A step is a list of actions, each of which can be repeated without harm. The version in the manifest is raised,
//! atomically, only after the last action of a step; an interrupted migration is finished by running it again.

#[cfg(test)]
mod history_tests;
mod m0001_create;
mod m0002_ledger;
mod m0003_fingerprint_and_history;
#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use m0001_create::COLUMN_FAMILIES;

use crate::error::{Error, Result};
use crate::keydir::{KeyDir, KeyPaths, LockedDir, Manifest};
use crate::layers::{Disk, Medium};

/// What a step works on.
pub(crate) struct Context<'a> {
    pub(crate) paths: &'a KeyPaths,
    pub(crate) manifest: &'a Manifest,
    pub(crate) medium: &'a dyn Medium,
}

/// One repeatable part of a step.
pub(crate) struct Action<'a> {
    /// What it does, for people.
    pub(crate) title: String,
    pub(crate) apply: Apply<'a>,
}

type Apply<'a> = Box<dyn Fn(&LockedDir) -> Result<()> + 'a>;

/// One step: it brings version `version - 1` to `version`.
pub(crate) trait Step {
    fn version(&self) -> u32;
    fn title(&self) -> &'static str;
    fn actions<'a>(&self, context: &'a Context<'a>) -> Vec<Action<'a>>;

    /// The manifest of this version, but for its number: asked for behind the last action.
    fn manifest(&self, context: &Context<'_>) -> Result<Manifest> {
        Ok(context.manifest.clone())
    }
}

/// Brings the key directory to the present format, and gives the titles of everything that was done; with `dry_run`, of
/// everything that would be.
///
/// # Errors
/// [`Error`](crate::Error); running it again goes on where it stopped.
pub fn migrate(directory: &Path, dry_run: bool) -> Result<Vec<String>> {
    let key = KeyDir::open_any_version(directory)?;
    let (paths, manifest) = (key.paths(), key.manifest());
    let medium = Disk::default();
    let context = Context {
        paths,
        manifest,
        medium: &medium,
    };
    let titles = pending(&context, &steps());
    if dry_run || titles.is_empty() {
        return Ok(titles);
    }
    let locked = key.lock()?;
    let manifest = locked.key()?.manifest().clone();
    run(&locked, manifest, &medium, &steps(), |_| true)?;
    Ok(titles)
}

/// All steps, in order.
pub(crate) fn steps() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(m0001_create::Create),
        Box::new(m0002_ledger::BeginLedger),
        Box::new(m0003_fingerprint_and_history::FingerprintAndHistory),
    ]
}

/// The titles of what [`run`] would do, in order.
pub(crate) fn pending(context: &Context<'_>, steps: &[Box<dyn Step>]) -> Vec<String> {
    let mut titles = Vec::new();
    for step in newer(steps, context.manifest) {
        titles.push(format!("{:04} {}", step.version(), step.title()));
        let actions = step.actions(context);
        titles.extend(actions.iter().map(|action| format!("     {}", action.title)));
        titles.push(version_title(step.version()));
    }
    titles
}

/// Applies every step newer than the manifest's version. `before` sees the title of each action and may stop there.
pub(crate) fn run(
    locked: &LockedDir,
    manifest: Manifest,
    medium: &dyn Medium,
    steps: &[Box<dyn Step>],
    mut before: impl FnMut(&str) -> bool,
) -> Result<Manifest> {
    let mut manifest = manifest;
    let mut proceed = |title: &str| {
        if before(title) {
            return Ok(());
        }
        Err(Error::interrupted(format!(
            "the migration was interrupted before: {title}"
        )))
    };
    for step in steps {
        if step.version() <= manifest.format_version {
            continue;
        }
        let context = Context {
            paths: locked,
            manifest: &manifest,
            medium,
        };
        for action in step.actions(&context) {
            proceed(&action.title)?;
            (action.apply)(locked)?;
        }
        proceed(&version_title(step.version()))?;
        let mut raised = step.manifest(&context)?;
        raised.format_version = step.version();
        manifest = raised;
        // The version vouches for a store that is found by name.
        locked.directory().check()?;
        manifest.write(locked)?;
    }
    Ok(manifest)
}

fn newer<'a>(steps: &'a [Box<dyn Step>], manifest: &Manifest) -> impl Iterator<Item = &'a dyn Step> {
    let version = manifest.format_version;
    let steps = steps.iter().map(AsRef::as_ref);
    steps.filter(move |step| step.version() > version)
}

fn version_title(version: u32) -> String {
    format!("write format version {version} into the manifest")
}
