//! DIR/secret and DIR/keystore.json: the secret, in plain text or under a passphrase. A key has one of them; both are there while
//! one takes the place of the other, and if that was interrupted.

use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{
    keystore_damaged, no_secret_file, passphrase_missing, secret_unreadable, two_secrets, unopened, wrong_passphrase,
};
use super::{KeyPaths, LedgerMark, LockedDir, Manifest};
use crate::error::Result;
use crate::failure::attempt;
use crate::files::publish::{Mode, replace};
use crate::files::{Entry, drop_cached};
use crate::keystore::{
    KEYSTORE_BYTES_MAX, KeyFacts, Keystore, Origin, Passphrase, SECRET_TEXT_BYTES_MAX, Secret, Snapshot, exposed,
};

const SECRET_MODE: Mode = Mode::Umasked(0o600);

/// In which form the secret of a key is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretForm {
    /// It is not there.
    #[default]
    Missing,
    /// As plain text.
    Plain,
    /// Under a passphrase.
    Keystore,
    /// Both: one was to take the place of the other, and that was interrupted.
    Both,
}

/// The secret of a key in each form in which it is there.
pub(crate) struct SecretFiles {
    pub(crate) plain: Option<(Secret, Origin)>,
    pub(crate) keystore: Option<Keystore>,
}

impl KeyPaths {
    /// In which form the secret is there, by the names of the files alone.
    pub(crate) fn secret_form(&self) -> Result<SecretForm> {
        Ok(match (self.secret().exists()?, self.keystore().exists()?) {
            (false, false) => SecretForm::Missing,
            (true, false) => SecretForm::Plain,
            (false, true) => SecretForm::Keystore,
            (true, true) => SecretForm::Both,
        })
    }

    /// The secret and where it came from, in whichever form it is there; `None` if it is not. Where it is there twice, both have
    /// to be the same one as far as that can be told.
    pub(crate) fn read_secret(&self) -> Result<Option<(Secret, Origin)>> {
        let files = self.secret_files()?;
        match (files.plain, files.keystore) {
            (plain, None) => Ok(plain),
            (None, Some(keystore)) => self.open_keystore(&keystore, self.passphrase()).map(Some),
            (Some(plain), Some(keystore)) => {
                let agrees = match self.passphrase() {
                    Some(passphrase) => plain.0.is_same_as(&self.open_keystore(&keystore, Some(passphrase))?.0),
                    None => keystore.facts().may_be_of(&plain.0),
                };
                if !agrees {
                    return Err(two_secrets(self.secret().path(), self.keystore().path()));
                }
                let directory = self.root().display();
                tracing::warn!(
                    seal_secret = %directory,
                    "the secret in '{directory}' is there under a passphrase and as plain text too: one was to take the place of \
                     the other, and that was not finished"
                );
                Ok(Some(plain))
            }
        }
    }

    pub(crate) fn secret_files(&self) -> Result<SecretFiles> {
        Ok(SecretFiles {
            plain: read_plain(&self.secret())?,
            keystore: read_keystore(&self.keystore())?,
        })
    }

    /// What the mark of the ledger says, for people. What cannot be read of it is not a matter of the secret.
    pub(crate) fn snapshot(&self, manifest: &Manifest) -> Option<Snapshot> {
        let mark = LedgerMark::read(&self.ledger_mark(), manifest.key_id()).ok()??;
        Some(Snapshot {
            stored: manifest.plan().stored(),
            spent: mark.extent.spent,
            highest: mark.extent.highest,
            reference: format!("the ledger of the keymill key {}", manifest.key_id()),
            is_for_recovery: false,
        })
    }

    /// The secret of a keystore that was read here.
    pub(crate) fn open_keystore(
        &self,
        keystore: &Keystore,
        passphrase: Option<&Passphrase>,
    ) -> Result<(Secret, Origin)> {
        let entry = self.keystore();
        let passphrase = passphrase.ok_or_else(|| passphrase_missing(entry.path()))?;
        let opened = keystore.open(passphrase)?;
        let secret = opened.ok_or_else(|| wrong_passphrase(entry.path()))?;
        Ok((secret, keystore.facts().origin))
    }
}

impl LockedDir {
    /// Writes the secret of a key that is begun or restored: under the passphrase of this directory if that `is_sealed`, or is how
    /// it was found here.
    pub(crate) fn put_secret(&self, manifest: &Manifest, secret: &Secret, is_sealed: bool) -> Result<()> {
        let origin = manifest.origin();
        match self.secret_form()? {
            SecretForm::Keystore => Ok(()),
            SecretForm::Both => self.remove_secret(&self.secret()),
            SecretForm::Missing | SecretForm::Plain if !is_sealed => self.write_plain(secret, origin),
            found => {
                let keystore = self.keystore();
                let passphrase = self.passphrase();
                let passphrase = passphrase.ok_or_else(|| passphrase_missing(keystore.path()))?;
                self.write_keystore(manifest, secret, origin, passphrase)?;
                if found == SecretForm::Plain {
                    self.remove_secret(&self.secret())?;
                }
                Ok(())
            }
        }
    }

