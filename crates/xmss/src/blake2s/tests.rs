//! What the kernel's interface hides: the other widths of lanes. Each is computed on every machine, whatever its registers.

use std::ops::Range;

use keymill_reference::Numbers;
use keymill_reference::leanvm::{PlainKey, Variant};

use super::derivation::Derivation;
use super::rows::FAMILIES;
use super::xmss::Xmss;
use super::{Blake2s, Derived};
use crate::arena::Arena;
use crate::hash::{Kernel, PrfKey, Revealed};
use crate::scheme::{Parameter, Scheme};
use crate::units::{Epoch, Level, NodeIndex};

const SEED: [u8; 32] = [3; 32];
const VARIANTS: [Variant; 3] = [Variant::S2, Variant::S1, Variant::B0];

/// A row and its kernels, of one lane, 4, 8 and 16.
struct Widths {
    variant: Variant,
    parameter: Parameter,
    kernels: [Box<dyn Kernel>; 4],
}

impl Widths {
    /// Of every row, for one parameter.
    fn of_all(parameter: fn(Variant) -> [u8; 16]) -> impl Iterator<Item = Self> {
        let rows = super::SCHEMES.iter().zip(&FAMILIES).zip(VARIANTS);
        rows.map(move |((scheme, family), variant)| {
            assert_eq!(scheme.id(), variant.id());
            Self::new(scheme, family, variant, Parameter::of(&parameter(variant)))
        })
    }

    fn new(scheme: &'static Scheme, family: &Blake2s, variant: Variant, parameter: Parameter) -> Self {
        let kernels = match family.derived {
            Derived::Typed(typed) => Self::kernels(scheme, family, typed, &parameter),
            Derived::Keyed(keyed) => Self::kernels(scheme, family, keyed, &parameter),
        };
        assert_eq!(kernels.each_ref().map(|kernel| kernel.lanes()), [1, 4, 8, 16]);
        Self {
            variant,
            parameter,
            kernels,
        }
    }

    fn kernels<D: Derivation>(
        scheme: &'static Scheme,
        family: &Blake2s,
        derivation: D,
        parameter: &Parameter,
    ) -> [Box<dyn Kernel>; 4] {
        let (types, target_sum) = (family.types, family.target_sum.into());
        [
            Box::new(Xmss::<u32, D>::new(scheme, types, derivation, target_sum, parameter)),
            Box::new(Xmss::<wide::u32x4, D>::new(
                scheme, types, derivation, target_sum, parameter,
            )),
            Box::new(Xmss::<wide::u32x8, D>::new(
                scheme, types, derivation, target_sum, parameter,
            )),
            Box::new(Xmss::<wide::u32x16, D>::new(
                scheme, types, derivation, target_sum, parameter,
            )),
        ]
    }
}

fn leaves(kernel: &dyn Kernel, epochs: Range<u64>) -> Vec<u8> {
    let mut leaves = vec![0; 16 * (epochs.end - epochs.start) as usize];
    kernel
        .leaves(
            &PrfKey::new(SEED),
            Epoch(epochs.start as u32),
            &mut leaves,
            &Arena::new(0),
        )
        .unwrap();
    leaves
}

/// A signature of the last epoch with made-up siblings, and the root that it leads to.
struct Signed {
    message: [u8; 32],
    rho: Vec<u8>,
    values: Vec<u8>,
    siblings: Vec<u8>,
    root: Vec<u8>,
}

const SIGNED: Epoch = Epoch(u32::MAX);

impl Signed {
    fn new(kernel: &dyn Kernel) -> Self {
        let (secret, message) = (PrfKey::new(SEED), [9; 32]);
        let codeword = kernel.find_codeword(&secret, SIGNED, &message).unwrap();
        let mut values = vec![0; 16 * 42];
        kernel.reveal(&secret, SIGNED, &codeword.positions, &mut values);
        let mut root = vec![0; 16];
        kernel.leaf_of_revealed(SIGNED, &codeword.positions, &values, &mut root);
        assert_eq!(root, leaves(kernel, u32::MAX.into()..1 << 32));
        let siblings: Vec<u8> = (0..=255).cycle().take(16 * 32).collect();
        kernel.fold_path(SIGNED, &siblings, &mut root);
        Self {
            message,
            rho: codeword.rho,
            values,
            siblings,
            root,
        }
    }

    fn revealed<'a>(&'a self, parameter: &'a Parameter) -> Revealed<'a> {
        Revealed {
            parameter,
            epoch: SIGNED,
            message: &self.message,
            rho: &self.rho,
            values: &self.values,
            siblings: &self.siblings,
        }
    }
}

