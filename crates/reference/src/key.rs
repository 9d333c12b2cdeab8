//! Which epochs a key stores, and what its seed draws (docs/SCHEMES.md, "Stored interval" and "Keys from a seed").

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::field::{self, P};
use super::hash::PARAMETER_ELEMENTS;
use super::params::params;
use super::tree::fillers_needed;

/// A digest that stands in for a node outside the stored interval: level, index, digest.
pub type Filler = (u8, u64, Vec<u8>);

/// What a key is made of besides the scheme and the interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnKey {
    pub parameter: Vec<u8>,
    pub prf_key: [u8; 32],
    /// In drawing order.
    pub fillers: Vec<Filler>,
}

/// The stored interval of a key for `epochs` epochs from `activation` on.
pub fn widen(h: u8, activation: u64, epochs: u64) -> (u64, u64) {
    let lifetime = 1u64 << h;
    let step = 1u64 << (h / 2);
    let start = activation / step * step;
    let wanted_end = (activation + epochs).next_multiple_of(step);
    let end = wanted_end.max(start + 2 * step);
    if end <= lifetime {
        (start, end)
    } else {
        (lifetime - (end - start), lifetime)
    }
}

/// The key that the upstream libraries draw from an `StdRng` of rand 0.9 or 0.10 with this seed:
/// first P, then the PRF key, then the fillers of the stored interval.
pub fn draw_from_seed(scheme_id: &str, seed: &[u8; 32], stored: (u64, u64)) -> DrawnKey {
    let params = params(scheme_id);
    let mut rng = ChaCha12Rng::from_seed(*seed);
    let parameter = draw_elements(&mut rng, PARAMETER_ELEMENTS);
    let prf_key = std::array::from_fn(|_| rng.next_u32() as u8);
    let mut fillers = Vec::new();
    for (level, index) in fillers_needed(params.h, stored.0, stored.1) {
        fillers.push((level, index, draw_elements(&mut rng, params.n)));
    }
    DrawnKey {
        parameter,
        prf_key,
        fillers,
    }
}

fn draw_elements(rng: &mut ChaCha12Rng, count: usize) -> Vec<u8> {
    let elements: Vec<u32> = (0..count).map(|_| draw_element(rng)).collect();
    field::to_bytes(&elements)
}

/// 31 bits, again while they are not below p; what is drawn is the Montgomery form.
fn draw_element(rng: &mut ChaCha12Rng) -> u32 {
    loop {
        let form = rng.next_u32() >> 1;
        if u64::from(form) < P {
            return field::from_montgomery(form);
        }
    }
}
