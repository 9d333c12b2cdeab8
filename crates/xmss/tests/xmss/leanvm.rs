//! The BLAKE2s family against the official tests, the recorded answers of three versions of leanVM, and the plain
//! implementation.

use keymill_reference::Numbers;
use keymill_reference::leanvm::{CHAINS, LAST_POSITION, PlainKey, Variant};
use keymill_reference::leanvm_vectors::{self as vectors, Key, Official};
use keymill_xmss::hash::Revealed;
use keymill_xmss::scheme::Parameter;
use keymill_xmss::units::{Epoch, Level};
use keymill_xmss::{PublicKey, Scheme, Signature, verify};
use rayon::prelude::*;

use crate::memory_key::MemoryKey;

pub(crate) const VARIANTS: [&str; 3] = ["s2", "s1", "b0"];

pub(crate) fn scheme(variant: Variant) -> &'static Scheme {
    Scheme::by_id(variant.id()).unwrap()
}

fn grown(variant: Variant, seed: &[u8; 32], first: u32, last: u32) -> MemoryKey {
    let epochs = u64::from(last) - u64::from(first) + 1;
    MemoryKey::grow(scheme(variant), first.into(), epochs, seed)
}

fn all_keys() -> impl ParallelIterator<Item = Key> {
    VARIANTS.par_iter().flat_map(|variant| vectors::keys(variant))
}

fn name(key: &Key) -> String {
    format!("{} [{}, {}]", key.variant, key.first_epoch, key.last_epoch)
}

fn positions(digits: &[u8]) -> Vec<u16> {
    digits.iter().map(|&digit| digit.into()).collect()
}

/// Everything but the search for rho, in which the plain implementation would take minutes.
#[test]
fn the_plain_implementation_of_leanvm_gives_every_recorded_answer() {
    all_keys().for_each(|key| {
        let plain = PlainKey::new(key.variant(), key.seed, key.first_epoch, key.last_epoch);
        let variant = plain.variant;
        assert_eq!(plain.public_key(), key.public_key, "{}", name(&key));
        for leaf in &key.leaves {
            let epoch = leaf.epoch;
            assert_eq!(plain.node(0, epoch), leaf.leaf, "{} epoch {epoch}", name(&key));
            for (chain, start, end) in [
                (0, &leaf.chain_start_0, leaf.chain_end_0),
                (41, &leaf.chain_start_41, leaf.chain_end_41),
            ] {
                let value = plain.chain_start(epoch, chain);
                assert!(start.as_ref().is_none_or(|start| *start == value), "{}", name(&key));
                assert_eq!(plain.chain_value(epoch, chain, LAST_POSITION), end, "{}", name(&key));
            }
        }
        for start in &key.chain_starts {
            assert_eq!(
                plain.chain_start(start.epoch, start.chain),
                start.value,
                "{}",
                name(&key)
            );
        }
        for (what, hash) in &key.hashes {
            let (ab, cd) = ([0xab; 16], [0xcd; 16]);
            let found = match what.as_str() {
                "chain_step_epoch_lo_chain_5_step_3_of_ab" => {
                    variant.walk(&plain.parameter, key.first_epoch, 5, 3, 4, ab)
                }
                "filler_level_3_index_lo" => plain.filler(3, key.first_epoch),
                "node_level_4_index_9_of_ab_cd" => variant.parent(&plain.parameter, 4, 9, [&ab, &cd]),
                "tweak_chain" => variant.chain_tweak(5, 3, key.first_epoch),
                _ => panic!("{what}"),
            };
            assert_eq!(hex::encode(found), *hash, "{} {what}", name(&key));
        }
        for signature in &key.signatures {
            let (epoch, message, rho) = (signature.epoch, &signature.message, &signature.rho);
            let codeword = variant.codeword(&plain.parameter, epoch, message, rho).unwrap();
            assert_eq!(codeword, signature.positions(), "{} epoch {epoch}", name(&key));
            assert_eq!(
                plain.signature(epoch, rho, &codeword),
                signature.signature,
                "{} epoch {epoch}",
                name(&key)
            );
            assert!(variant.verify(&key.public_key, epoch, message, &signature.signature));
            if variant != Variant::B0 {
                let attempt = (signature.attempts - 1) as u32;
                assert_eq!(plain.rho(epoch, message, attempt), *rho, "{} epoch {epoch}", name(&key));
            }
        }
    });
}

