//! Compressions and nothing else: the bound that the kernel is measured against.

use std::hint::black_box;

use super::compress::{Place, compress};
use super::lanes::{Lanes, Packed, splat};

/// How many hashes one call computes side by side.
pub fn blake2s_lanes() -> usize {
    Packed::WIDTH
}

/// Independent states that take turns, so that no compression waits for the one before it.
const STATES: usize = 4;

/// Compresses whole blocks so many times, each time in all lanes.
pub fn compressions(times: usize) {
    repeat::<Packed, STATES>(times);
}

/// Compresses whole blocks so many times, of one hash that waits for each.
pub fn serial_compressions(times: usize) {
    repeat::<u32, 1>(times);
}

fn repeat<V: Lanes, const N: usize>(times: usize) {
    let message: [V; 16] = black_box(splat(std::array::from_fn(|word| word as u32)));
    let mut states: [[V; 8]; N] = black_box([splat([1; 8]); N]);
    for i in 0..times {
        let state = &mut states[i % N];
        *state = one(state, &message);
    }
    let _ = black_box(states);
}

#[inline(never)]
fn one<V: Lanes>(state: &[V; 8], message: &[V; 16]) -> [V; 8] {
    compress(state, message, Place::last(64))
}
