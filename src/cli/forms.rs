//! The forms of other programs' secret keys, and what these sign, as flags of import and export.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use keymill::exchange::secret_key::SecretKeyForm;
use keymill::sets::Role;

/// A value, the word for it, and what it is.
type Word<T> = (T, &'static str, &'static str);

const FORMS: [Word<SecretKeyForm>; 3] = [
    (SecretKeyForm::LeansigSsz, "leansig-ssz", "SSZ, as leanSig writes it"),
    (
        SecretKeyForm::LeansigJson,
        "leansig-json",
        "JSON of leanSig, with field elements in Montgomery form",
    ),
    (
        SecretKeyForm::LeanspecJson,
        "leanspec-json",
        "The key file of leanSpec's test validators: an attestation key and a proposal key",
    ),
];

const ROLES: [Word<Role>; 2] = [
    (Role::Attester, "attestation", "Attestations"),
    (Role::Proposer, "proposal", "Block proposals"),
];

/// A form of secret keys.
pub fn form() -> impl TypedValueParser<Value = SecretKeyForm> {
    one_of(FORMS)
}

/// What a key of a leanSpec key file signs.
pub fn role() -> impl TypedValueParser<Value = Role> {
    one_of(ROLES)
}

fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(words: [Word<T>; N]) -> impl TypedValueParser<Value = T> {
    let values = words.map(|(_, word, help)| PossibleValue::new(word).help(help));
    PossibleValuesParser::new(values).try_map(move |given| {
        let found = words.iter().find(|(_, word, _)| *word == given);
        found
            .map(|(value, ..)| *value)
            .ok_or("it is not one of the possible values")
    })
}
