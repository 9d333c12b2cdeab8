//! keymill's own results against the known answers of three independent libraries, computed in memory, so that builds
//! for other CPUs are compared with the same answers.

use keymill_xmss::Scheme;
use keymill_xmss::Verifier;
use keymill_xmss::arena::Arena;
use keymill_xmss::hash::{Kernel, PrfKey};
use keymill_xmss::scheme::Parameter;
use keymill_xmss::units::{Epoch, Level, NodeIndex};
use keymill_xmss::{PublicKey, Signature};
use rayon::prelude::*;

use keymill_reference::Numbers;
use keymill_reference::Reference;
use keymill_reference::vectors::{self, Key, SchemeSteps, Step};

use crate::memory_key::{MemoryKey, sign_with};
use crate::poseidon_schemes;

/// Epochs of the longest stored interval that is short.
const SHORT: u64 = 10_000;
/// Lanes from which on a build counts as vectorised.
const VECTOR_LANES: usize = 4;

fn grow(key: &Key) -> MemoryKey {
    let scheme = Scheme::by_id(&key.scheme).unwrap();
    let memory = MemoryKey::grow(scheme, key.activation_epoch, key.num_active_epochs, &key.rng_seed);
    let stored = memory.geometry.epochs();
    assert_eq!((stored.start, stored.end), key.stored(), "{}", key.scheme);
    memory
}

/// Long keys on a build without vectors would take minutes each; there the first of each scheme stands for all.
fn is_grown(keys: &[Key], key: &Key) -> bool {
    let scheme = Scheme::by_id(&key.scheme).unwrap();
    let long = |key: &Key| key.stored_end - key.stored_start > SHORT;
    let lanes = scheme.kernel(&Parameter::of(&[0; 20])).lanes();
    let first = keys.iter().find(|other| other.scheme == key.scheme && long(other));
    !long(key) || lanes >= VECTOR_LANES || first.is_some_and(|first| first.rng_seed == key.rng_seed)
}

#[test]
fn every_recorded_key_is_grown_and_signs_byte_for_byte() {
    let keys = vectors::keys();
    let mut grown = 0;
    for key in keys.iter().filter(|key| is_grown(&keys, key)) {
        let memory = grow(key);
        assert_eq!(memory.public_key(), key.public_key_ssz, "{}", key.scheme);
        for signature in &key.signatures {
            let made = memory.sign(Epoch(signature.epoch), &signature.message);
            assert_eq!(
                made, signature.signature_ssz,
                "{} epoch {}",
                key.scheme, signature.epoch
            );
        }
        top_tree_agrees(key, &memory);
        grown += 1;
    }
    assert!(grown >= 30, "only {grown} keys were grown");
}

fn top_tree_agrees(key: &Key, memory: &MemoryKey) {
    // Two recorded lines carry another line's secret fields (the vectors' own test names them).
    let Some(top) = key.top_tree.as_ref().filter(|_| key.secret_fields_are_its_own()) else {
        return;
    };
    assert_eq!(top.depth, memory.scheme.log_lifetime());
    for (level, layer) in (top.lowest_layer..).zip(&top.layers) {
        let span = memory.geometry.level(Level(level));
        assert_eq!(
            (span.stored.start, span.stored_count()),
            (layer.start_index, layer.nodes.len() as u64)
        );
        assert_eq!(
            memory.layers[usize::from(level)],
            layer.nodes.concat(),
            "{} level {level}",
            key.scheme
        );
    }
    let half = memory.scheme.log_lifetime() / 2;
    let first_tree = memory.geometry.epochs().start >> half;
    let window_end = memory.geometry.epochs().start + (2 << half);
    for (expected, found) in [
        (&key.first_leaf_hash, memory.node(0, memory.geometry.epochs().start)),
        (&key.last_prepared_leaf_hash, memory.node(0, window_end - 1)),
        (&key.left_bottom_root, memory.node(half, first_tree)),
        (&key.right_bottom_root, memory.node(half, first_tree + 1)),
    ] {
        assert_eq!(expected.as_deref(), Some(found), "{}", key.scheme);
    }
}

#[test]
fn every_recorded_signature_verifies_and_its_chains_and_codeword_are_made_again() {
    for key in vectors::keys() {
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        assert_eq!(scheme.upstream_name(), key.upstream_name);
        let public_key = PublicKey::from_ssz(scheme, &key.public_key_ssz).unwrap();
        let verifier = Verifier::new(&public_key);
        let drawn = scheme.draw(&key.rng_seed, &[]);
        let kernel = scheme.kernel(&drawn.parameter);
        for signature in &key.signatures {
            verifier
                .verify_ssz(Epoch(signature.epoch), &signature.message, &signature.signature_ssz)
                .unwrap();
            let siblings = Signature::from_ssz(scheme, &signature.signature_ssz)
                .unwrap()
                .siblings()
                .to_vec();
            let epoch = Epoch(signature.epoch);
            let made = sign_with(&*kernel, scheme, &drawn.prf_key, epoch, &signature.message, siblings);
            assert_eq!(made, signature.signature_ssz, "{} epoch {epoch}", key.scheme);
        }
    }
}

