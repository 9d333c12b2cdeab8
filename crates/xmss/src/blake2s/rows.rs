//! The table of rows. What is the same for all of them (chains, positions, lifetime, sizes) stands below it.

use super::derivation::{Keyed, Typed};
use super::{Blake2s, Derived, Types};
use crate::scheme::{Row, Scheme};

/// A scheme as it is written below: a further line is a further scheme.
struct Line(
    &'static str, // identifier
    &'static str, // upstream type name
    Types,
    Derived,
    u64, // most attempts
);

const fn types([chain, leaf, node, encoding]: [u8; 4]) -> Types {
    Types {
        chain,
        leaf,
        node,
        encoding,
    }
}

const fn typed([start, parameter, filler, rho]: [u8; 4]) -> Derived {
    Derived::Typed(Typed {
        start,
        parameter,
        filler,
        rho,
    })
}

/// By their sizes all rows have one name upstream; the first one bears it.
#[rustfmt::skip]
const LINES: &[Line] = &[
    Line("leanvm-blake2s-l32-ts-v42-w8", "XmssTargetSumLifetime32Dim42Base8", types([1, 2, 3, 4]), typed([0, 5, 6, 7]), 1 << 32),
    Line("leanvm-blake2s-l32-ts-v42-w8-s1", "XmssTargetSumLifetime32Dim42Base8S1", types([1, 2, 3, 4]), typed([0, 10, 11, 12]), 1 << 23),
    Line("leanvm-blake2s-l32-ts-v42-w8-b0", "XmssTargetSumLifetime32Dim42Base8B0", types([0, 1, 2, 3]), Derived::Keyed(Keyed), 1 << 32),
];

const TARGET_SUM: u16 = 195;

pub(super) static FAMILIES: [Blake2s; LINES.len()] = {
    let mut families = [family(&LINES[0]); LINES.len()];
    let mut i = 1;
    while i < LINES.len() {
        families[i] = family(&LINES[i]);
        i += 1;
    }
    families
};

const fn family(line: &Line) -> Blake2s {
    Blake2s {
        types: line.2,
        derived: line.3,
        target_sum: TARGET_SUM,
        attempts_max: line.4,
    }
}

const fn scheme(i: usize) -> Scheme {
    Scheme::new(Row {
        id: LINES[i].0,
        upstream_name: LINES[i].1,
        log_lifetime: 32,
        chains: 42,
        chain_length: 8,
        digest_bytes: 16,
        rho_bytes: 24,
        tests_only: false,
        family: &FAMILIES[i],
    })
}

pub(crate) static SCHEMES: [Scheme; LINES.len()] = {
    let mut schemes = [scheme(0); LINES.len()];
    let mut i = 1;
    while i < LINES.len() {
        schemes[i] = scheme(i);
        i += 1;
    }
    schemes
};