/// Ends that leave lanes empty, at both ends of the lifetime and across its middle.
#[test]
fn leaves_are_those_of_the_plain_implementation_at_every_width_however_many_they_are() {
    const MOST: u64 = 35;
    for row in Widths::of_all(|variant| variant.parameter(&SEED)) {
        for first in [0, 77, (1 << 31) - 20, (1 << 32) - MOST] {
            let plain = PlainKey::new(row.variant, SEED, first as u32, (first + MOST - 1) as u32);
            let leaf = |epoch: u64| plain.leaf(epoch as u32);
            let expected: Vec<u8> = (first..first + MOST).flat_map(leaf).collect();
            for kernel in &row.kernels {
                for count in 0..=MOST {
                    let place = || format!("{:?}, {} lanes, {count} from {first}", row.variant, kernel.lanes());
                    let begun_there = leaves(&**kernel, first..first + count);
                    assert!(begun_there == expected[..16 * count as usize], "{}", place());
                    let ended_there = leaves(&**kernel, first + MOST - count..first + MOST);
                    assert!(ended_there == expected[16 * (MOST - count) as usize..], "{}", place());
                }
            }
        }
    }
}

#[test]
fn nodes_are_those_of_the_plain_implementation_at_every_width_however_many_they_are() {
    let mut numbers = Numbers(0x0de5);
    let children: Vec<u8> = (0..35 * 32).map(|_| numbers.below(256) as u8).collect();
    for row in Widths::of_all(|_| [7; 16]) {
        for (level, first) in [(1, (1 << 31) - 35), (3, 1000), (31, 0)] {
            let indexed = children.chunks(32).zip(first as u32..);
            let expected: Vec<u8> = indexed
                .flat_map(|(pair, index)| {
                    let (left, right) = pair.split_at(16);
                    row.variant.parent(&[7; 16], level, index, [left, right])
                })
                .collect();
            for kernel in &row.kernels {
                for count in 0..=35 {
                    let mut parents = vec![0; 16 * count];
                    kernel.parents(Level(level), NodeIndex(first), &children[..32 * count], &mut parents);
                    let place = format!("{:?}, {} lanes, {count} of level {level}", row.variant, kernel.lanes());
                    assert!(parents == expected[..16 * count], "{place}");
                }
            }
        }
    }
}

#[test]
fn every_width_signs_alike() {
    for row in Widths::of_all(|_| [7; 16]) {
        let secret = PrfKey::new(SEED);
        let found = row.kernels.each_ref().map(|kernel| {
            let codeword = kernel.find_codeword(&secret, SIGNED, &[9; 32]).unwrap();
            let signed = Signed::new(&**kernel);
            (
                codeword.attempts,
                codeword.positions,
                signed.rho,
                signed.values,
                signed.root,
            )
        });
        assert!(found.iter().all(|one| *one == found[0]), "{:?}", row.variant);
    }
}

#[test]
fn every_width_finds_what_is_wrong_in_any_lane_and_nothing_else() {
    // Two packs of the widest lanes, and some that stand behind them.
    const COUNT: usize = 2 * 16 + 5;
    for row in Widths::of_all(|_| [7; 16]) {
        let good = Signed::new(&*row.kernels[0]);
        let mut bad = Signed::new(&*row.kernels[0]);
        bad.values[16 * 41] ^= 1;
        let mut rejected = Signed::new(&*row.kernels[0]);
        rejected.rho[0] ^= 1;
        let plain = row.variant.codeword(
            &[7; 16],
            SIGNED.0,
            &rejected.message,
            rejected.rho[..].try_into().unwrap(),
        );
        assert_eq!(plain, None);
        let (good, expected) = (good.revealed(&row.parameter), Some(good.root.clone()));
        for kernel in &row.kernels {
            let other = kernel.roots_of_revealed(&[bad.revealed(&row.parameter)]).remove(0);
            assert!(other.is_some() && other != expected);
            for (wrong, found) in [(&bad, other), (&rejected, None)] {
                let wrong = wrong.revealed(&row.parameter);
                for at in 0..COUNT {
                    // Alone among good ones, and alone good among its like.
                    for (all, one, of_all, of_one) in
                        [(good, wrong, &expected, &found), (wrong, good, &found, &expected)]
                    {
                        let mut signatures = vec![all; COUNT];
                        signatures[at] = one;
                        let mut roots = vec![of_all.clone(); COUNT];
                        roots[at].clone_from(of_one);
                        let place = format!("{:?}, {} lanes, at {at}", row.variant, kernel.lanes());
                        assert!(kernel.roots_of_revealed(&signatures) == roots, "{place}");
                    }
                }
            }
        }
    }
}

/// Packs that are too small for lanes, that leave some empty, that fill them, and more than are sorted together.
#[test]
fn every_width_leads_to_the_same_roots_however_many_they_are() {
    for row in Widths::of_all(|_| [7; 16]) {
        let signed = Signed::new(&*row.kernels[0]);
        for kernel in &row.kernels {
            for count in (0..=33).chain([63, 64, 65, 70]) {
                let roots = kernel.roots_of_revealed(&vec![signed.revealed(&row.parameter); count]);
                let place = format!("{:?}, {} lanes, {count} together", row.variant, kernel.lanes());
                assert!(roots == vec![Some(signed.root.clone()); count], "{place}");
            }
        }
    }
}
