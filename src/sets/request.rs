//! What a set is asked to be.

use std::ops::Range;

use zeroize::Zeroizing;

use super::manifest::SetKind;
use super::names::{KEY_FILES, KeyFile, Role, key_files};
use crate::error::{Error, Result};
use crate::interop::key_set::revision::LeanvmRevision;
use crate::interop::secret_key::check_has_form;
use crate::keystore::Passphrase;
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};
use crate::units::Level;
use keymill_xmss::scheme::{KeyForms, Scheme};

/// The forms in which the keys of a set are written, that of a scheme of leanSig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetForms {
    /// SSZ files.
    Ssz,
    /// SSZ files, and JSON files beside them.
    SszAndJson,
}

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
    /// In which forms the keys are written; without it, in those that are usual for the scheme: leanSig's keys in SSZ and in
    /// JSON, leanVM's in the one form that their sets have.
    pub forms: Option<SetForms>,
    /// Write the manifest when all keys are finished.
    pub with_manifest: bool,
    /// The leanVM that the keys are for, as the manifest names it. Without it, the one that is known to make such keys.
    pub leanvm_rev: Option<LeanvmRevision>,
    /// Keep the key directories, beside the files.
    pub keeps_directories: bool,
    /// Make no files of secret keys: the directories are all there is of the keys, which sign by one ledger, that of the set.
    pub keys_only: bool,
    /// Lowest level that a key directory stores.
    pub trim: Level,
    /// What the seeds of all keys are derived from; without it each has a fresh one.
    pub seed: Option<Zeroizing<[u8; 32]>>,
    /// Put the secret of each key under this passphrase. Goes with [`keys_only`](Self::keys_only) alone.
    pub passphrase: Option<Passphrase>,
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

    /// Whether the key directories stay.
    pub(super) fn keeps(&self) -> bool {
        self.keeps_directories || self.keys_only
    }

    /// The files that each key has.
    pub(super) fn files(&self) -> &'static [KeyFile] {
        if self.keys_only {
            &KEY_FILES[..1]
        } else {
            key_files(self.with_json())
        }
    }

    /// Whether there are JSON files beside the SSZ files.
    pub(super) fn with_json(&self) -> bool {
        self.is_of_leansig() && self.forms.is_none_or(|forms| forms == SetForms::SszAndJson)
    }

    /// The revision of leanVM that the manifest names.
    pub fn named_revision(&self) -> Option<LeanvmRevision> {
        self.leanvm_rev.or_else(|| LeanvmRevision::of(self.scheme))
    }

    /// What the manifest says of all keys.
    pub(super) fn kind(&self) -> SetKind {
        let roles = self.roles.clone();
        SetKind::new(
            self.scheme,
            self.log_epochs,
            roles,
            self.is_distributed,
            self.named_revision(),
        )
    }

    fn is_of_leansig(&self) -> bool {
        self.scheme.family().key_forms() == KeyForms::Leansig
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
        self.check_family()?;
        if self.keys_only && self.seed.is_some() {
            let what = "keys from a seed may have signed elsewhere, and keys that sign by the ledger of a set from the beginning have not";
            return Err(Error::usage(what).mend([Remedy::LeaveOut(Argument::Seed)]));
        }
        if self.passphrase.is_some() && !self.keys_only {
            let what = "the files of a set hold the secrets of its keys as plain text, as the programs that they are for read them: under a \
                        passphrase are those of key directories alone";
            return Err(Error::usage(what).mend([Remedy::Give(Argument::KeysOnly), Remedy::LeaveOut(Argument::Seal)]));
        }
        let possible = SetKind::possible_log_epochs(self.scheme);
        if !possible.contains(&self.log_epochs) {
            let (asked, scheme, (least, most)) = (self.log_epochs, self.scheme.id(), possible.into_inner());
            let what = if asked > most {
                format!("2^{asked} epochs are more than {scheme} has, which is 2^{most}")
            } else {
                format!("2^{asked} epochs are fewer than a key of a set of {scheme} has, which is 2^{least}")
            };
            return no(Argument::LogNumActiveEpochs, what);
        }
        let plan = Plan::new(self.scheme, 0, 1 << self.log_epochs).and_then(|plan| plan.trimmed(self.trim));
        Ok(plan?)
    }

    /// What only sets of one family have is not asked for of another.
    fn check_family(&self) -> Result<()> {
        let id = self.scheme.id();
        check_has_form(self.scheme).map_err(|error| error.mend([Remedy::Change(Argument::Scheme)]))?;
        if self.forms.is_some() && !self.is_of_leansig() {
            let what = format!(
                "the secret keys of a set of {id} have one form, which is leanvm-postcard: there are no others, and no JSON files \
                 beside them"
            );
            return Err(Error::usage(what).mend([Remedy::LeaveOut(Argument::ExportFormat)]));
        }
        let Some(revision) = self.leanvm_rev else {
            return Ok(());
        };
        if self.is_of_leansig() {
            let what = format!("a revision of leanVM goes with leanVM's keys, and {id} is a scheme of leanSig");
            return Err(Error::usage(what).mend([Remedy::LeaveOut(Argument::LeanvmRev)]));
        }
        match revision.scheme() {
            Some(known) if known != self.scheme => {
                let (name, known) = (revision.in_words(), known.id());
                let what = format!("{name} makes keys of {known}, and the set is to be of {id}");
                let remedies = [Remedy::Change(Argument::LeanvmRev), Remedy::Change(Argument::Scheme)];
                Err(Error::usage(what).mend(remedies))
            }
            _ => Ok(()),
        }
    }
}