/// In b0 the recorded rho was drawn at random, so what is signed there is verified and revealed again with it.
#[test]
fn every_recorded_key_of_leanvm_is_grown_and_signs_byte_for_byte() {
    all_keys().for_each(|key| {
        let memory = grown(key.variant(), &key.seed, key.first_epoch, key.last_epoch);
        assert_eq!(memory.public_key(), key.public_key, "{}", name(&key));
        for leaf in &key.leaves {
            assert_eq!(
                memory.node(0, leaf.epoch.into()),
                leaf.leaf,
                "{} epoch {}",
                name(&key),
                leaf.epoch
            );
        }
        let public_key = PublicKey::from_ssz(memory.scheme, &key.public_key).unwrap();
        for recorded in &key.signatures {
            let (epoch, message) = (Epoch(recorded.epoch), &recorded.message);
            let kernel = &memory.kernel;
            if key.variant() == Variant::B0 {
                let codeword = kernel.codeword_of(epoch, message, &recorded.rho).unwrap();
                assert_eq!(
                    codeword,
                    positions(&recorded.positions()),
                    "{} epoch {epoch}",
                    name(&key)
                );
                let mut values = vec![0; 16 * CHAINS];
                kernel.reveal(&memory.prf_key, epoch, &codeword, &mut values);
                assert_eq!(
                    values,
                    recorded.signature[..values.len()],
                    "{} epoch {epoch}",
                    name(&key)
                );
            } else {
                let found = kernel.find_codeword(&memory.prf_key, epoch, message).unwrap();
                assert_eq!(found.attempts, recorded.attempts, "{} epoch {epoch}", name(&key));
                let signature = memory.sign(epoch, message);
                assert_eq!(signature, recorded.signature, "{} epoch {epoch}", name(&key));
            }
            assert_eq!(
                verify(&public_key, epoch, message, &recorded.signature),
                Ok(()),
                "{} epoch {epoch}",
                name(&key)
            );
        }
    });
}

#[test]
fn the_official_tests_of_cryptography_specs_pass() {
    let digits = |text: &Option<String>| text.as_deref().map(vectors::digits);
    for line in vectors::official() {
        match line {
            Official::KeyGen {
                seed,
                first_epoch,
                last_epoch,
                public_key,
            } => {
                let memory = grown(Variant::S2, &seed, first_epoch, last_epoch);
                assert_eq!(memory.public_key(), public_key, "[{first_epoch}, {last_epoch}]");
            }
            Official::Sign {
                seed,
                first_epoch,
                last_epoch,
                epoch,
                message,
                signature,
            } => {
                let memory = grown(Variant::S2, &seed, first_epoch, last_epoch);
                assert_eq!(memory.sign(Epoch(epoch), &message), signature, "epoch {epoch}");
            }
            Official::WotsEncode {
                public_param,
                message,
                rho,
                epoch,
                digits: expected,
            } => {
                let kernel = scheme(Variant::S2).kernel(&Parameter::of(&public_param));
                let found = kernel.codeword_of(Epoch(epoch), &message, &rho);
                assert_eq!(found, digits(&expected).as_deref().map(positions), "epoch {epoch}");
                let plain = Variant::S2.codeword(&public_param, epoch, &message, &rho);
                assert_eq!(plain, digits(&expected), "epoch {epoch}");
            }
            Official::TweakHash {
                public_param,
                tweak_type,
                sub_position,
                index,
                payload,
                output,
            } => {
                let tweak = Variant::S2.tweak_of_type(tweak_type, sub_position, index);
                assert_eq!(Variant::hash(tweak, &public_param, &[&payload])[..16], output);
            }
        }
    }
}

/// Of one epoch at both ends of the lifetime and beside its middle, at both ends, across the middle, and anywhere, with ends that
/// are even and odd.
fn interval(which: usize, numbers: &mut Numbers) -> (u32, u32) {
    let count = 1 + numbers.below(40) as u32;
    match which {
        0 => (0, count - 1),
        1 => (u32::MAX - (count - 1), u32::MAX),
        2 => (u32::MAX, u32::MAX),
        3 => ((1 << 31) - numbers.below(count.into()) as u32 - 1, (1 << 31) + count),
        4 => (0, 0),
        5 => ((1 << 31) - 1, (1 << 31) - 1),
        6 => (1 << 31, 1 << 31),
        _ => {
            let first = numbers.below((1 << 32) - u64::from(count)) as u32;
            (first, first + count - 1)
        }
    }
}

