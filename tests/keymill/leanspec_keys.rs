//! The eight validators' keys that are published with leanSpec. They are other people's data and are not kept in this
//! repository; the test finds them in ../shared beside the clone, and says so where they are absent.

use std::path::PathBuf;

use keymill::plan::NodeIndex;
use keymill::xmss::arena::Arena;
use keymill::xmss::hash::PrfKey;
use keymill::{Epoch, Level, Parameter, Scheme};
use serde_json::Value;

use crate::secret_key_file::{long, tree_layers_in_secret_key};
use crate::skip::skip;

const SCHEME: &str = "leansig-p1-l8-abort-v4-w8";
const KEYS: usize = 16;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/leanspec-test-keys")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn the_trees_of_leanspecs_published_keys_grow_from_their_prf_keys() {
    if !folder().exists() {
        skip("leanSpec's published keys are not beside this clone");
        return;
    }
    let mut grown = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let pairs: Value = serde_json::from_str(&text).unwrap();
        for pair in ["attestation_keypair", "proposal_keypair"] {
            tree_grows(&bytes(&pairs[pair]["secret_key"]), &bytes(&pairs[pair]["public_key"]));
            grown += 1;
        }
    }
    assert_eq!(grown, KEYS);
}

/// Every recorded node is the leaf of its epoch or the hash of its recorded children, up to the public key's root.
fn tree_grows(secret_key: &[u8], public_key: &[u8]) {
    let scheme = Scheme::by_id(SCHEME).unwrap();
    let digest_bytes = scheme.digest_bytes();
    let prf_key = PrfKey::new(secret_key[..32].try_into().unwrap());
    let parameter: [u8; 20] = secret_key[32..52].try_into().unwrap();
    assert_eq!(public_key[digest_bytes..], parameter);
    let kernel = scheme.kernel(&Parameter::of(&parameter));
    let layers = tree_layers_in_secret_key(secret_key);
    // Of the two bottom trees.
    let leaf_layers: Vec<_> = layers.iter().filter(|(level, _, _)| *level == 0).collect();
    assert_eq!(leaf_layers.len(), 2);
    for (_, first, nodes) in leaf_layers {
        let mut leaves = vec![0; nodes.len()];
        let arena = Arena::new(scheme.scratch_bytes());
        kernel
            .leaves(&prf_key, Epoch(*first as u32), &mut leaves, &arena)
            .unwrap();
        assert_eq!(leaves, *nodes);
    }
    let mut hashed = 0;
    for pair in layers.windows(2) {
        let ((below, first, children), (level, parents_first, recorded)) = (pair[0], pair[1]);
        if level != below + 1 {
            continue;
        }
        let mut parents = vec![0; children.len() / 2];
        kernel.parents(Level(level), NodeIndex(first / 2), children, &mut parents);
        // The recorded parents may have a filler on either side.
        let at = (first / 2 - parents_first) as usize * digest_bytes;
        assert_eq!(parents, recorded[at..at + parents.len()]);
        hashed += 1;
    }
    // Four levels of each bottom tree, and four of the top tree.
    assert_eq!(hashed, 12);
    let (_, _, root) = layers
        .iter()
        .find(|(level, _, _)| *level == scheme.log_lifetime())
        .unwrap();
    assert_eq!(root[..digest_bytes], public_key[..digest_bytes]);
    assert_eq!(long(secret_key, 52), 0, "the first stored epoch");
}
