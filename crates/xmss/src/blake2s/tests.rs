//! What the kernel's interface hides: the other widths of lanes.

use super::derivation::{Derivation, Keyed, Typed};
use super::lanes::Lanes;
use super::rows::FAMILIES;
use super::xmss::Xmss;
use super::{Derived, Types};
use crate::arena::Arena;
use crate::hash::{Kernel, PrfKey, Revealed};
use crate::scheme::{Parameter, Scheme};
use crate::units::{Epoch, Level, NodeIndex};

/// Everything that a kernel gives, for one key and a few epochs.
fn answers<V: Lanes, D: Derivation>(scheme: &'static Scheme, types: Types, derivation: D) -> Vec<Vec<u8>> {
    let parameter = Parameter::of(&[7; 16]);
    let kernel = Xmss::<V, D>::new(scheme, types, derivation, 195, &parameter);
    assert_eq!(kernel.lanes(), V::WIDTH);
    let secret = PrfKey::new([3; 32]);
    let mut answers = Vec::new();
    let arena = Arena::new(0);
    for (first, count) in [(u32::MAX - 20, 21), (5, 1), (77, 17)] {
        let mut leaves = vec![0; 16 * count];
        kernel.leaves(&secret, Epoch(first), &mut leaves, &arena).unwrap();
        answers.push(leaves);
    }
    let children: Vec<u8> = (0..=255).cycle().take(32 * 21).collect();
    let mut parents = vec![0; 16 * 21];
    kernel.parents(Level(3), NodeIndex(1000), &children, &mut parents);
    answers.push(parents);
    let (epoch, message) = (Epoch(u32::MAX), [9; 32]);
    let codeword = kernel.find_codeword(&secret, epoch, &message).unwrap();
    let mut values = vec![0; 16 * 42];
    kernel.reveal(&secret, epoch, &codeword.positions, &mut values);
    let mut node = vec![0; 16];
    kernel.leaf_of_revealed(epoch, &codeword.positions, &values, &mut node);
    assert_eq!(node, answers[0][16 * 20..]);
    let siblings = &children[..16 * 32];
    kernel.fold_path(epoch, siblings, &mut node);
    let revealed = Revealed {
        parameter: &parameter,
        epoch,
        message: &message,
        rho: &codeword.rho,
        values: &values,
        siblings,
    };
    for count in [1, 5, 21, 70] {
        let roots = kernel.roots_of_revealed(&vec![revealed; count]);
        assert_eq!(
            roots,
            vec![Some(node.clone()); count],
            "{} lanes, {count} together",
            V::WIDTH
        );
    }
    answers.extend([codeword.rho, values, node, codeword.attempts.to_le_bytes().to_vec()]);
    answers
}

#[test]
fn every_width_of_lanes_gives_the_same_answers() {
    fn compare<D: Derivation>(scheme: &'static Scheme, types: Types, derivation: D) {
        let expected = answers::<u32, D>(scheme, types, derivation);
        for found in [
            answers::<wide::u32x4, D>(scheme, types, derivation),
            answers::<wide::u32x8, D>(scheme, types, derivation),
            answers::<wide::u32x16, D>(scheme, types, derivation),
        ] {
            assert_eq!(found, expected, "{}", scheme.id());
        }
    }
    for (scheme, family) in super::SCHEMES.iter().zip(&FAMILIES) {
        match family.derived {
            Derived::Typed(typed) => compare::<Typed>(scheme, family.types, typed),
            Derived::Keyed(keyed) => compare::<Keyed>(scheme, family.types, keyed),
        }
    }
}
