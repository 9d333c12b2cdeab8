//! Time of each permutation on one core, and that of p3-koala-bear's beside it, measured in turn.
//!
//! `cargo bench --bench permutations`

mod measure;

use std::error::Error;

use keymill::Scheme;
use keymill::xmss::hash::bound;
use measure::{median, processor_us};

const ROUNDS: usize = 101;
/// Permutations a round: a few milliseconds.
const TIMES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let (field_lanes, keccak_lanes) = bound::lanes();
    println!(
        "{:<44} {:>9} {:>11} {:>15}   medians of {ROUNDS} alternating rounds, processor time",
        "permutation", "ours us", "library us", "library / ours"
    );
    let layouts = [
        ("Poseidon1", Scheme::by_id("leansig-p1-l32-abort-v46-w8")?),
        ("Poseidon2", Scheme::by_id("leansig-p2-l32-top-v64-w8")?),
    ];
    for (name, scheme) in layouts {
        row(
            &format!("{name} of width 16, {field_lanes} lanes"),
            || bound::run(scheme, TIMES, 0, 0),
            || bound::run_library(scheme, TIMES, 0),
        );
        row(
            &format!("{name} of width 24, {field_lanes} lanes"),
            || bound::run(scheme, 0, TIMES, 0),
            || bound::run_library(scheme, 0, TIMES),
        );
        row(
            &format!("{name} of width 24, one state"),
            || bound::run_serial(scheme, TIMES),
            || bound::run_library_serial(scheme, TIMES),
        );
    }
    let keccak = || bound::run(layouts[0].1, 0, 0, TIMES);
    row(
        &format!("Keccak-f[1600], {keccak_lanes} lanes (the library's)"),
        keccak,
        keccak,
    );
    Ok(())
}

fn row(name: &str, ours: impl Fn(), library: impl Fn()) {
    // The first ones make the constants.
    ours();
    library();
    let each_us = |work: &dyn Fn()| processor_us(work).0 / TIMES as f64;
    let pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (each_us(&ours), each_us(&library))).collect();
    println!(
        "{name:<44} {:>9.2} {:>11.2} {:>15.2}",
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
        median(pairs.iter().map(|pair| pair.1 / pair.0).collect())
    );
}
