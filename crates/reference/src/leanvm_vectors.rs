//! The recorded known answers under `tests/vectors/leanvm` (described in the README of `tests/vectors`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::leanvm::Variant;
use super::vectors::{folder, hex, optional_hex};

/// One line of `s2.jsonl`, `s1.jsonl` and `b0.jsonl`. Both epochs are included.
#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub variant: String,
    #[serde(deserialize_with = "hex")]
    pub seed: [u8; 32],
    pub first_epoch: u32,
    pub last_epoch: u32,
    #[serde(deserialize_with = "hex")]
    pub public_key: Vec<u8>,
    pub leaves: Vec<Leaf>,
    #[serde(default)]
    pub chain_starts: Vec<ChainStart>,
    pub signatures: Vec<Signature>,
    pub hashes: BTreeMap<String, String>,
    /// The key file; b0 has none.
    #[serde(default, deserialize_with = "optional_hex")]
    pub secret_key_postcard: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub secret_key_bincode: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Leaf {
    pub epoch: u32,
    #[serde(deserialize_with = "hex")]
    pub leaf: [u8; 16],
    #[serde(default, deserialize_with = "optional_hex")]
    pub chain_start_0: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "optional_hex")]
    pub chain_start_41: Option<Vec<u8>>,
    #[serde(deserialize_with = "hex")]
    pub chain_end_0: [u8; 16],
    #[serde(deserialize_with = "hex")]
    pub chain_end_41: [u8; 16],
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChainStart {
    pub epoch: u32,
    pub chain: usize,
    #[serde(deserialize_with = "hex")]
    pub value: [u8; 16],
}

#[derive(Clone, Debug, Deserialize)]
pub struct Signature {
    pub epoch: u32,
    #[serde(deserialize_with = "hex")]
    pub message: [u8; 32],
    #[serde(deserialize_with = "hex")]
    pub rho: [u8; 24],
    pub digits: String,
    pub attempts: u64,
    #[serde(deserialize_with = "hex")]
    pub signature: Vec<u8>,
}

impl Signature {
    pub fn positions(&self) -> Vec<u8> {
        digits(&self.digits)
    }
}

impl Key {
    pub fn variant(&self) -> Variant {
        Variant::of(&self.variant)
    }

    /// The key file in both encodings, with their names.
    pub fn files(&self) -> Vec<(&'static str, &[u8])> {
        let files = [
            ("leanvm-postcard", &self.secret_key_postcard),
            ("leanvm-bincode", &self.secret_key_bincode),
        ];
        let recorded = files
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.as_deref()?)));
        recorded.collect()
    }
}

/// One line of `official.jsonl`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Official {
    KeyGen {
        #[serde(deserialize_with = "hex")]
        seed: [u8; 32],
        first_epoch: u32,
        last_epoch: u32,
        #[serde(deserialize_with = "hex")]
        public_key: Vec<u8>,
    },
    Sign {
        #[serde(deserialize_with = "hex")]
        seed: [u8; 32],
        first_epoch: u32,
        last_epoch: u32,
        epoch: u32,
        #[serde(deserialize_with = "hex")]
        message: [u8; 32],
        #[serde(deserialize_with = "hex")]
        signature: Vec<u8>,
    },
    WotsEncode {
        #[serde(deserialize_with = "hex")]
        public_param: [u8; 16],
        #[serde(deserialize_with = "hex")]
        message: [u8; 32],
        #[serde(deserialize_with = "hex")]
        rho: [u8; 24],
        epoch: u32,
        digits: Option<String>,
    },
    TweakHash {
        #[serde(deserialize_with = "hex")]
        public_param: [u8; 16],
        tweak_type: u8,
        sub_position: u32,
        index: u32,
        #[serde(deserialize_with = "hex")]
        payload: Vec<u8>,
        #[serde(deserialize_with = "hex")]
        output: [u8; 16],
    },
}

/// Digits 0 to 7 that are written one behind the other.
pub fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|digit| digit - b'0').collect()
}

/// All keys of a variant.
pub fn keys(variant: &str) -> Vec<Key> {
    let keys: Vec<Key> = lines(&format!("{variant}.jsonl"));
    // Whoever goes through them compares with so many answers and not with fewer.
    let signatures: usize = keys.iter().map(|key| key.signatures.len()).sum();
    let expected = if variant == "b0" { (18, 82) } else { (22, 106) };
    assert_eq!((keys.len(), signatures), expected, "{variant}");
    keys
}

/// All lines of the official tests.
pub fn official() -> Vec<Official> {
    let lines: Vec<Official> = lines("official.jsonl");
    assert_eq!(lines.len(), 11);
    lines
}

fn lines<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let text = std::fs::read_to_string(folder().join("leanvm").join(name)).expect("the vectors are readable");
    let parse = |line| serde_json::from_str(line).expect("each line is of the kind of its file");
    text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}
