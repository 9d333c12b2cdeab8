//! A family of hash functions that differs from Poseidon's in everything that the contract leaves open: bytes instead of
//! field elements, digests of 16 bytes, a parameter of 12, keys from a seed alone, intervals exactly as they are asked for,
//! and so fillers from level 0 on, signatures without offsets. SHA3-256 with short prefixes; written to be read.

use keymill::plan::NodeIndex;
use keymill::xmss::arena::{Arena, ArenaOverflow};
use keymill::xmss::hash::{Codeword, DrawnKey, Kernel, PrfKey, Revealed};
use keymill::xmss::scheme::{Codewords, Family, KeyForms, NonCanonical, Row, Secrets, SignatureForm, Widening};
use keymill::{Epoch, Level, Parameter, Scheme};
use sha3::{Digest, Sha3_256};

pub const DIGEST_BYTES: usize = 16;
const PARAMETER_BYTES: usize = 12;
const RHO_BYTES: usize = 8;
const CHAINS: usize = 5;
const CHAIN_LENGTH: u16 = 4;
const TARGET_SUM: u16 = 8;

pub static TINY_FAMILY: Scheme = Scheme::new(Row {
    id: "tests-sha3-l12-ts-v5-w4",
    upstream_name: "TinyFamilyOfTheTests",
    log_lifetime: 12,
    chains: CHAINS as u16,
    chain_length: CHAIN_LENGTH,
    digest_bytes: DIGEST_BYTES as u8,
    rho_bytes: RHO_BYTES as u8,
    tests_only: true,
    family: &Tiny,
});

#[derive(Debug)]
struct Tiny;

/// The first 16 bytes of SHA3-256 over the parts.
fn hash(parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha3_256::new();
    parts.iter().for_each(|part| hasher.update(part));
    std::array::from_fn({
        let whole = hasher.finalize();
        move |i| whole[i]
    })
}

pub fn filler(seed: &[u8; 32], level: Level, node: NodeIndex) -> [u8; DIGEST_BYTES] {
    hash(&[b"filler", seed, &[level.0], &node.0.to_le_bytes()])
}

fn parameter_of(seed: &[u8; 32]) -> Parameter {
    Parameter::of(&hash(&[b"parameter", seed])[..PARAMETER_BYTES])
}

impl Family for Tiny {
    fn permutation(&self) -> &'static str {
        "SHA3-256"
    }

    fn hash_function(&self) -> &'static str {
        "SHA3"
    }

    fn codewords(&self) -> Codewords {
        Codewords {
            name: "plain target sum",
            manifest_word: "TargetSum",
            target_sum: Some(TARGET_SUM),
        }
    }

    fn attempts_max(&self) -> u64 {
        10_000
    }

    fn parameter_bytes(&self) -> usize {
        PARAMETER_BYTES
    }

    fn check_canonical(&self, _: &[u8]) -> Result<(), NonCanonical> {
        Ok(())
    }

    fn widening(&self) -> Widening {
        Widening::Exact
    }

    fn secrets(&self) -> Secrets {
        Secrets::SeedAlone
    }

    fn draw(&self, scheme: &Scheme, seed: &[u8; 32], fillers: &[(Level, NodeIndex)]) -> DrawnKey {
        let (prf_key, parameter) = (PrfKey::new(*seed), parameter_of(seed));
        DrawnKey {
            fillers: self.fillers(scheme, &prf_key, &parameter, fillers),
            parameter,
            prf_key,
        }
    }

    fn fillers(&self, _: &Scheme, prf_key: &PrfKey, _: &Parameter, places: &[(Level, NodeIndex)]) -> Vec<u8> {
        let fillers = places
            .iter()
            .map(|&(level, node)| filler(prf_key.expose(), level, node));
        fillers.flatten().collect()
    }

    fn signature_form(&self) -> SignatureForm {
        SignatureForm::Flat
    }

    fn key_forms(&self) -> KeyForms {
        KeyForms::Unknown
    }

    fn kernel(&self, _: &'static Scheme, parameter: &Parameter) -> Box<dyn Kernel> {
        Box::new(TinyKernel { parameter: *parameter })
    }

    fn scratch_bytes(&self, _: &Scheme) -> usize {
        TinyKernel::LANES * DIGEST_BYTES
    }
}

struct TinyKernel {
    parameter: Parameter,
}

impl TinyKernel {
    const LANES: usize = 4;

    fn start(&self, prf_key: &PrfKey, epoch: Epoch, chain: usize) -> [u8; DIGEST_BYTES] {
        hash(&[
            b"start",
            &self.parameter,
            prf_key.expose(),
            &epoch.0.to_le_bytes(),
            &[chain as u8],
        ])
    }

