//! The recorded known answers under `tests/vectors` (described in the README there).

use std::path::{Path, PathBuf};

use hex::FromHex;
use serde::{Deserialize, Deserializer, de::Error};

/// One line of `keys.jsonl`. What only some of the upstream libraries can write is optional.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub scheme: String,
    pub upstream_name: String,
    /// Library and commit.
    pub source: String,
    /// Which generator the seed goes into.
    pub rng: String,
    #[serde(deserialize_with = "hex")]
    pub rng_seed: [u8; 32],
    /// As asked for.
    pub activation_epoch: u64,
    pub num_active_epochs: u64,
    /// As widened.
    pub stored_start: u64,
    pub stored_end: u64,
    #[serde(deserialize_with = "hex")]
    pub prf_key: [u8; 32],
    #[serde(deserialize_with = "hex")]
    pub parameter: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub public_key_ssz: Vec<u8>,
    pub secret_key_ssz_len: Option<u64>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub secret_key_ssz_sha256: Option<Vec<u8>>,
    /// Relative to `tests/vectors`; small ones only.
    pub secret_key_file: Option<String>,
    pub top_tree: Option<TopTree>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub first_leaf_hash: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub last_prepared_leaf_hash: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub left_bottom_root: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub right_bottom_root: Option<Vec<u8>>,
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub epoch: u32,
    #[serde(deserialize_with = "hex")]
    pub message: [u8; 32],
    #[serde(deserialize_with = "hex")]
    pub signature_ssz: Vec<u8>,
}

/// The levels from half the height to the root, fillers included.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopTree {
    pub depth: u8,
    pub lowest_layer: u8,
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub start_index: u64,
    #[serde(deserialize_with = "hex_list")]
    pub nodes: Vec<Vec<u8>>,
}

/// The single steps of one scheme in `steps.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemeSteps {
    pub scheme: String,
    #[serde(deserialize_with = "hex")]
    pub parameter: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub prf_key: [u8; 32],
    pub steps: Vec<Step>,
}

/// The single steps of one epoch and message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub epoch: u32,
    #[serde(deserialize_with = "hex")]
    pub message: [u8; 32],
    #[serde(deserialize_with = "hex")]
    pub chain_start_0: Vec<u8>,
    /// Of chain v - 1; the scheme with 46 chains calls it by its number.
    #[serde(alias = "chain_start_45", deserialize_with = "hex")]
    pub chain_start_last: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub chain_0_after_1_step: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub chain_end_0: Vec<u8>,
    #[serde(alias = "chain_end_45", deserialize_with = "hex")]
    pub chain_end_last: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub leaf: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub parent_level1_of_leaf_and_chain_end_0: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub rho_attempt_0: Vec<u8>,
    /// Absent or null where the attempt gave no codeword at all.
    pub codeword_attempt_0: Option<Vec<u8>>,
    pub first_good_attempt: u64,
    #[serde(deserialize_with = "hex")]
    pub rho: Vec<u8>,
    pub codeword: Vec<u8>,
}

impl Key {
    /// The root in the public key; the parameter follows it.
    pub fn root(&self) -> &[u8] {
        &self.public_key_ssz[..self.public_key_ssz.len() - 20]
    }

    /// False for two of the three lines from hash-zig, validators 0 and 1. Their seed, public key
    /// and signatures are right, but `prf_key`, `parameter`, `top_tree`, both bottom roots and both
    /// leaf hashes are those of validator 2.
    pub fn secret_fields_are_its_own(&self) -> bool {
        self.public_key_ssz.ends_with(&self.parameter)
    }

    pub fn stored(&self) -> (u64, u64) {
        (self.stored_start, self.stored_end)
    }

    /// The recorded secret key, where it is small enough to be kept.
    pub fn secret_key_ssz(&self) -> Option<Vec<u8>> {
        let file = self.secret_key_file.as_ref()?;
        Some(std::fs::read(folder().join(file)).expect("the secret key file is readable"))
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

/// All lines of `keys.jsonl`.
pub fn keys() -> Vec<Key> {
    let lines = read("keys.jsonl");
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let keys: Vec<Key> = lines
        .map(|line| serde_json::from_str(line).expect("each line of keys.jsonl is a key"))
        .collect();
    // Whoever goes through them compares with so many answers and not with fewer.
    let with_file = keys.iter().filter(|key| key.secret_key_file.is_some()).count();
    let signatures = keys.iter().map(|key| key.signatures.len());
    assert_eq!((keys.len(), with_file, signatures.clone().sum()), (34, 18, 92));
    assert!(signatures.min() >= Some(2));
    keys
}

/// All of `steps.json`.
pub fn steps() -> Vec<SchemeSteps> {
    let steps: Vec<SchemeSteps> = serde_json::from_str(&read("steps.json")).expect("steps.json is a list of schemes");
    let counts = steps.iter().map(|scheme| scheme.steps.len());
    assert_eq!(counts.collect::<Vec<_>>(), [6, 4, 4, 4, 4]);
    steps
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect("the vectors are readable")
}

fn decode<T: FromHex, E: Error>(digits: &str) -> Result<T, E>
where
    T::Error: std::fmt::Display,
{
    T::from_hex(digits).map_err(E::custom)
}

pub(crate) fn hex<'de, D: Deserializer<'de>, T: FromHex>(from: D) -> Result<T, D::Error>
where
    T::Error: std::fmt::Display,
{
    decode(&String::deserialize(from)?)
}

pub(crate) fn optional_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let digits = Option::<String>::deserialize(from)?;
    digits.map(|digits| decode(&digits)).transpose()
}

fn hex_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let list = Vec::<String>::deserialize(from)?;
    list.iter().map(|digits| decode(digits)).collect()
}
