//! The names inside a key directory (docs/FORMAT.md; scripts rely on them).

use std::path::{Path, PathBuf};

use crate::layers::layer_file;
use crate::units::Level;

pub(crate) const MANIFEST: &str = "manifest.toml";
pub(crate) const SECRET: &str = "secret";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const STATE: &str = "state";
pub(crate) const LOCK: &str = "LOCK";

/// Everything that may stand at the top of a key directory.
const TOP: [&str; 5] = [MANIFEST, SECRET, LAYERS, STATE, LOCK];

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

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join(STATE)
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join(LAYERS)
    }

    pub(crate) fn layer(&self, level: Level) -> PathBuf {
        layer_file(&self.layers(), level)
    }

    /// An entry of the directory that a key directory does not have, if there is one.
    pub(crate) fn foreign_entry(&self) -> std::io::Result<Option<PathBuf>> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name
                .to_str()
                .is_some_and(|name| TOP.contains(&name) || name.starts_with(super::durable::TEMPORARY_PREFIX));
            if !ours {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }
}
