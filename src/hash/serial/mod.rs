//! Hashes of which each waits for the one before: the sponge over one epoch's chain ends, and one path to its root.

mod affine;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod poseidon1;
#[cfg(test)]
mod tests;

#[cfg(all(target_feature = "avx", target_feature = "fma"))]
pub(super) use poseidon1::SpreadPoseidon1;

/// A permutation of width 24 of one state of canonical elements.
pub(super) trait SerialPermutation: Send + Sync {
    fn permute(&self, state: &mut [u32; 24]);
}
