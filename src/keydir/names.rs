//! The names inside a key directory (docs/FORMAT.md; scripts rely on them).

use std::path::{Path, PathBuf};

use super::durable::is_temporary;
use crate::failure::{IoFailure, attempt};
use crate::files::exists;
use crate::layers::layer_file;
use crate::units::Level;

pub(crate) const MANIFEST: &str = "manifest.toml";
pub(crate) const SECRET: &str = "secret";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const STATE: &str = "state";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const LEDGER_MARK: &str = "ledger.mark";
/// A checkpoint store that is being made in place of a damaged one.
const STATE_DRAFT: &str = "state.draft";
/// Ends the name of what was damaged and moved aside; further ones are numbered from 2, behind another dot.
const DAMAGED: &str = ".damaged";

/// Everything that may stand at the top of a key directory.
const TOP: [&str; 7] = [MANIFEST, SECRET, LAYERS, STATE, LOCK, LEDGER_MARK, STATE_DRAFT];

/// The paths of one key directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyPaths {
    root: PathBuf,
}

impl KeyPaths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.root.join(SECRET)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(crate) fn ledger_mark(&self) -> PathBuf {
        self.root.join(LEDGER_MARK)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join(STATE)
    }

    pub(crate) fn state_draft(&self) -> PathBuf {
        self.root.join(STATE_DRAFT)
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join(LAYERS)
    }

    pub(crate) fn layer(&self, level: Level) -> PathBuf {
        layer_file(&self.layers(), level)
    }

    /// Layer files of levels below a trim, which a trim that ended early has left.
    pub(crate) fn left_over_layers(&self, trim: Level) -> Result<Vec<PathBuf>, IoFailure> {
        let mut left_over = Vec::new();
        for level in (0..trim.0).map(Level) {
            let path = self.layer(level);
            if exists(&path)? {
                left_over.push(path);
            }
        }
        Ok(left_over)
    }

    /// An entry of the directory that a key directory does not have, if there is one.
    pub(crate) fn foreign_entry(&self) -> std::io::Result<Option<PathBuf>> {
        let foreign = self.entries(|name| !TOP.contains(&name) && !is_temporary(name) && !was_moved_aside(name))?;
        Ok(foreign.into_iter().next())
    }

    /// Removes what a process that died was writing; one of these files may hold the secret. Needs the lock.
    pub(crate) fn remove_temporaries(&self) -> Result<(), IoFailure> {
        for path in attempt("readdir", &self.root, || self.entries(is_temporary))? {
            attempt("unlink", &path, || std::fs::remove_file(&path))?;
        }
        Ok(())
    }

    fn entries(&self, wanted: impl Fn(&str) -> bool) -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            if wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// Names for what is moved aside from `path`, in the order in which they are taken.
#[cfg(feature = "keygen")]
pub(crate) fn names_aside(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(DAMAGED);
        name.push(end);
        PathBuf::from(name)
    };
    (1_u32..).map(move |number| match number {
        1 => name(String::new()),
        _ => name(format!(".{number}")),
    })
}

/// Whether a name is that of a checkpoint store, or a directory of layer files, that was moved aside.
fn was_moved_aside(name: &str) -> bool {
    let rest = name.strip_prefix(STATE).or_else(|| name.strip_prefix(LAYERS));
    let number = rest.and_then(|rest| rest.strip_prefix(DAMAGED)?.strip_prefix('.'));
    rest == Some(DAMAGED) || number.is_some_and(|number| number.parse::<u32>().is_ok())
}
