//! Batches of leanVM's rows, alone and among others: recorded signatures, some spoiled, and some claimed to be what they are
//! not. The verdicts are those of the plain implementation, and those of one signature after the other.

use keymill_reference::Numbers;
use keymill_reference::leanvm::Variant;
use keymill_reference::leanvm_vectors as vectors;
use keymill_xmss::units::Epoch;
use keymill_xmss::{Claim, PublicKey, Rejection, Scheme, Signature, Verifier, verify, verify_batch};
use rayon::prelude::*;

use crate::leanvm::{VARIANTS, scheme};
use crate::signatures::Signed;

/// The recorded signatures of a version, read as those of another.
fn recorded(variant: &str, read_as: &'static Scheme) -> Vec<Signed> {
    let of_key = |key: vectors::Key| {
        let public_key = PublicKey::from_ssz(read_as, &key.public_key).unwrap();
        let signed = move |one: vectors::Signature| Signed {
            public_key: public_key.clone(),
            epoch: Epoch(one.epoch),
            message: one.message,
            signature: Signature::from_ssz(read_as, &one.signature).unwrap(),
        };
        key.signatures.into_iter().map(signed)
    };
    vectors::keys(variant).into_iter().flat_map(of_key).collect()
}

/// Valid signatures of rows of both families, row by row. Those of s1 and s2 are of one scheme on the wire.
fn valid() -> Vec<Vec<Signed>> {
    let own = VARIANTS.map(|name| recorded(name, scheme(Variant::of(name))));
    let read_as_the_other = [recorded("s2", scheme(Variant::S1)), recorded("s1", scheme(Variant::S2))];
    let mut numbers = Numbers(0x31d);
    let of_poseidon = ["leansig-p1-l8-abort-v4-w8", "hashsig-p2-l18-wots-v42-w16"].map(|id| {
        let scheme = Scheme::by_id(id).unwrap();
        let signed = |_| Signed::new(scheme, numbers.below(scheme.lifetime()) as u32, &mut numbers);
        (0..6).map(signed).collect()
    });
    own.into_iter().chain(read_as_the_other).chain(of_poseidon).collect()
}

/// What the plain implementation of leanVM says; nothing of another family.
fn plain_verdict(claim: &Claim<'_>) -> Option<bool> {
    let scheme = claim.public_key.scheme();
    let variant = [Variant::S2, Variant::S1, Variant::B0]
        .into_iter()
        .find(|variant| variant.id() == scheme.id())?;
    let is_of_it = claim.signature.scheme() == scheme;
    let (public_key, signature) = (claim.public_key.to_ssz(), claim.signature.to_ssz());
    Some(is_of_it && variant.verify(&public_key, claim.epoch.0, claim.message, &signature))
}

fn kind(verdict: &Result<(), Rejection>) -> usize {
    match verdict {
        Ok(()) => 0,
        Err(Rejection::CodewordRejected) => 1,
        Err(Rejection::OtherRoot) => 2,
        Err(Rejection::OtherScheme { .. }) => 3,
        Err(_) => 4,
    }
}

/// Judges a batch one after the other and together, beginning with parts of it. Gives how often it said what.
fn judged(place: &str, batch: &[Signed]) -> [usize; 5] {
    let claims: Vec<_> = batch.iter().map(Signed::claim).collect();
    let alone: Vec<_> = batch.iter().map(Signed::verdict).collect();
    let mut seen = [0; 5];
    for (claim, verdict) in claims.iter().zip(&alone) {
        let plain = plain_verdict(claim);
        assert!(
            plain.is_none_or(|is_valid| is_valid == verdict.is_ok()),
            "{place}: {verdict:?}"
        );
        seen[kind(verdict)] += 1;
    }
    for count in [0, 1, 2, 3, 5, 8, 15, 17, 33, claims.len()] {
        assert_eq!(
            verify_batch(&claims[..count]),
            alone[..count],
            "{place}, {count} together"
        );
    }
    seen
}

