//! Passphrases of secrets: from files and descriptors alone, since `ps` shows what is typed and what is in the environment.

use std::path::{Path, PathBuf};

use clap::Args;
use keymill::{Argument, KeyDir, KeygenBuilder, Passphrase, SecretForm};

use super::failure::Failure;
use super::messages::warn;
use super::shell::command;
use crate::config::parse_count;

/// Where systemd puts what it was told to hand over, and what it has to be called there (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
const CREDENTIAL: &str = "keymill-passphrase";

/// Where a passphrase comes from.
#[derive(Debug, Args)]
pub struct PassphraseArguments {
    /// The passphrase of the secret is in this file, which others may not be able to read; without it, in the credential
    /// keymill-passphrase of systemd, if there is one.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    passphrase_file: Option<PathBuf>,
    /// The passphrase of the secret is read from this descriptor.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    passphrase_fd: Option<u64>,
}

impl PassphraseArguments {
    /// The passphrase, if one was given.
    pub fn read(&self) -> Result<Option<Passphrase>, Failure> {
        if let Some(path) = &self.passphrase_file {
            return Ok(Some(Passphrase::from_file(path)?));
        }
        if let Some(number) = self.passphrase_fd {
            let path = PathBuf::from(format!("/dev/fd/{number}"));
            return Ok(Some(Passphrase::from_guarded_file(&path)?));
        }
        let credential = std::env::var_os(CREDENTIALS).map(|directory| Path::new(&directory).join(CREDENTIAL));
        let credential = credential.filter(|path| path.exists());
        Ok(credential
            .map(|path| Passphrase::from_guarded_file(&path))
            .transpose()?)
    }

    /// The passphrase, without which there is nothing to do.
    pub fn required(&self) -> Result<Passphrase, Failure> {
        self.read()?.ok_or_else(|| {
            let give = super::advice::words(&keymill::Remedy::Give(Argument::Passphrase));
            Failure::usage(format!("a keystore needs a passphrase; {give}"))
        })
    }

    fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_fd.is_some()
    }
}

/// Flags of the commands that write a secret into a key directory.
#[derive(Debug, Args)]
pub struct SealArguments {
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Write the secret under the passphrase, as keystore.json; as plain text it is never on the disk.
    #[arg(long)]
    seal: bool,
}

impl SealArguments {
    /// The job with the passphrase.
    pub fn apply(&self, asked: KeygenBuilder) -> Result<KeygenBuilder, Failure> {
        if self.seal {
            Ok(asked.seal_secret(self.passphrase.required()?))
        } else {
            Ok(asked.passphrase(self.passphrase.read()?))
        }
    }

    /// The passphrase, for what is sealed as a whole or not at all.
    pub fn passphrase(&self) -> Result<Option<Passphrase>, Failure> {
        if self.seal {
            self.passphrase.required().map(Some)
        } else if self.passphrase.is_given() {
            Err(Failure::usage(
                "a passphrase was given, and no secret is to be under it: add --seal, or leave it out",
            ))
        } else {
            Ok(None)
        }
    }

    /// Says so if somebody gave a passphrase, and the secret is plain text all the same.
    pub fn warn_if_plain(&self, directory: &Path) {
        let form = KeyDir::open(directory).and_then(|key| key.secret_form());
        if (self.seal || self.passphrase.is_given()) && matches!(form, Ok(SecretForm::Plain)) {
            warn(format_args!(
                "the secret in '{}' is plain text; {} puts it under the passphrase",
                directory.display(),
                command("keymill keystore seal {}", directory)
            ));
        }
    }
}

/// The word for a form, and what people are told of it.
pub fn form_words(form: SecretForm) -> (Option<&'static str>, Option<&'static str>) {
    match form {
        SecretForm::Missing => (None, Some("missing")),
        SecretForm::Plain => (Some("plain"), None),
        SecretForm::Keystore => (Some("keystore"), Some("under a passphrase, in keystore.json")),
        SecretForm::Both => (
            Some("both"),
            Some("under a passphrase and as plain text: 'keymill keystore seal' or 'open' was not finished"),
        ),
    }
}
