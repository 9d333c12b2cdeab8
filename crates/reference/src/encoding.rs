//! From the message hash to the codeword (docs/SCHEMES.md, "Encodings").

use super::field::{Integer, big_endian_number, low_first_digits};
use super::params::{Encoding, Params};

/// The vector that a message hash stands for, one position a chain, whatever its sum; None if the
/// hash itself is rejected. `layer_sizes` is needed by the top-level encoding only.
pub fn vector(params: &Params, layer_sizes: Option<&LayerSizes>, hash: &[u32]) -> Option<Vec<u8>> {
    let x = match params.encoding {
        Encoding::Plain => plain(params, hash),
        Encoding::Checksum { chunks } => with_checksum(params, chunks, hash),
        Encoding::TopLevel { final_layer } => {
            let sizes = layer_sizes.expect("the top-level encoding has layer sizes");
            top_level(params, sizes, final_layer, hash)
        }
        Encoding::Aborting { z, q } => aborting(params, z, q, hash)?,
    };
    assert_eq!(x.len(), params.v);
    Some(x.into_iter().map(|position| position as u8).collect())
}

fn plain(params: &Params, hash: &[u32]) -> Vec<u64> {
    low_first_digits(big_endian_number(hash), params.w as u64, params.v)
}

fn with_checksum(params: &Params, chunks: usize, hash: &[u32]) -> Vec<u64> {
    let w = params.w as u64;
    let mut x = low_first_digits(big_endian_number(hash), w, params.c);
    let left_to_walk: u64 = x.iter().map(|position| w - 1 - position).sum();
    x.extend(low_first_digits(Integer::from(left_to_walk), w, chunks));
    x
}

fn aborting(params: &Params, z: usize, q: u64, hash: &[u32]) -> Option<Vec<u64>> {
    let w = params.w as u64;
    let limit = q * w.pow(z as u32);
    let mut x = Vec::new();
    for &element in &hash[..params.v.div_ceil(z)] {
        let element = u64::from(element);
        if element >= limit {
            return None;
        }
        x.extend(low_first_digits(Integer::from(element / q), w, z));
    }
    x.truncate(params.v);
    Some(x)
}

/// How many vectors of {0..w-1}^m lie in layer d, the one with sum(w - 1 - x_i) = d, for every
/// dimension m up to v.
pub struct LayerSizes {
    by_dimension: Vec<Vec<Integer>>,
}

impl LayerSizes {
    pub fn new(v: usize, w: usize) -> Self {
        let mut sizes = LayerSizes {
            by_dimension: vec![vec![Integer::from(1)]],
        };
        for m in 1..=v {
            // The first coordinate spends j of d, the other m - 1 the rest.
            let layer = |d: usize| (0..=d.min(w - 1)).fold(Integer::ZERO, |sum, j| sum + sizes.of(m - 1, d - j));
            let layers = (0..=m * (w - 1)).map(layer).collect();
            sizes.by_dimension.push(layers);
        }
        sizes
    }

    fn of(&self, m: usize, d: usize) -> Integer {
        let size = self.by_dimension[m].get(d);
        size.copied().unwrap_or(Integer::ZERO)
    }
}

/// The element of layers 0..=final_layer that the hash points at.
fn top_level(params: &Params, sizes: &LayerSizes, final_layer: usize, hash: &[u32]) -> Vec<u64> {
    let (v, w) = (params.v, params.w);
    let all = (0..=final_layer).fold(Integer::ZERO, |sum, d| sum + sizes.of(v, d));
    let mut offset = big_endian_number(hash) % all;
    // The layer it falls in.
    let mut d = 0;
    while offset >= sizes.of(v, d) {
        offset -= sizes.of(v, d);
        d += 1;
    }
    // The vector of that layer, position by position.
    let mut x = Vec::new();
    for position in 1..v {
        let m = v - position;
        let mut j = d.saturating_sub((w - 1) * m);
        while offset >= sizes.of(m, d - j) {
            offset -= sizes.of(m, d - j);
            j += 1;
        }
        assert!(j <= d.min(w - 1));
        x.push((w - 1 - j) as u64);
        d -= j;
    }
    // One vector is left, so nothing is left of the offset.
    assert_eq!(offset, Integer::ZERO);
    x.push((w - 1 - d) as u64);
    x
}