    fn walk(&self, epoch: Epoch, chain: usize, value: [u8; DIGEST_BYTES], from: u16, to: u16) -> [u8; DIGEST_BYTES] {
        (from..to).fold(value, |value, position| {
            let place = [chain as u8, position as u8];
            hash(&[b"chain", &self.parameter, &epoch.0.to_le_bytes(), &place, &value])
        })
    }

    fn leaf(&self, epoch: Epoch, ends: &[u8]) -> [u8; DIGEST_BYTES] {
        hash(&[b"leaf", &self.parameter, &epoch.0.to_le_bytes(), ends])
    }

    fn parent(&self, level: Level, node: u64, children: &[u8]) -> [u8; DIGEST_BYTES] {
        hash(&[b"node", &self.parameter, &[level.0], &node.to_le_bytes(), children])
    }
}

impl Kernel for TinyKernel {
    fn lanes(&self) -> usize {
        Self::LANES
    }

    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], _: &Arena) -> Result<(), ArenaOverflow> {
        for (epoch, leaf) in (first.0..).map(Epoch).zip(leaves.chunks_exact_mut(DIGEST_BYTES)) {
            let mut ends = [0; CHAINS * DIGEST_BYTES];
            self.reveal(prf_key, epoch, &[CHAIN_LENGTH - 1; CHAINS], &mut ends);
            leaf.copy_from_slice(&self.leaf(epoch, &ends));
        }
        Ok(())
    }

    fn parents(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        let pairs = children.chunks_exact(2 * DIGEST_BYTES);
        for ((node, pair), parent) in (first.0..).zip(pairs).zip(parents.chunks_exact_mut(DIGEST_BYTES)) {
            parent.copy_from_slice(&self.parent(level, node, pair));
        }
    }

    fn find_codeword(&self, prf_key: &PrfKey, epoch: Epoch, message: &[u8; 32]) -> Option<Codeword> {
        (0..Tiny.attempts_max()).find_map(|attempt| {
            let rho = hash(&[
                b"rho",
                prf_key.expose(),
                &epoch.0.to_le_bytes(),
                message,
                &attempt.to_le_bytes(),
            ]);
            let rho = rho[..RHO_BYTES].to_vec();
            let positions = self.codeword_of(epoch, message, &rho)?;
            Some(Codeword {
                positions,
                rho,
                attempts: attempt + 1,
            })
        })
    }

    fn codeword_of(&self, epoch: Epoch, message: &[u8; 32], rho: &[u8]) -> Option<Vec<u16>> {
        let digest = hash(&[b"message", &self.parameter, &epoch.0.to_le_bytes(), message, rho]);
        let positions: Vec<u16> = digest[..CHAINS].iter().map(|byte| u16::from(byte & 3)).collect();
        (positions.iter().sum::<u16>() == TARGET_SUM).then_some(positions)
    }

    fn reveal(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
        for (chain, (&position, value)) in positions.iter().zip(values.chunks_exact_mut(DIGEST_BYTES)).enumerate() {
            let start = self.start(prf_key, epoch, chain);
            value.copy_from_slice(&self.walk(epoch, chain, start, 0, position));
        }
    }

    fn leaf_of_revealed(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
        let revealed = positions.iter().zip(values.as_chunks::<DIGEST_BYTES>().0).enumerate();
        let ends = revealed
            .flat_map(|(chain, (&position, value))| self.walk(epoch, chain, *value, position, CHAIN_LENGTH - 1));
        leaf.copy_from_slice(&self.leaf(epoch, &ends.collect::<Vec<_>>()));
    }

    fn fold_path(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
        for (level, sibling) in siblings.chunks_exact(DIGEST_BYTES).enumerate() {
            let index = u64::from(epoch.0) >> level;
            let children = if index.is_multiple_of(2) {
                [&*node, sibling].concat()
            } else {
                [sibling, &*node].concat()
            };
            node.copy_from_slice(&self.parent(Level(level as u8 + 1), index / 2, &children));
        }
    }

    fn roots_of_revealed(&self, revealed: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        let root = |one: &Revealed<'_>| {
            let kernel = TinyKernel {
                parameter: *one.parameter,
            };
            let positions = kernel.codeword_of(one.epoch, one.message, one.rho)?;
            let mut node = vec![0; DIGEST_BYTES];
            kernel.leaf_of_revealed(one.epoch, &positions, one.values, &mut node);
            kernel.fold_path(one.epoch, one.siblings, &mut node);
            Some(node)
        };
        revealed.iter().map(root).collect()
    }
}
