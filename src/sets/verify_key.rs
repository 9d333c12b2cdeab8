//! Looking at the files of one key of a set.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::begun::parsed;
use super::json_twin::check_json;
use super::key_files::{Fault, KnownBy, check_public, read_secret};
use super::manifest::NamedKey;
use super::names::{Form, Half, key_files};
use super::probe::check_secret;
use super::report::SetReport;
use super::verify::Set;
use crate::failure::{IoFailure, attempt};
use crate::interop::secret_key::SecretKeyFile;
use crate::keydir::KeyDir;

impl Set<'_> {
    /// Looks at the files of one key, and tells what it is known by, if its secret can be had.
    pub(super) fn check_key(&self, key: &NamedKey<'_>) -> (SetReport, Option<KnownBy>) {
        let mut report = SetReport::default();
        let mut found = self.survey.key(key.name);
        let file = |file| self.survey.paths.file(key.name, file);
        if self.manifest.kind.is_of_leanvm() {
            for json in found.files.take_form(Form::Json) {
                report.fault(
                    &file(json),
                    "it is JSON, and the keys of leanVM have no such files in a set",
                );
            }
        }
        for &missing in key_files(self.with_json).iter().filter(|&&file| !found.files.has(file)) {
            report.fault(&file(missing), "it is missing");
        }
        match parsed(self.manifest.kind.scheme, key.public_key, &self.survey.paths.manifest()) {
            Ok(public_key) => {
                for (half, form) in found.files.iter().filter(|(half, _)| *half == Half::Public) {
                    if let Err(fault) = check_public(&file((half, form)), &public_key, form) {
                        report.failed(fault);
                    }
                }
            }
            Err(fault) => report.failed(fault),
        }
        let mut secret = None;
        for (half, form) in found.files.iter().filter(|(half, _)| *half == Half::Secret) {
            let path = file((half, form));
            let checked = match &secret {
                Some((secret, _)) if form == Form::Json => check_mode(&path, &mut report)
                    .map_err(Fault::from)
                    .and_then(|()| check_json(secret, &path)),
                // Without the SSZ file, it says what that does not.
                _ => self
                    .secret(key, form, &path, &mut report)
                    .map(|read| secret = Some(read)),
            };
            if let Err(fault) = checked {
                report.failed(fault);
            }
        }
        if found.has_directory {
            let is_exported = found.files.has((Half::Secret, Form::Ssz));
            self.check_kept_directory(key, is_exported, &mut report);
        }
        (report, secret.map(|(_, known_by)| known_by))
    }

    /// Reads a secret key and checks it by itself and against the manifest.
    fn secret(
        &self,
        key: &NamedKey<'_>,
        form: Form,
        path: &Path,
        report: &mut SetReport,
    ) -> Result<(SecretKeyFile, KnownBy), Fault> {
        check_mode(path, report)?;
        let kind = &self.manifest.kind;
        let secret = read_secret(path, form, kind.scheme)?;
        let mut known_by = KnownBy::of_file(kind, &secret).map_err(|what| Fault::wrong(path, what))?;
        if let Err(what) = check_secret(&secret, known_by.scheme, self.stored, key.public_key) {
            known_by.fits = false;
            report.fault(path, what);
        }
        Ok((secret, known_by))
    }

    /// A key directory beside the files is of the same key.
    fn check_kept_directory(&self, key: &NamedKey<'_>, is_exported: bool, report: &mut SetReport) {
        let path = self.survey.paths.kept(key.name);
        match KeyDir::open_sealed(&path) {
            Err(error) => report.curable(&path, error.to_string(), error.remedies()),
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
                Err(error) => error.into_call().map_or((), |failure| report.failed(failure)),
            },
            Ok(_) => {}
        }
    }
}

/// A secret that others can read may be known to anyone.
fn check_mode(path: &Path, report: &mut SetReport) -> Result<(), IoFailure> {
    let mode = attempt("stat", path, || std::fs::metadata(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what = format!("it can be read by others (its mode is {mode:o}); 'chmod 600' it");
        report.warning(path, what);
    }
    Ok(())
}