/// One signature of each scheme has a bit of every byte flipped, every other signature 48 bits anywhere.
#[test]
fn no_signature_verifies_with_a_bit_flipped_anywhere() {
    let mut whole = std::collections::HashSet::new();
    let cases: Vec<_> = vectors::keys()
        .into_iter()
        .flat_map(|key| {
            let first = whole.insert(key.scheme.clone());
            let signatures = key.signatures.clone();
            let key = std::sync::Arc::new(key);
            let all = signatures.into_iter().enumerate();
            all.map(move |(i, signature)| (std::sync::Arc::clone(&key), signature, first && i == 0))
        })
        .collect();
    cases.par_iter().for_each(|(key, signature, every_byte)| {
        let seed = u64::from(signature.epoch) + 7;
        let mut numbers = Numbers(seed);
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        let public_key = PublicKey::from_ssz(scheme, &key.public_key_ssz).unwrap();
        let verifier = Verifier::new(&public_key);
        let length = signature.signature_ssz.len();
        let places: Vec<usize> = if *every_byte {
            (0..length).collect()
        } else {
            (0..48).map(|_| numbers.below(length as u64) as usize).collect()
        };
        for byte in places {
            let bit = numbers.below(8);
            let mut altered = signature.signature_ssz.clone();
            altered[byte] ^= 1 << bit;
            let verdict = verifier.verify_ssz(Epoch(signature.epoch), &signature.message, &altered);
            assert!(verdict.is_err(), "{} byte {byte} bit {bit} seed {seed}", key.scheme);
        }
    });
}

#[test]
fn an_altered_message_epoch_or_public_key_is_rejected() {
    for key in vectors::keys() {
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        let public_key = PublicKey::from_ssz(scheme, &key.public_key_ssz).unwrap();
        let verifier = Verifier::new(&public_key);
        let signature = &key.signatures[0];
        let verify = |epoch: u64, message: &[u8; 32]| {
            let epoch = scheme.epoch(epoch)?;
            verifier.verify_ssz(epoch, message, &signature.signature_ssz)
        };
        let epoch = u64::from(signature.epoch);
        let mut message = signature.message;
        message[31] ^= 1;
        assert!(verify(epoch, &message).is_err());
        assert!(verify(epoch ^ 1, &signature.message).is_err());
        assert!(verify(scheme.lifetime(), &signature.message).is_err());
        assert!(verify(u64::MAX, &signature.message).is_err());
        let mut other = public_key.to_ssz();
        other[0] ^= 1;
        let other = Verifier::new(&PublicKey::from_ssz(scheme, &other).unwrap());
        assert!(
            other
                .verify_ssz(Epoch(signature.epoch), &signature.message, &signature.signature_ssz)
                .is_err()
        );
    }
}

/// The parts of a signature can also be handed in one by one.
#[test]
fn a_part_of_a_wrong_length_or_with_an_unreduced_element_is_rejected_without_panic() {
    for key in vectors::keys() {
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        let whole = Signature::from_ssz(scheme, &key.signatures[0].signature_ssz).unwrap();
        let changes: [fn(&mut Vec<u8>); 5] = [
            |bytes| bytes.clear(),
            |bytes| bytes.truncate(bytes.len() - 4),
            |bytes| bytes.extend([0; 4]),
            |bytes| bytes.extend([0; 4096]),
            |bytes| bytes[..4].copy_from_slice(&[0xff; 4]),
        ];
        for part in 0..3 {
            for change in changes {
                let mut parts = [whole.rho(), whole.siblings(), whole.hashes()].map(<[u8]>::to_vec);
                change(&mut parts[part]);
                let [rho, siblings, hashes] = parts;
                assert!(Signature::new(scheme, rho, siblings, hashes).is_err());
            }
        }
    }
}

#[test]
fn every_recorded_single_step_is_computed() {
    for scheme_steps in vectors::steps() {
        let scheme = Scheme::by_id(&scheme_steps.scheme).unwrap();
        let parameter: [u8; 20] = scheme_steps.parameter.clone().try_into().unwrap();
        let kernel = scheme.kernel(&Parameter::of(&parameter));
        for step in &scheme_steps.steps {
            single_steps_agree(scheme, &*kernel, &scheme_steps, step);
        }
    }
}

