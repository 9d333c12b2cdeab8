//! leanVM's XMSS over BLAKE2s (docs/SCHEMES.md, "The BLAKE2s family"): one hash after the other, whole trees by recursion.
//! The hash function itself is the crate `blake2`.

use std::cell::RefCell;
use std::collections::HashMap;

use blake2::digest::{Digest, KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac256};

pub const CHAINS: usize = 42;
pub const LAST_POSITION: u32 = 7;
pub const LEVELS: u8 = 32;
const TARGET_SUM: u32 = 195;

pub type Digest16 = [u8; 16];

/// Which of the three rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    S2,
    S1,
    B0,
}

/// What is hashed, in the order of the table of types.
#[derive(Clone, Copy)]
enum Use {
    Start,
    Chain,
    Leaf,
    Node,
    Encoding,
    Parameter,
    Filler,
    Rho,
}

impl Variant {
    /// The identifier of the row.
    pub fn id(self) -> &'static str {
        match self {
            Variant::S2 => "leanvm-blake2s-l32-ts-v42-w8",
            Variant::S1 => "leanvm-blake2s-l32-ts-v42-w8-s1",
            Variant::B0 => "leanvm-blake2s-l32-ts-v42-w8-b0",
        }
    }

    /// Its name in the vectors.
    pub fn of(name: &str) -> Variant {
        match name {
            "s2" => Variant::S2,
            "s1" => Variant::S1,
            "b0" => Variant::B0,
            _ => panic!("no variant '{name}'"),
        }
    }

    fn tweak(self, what: Use, p: u32, j: u32) -> [u8; 16] {
        let types = match self {
            Variant::S2 => [0, 1, 2, 3, 4, 5, 6, 7],
            Variant::S1 => [0, 1, 2, 3, 4, 10, 11, 12],
            // What is derived has no type of its own there.
            Variant::B0 => [255, 0, 1, 2, 3, 255, 255, 255],
        };
        self.tweak_of_type(types[what as usize], p, j)
    }

    /// The tweak of the step out of a position of a chain.
    pub fn chain_tweak(self, chain: u32, position: u32, epoch: u32) -> [u8; 16] {
        self.tweak(Use::Chain, 8 * chain + position, epoch)
    }

    pub fn tweak_of_type(self, kind: u8, p: u32, j: u32) -> [u8; 16] {
        let mut tweak = [0; 16];
        let places = match self {
            Variant::S2 | Variant::S1 => [1, 4, 12],
            Variant::B0 => [0, 1, 5],
        };
        tweak[places[0]] = kind;
        tweak[places[1]..places[1] + 4].copy_from_slice(&p.to_le_bytes());
        tweak[places[2]..places[2] + 4].copy_from_slice(&j.to_le_bytes());
        tweak
    }

    /// Th, before it is cut to the first bytes.
    pub fn hash(tweak: [u8; 16], parameter: &Digest16, message: &[&[u8]]) -> [u8; 32] {
        let mut hash = Blake2s256::new();
        Digest::update(&mut hash, tweak);
        Digest::update(&mut hash, parameter);
        for part in message {
            Digest::update(&mut hash, part);
        }
        hash.finalize().into()
    }

    pub fn parameter(self, seed: &[u8; 32]) -> Digest16 {
        first(match self {
            Variant::B0 => prf(seed, 1001, &[0, 0], &[]),
            _ => Self::hash(self.tweak(Use::Parameter, 0, 0), &[0; 16], &[seed]),
        })
    }

    /// The positions that a message and rho stand for, whether or not they are accepted as a codeword.
    pub fn codeword(self, parameter: &Digest16, epoch: u32, message: &[u8; 32], rho: &[u8; 24]) -> Option<Vec<u8>> {
        let tweak = self.tweak(Use::Encoding, 0, epoch);
        let digest: Digest16 = first(Self::hash(tweak, parameter, &[message, rho, &[0; 8]]));
        let words = digest.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut positions = Vec::new();
        for word in words {
            if word >> 63 == 1 {
                return None;
            }
            positions.extend((0..21).map(|digit| (word >> (3 * digit)) as u8 & 7));
        }
        let sum: u32 = positions.iter().map(|&position| u32::from(position)).sum();
        (sum == TARGET_SUM).then_some(positions)
    }

    /// From one position of a chain to a later one.
    pub fn walk(
        self,
        parameter: &Digest16,
        epoch: u32,
        chain: usize,
        from: u32,
        to: u32,
        mut value: Digest16,
    ) -> Digest16 {
        for position in from..to {
            let tweak = self.tweak(Use::Chain, 8 * chain as u32 + position, epoch);
            value = first(Self::hash(tweak, parameter, &[&value]));
        }
        value
    }

    pub fn leaf_of_ends(self, parameter: &Digest16, epoch: u32, ends: &[Digest16]) -> Digest16 {
        assert_eq!(ends.len(), CHAINS);
        first(Self::hash(
            self.tweak(Use::Leaf, 0, epoch),
            parameter,
            &[ends.as_flattened()],
        ))
    }

    pub fn parent(self, parameter: &Digest16, level: u8, index: u32, children: [&[u8]; 2]) -> Digest16 {
        let tweak = self.tweak(Use::Node, level.into(), index);
        first(Self::hash(tweak, parameter, &children))
    }

    /// Whether a signature of 1208 bytes is right.
    pub fn verify(self, public_key: &[u8], epoch: u32, message: &[u8; 32], signature: &[u8]) -> bool {
        assert_eq!((public_key.len(), signature.len()), (32, 1208));
        let parameter = public_key[16..].try_into().unwrap();
        let (values, rest) = signature.split_at(16 * CHAINS);
        let (rho, siblings) = rest.split_at(24);
        let Some(positions) = self.codeword(&parameter, epoch, message, rho.try_into().unwrap()) else {
            return false;
        };
        let end = |(chain, value): (usize, &Digest16)| {
            self.walk(&parameter, epoch, chain, positions[chain].into(), LAST_POSITION, *value)
        };
        let ends: Vec<Digest16> = values.as_chunks().0.iter().enumerate().map(end).collect();
        let mut node = self.leaf_of_ends(&parameter, epoch, &ends);
        for (level, sibling) in (0..).zip(siblings.as_chunks::<16>().0) {
            let children = match epoch >> level & 1 {
                0 => [&node[..], sibling],
                _ => [&sibling[..], &node],
            };
            node = self.parent(&parameter, level + 1, parent_index(epoch, level), children);
        }
        node == public_key[..16]
    }
}

