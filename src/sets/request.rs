//! What a set is asked to be.

use std::ops::Range;

use zeroize::Zeroizing;

use super::names::Role;
use crate::error::{Error, Result};
use crate::interop::secret_key::{SecretKeyForm, check_forms};
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

/// A set as asked for.
#[derive(Clone)]
pub struct SetRequest {
    /// The scheme of all keys.
    pub scheme: &'static Scheme,
    /// Each key is for 2^this epochs, from epoch 0 on.
    pub log_epochs: u8,
    /// Index of the first validator.
    pub start_index: u64,
    /// How many there are.
    pub validators: u64,
    /// Which keys each of them has, in the order of [`Role::ALL`].
    pub roles: Vec<Role>,
    /// Name files by the proposer's public key instead of the index.
    pub is_distributed: bool,
    /// Write JSON files beside the SSZ files.
    pub with_json: bool,
    /// Write the manifest when all keys are finished.
    pub with_manifest: bool,
    /// Keep the key directories, beside the files.
    pub keeps_directories: bool,
    /// Lowest level that a key directory stores.
    pub trim: Level,
    /// What the seeds of all keys are derived from; without it each has a fresh one.
    pub seed: Option<Zeroizing<[u8; 32]>>,
    /// Make secrets of finished keys again that are in no file of the set any more.
    pub restores_secrets: bool,
    /// Overwrite what is in the way.
    pub overwrites: bool,
    /// Mode of the files that hold no secret.
    pub public_mode: u32,
}

impl SetRequest {
    /// The indices of the validators.
    pub(super) fn indices(&self) -> Range<u64> {
        self.start_index..self.start_index + self.validators
    }

    /// How many keys that is.
    pub(super) fn keys(&self) -> u64 {
        self.validators * self.roles.len() as u64
    }

    /// The plan of each key, if the request is sound.
    pub(super) fn plan(&self) -> Result<Plan> {
        let no = |argument: Argument, what: String| Err(Error::usage(what).mend([Remedy::Change(argument)]));
        if self.validators == 0 {
            return no(
                Argument::NumValidators,
                "a set of 0 validators has no key; ask for at least 1".to_owned(),
            );
        }
        if self.start_index.checked_add(self.validators).is_none() || self.validators > u64::from(u32::MAX) {
            let (validators, first) = (self.validators, self.start_index);
            return no(
                Argument::NumValidators,
                format!("{validators} validators from index {first} on are too many"),
            );
        }
        if self.roles.is_empty() {
            let what = "a validator without a role has no key; it is a proposer, an attester, or both";
            return no(Argument::Roles, what.to_owned());
        }
        if self.is_distributed && self.roles[0] != Role::Proposer {
            let what = "files are to be named by the proposer key, and no validator has one";
            return Err(
                Error::usage(what).mend([Remedy::Change(Argument::Roles), Remedy::Change(Argument::Distributed)])
            );
        }
        check_forms(self.scheme, SecretKeyForm::LeansigSsz.keys()).map_err(|error| {
            let error = error.within("sets are made in the forms of leanSig alone".to_owned());
            error.mend([Remedy::Change(Argument::Scheme)])
        })?;
        let log_lifetime = self.scheme.log_lifetime();
        if self.log_epochs > log_lifetime {
            let (asked, scheme) = (self.log_epochs, self.scheme.id());
            let what = format!("2^{asked} epochs are more than {scheme} has, which is 2^{log_lifetime}");
            return no(Argument::LogNumActiveEpochs, what);
        }
        let plan = Plan::new(self.scheme, 0, 1 << self.log_epochs).and_then(|plan| plan.trimmed(self.trim));
        Ok(plan?)
    }
}