/// Of all recorded keys: some altered in a bit, some taken for those of another message, epoch or public key.
#[test]
fn a_batch_of_leanvm_is_judged_as_its_signatures_are_one_by_one() {
    VARIANTS.par_iter().for_each(|name| {
        let mut numbers = Numbers(0xba7c);
        let scheme = scheme(Variant::of(name));
        let mut batch = recorded(name, scheme);
        let public_keys: Vec<_> = batch.iter().map(|signed| signed.public_key.clone()).collect();
        let mut of_another_key = 0;
        for signed in &mut batch {
            let bytes = signed.signature.to_ssz();
            assert_eq!(
                verify(&signed.public_key, signed.epoch, &signed.message, &bytes),
                Ok(()),
                "{name}"
            );
            match numbers.below(4) {
                0 => signed.spoil(&mut numbers),
                1 => {
                    let other = &public_keys[numbers.below(public_keys.len() as u64) as usize];
                    of_another_key += usize::from(*other != signed.public_key);
                    signed.public_key = other.clone();
                }
                _ => {}
            }
        }
        let [valid, rejected, of_another_root, rest @ ..] = judged(name, &batch);
        assert!(
            valid > 30 && rejected > 0 && of_another_root > 0 && of_another_key > 10,
            "{name}"
        );
        assert_eq!(rest, [0, 0], "{name}");
    });
}

/// Runs of one row and rows that alternate, as long as lanes are wide and longer.
#[test]
fn a_batch_of_all_rows_and_families_is_judged_as_its_signatures_are_one_by_one() {
    let valid = valid();
    (0..12_u64).into_par_iter().for_each(|seed| {
        let mut numbers = Numbers(0x317ed + seed);
        let any = |numbers: &mut Numbers, of: usize| numbers.below(of as u64) as usize;
        let mut batch = Vec::new();
        while batch.len() < 150 {
            let row = &valid[any(&mut numbers, valid.len())];
            for _ in 0..=any(&mut numbers, [1, 4, 40][seed as usize % 3]) {
                let mut signed = row[any(&mut numbers, row.len())].clone();
                match numbers.below(6) {
                    0 => signed.spoil(&mut numbers),
                    // A public key of any row.
                    1 => {
                        let other = &valid[any(&mut numbers, valid.len())];
                        signed.public_key = other[any(&mut numbers, other.len())].public_key.clone();
                    }
                    _ => {}
                }
                batch.push(signed);
            }
        }
        let [valid, _, of_another_root, of_another_scheme, _] = judged(&format!("seed {seed}"), &batch);
        assert!(
            valid > 50 && of_another_root > 0 && of_another_scheme > 5,
            "seed {seed}"
        );
    });
}

#[test]
fn one_bad_signature_is_found_wherever_it_stands_and_so_is_one_good_one() {
    // Two packs of the widest lanes, and some that stand behind them.
    const COUNT: usize = 2 * 16 + 5;
    valid().par_iter().for_each(|row| {
        let id = row[0].public_key.scheme().id();
        let mut numbers = Numbers(0x1a9e);
        for at in 0..COUNT {
            let good = &row[at % row.len()];
            let mut bad = good.clone();
            while bad.verdict().is_ok() {
                bad.spoil(&mut numbers);
            }
            let (alone, found) = (Err(bad.verdict().unwrap_err()), Ok(()));
            for (all, one, of_all, of_one) in [(good, &bad, &found, &alone), (&bad, good, &alone, &found)] {
                let (mut claims, mut expected) = (vec![all.claim(); COUNT], vec![of_all.clone(); COUNT]);
                claims[at] = one.claim();
                expected[at] = of_one.clone();
                assert_eq!(verify_batch(&claims), expected, "{id}, at {at}");
                let of_one_key = claims.iter().map(|claim| (claim.epoch, claim.message, claim.signature));
                let together = Verifier::new(&good.public_key).verify_batch(&of_one_key.collect::<Vec<_>>());
                assert_eq!(together, expected, "{id}, at {at}, one key");
            }
        }
    });
}
