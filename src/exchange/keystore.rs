//! Keystores of keys: the secret of a directory goes under a passphrase and comes out again, and a keystore leaves for elsewhere
//! or comes from there.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::backup::Backup;
use super::export::note_elsewhere;
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::keydir::error::{secret_missing, two_secrets, wrong_passphrase};
use crate::keydir::{KeyDir, KeyPlace, SecretFiles, facts, prf_key_of};
use crate::keystore::{KEYSTORE_BYTES_MAX, Keystore, Passphrase, Snapshot};

/// What was done to bring a secret into another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretTurn {
    /// It was in the other form.
    Done,
    /// It was in both, since somebody began with that and did not come to the end.
    Finished,
    /// It was in this form already.
    Already,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Keystore,
}

/// Puts the secret of a key under a passphrase. The plain text goes when the keystore is on disk and was opened from there.
///
/// # Errors
/// [`Error`] if there is no secret, if it is damaged or another key's, or if there is a keystore which the passphrase does not
/// open. The secret is there then as it was, or in both forms.
pub fn seal_secret(directory: &Path, passphrase: &Passphrase) -> Result<SecretTurn> {
    turn(directory, passphrase, Form::Keystore)
}

/// Writes the secret of a key as plain text, and deletes the keystore that it was in.
///
/// # Errors
/// As [`seal_secret`].
pub fn unseal_secret(directory: &Path, passphrase: &Passphrase) -> Result<SecretTurn> {
    turn(directory, passphrase, Form::Plain)
}

fn turn(directory: &Path, passphrase: &Passphrase, to: Form) -> Result<SecretTurn> {
    let place = KeyPlace::new(directory).passphrase(passphrase);
    let locked = KeyDir::open_any_version(place)?.lock()?;
    let key = locked.key()?;
    let SecretFiles { plain, keystore } = locked.secret_files()?;
    let opened = keystore.map(|keystore| locked.open_keystore(&keystore, Some(passphrase)));
    let opened = opened.transpose()?;
    let (secret, origin) = match (&plain, &opened) {
        (None, None) => return Err(secret_missing(locked.secret().path())),
        (Some((plain, _)), Some((opened, _))) if !plain.is_same_as(opened) => {
            return Err(two_secrets(locked.secret().path(), locked.keystore().path()));
        }
        (Some(found), _) | (None, Some(found)) => found,
    };
    prf_key_of(secret, directory, key.manifest())?;
    let (is_there, is_other_there) = match to {
        Form::Plain => (plain.is_some(), opened.is_some()),
        Form::Keystore => (opened.is_some(), plain.is_some()),
    };
    match to {
        _ if is_there => {}
        Form::Plain => locked.write_plain(secret, *origin)?,
        Form::Keystore => locked.write_keystore(key.manifest(), secret, *origin, passphrase)?,
    }
    match to {
        _ if !is_other_there => {}
        Form::Plain => locked.remove_secret(&locked.keystore())?,
        Form::Keystore => locked.remove_secret(&locked.secret())?,
    }
    Ok(match (is_there, is_other_there) {
        (true, true) => SecretTurn::Finished,
        (true, false) => SecretTurn::Already,
        (false, _) => SecretTurn::Done,
    })
}

/// A keystore of a key, for elsewhere.
pub struct KeystoreExport {
    key: KeyDir,
    text: String,
}

impl KeystoreExport {
    /// Encrypts the secret of a finished key under a passphrase, with salt and nonce of its own. Takes no lock and writes nothing;
    /// [`write`](Self::write) does.
    ///
    /// # Errors
    /// [`Error`] if it is not a finished key, or if its secret cannot be used.
    pub fn open<'a>(place: impl Into<KeyPlace<'a>>, passphrase: &Passphrase) -> Result<Self> {
        let key = KeyDir::open_sealed(place)?;
        key.prf_key()?;
        let secret = key.paths().read_secret()?;
        let (secret, origin) = secret.ok_or_else(|| secret_missing(key.paths().secret().path()))?;
        let manifest = key.manifest();
        let snapshot = key.paths().snapshot(manifest).map(|snapshot| Snapshot {
            is_for_recovery: true,
            ..snapshot
        });
        let keystore = Keystore::seal(facts(manifest, &secret, origin), &secret, passphrase, snapshot.as_ref())?;
        let text = keystore.to_text();
        let text = text.map_err(|what| Error::machine(what).within("the keystore cannot be written"))?;
        Ok(Self { key, text })
    }

    /// Writes it. Before the first byte leaves, the key's ledger takes back which epochs it knows to be unused: whoever opens the
    /// file signs elsewhere.
    ///
    /// # Errors
    /// [`Error`] before anything is written if that cannot be noted, or that of a write.
    pub fn write(&self, writer: &mut dyn Write) -> Result<()> {
        note_elsewhere(&self.key)?;
        writer.write_all(self.text.as_bytes()).map_err(Error::unwritten)
    }
}

/// Reads a keystore from elsewhere: what has to be kept of its key so that all of it can be made again, as of a backup. It says
/// nothing that the ledger of the key would be told.
///
/// # Errors
/// [`Error`] says what is wrong with the file; [`Reason::WrongPassphrase`](crate::Reason::WrongPassphrase).
pub fn read_keystore(path: &Path, passphrase: &Passphrase) -> Result<Backup> {
    let mut text = Vec::new();
    let file = attempt("open", path, || File::open(path)).map_err(Error::unreadable)?;
    let limit = KEYSTORE_BYTES_MAX as u64 + 1;
    attempt("read", path, || file.take(limit).read_to_end(&mut text)).map_err(Error::unreadable)?;
    let refused = |what: String| {
        let error = Error::usage(what).within(format!("'{}' cannot be imported", path.display()));
        error.at(path)
    };
    let keystore = Keystore::parse(&text).map_err(refused)?;
    let secret = keystore.open(passphrase)?.ok_or_else(|| wrong_passphrase(path))?;
    if keystore.facts().may_be_of(&secret) {
        Ok(Backup::of_keystore(keystore.facts(), secret))
    } else {
        Err(refused("its public key is not one that its secret leads to".to_owned()))
    }
}
