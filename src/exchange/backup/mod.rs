//! What has to be kept of a key so that all of it can be made again: its secret, and a few public facts. As text that a
//! person can type in (docs/FORMAT.md, "Backup text").

mod error;
mod lines;
mod read;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::keydir::error::{bad_manifest, secret_missing};
use crate::keydir::{KeyDir, KeyPlace, Manifest, Origin, Secret, commitment};
use crate::keystore::KeyFacts;
use crate::plan::Plan;
use crate::units::KeyId;
use keymill_xmss::scheme::Parameter;
use lines::Writer;

/// The version of the text.
const VERSION: &str = "1";
const DESCRIPTION: &str = "\
KEYMILL BACKUP: the secret of a signing key. Anyone who has this text can sign with it.
\"keymill restore DIR --from FILE\" rebuilds the key from the numbered lines. You may type
them in: blanks, capitals, 0x, \":\" and \"=\" do not matter there. Behind each \"=\" stands
the check of its line. A restored key may have signed elsewhere: before it signs, import
the newest export of its ledger, then run \"keymill ledger init\".

";

/// All that makes a key again.
#[derive(Debug)]
pub struct Backup {
    plan: Plan,
    origin: Origin,
    secret: Secret,
    /// Beside a PRF key.
    parameter: Option<Parameter>,
    /// Where they are not those that are derived from the PRF key.
    fillers: Option<Vec<u8>>,
    key_id: KeyId,
    /// Of a key that was finished.
    pub(super) public_key: Option<Vec<u8>>,
}

impl Backup {
    /// Reads what has to be kept of the key in a directory, finished or not, from its manifest and its secret. Nothing else
    /// has to be there.
    ///
    /// # Errors
    /// [`Error`] if one of the two is missing, damaged, or of another key.
    pub fn of<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        let key = KeyDir::open_any_version(place)?;
        key.prf_key()?;
        let secret = key.paths().read_secret()?;
        let (secret, origin) = secret.ok_or_else(|| secret_missing(key.paths().secret().path()))?;
        let manifest = key.manifest();
        let drawn = secret.draw(manifest.plan(), manifest.parameter());
        let fillers = manifest.fillers().digests();
        let is_drawn = drawn.parameter == *manifest.parameter() && drawn.fillers == fillers;
        if !is_drawn && matches!(secret, Secret::Seed(_)) {
            let what = "its parameter or its fillers are not those that the seed beside it leads to";
            return Err(bad_manifest(key.paths().manifest().path(), what));
        }
        Ok(Self {
            plan: manifest.plan().clone(),
            origin,
            parameter: matches!(secret, Secret::PrfKey(_)).then_some(*manifest.parameter()),
            fillers: (!is_drawn).then(|| fillers.to_vec()),
            secret,
            key_id: manifest.key_id(),
            public_key: manifest.known_public_key(),
        })
    }

    /// The same of the key of a keystore, with the secret that was in it.
    pub(super) fn of_keystore(facts: &KeyFacts, secret: Secret) -> Self {
        let (plan, parameter) = (facts.plan.clone(), facts.parameter);
        let fillers = facts.fillers.clone();
        Self {
            key_id: key_id_of(&plan, facts.origin, &secret, parameter, fillers.as_deref()),
            plan,
            origin: facts.origin,
            secret,
            parameter,
            fillers,
            public_key: facts.public_key.clone(),
        }
    }

    /// The plan that the key follows.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the secret came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The public parameter, canonical bytes; beside a PRF key only.
    pub fn parameter(&self) -> Option<Parameter> {
        self.parameter
    }

    /// Filler digests in drawing order, where they do not follow from the PRF key.
    pub fn fillers(&self) -> Option<&[u8]> {
        self.fillers.as_deref()
    }

    /// The key's identifier.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The public key, root and then parameter, if the key was finished, or had to come to one that was known.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// The text. Anyone who has it can sign.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut writer = Writer::new(DESCRIPTION);
        writer.line("version", VERSION);
        writer.line("scheme", self.plan.scheme().id());
        writer.line("activation", &self.plan.activation_epoch().to_string());
        writer.line("epochs", &self.plan.active_epochs().to_string());
        writer.line("trim", &self.plan.trim().to_string());
        writer.line("origin", &self.origin.to_string());
        writer.hex(secret_name(self.origin), self.secret.bytes());
        writer.hex("parameter", self.parameter.as_ref().map_or(&[], |parameter| parameter));
        writer.hex("fillers", self.fillers.as_deref().unwrap_or_default());
        writer.hex("key-id", &self.key_id.0);
        writer.hex("public-key", self.public_key.as_deref().unwrap_or_default());
        writer.end()
    }

    /// Reads the text, however it was typed in.
    ///
    /// # Errors
    /// [`Error`] names the line that is wrong, and what seems to be wrong with it, without any of its digits.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |fault| Error::usage(format!("it is not a backup as it was printed: {fault}"));
        read::backup(text).map_err(refused)
    }
}

/// What the lines are called that hold the secret.
fn secret_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Fresh | Origin::Seed => "seed",
        Origin::PrfKey => "prf-key",
    }
}

/// The identifier of the key that these make.
fn key_id_of(
    plan: &Plan,
    origin: Origin,
    secret: &Secret,
    parameter: Option<Parameter>,
    fillers: Option<&[u8]>,
) -> KeyId {
    let drawn = secret.draw(plan, &parameter.unwrap_or_default());
    let fillers = fillers.map_or(drawn.fillers, <[u8]>::to_vec);
    let commitment = commitment(&drawn.prf_key);
    Manifest::begin(plan.clone(), drawn.parameter, commitment, origin, fillers).key_id()
}
