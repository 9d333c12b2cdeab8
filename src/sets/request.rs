//! What a set is asked to be.

use std::ops::Range;

use zeroize::Zeroizing;

use super::error::SetError;
use super::names::Role;
use crate::plan::Plan;
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
    pub(super) fn plan(&self) -> Result<Plan, SetError> {
        let no = |what: String| Err(SetError::Request(what));
        if self.validators == 0 {
            return no("--num-validators is 0; ask for at least 1".to_owned());
        }
        if self.start_index.checked_add(self.validators).is_none() || self.validators > u64::from(u32::MAX) {
            return no(format!("--num-validators {} is too many", self.validators));
        }
        if self.roles.is_empty() {
            return no("--roles names no key; give proposer, attester, or both".to_owned());
        }
        if self.is_distributed && self.roles[0] != Role::Proposer {
            return no("--distributed names files by the proposer key, so --roles has to have it".to_owned());
        }
        let log_lifetime = self.scheme.log_lifetime();
        if self.log_epochs > log_lifetime {
            let (asked, scheme) = (self.log_epochs, self.scheme.id());
            return no(format!(
                "--log-num-active-epochs {asked} is more than {scheme} has, which is {log_lifetime}"
            ));
        }
        let plan = Plan::new(self.scheme, 0, 1 << self.log_epochs).and_then(|plan| plan.trimmed(self.trim));
        plan.map_err(|error| SetError::Request(error.to_string()))
    }
}
