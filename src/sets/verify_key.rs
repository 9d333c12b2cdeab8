//! Looking at the files of one key of a set.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::json_twin::{differs, first_difference, read_failed};
use super::key_files::{holds, public_json};
use super::names::{Form, Half, key_files};
use super::probe::check_secret;
use super::report::SetReport;
use super::verify::{Key, Set};
use crate::failure::{IoFailure, attempt};
use crate::files::{exists, open_to_read};
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile};
use crate::keydir::{KeyDir, KeyDirError};
use keymill_xmss::PublicKey;
use keymill_xmss::hash::OneTimeKeys;

impl Set<'_> {
    /// Looks at the files of one key, and tells by what others are seen to have its one-time keys.
    pub(super) fn check_key(&self, key: &Key<'_>) -> (SetReport, Option<OneTimeKeys>) {
        let mut report = SetReport::default();
        let mut files = Vec::new();
        for &(half, form) in key_files(self.with_json) {
            let path = self.file(key, half, form);
            match exists(&path) {
                Ok(true) => files.push((half, form)),
                Ok(false) => report.fault(&path, "it is missing"),
                Err(failure) => report.failed(&failure),
            }
        }
        let has = |half, form| files.contains(&(half, form));
        self.check_public_files(key, &files, &mut report);
        let mut secret = None;
        if has(Half::Secret, Form::Ssz) {
            secret = self.secret(key, Form::Ssz, &mut report);
        }
        if has(Half::Secret, Form::Json) {
            match &secret {
                Some(secret) => self.check_json(key, secret, &mut report),
                // It says what the other one does not.
                None => secret = self.secret(key, Form::Json, &mut report),
            }
        }
        self.check_kept_directory(key, has(Half::Secret, Form::Ssz), &mut report);
        (report, secret.map(|secret| secret.head().one_time_keys()))
    }

    fn file(&self, key: &Key<'_>, half: Half, form: Form) -> PathBuf {
        self.paths.entry(&self.name(key, half, form))
    }

    /// The secret key in a file of this form, if it can be understood.
    fn secret(&self, key: &Key<'_>, form: Form, report: &mut SetReport) -> Option<SecretKeyFile> {
        let path = self.file(key, Half::Secret, form);
        match self.read_secret(key, form, &path, report) {
            Ok(secret) => secret,
            Err(failure) => {
                report.failed(&failure);
                None
            }
        }
    }

    /// The JSON file of a secret key is the key in the SSZ file beside it.
    fn check_json(&self, key: &Key<'_>, secret: &SecretKeyFile, report: &mut SetReport) {
        let path = self.file(key, Half::Secret, Form::Json);
        match check_mode(&path, report).and_then(|()| first_difference(secret, &path)) {
            Ok(None) => {}
            Ok(Some(at)) => report.fault(&path, differs(at)),
            Err(failure) => report.failed(&failure),
        }
    }

    fn check_public_files(&self, key: &Key<'_>, files: &[(Half, Form)], report: &mut SetReport) {
        let public_key = match PublicKey::from_ssz(self.manifest.kind.scheme, key.public_key) {
            Ok(public_key) => public_key,
            Err(error) => {
                report.fault(&self.paths.manifest(), format!("the {} public key: {error}", key.role));
                return;
            }
        };
        for &(half, form) in files.iter().filter(|(half, _)| *half == Half::Public) {
            let path = self.file(key, half, form);
            let expected = match form {
                Form::Ssz => key.public_key.to_vec(),
                Form::Json => public_json(&public_key),
            };
            match open_to_read(&path).and_then(|file| holds(file, &expected, &path)) {
                Ok(true) => {}
                Ok(false) => report.fault(&path, "it does not hold the public key that the manifest has"),
                Err(failure) => report.failed(&failure),
            }
        }
    }

    /// Reads a secret key and checks it by itself and against the manifest.
    fn read_secret(
        &self,
        key: &Key<'_>,
        form: Form,
        path: &Path,
        report: &mut SetReport,
    ) -> Result<Option<SecretKeyFile>, IoFailure> {
        check_mode(path, report)?;
        let mut file = open_to_read(path)?;
        let secret = match SecretKeyFile::read(&mut file, Some(form.of_secret()), None) {
            Ok(secret) => secret,
            Err(SecretKeyError::Read(source)) => return Err(read_failed(path, source)),
            Err(error) => {
                report.fault(path, error.to_string());
                return Ok(None);
            }
        };
        if let Err(what) = check_secret(&secret, self.manifest.kind.scheme, self.stored, key.public_key) {
            report.fault(path, what);
        }
        Ok(Some(secret))
    }

    /// A key directory beside the files is of the same key.
    fn check_kept_directory(&self, key: &Key<'_>, is_exported: bool, report: &mut SetReport) {
        let name = self.manifest.kind.prefix(key.validator).directory(key.role);
        let path = self.paths.entry(&name);
        match exists(&path) {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => return report.failed(&failure),
        }
        match KeyDir::open_sealed(&path) {
            Err(error) => report.fault(&path, error.to_string()),
            Ok(kept) if kept.manifest().public_key().as_deref() != Some(key.public_key) => {
                report.fault(&path, "it is the directory of another key");
            }
            Ok(kept) if is_exported => match kept.may_sign() {
                Ok(true) => {
                    let what = "its ledger lets it sign, and the secret key file beside it can sign elsewhere: only one of \
                                the two may ever sign";
                    report.warning(&path, what);
                }
                Ok(false) => {}
                // With a mark that cannot be read it signs nothing.
                Err(KeyDirError::Io(failure)) => report.failed(&failure),
                Err(_) => {}
            },
            Ok(_) => {}
        }
    }
}

/// A secret that others can read is known to nobody knows whom.
fn check_mode(path: &Path, report: &mut SetReport) -> Result<(), IoFailure> {
    let mode = attempt("stat", path, || std::fs::metadata(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("it can be read by others (its mode is {mode:o}); 'chmod 600' it");
        report.warning(path, what);
    }
    Ok(())
}
