//! Poseidon1 over KoalaBear (eprint 2019/458) in lanes.
//!
//! Where vectors of doubles have the registers and the fused multiply-add for it, the permutations are our own; elsewhere
//! they are the library's.

#[cfg(all(target_feature = "avx512f", target_feature = "fma"))]
mod doubles;
#[cfg(not(all(target_feature = "avx512f", target_feature = "fma")))]
mod library;

#[cfg(all(target_feature = "avx512f", target_feature = "fma"))]
pub(super) use doubles::{Doubles as Lanes, Width16, Width24, width_16, width_24};
#[cfg(not(all(target_feature = "avx512f", target_feature = "fma")))]
pub(super) use library::{Lanes, Width16, Width24, width_16, width_24};
