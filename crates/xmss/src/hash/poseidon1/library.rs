//! The library's permutations, for CPUs on which ours would not be faster, or not exact.

pub(in crate::hash) use p3_koala_bear::{
    default_koalabear_poseidon1_16 as width_16, default_koalabear_poseidon1_24 as width_24,
};

pub(in crate::hash) type Lanes = crate::hash::field::Packed;
pub(in crate::hash) type Width16 = p3_koala_bear::Poseidon1KoalaBear<16>;
pub(in crate::hash) type Width24 = p3_koala_bear::Poseidon1KoalaBear<24>;
