//! Unranking into the top layers of the hypercube (eprint 2025/889; leanSig's instantiation eprint 2025/1332).
//!
//! Layer `d` of `{0..w-1}^v` holds the vectors whose distance `sum(w - 1 - x_i)` from the top corner is `d`.

use std::sync::OnceLock;

use ruint::aliases::{U256, U512};

use super::{base_p_number, sums_to};
use crate::scheme::Scheme;

/// Fifteen elements, read as one number of 465 bits, so that the reduction below is nearly uniform.
const HASH_ELEMENTS: usize = 15;

#[derive(Debug)]
pub(super) struct TopLevel {
    chains: usize,
    chain_length: usize,
    final_layer: usize,
    target_sum: u32,
    /// Computed for the first codeword: they take 160 KiB, and making or checking a key needs none.
    layers: OnceLock<Layers>,
}

#[derive(Debug)]
struct Layers {
    /// `sizes[m][d]`: the number of vectors of dimension `m` in layer `d`, for every `d` up to the final layer.
    sizes: Vec<Vec<U256>>,
    /// Number of vectors in all layers up to the final one.
    domain: U512,
}

impl TopLevel {
    pub(super) fn new(scheme: &Scheme, final_layer: u16, target_sum: u16) -> Self {
        Self {
            chains: scheme.chains(),
            chain_length: scheme.chain_length() as usize,
            final_layer: final_layer.into(),
            target_sum: target_sum.into(),
            layers: OnceLock::new(),
        }
    }

    fn layers(&self) -> &Layers {
        self.layers.get_or_init(|| {
            let sizes = layer_sizes(self.chains, self.chain_length, self.final_layer);
            let whole = sizes[self.chains].iter();
            let domain = whole.fold(U512::ZERO, |sum, &size| sum + U512::from(size));
            Layers { sizes, domain }
        })
    }

    pub(super) fn encode(&self, hash_elements: &[u32], codeword: &mut [u16]) -> bool {
        let number: U512 = base_p_number(&hash_elements[..HASH_ELEMENTS]);
        // The domain is below 2^256: it counts vectors of at most 8^64, 10^48 or 26^32.
        let rank = (number % self.layers().domain).to::<U256>();
        self.unrank(rank, codeword);
        sums_to(codeword, self.target_sum)
    }

    fn unrank(&self, rank: U256, codeword: &mut [u16]) {
        let sizes = &self.layers().sizes;
        let mut offset = rank;
        let mut distance = 0;
        let whole = &sizes[codeword.len()];
        while offset >= whole[distance] {
            offset -= whole[distance];
            distance += 1;
        }
        let top = self.chain_length - 1;
        let positions = codeword.len();
        for (position, digit) in codeword.iter_mut().enumerate() {
            let after = positions - 1 - position;
            let mut spent = distance.saturating_sub(top * after);
            while after > 0 && offset >= sizes[after][distance - spent] {
                offset -= sizes[after][distance - spent];
                spent += 1;
            }
            *digit = (top - spent) as u16;
            distance -= spent;
        }
    }
}

/// Number of vectors of each dimension up to `chains` in each layer up to `final_layer`, by adding one coordinate at a
/// time.
fn layer_sizes(chains: usize, chain_length: usize, final_layer: usize) -> Vec<Vec<U256>> {
    let mut origin = vec![U256::ZERO; final_layer + 1];
    origin[0] = U256::from(1);
    let mut sizes = vec![origin];
    for dimension in 1..=chains {
        let below = &sizes[dimension - 1];
        let layers = (0..=final_layer)
            .map(|d| (0..=d.min(chain_length - 1)).fold(U256::ZERO, |sum, spent| sum + below[d - spent]))
            .collect();
        sizes.push(layers);
    }
    sizes
}