fn single_steps_agree(scheme: &Scheme, kernel: &dyn Kernel, recorded: &SchemeSteps, step: &Step) {
    let prf_key = PrfKey::new(recorded.prf_key);
    let epoch = Epoch(step.epoch);
    let digest_bytes = scheme.digest_bytes();
    let chains_at = |position: u16| {
        let mut values = vec![0; scheme.chains() * digest_bytes];
        kernel.reveal(&prf_key, epoch, &vec![position; scheme.chains()], &mut values);
        values
    };
    let last = (scheme.chain_length() - 1) as u16;
    let (starts, seconds, ends) = (chains_at(0), chains_at(1), chains_at(last));
    let place = format!("{} epoch {epoch}", recorded.scheme);
    assert_eq!(starts[..digest_bytes], step.chain_start_0, "{place}");
    assert_eq!(starts[starts.len() - digest_bytes..], step.chain_start_last, "{place}");
    assert_eq!(seconds[..digest_bytes], step.chain_0_after_1_step, "{place}");
    assert_eq!(ends[..digest_bytes], step.chain_end_0, "{place}");
    assert_eq!(ends[ends.len() - digest_bytes..], step.chain_end_last, "{place}");
    let mut leaf = vec![0; digest_bytes];
    let arena = Arena::new(scheme.scratch_bytes());
    kernel.leaves(&prf_key, epoch, &mut leaf, &arena).unwrap();
    assert_eq!(leaf, step.leaf, "{place}");
    let children = [&leaf[..], &step.chain_end_0].concat();
    let mut parent = vec![0; digest_bytes];
    kernel.parents(Level(1), NodeIndex(u64::from(epoch.0) / 2), &children, &mut parent);
    assert_eq!(parent, step.parent_level1_of_leaf_and_chain_end_0, "{place}");
    let codeword = kernel.find_codeword(&prf_key, epoch, &step.message).unwrap();
    assert_eq!(codeword.rho, step.rho, "{place}");
    let positions: Vec<u16> = step.codeword.iter().map(|&x| x.into()).collect();
    assert_eq!(codeword.positions, positions, "{place}");
    let accepted = kernel.codeword_of(epoch, &step.message, &step.rho_attempt_0);
    assert_eq!(accepted.is_some(), step.first_good_attempt == 0, "{place}");
    let reference = Reference::new(&recorded.scheme, &recorded.parameter);
    let rho = reference.rho(&recorded.prf_key, epoch.0, &step.message, step.first_good_attempt);
    assert_eq!(codeword.rho, rho, "{place}: not the first accepted attempt");
}

/// Every scheme of the table, also those without a recorded key, against the plain implementation at random epochs.
#[test]
fn every_scheme_gives_the_leaves_and_nodes_of_the_plain_implementation() {
    poseidon_schemes().for_each(|scheme| {
        let seed = 0x5eed ^ scheme.chains() as u64;
        let mut numbers = Numbers(seed);
        let drawn = scheme.draw(&[9; 32], &[]);
        let kernel = scheme.kernel(&drawn.parameter);
        let reference = Reference::new(scheme.id(), &drawn.parameter);
        let digest_bytes = scheme.digest_bytes();
        // A run that is not a multiple of the lanes, at the end of the lifetime; and one around the first tweak whose low
        // digit wraps within an epoch.
        let count = kernel.lanes() as u64 + 3;
        for first in [scheme.lifetime() - count, 120, numbers.below(scheme.lifetime() - count)] {
            let mut leaves = vec![0; count as usize * digest_bytes];
            let arena = Arena::new(scheme.scratch_bytes());
            kernel
                .leaves(&drawn.prf_key, Epoch(first as u32), &mut leaves, &arena)
                .unwrap();
            for i in [0, numbers.below(count), count - 1] {
                let expected = reference.leaf(drawn.prf_key.expose(), (first + i) as u32);
                let found = &leaves[i as usize * digest_bytes..][..digest_bytes];
                assert_eq!(found, expected, "{} epoch {} seed {seed}", scheme.id(), first + i);
            }
        }
        let children: Vec<u8> = (0..38)
            .flat_map(|e| reference.leaf(drawn.prf_key.expose(), e % 3))
            .collect();
        let mut parents = vec![0; 19 * digest_bytes];
        kernel.parents(Level(5), NodeIndex(77), &children, &mut parents);
        // However many are computed at once.
        for count in 1..19 {
            let mut fewer = vec![0; count * digest_bytes];
            kernel.parents(Level(5), NodeIndex(77), &children[..2 * fewer.len()], &mut fewer);
            assert_eq!(fewer, parents[..fewer.len()], "{} {count} nodes", scheme.id());
        }
        for (i, (pair, parent)) in children
            .chunks(2 * digest_bytes)
            .zip(parents.chunks(digest_bytes))
            .enumerate()
        {
            let (left, right) = pair.split_at(digest_bytes);
            assert_eq!(
                parent,
                reference.parent(5, 77 + i as u64, left, right),
                "{} node {i}",
                scheme.id()
            );
        }
    });
}