#[test]
fn keys_over_any_interval_are_those_of_the_plain_implementation() {
    let cases: Vec<(&str, usize)> = VARIANTS
        .iter()
        .flat_map(|name| (0..16).map(move |case| (*name, case)))
        .collect();
    cases.par_iter().for_each(|&(name, case)| {
        let seed = 0x1ea0 + case as u64;
        let mut numbers = Numbers(seed);
        let variant = Variant::of(name);
        let (first, last) = interval(case, &mut numbers);
        let secret = std::array::from_fn(|_| numbers.below(256) as u8);
        let plain = PlainKey::new(variant, secret, first, last);
        let memory = grown(variant, &secret, first, last);
        let place = format!("{name} [{first}, {last}] seed {seed}");
        assert_eq!(memory.public_key(), plain.public_key(), "{place}");
        let lowest = memory.geometry.fillers().next();
        for (level, node) in memory.geometry.fillers().filter(|(level, _)| level.0 < 32) {
            assert_eq!(
                memory.node(level.0, node.0),
                plain.filler(level.0, node.0 as u32),
                "{place}"
            );
        }
        let is_odd = first % 2 == 1 || last.is_multiple_of(2);
        assert_eq!(lowest.is_some_and(|(level, _)| level == Level(0)), is_odd, "{place}");
        let epoch = first + numbers.below(u64::from(last - first) + 1) as u32;
        let message = std::array::from_fn(|_| numbers.below(256) as u8);
        let signature = memory.sign(Epoch(epoch), &message);
        let (rho, values) = (&signature[16 * CHAINS..16 * CHAINS + 24], &signature[..16 * CHAINS]);
        let found = memory
            .kernel
            .find_codeword(&memory.prf_key, Epoch(epoch), &message)
            .unwrap();
        let expected = plain.rho(epoch, &message, (found.attempts - 1) as u32);
        assert_eq!(rho, expected, "{place} epoch {epoch}");
        let codeword = variant.codeword(&plain.parameter, epoch, &message, &expected).unwrap();
        assert_eq!(
            plain.signature(epoch, &expected, &codeword),
            signature,
            "{place} epoch {epoch}"
        );
        let revealed = Revealed {
            parameter: &memory.parameter,
            epoch: Epoch(epoch),
            message: &message,
            rho,
            values,
            siblings: &signature[16 * CHAINS + 24..],
        };
        for count in 1..20 {
            let roots = memory.kernel.roots_of_revealed(&vec![revealed; count]);
            assert_eq!(
                roots,
                vec![Some(plain.node(32, 0).to_vec()); count],
                "{place} {count} together"
            );
        }
    });
}

/// The plain implementation tries every attempt before the one that is taken; a few keys stand for all.
#[test]
fn the_first_accepted_attempt_is_taken() {
    VARIANTS.par_iter().for_each(|name| {
        let variant = Variant::of(name);
        let (plain, memory) = (
            PlainKey::new(variant, [4; 32], 77, 77),
            grown(variant, &[4; 32], 77, 77),
        );
        let message = [0x61; 32];
        let (signature, attempts) = plain.sign(77, &message);
        assert_eq!(memory.sign(Epoch(77), &message), signature, "{name}");
        let found = memory
            .kernel
            .find_codeword(&memory.prf_key, Epoch(77), &message)
            .unwrap();
        assert_eq!(found.attempts, attempts, "{name}");
    });
}

#[test]
fn s1_and_s2_are_one_scheme_on_the_wire_and_b0_is_another() {
    for (of, checked_as, is_valid) in [
        ("s2", "s1", true),
        ("s1", "s2", true),
        ("s2", "b0", false),
        ("b0", "s2", false),
    ] {
        let key = &vectors::keys(of)[0];
        let public_key = PublicKey::from_ssz(scheme(Variant::of(checked_as)), &key.public_key).unwrap();
        let recorded = &key.signatures[0];
        let verdict = verify(
            &public_key,
            Epoch(recorded.epoch),
            &recorded.message,
            &recorded.signature,
        );
        assert_eq!(
            verdict.is_ok(),
            is_valid,
            "a signature of {of} checked as one of {checked_as}"
        );
    }
}

#[test]
fn sizes_are_those_of_the_specification() {
    for name in VARIANTS {
        let scheme = scheme(Variant::of(name));
        assert_eq!(
            (scheme.public_key_bytes(), scheme.signature_bytes()),
            (32, 1208),
            "{name}"
        );
        let most = if name == "s1" { 1 << 23 } else { 1 << 32 };
        assert_eq!(scheme.attempts_max(), most, "{name}");
        assert!(PublicKey::from_ssz(scheme, &[0xff; 32]).is_ok());
        assert!(Signature::from_ssz(scheme, &[0xff; 1208]).is_ok());
        assert!(PublicKey::from_ssz(scheme, &[0xff; 31]).is_err());
        assert!(Signature::from_ssz(scheme, &[0xff; 1207]).is_err());
        assert!(Signature::from_ssz(scheme, &[0xff; 1209]).is_err());
    }
}
