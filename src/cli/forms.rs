//! The forms of other programs' secret keys, and what these sign, as flags of import and export.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use keymill::exchange::secret_key::SecretKeyForm;
use keymill::sets::Role;

/// A value, the word for it, and what it is.
type Word<T> = (T, &'static str, &'static str);

const ROLES: [Word<Role>; 2] = [
    (Role::Attester, "attestation", "Attestations"),
    (Role::Proposer, "proposal", "Block proposals"),
];

/// A form of secret keys.
pub fn form() -> impl TypedValueParser<Value = SecretKeyForm> {
    one_of(SecretKeyForm::named().collect())
}

/// What a key of a leanSpec key file signs.
pub fn role() -> impl TypedValueParser<Value = Role> {
    one_of(ROLES.into())
}

fn one_of<T: Copy + Send + Sync + 'static>(words: Vec<Word<T>>) -> impl TypedValueParser<Value = T> {
    let values = words.iter().map(|(_, word, help)| PossibleValue::new(word).help(help));
    PossibleValuesParser::new(values.collect::<Vec<_>>()).try_map(move |given| {
        let found = words.iter().find(|(_, word, _)| *word == given);
        found
            .map(|(value, ..)| *value)
            .ok_or("it is not one of the possible values")
    })
}