/// The index of the node of level `level + 1` above an epoch.
fn parent_index(epoch: u32, level: u8) -> u32 {
    (u64::from(epoch) >> (level + 1)) as u32
}

/// The keyed hash of which b0 derives its secrets.
fn prf(seed: &[u8; 32], domain: u32, numbers: &[u64], message: &[u8]) -> [u8; 32] {
    let mut mac = Blake2sMac256::new_from_slice(seed).expect("a key of 32 bytes");
    Mac::update(&mut mac, &domain.to_le_bytes());
    for number in numbers {
        Mac::update(&mut mac, &number.to_le_bytes());
    }
    Mac::update(&mut mac, message);
    mac.finalize().into_bytes().into()
}

fn first<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    *digest.first_chunk().expect("N is at most 32")
}

/// A key: all of it follows from the variant, the seed and the interval, both ends of which are included.
pub struct PlainKey {
    pub variant: Variant,
    pub seed: [u8; 32],
    pub parameter: Digest16,
    pub first_epoch: u32,
    pub last_epoch: u32,
    nodes: RefCell<HashMap<(u8, u32), Digest16>>,
}

impl PlainKey {
    pub fn new(variant: Variant, seed: [u8; 32], first_epoch: u32, last_epoch: u32) -> Self {
        assert!(first_epoch <= last_epoch);
        PlainKey {
            variant,
            seed,
            parameter: variant.parameter(&seed),
            first_epoch,
            last_epoch,
            nodes: RefCell::default(),
        }
    }

