//! The library's permutations, for CPUs on which ours would not be faster, or not exact.

pub(in crate::poseidon) use p3_koala_bear::{
    default_koalabear_poseidon1_16 as width_16, default_koalabear_poseidon1_24 as width_24,
};

pub(in crate::poseidon) type Lanes = crate::poseidon::field::Packed;
pub(in crate::poseidon) type Width16 = p3_koala_bear::Poseidon1KoalaBear<16>;
pub(in crate::poseidon) type Width24 = p3_koala_bear::Poseidon1KoalaBear<24>;