    /// Writes the plain text, readable by its owner alone.
    pub(crate) fn write_plain(&self, secret: &Secret, origin: Origin) -> Result<()> {
        let text = secret.to_text(origin);
        Ok(replace(&self.secret(), text.as_bytes(), SECRET_MODE)?)
    }

    /// Writes the keystore and opens what the disk has of it: from here on the plain text may go.
    pub(crate) fn write_keystore(
        &self,
        manifest: &Manifest,
        secret: &Secret,
        origin: Origin,
        passphrase: &Passphrase,
    ) -> Result<()> {
        let entry = self.keystore();
        let path = entry.path();
        let snapshot = self.snapshot(manifest);
        let keystore = Keystore::seal(facts(manifest, secret, origin), secret, passphrase, snapshot.as_ref())?;
        let text = keystore.to_text().map_err(|what| keystore_damaged(path, &what))?;
        replace(&entry, text.as_bytes(), SECRET_MODE)?;
        drop_cached(&entry.open_to_read()?, path)?;
        let written = read_keystore(&entry)?.filter(|written| *written == keystore);
        let opened = written
            .map(|written| written.open_anew(passphrase))
            .transpose()?
            .flatten();
        if opened.is_some_and(|opened| opened.is_same_as(secret)) {
            return Ok(());
        }
        // It is of no use to anybody, and the secret is where it was.
        entry.unlink()?;
        Err(keystore_damaged(
            path,
            "what was just written there does not give the secret back, and was deleted",
        ))
    }

    /// Deletes one of the two files, durably.
    pub(crate) fn remove_secret(&self, file: &Entry) -> Result<()> {
        file.unlink()?;
        Ok(self.directory().sync()?)
    }
}

/// Everything that a key follows from beside its secret.
pub(crate) fn facts(manifest: &Manifest, secret: &Secret, origin: Origin) -> KeyFacts {
    let is_prf_key = matches!(secret, Secret::PrfKey(_));
    let drawn = secret.draw(manifest.plan(), manifest.parameter());
    let fillers = manifest.fillers().digests();
    KeyFacts {
        plan: manifest.plan().untrimmed(),
        origin,
        parameter: is_prf_key.then_some(*manifest.parameter()),
        fillers: (is_prf_key && drawn.fillers != fillers).then(|| fillers.to_vec()),
        public_key: manifest.known_public_key(),
    }
}

fn read_plain(entry: &Entry) -> Result<Option<(Secret, Origin)>> {
    let path = entry.path();
    let file = match entry.open_to_read() {
        Err(failure) if failure.is_missing() => return Ok(None),
        file => file.map_err(unopened)?,
    };
    let mode = attempt("stat", path, || file.metadata())?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(exposed(path.to_owned(), mode));
    }
    // Large enough for all that can be right, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(SECRET_TEXT_BYTES_MAX));
    let limit = SECRET_TEXT_BYTES_MAX as u64;
    attempt("read", path, || file.take(limit).read_to_end(&mut text))?;
    let secret = std::str::from_utf8(&text).ok().and_then(Secret::parse);
    secret.map(Some).ok_or_else(|| secret_unreadable(path))
}

/// The secret of a key from a file that is not in its directory: plain text, or a keystore, which the passphrase opens.
pub(crate) fn read_secret_file(path: &Path, passphrase: Option<&Passphrase>) -> Result<Secret> {
    let file = match Entry::of(path) {
        Err(failure) if failure.is_missing() => return Err(no_secret_file(path)),
        file => &file?,
    };
    let mut first = [0];
    let is_keystore = match file.open_to_read() {
        Err(failure) if failure.is_missing() => return Err(no_secret_file(path)),
        opened => {
            let opened = opened.map_err(unopened)?;
            attempt("pread", path, || opened.read_at(&mut first, 0))? == 1 && first == *b"{"
        }
    };
    if !is_keystore {
        let (secret, _) = read_plain(file)?.ok_or_else(|| no_secret_file(path))?;
        return Ok(secret);
    }
    let keystore = read_keystore(file)?.ok_or_else(|| no_secret_file(path))?;
    let passphrase = passphrase.ok_or_else(|| passphrase_missing(path))?;
    keystore.open(passphrase)?.ok_or_else(|| wrong_passphrase(path))
}

fn read_keystore(entry: &Entry) -> Result<Option<Keystore>> {
    let path = entry.path();
    let file = match entry.open_to_read() {
        Err(failure) if failure.is_missing() => return Ok(None),
        file => file.map_err(unopened)?,
    };
    let mut text = Vec::new();
    let limit = KEYSTORE_BYTES_MAX as u64 + 1;
    attempt("read", path, || file.take(limit).read_to_end(&mut text))?;
    let keystore = Keystore::parse(&text).map_err(|what| keystore_damaged(path, &what))?;
    Ok(Some(keystore))
}