    fn derived(&self, what: Use, p: u32, j: u32, message: &[u8]) -> [u8; 32] {
        let tweak = self.variant.tweak(what, p, j);
        Variant::hash(tweak, &self.parameter, &[&self.seed, message])
    }

    pub fn chain_start(&self, epoch: u32, chain: usize) -> Digest16 {
        first(match self.variant {
            Variant::B0 => prf(&self.seed, 1000, &[epoch.into(), chain as u64], &[]),
            _ => self.derived(Use::Start, chain as u32, epoch, &[]),
        })
    }

    pub fn filler(&self, level: u8, index: u32) -> Digest16 {
        first(match self.variant {
            Variant::B0 => prf(&self.seed, 1002, &[level.into(), index.into()], &[]),
            _ => self.derived(Use::Filler, level.into(), index, &[]),
        })
    }

    /// In b0 keymill's own: upstream draws it at random.
    pub fn rho(&self, epoch: u32, message: &[u8; 32], attempt: u32) -> [u8; 24] {
        first(match self.variant {
            Variant::B0 => prf(&self.seed, 2000, &[epoch.into(), attempt.into()], message),
            _ => self.derived(Use::Rho, attempt, epoch, message),
        })
    }

    pub fn chain_value(&self, epoch: u32, chain: usize, position: u32) -> Digest16 {
        let start = self.chain_start(epoch, chain);
        self.variant.walk(&self.parameter, epoch, chain, 0, position, start)
    }

    pub fn leaf(&self, epoch: u32) -> Digest16 {
        let ends: Vec<Digest16> = (0..CHAINS)
            .map(|chain| self.chain_value(epoch, chain, LAST_POSITION))
            .collect();
        self.variant.leaf_of_ends(&self.parameter, epoch, &ends)
    }

    /// A node of the tree, or the filler in its place.
    pub fn node(&self, level: u8, index: u32) -> Digest16 {
        if let Some(node) = self.nodes.borrow().get(&(level, index)) {
            return *node;
        }
        let at = |epoch: u32| (u64::from(epoch) >> level) as u32;
        let node = if index < at(self.first_epoch) || index > at(self.last_epoch) {
            self.filler(level, index)
        } else if level == 0 {
            self.leaf(index)
        } else {
            let children = [2 * index, 2 * index + 1].map(|child| self.node(level - 1, child));
            self.variant
                .parent(&self.parameter, level, index, [&children[0], &children[1]])
        };
        self.nodes.borrow_mut().insert((level, index), node);
        node
    }

    pub fn public_key(&self) -> Vec<u8> {
        [self.node(LEVELS, 0), self.parameter].concat()
    }

    /// The signature, and the number of attempts that it took.
    pub fn sign(&self, epoch: u32, message: &[u8; 32]) -> (Vec<u8>, u64) {
        let attempt = |attempt: u32| {
            let rho = self.rho(epoch, message, attempt);
            let positions = self.variant.codeword(&self.parameter, epoch, message, &rho)?;
            Some((attempt, rho, positions))
        };
        let (attempt, rho, positions) = (0..u32::MAX).find_map(attempt).expect("an attempt is accepted");
        (self.signature(epoch, &rho, &positions), u64::from(attempt) + 1)
    }

    pub fn signature(&self, epoch: u32, rho: &[u8; 24], positions: &[u8]) -> Vec<u8> {
        let values = (0..CHAINS).map(|chain| self.chain_value(epoch, chain, positions[chain].into()));
        let siblings = (0..LEVELS).map(|level| self.node(level, (epoch >> level) ^ 1));
        let values: Vec<Digest16> = values.collect();
        let siblings: Vec<Digest16> = siblings.collect();
        [values.as_flattened(), rho, siblings.as_flattened()].concat()
    }
}
