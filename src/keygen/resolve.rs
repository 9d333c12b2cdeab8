//! What a request means for what is in its directory already. Nothing here reads or writes.

use std::path::Path;

use super::error::vouched_for;
use super::request::{KeyDefaults, KeyRequest};
use crate::error::Result;
use crate::keydir::{KeyState, LedgerMark, Manifest, Origin, Secret, prf_key_of};
use crate::plan::Plan;

/// What is in a directory, as far as it bears on a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    pub(super) manifest: Option<Manifest>,
    /// Of a key whose manifest is there, this is known if the request is for a key that has a past.
    pub(super) secret: Option<(Secret, Origin)>,
    /// The mark that an interrupted creation left, where there is no manifest.
    pub(super) mark: Option<LedgerMark>,
    /// The directory says that the key has not signed; known as the secret is.
    pub(super) is_unused: bool,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// A new key is begun.
    Begin {
        plan: Plan,
        /// The given secret, or the one that was found; a fresh one has to be drawn where there is neither.
        secret: Option<(Secret, Origin)>,
        /// The secret was found.
        is_found: bool,
        mark: Option<LedgerMark>,
    },
    /// There is work left: the key is not finished, or its secret is put back.
    Resume { manifest: Manifest, change: Change },
    /// The key is sealed. Nothing has to be written, so that its directory may be read-only, unless its ledger changes.
    Sealed { manifest: Manifest, change: Change },
}

/// What changes before a key is resumed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Nothing,
    /// The key may have signed where its secret comes from, so its ledger no longer says which epochs are unused.
    TakeBack,
    /// The secret is put back; `is_unused` as in [`Present`].
    Secret {
        secret: Secret,
        is_unused: bool,
    },
}

impl Decision {
    /// The plan of the key.
    pub(super) fn plan(&self) -> &Plan {
        match self {
            Self::Begin { plan, .. } => plan,
            Self::Resume { manifest, .. } | Self::Sealed { manifest, .. } => manifest.plan(),
        }
    }

    /// Whether the secret of the request comes to lie in the directory.
    pub(super) fn takes_secret(&self) -> bool {
        match self {
            Self::Begin { secret, is_found, .. } => secret.is_some() && !is_found,
            Self::Resume { change, .. } | Self::Sealed { change, .. } => matches!(change, Change::Secret { .. }),
        }
    }
}

/// Decides what a request means for what was found at `directory`.
///
/// # Errors
/// [`Error`](crate::Error) if the request is unsound, or contradicts what was found.
pub(super) fn resolve(
    request: &KeyRequest,
    defaults: Option<&KeyDefaults>,
    directory: &Path,
    found: Present,
) -> Result<Decision> {
    let Some(manifest) = found.manifest else {
        let plan = request.sound_plan(defaults)?;
        return Ok(Decision::Begin {
            plan,
            is_found: request.secret.is_none() && found.secret.is_some(),
            secret: request.secret_to_begin(found.secret, directory)?,
            mark: found.mark,
        });
    };
    request.agrees_with(&manifest, directory)?;
    // A key that may have signed elsewhere does not go on where its ledger would begin with the word that it has not. Where
    // the secret is lost it does, and the word with it: nothing else leads on from there.
    if request.has_a_past() && found.secret.is_some() && found.is_unused {
        return Err(vouched_for(directory));
    }
    let manifest = expecting(request, manifest);
    let change = match lost_secret(request, directory, &manifest, found.secret)? {
        Some(lost) => Change::Secret {
            secret: lost.clone(),
            is_unused: found.is_unused,
        },
        None if may_have_signed_elsewhere(request, &manifest) => Change::TakeBack,
        None => Change::Nothing,
    };
    Ok(match (manifest.state(), &change) {
        (KeyState::Sealed, Change::Nothing | Change::TakeBack) => Decision::Sealed { manifest, change },
        _ => Decision::Resume { manifest, change },
    })
}

/// The secret that a key which existed before does not have yet, or not any more.
fn lost_secret<'a>(
    request: &'a KeyRequest,
    directory: &Path,
    manifest: &Manifest,
    found: Option<(Secret, Origin)>,
) -> Result<Option<&'a Secret>> {
    let Some(given) = request.secret.as_ref().filter(|_| request.has_a_past()) else {
        return Ok(None);
    };
    match found {
        Some((found, _)) if found.is_same_as(given) => Ok(None),
        // A PRF key does not tell the seed that it was drawn from.
        _ if matches!(given, Secret::PrfKey(_)) != (manifest.origin() == Origin::PrfKey) => Ok(None),
        None => Ok(Some(given)),
        // The one that was given is this key's. Nothing is written over what may be another one's.
        Some((found, _)) => Ok(prf_key_of(&found, directory, manifest).map(|_| None)?),
    }
}

/// Whether the request brings a secret that may have signed wherever it comes from, to a key that need not know of that: the
/// file of another program, or the secret of a key that was drawn here. A backup does not sign.
fn may_have_signed_elsewhere(request: &KeyRequest, manifest: &Manifest) -> bool {
    let is_given = request.secret.is_some() && manifest.origin() == Origin::Fresh;
    request.restored.is_none() && (request.root.is_some() || is_given)
}

/// The key with the root that it has to have. Where it was begun without one, this run alone has to come to it: the leaves
/// that are there are not to be lost to a source that is damaged.
fn expecting(request: &KeyRequest, manifest: Manifest) -> Manifest {
    if manifest.expected_root().is_some() || manifest.state() == KeyState::Sealed {
        manifest
    } else {
        manifest.expecting(request.root.clone())
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
