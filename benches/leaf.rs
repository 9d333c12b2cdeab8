//! Time of one leaf on one core, over the time of its permutations alone in packed lanes, measured in turn.
//!
//! `cargo bench --bench leaf [-- SCHEME...]`; without arguments the three schemes that the project quotes.

use std::time::Instant;

use keymill::hash::{PrfKey, bound, kernel};
use keymill::plan::Epoch;
use keymill::scheme::Scheme;

const DEFAULT_SCHEMES: [&str; 3] = [
    "leansig-p2-l32-top-v64-w8",
    "leansig-p1-l32-abort-v46-w8",
    "hashsig-p2-l18-wots-v22-w256",
];
const ROUNDS: usize = 25;
/// Epochs a round: about 30 ms of work, long enough for the clock and short enough to alternate often.
const ROUND_TARGET_S: f64 = 0.03;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let names = if asked.is_empty() {
        DEFAULT_SCHEMES.map(str::to_owned).to_vec()
    } else {
        asked
    };
    println!(
        "{:<32} {:>11} {:>11} {:>7}   medians of {ROUNDS} alternating rounds, one core",
        "scheme", "leaf us", "bound us", "ratio"
    );
    for name in names {
        match Scheme::by_id(&name) {
            Ok(scheme) => measure(scheme),
            Err(error) => println!("{error}"),
        }
    }
}

fn measure(scheme: &'static Scheme) {
    let kernel = kernel(scheme, &[1; 20]);
    let prf_key = PrfKey::new([7; 32]);
    let lanes = kernel.lanes();
    let mut leaves = vec![0; 64 * lanes * scheme.digest_bytes()];
    let one_block = lanes * scheme.digest_bytes();
    let started = Instant::now();
    kernel.leaves(&prf_key, Epoch(0), &mut leaves[..one_block]);
    let blocks = (ROUND_TARGET_S / started.elapsed().as_secs_f64()).clamp(1.0, 64.0) as usize;
    let epochs = blocks * lanes;

    let (field_lanes, keccak_lanes) = bound::lanes();
    let chains = scheme.chains();
    let elements = scheme.digest_bytes() / 4;
    let width_16 = epochs / field_lanes * chains * (scheme.chain_length() as usize - 1);
    let width_24 = epochs / field_lanes * (7 + chains * elements).div_ceil(15);
    let keccak = epochs / keccak_lanes * chains;

    let (mut leaf_us, mut bound_us, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        kernel.leaves(&prf_key, Epoch(4096), &mut leaves[..blocks * one_block]);
        let leaf = started.elapsed().as_secs_f64() * 1e6 / epochs as f64;
        let started = Instant::now();
        bound::run(scheme, width_16, width_24, keccak);
        let bound = started.elapsed().as_secs_f64() * 1e6 / epochs as f64;
        leaf_us.push(leaf);
        bound_us.push(bound);
        ratios.push(leaf / bound);
    }
    println!(
        "{:<32} {:>11.2} {:>11.2} {:>7.3}",
        scheme.id(),
        median(leaf_us),
        median(bound_us),
        median(ratios)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
