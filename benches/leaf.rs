//! Time of one leaf on one core, over the time of its permutations (or compressions) alone in packed lanes, measured in turn.
//!
//! `cargo bench --bench leaf [-- SCHEME...]`; without arguments the four schemes that the project quotes, `all` for all.

mod measure;
mod schemes;

use std::error::Error;

use keymill::xmss::arena::{Arena, ArenaOverflow};
use keymill::xmss::hash::{PrfKey, bound};
use keymill::{Epoch, Parameter, Scheme};
use measure::{median, processor_us};
use schemes::{asked_schemes, is_blake2s};

const ROUNDS: usize = 25;
/// Blocks of BLAKE2s that the hash of a leaf takes: tweak and parameter, 42 digests.
const LEAF_BLOCKS: usize = (2 + 42usize).div_ceil(4);
/// Epochs a round: about 30 ms of work, long enough for the clock and short enough to alternate often.
const ROUND_TARGET_US: f64 = 30_000.0;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:<32} {:>11} {:>11} {:>7}   medians of {ROUNDS} alternating rounds, processor time of one core",
        "scheme", "leaf us", "bound us", "ratio"
    );
    for scheme in asked_schemes()? {
        measure(scheme)?;
    }
    Ok(())
}

fn measure(scheme: &'static Scheme) -> Result<(), ArenaOverflow> {
    let kernel = scheme.kernel(&Parameter::of(&[1; 20][..scheme.parameter_bytes()]));
    let prf_key = PrfKey::new([7; 32]);
    let lanes = kernel.lanes();
    let mut leaves = vec![0; 64 * lanes * scheme.digest_bytes()];
    let one_block = lanes * scheme.digest_bytes();
    let mut arena = Arena::new(scheme.scratch_bytes());
    let mut leaves_us = |first: u32, bytes: usize| {
        let (us, outcome) = processor_us(|| kernel.leaves(&prf_key, Epoch(first), &mut leaves[..bytes], &arena));
        arena.reset();
        outcome.map(|()| us)
    };
    // The first one makes the constants.
    leaves_us(0, one_block)?;
    let blocks = (ROUND_TARGET_US / leaves_us(0, one_block)?).clamp(1.0, 64.0) as usize;
    let epochs = blocks * lanes;

    let compressions = epochs / lanes * (scheme.chains() * scheme.chain_length() as usize + LEAF_BLOCKS);
    let (field_lanes, keccak_lanes) = bound::lanes();
    let chains = scheme.chains();
    let elements = scheme.digest_bytes() / 4;
    let width_16 = epochs / field_lanes * chains * (scheme.chain_length() as usize - 1);
    let width_24 = epochs / field_lanes * (7 + chains * elements).div_ceil(15);
    let keccak = epochs / keccak_lanes * chains;

    let (mut leaf_us, mut bound_us, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let leaf = leaves_us(4096, blocks * one_block)?;
        let (bound, ()) = processor_us(|| {
            if is_blake2s(scheme) {
                bound::compressions(compressions);
            } else {
                bound::run(scheme, width_16, width_24, keccak);
            }
        });
        leaf_us.push(leaf / epochs as f64);
        bound_us.push(bound / epochs as f64);
        ratios.push(leaf / bound);
    }
    println!(
        "{:<32} {:>11.2} {:>11.2} {:>7.3}",
        scheme.id(),
        median(leaf_us),
        median(bound_us),
        median(ratios)
    );
    Ok(())
}
