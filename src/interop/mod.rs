//! Forms that other programs write and read.

pub mod ssz;
