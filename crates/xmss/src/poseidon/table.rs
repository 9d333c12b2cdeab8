//! The table of schemes: what differs between them and nothing else.
//!
//! The schemes are those of the hash-sig and leanSig libraries; the framework is eprint 2025/055, the top-level
//! target sum eprint 2025/889 and 2025/1332, the aborting hypercube hash eprint 2026/016.

use super::{Encoding, Permutation, Poseidon};
use crate::scheme::{Row, Scheme};

use Encoding::{Aborting, Checksum, Plain, TopLevel};
use Permutation::{Poseidon1Devnet4, Poseidon2Classic7, Poseidon2Classic8};

/// A scheme as it is written below: a further line is a further scheme.
struct Line(
    &'static str, // identifier
    &'static str, // upstream type name
    Permutation,  // with the length of digests
    u8,           // log2 of the lifetime
    u16,          // chains
    u16,          // chain length
    u8,           // rho elements
    Encoding,
);

const fn top(final_layer: u16, target_sum: u16) -> Encoding {
    TopLevel {
        final_layer,
        target_sum,
    }
}

const fn sum(target_sum: u16) -> Encoding {
    Plain { target_sum }
}

const fn check(checksum_chunks: u16) -> Encoding {
    Checksum { checksum_chunks }
}

const fn abort(target_sum: u16) -> Encoding {
    Aborting {
        chunks_per_element: 8,
        quotient: 127,
        target_sum,
    }
}

const P2_7: Permutation = Poseidon2Classic7;
const P2_8: Permutation = Poseidon2Classic8;
const P1: Permutation = Poseidon1Devnet4;

#[rustfmt::skip]
const LINES: &[Line] = &[
    Line("leansig-p2-l32-top-v64-w8", "SIGTopLevelTargetSumLifetime32Dim64Base8", P2_8, 32, 64, 8, 7, top(77, 375)),
    Line("leansig-p2-l32-top-v48-w10", "SIGTopLevelTargetSumLifetime32Dim48Base10", P2_8, 32, 48, 10, 7, top(112, 326)),
    Line("leansig-p2-l32-top-v32-w26", "SIGTopLevelTargetSumLifetime32Dim32Base26", P2_8, 32, 32, 26, 7, top(231, 579)),
    Line("leansig-p2-l18-top-v64-w8", "SIGTopLevelTargetSumLifetime18Dim64Base8", P2_7, 18, 64, 8, 6, top(77, 375)),
    Line("leansig-p2-l8-top-v64-w8", "SIGTopLevelTargetSumLifetime8Dim64Base8", P2_8, 8, 64, 8, 7, top(77, 375)),
    Line("leansig-p1-l32-abort-v46-w8", "SIGAbortingTargetSumLifetime32Dim46Base8", P1, 32, 46, 8, 7, abort(200)),
    Line("leansig-p1-l8-abort-v4-w8", "SchemeAbortingTargetSumLifetime8Dim46Base8", P1, 8, 4, 8, 7, abort(6)),
    Line("hashsig-p2-l18-ts-v155-w2", "SIGTargetSumLifetime18W1NoOff", P2_7, 18, 155, 2, 6, sum(78)),
    Line("hashsig-p2-l18-ts-v155-w2-off10", "SIGTargetSumLifetime18W1Off10", P2_7, 18, 155, 2, 6, sum(86)),
    Line("hashsig-p2-l18-ts-v78-w4", "SIGTargetSumLifetime18W2NoOff", P2_7, 18, 78, 4, 6, sum(117)),
    Line("hashsig-p2-l18-ts-v78-w4-off10", "SIGTargetSumLifetime18W2Off10", P2_7, 18, 78, 4, 6, sum(129)),
    Line("hashsig-p2-l18-ts-v39-w16", "SIGTargetSumLifetime18W4NoOff", P2_7, 18, 39, 16, 6, sum(293)),
    Line("hashsig-p2-l18-ts-v39-w16-off10", "SIGTargetSumLifetime18W4Off10", P2_7, 18, 39, 16, 6, sum(322)),
    Line("hashsig-p2-l18-ts-v20-w256", "SIGTargetSumLifetime18W8NoOff", P2_7, 18, 20, 256, 6, sum(2550)),
    Line("hashsig-p2-l18-ts-v20-w256-off10", "SIGTargetSumLifetime18W8Off10", P2_7, 18, 20, 256, 6, sum(2805)),
    Line("hashsig-p2-l20-ts-v155-w2", "SIGTargetSumLifetime20W1NoOff", P2_7, 20, 155, 2, 6, sum(78)),
    Line("hashsig-p2-l20-ts-v155-w2-off10", "SIGTargetSumLifetime20W1Off10", P2_7, 20, 155, 2, 6, sum(86)),
    Line("hashsig-p2-l20-ts-v78-w4", "SIGTargetSumLifetime20W2NoOff", P2_7, 20, 78, 4, 6, sum(117)),
    Line("hashsig-p2-l20-ts-v78-w4-off10", "SIGTargetSumLifetime20W2Off10", P2_7, 20, 78, 4, 6, sum(129)),
    Line("hashsig-p2-l20-ts-v39-w16", "SIGTargetSumLifetime20W4NoOff", P2_7, 20, 39, 16, 6, sum(293)),
    Line("hashsig-p2-l20-ts-v39-w16-off10", "SIGTargetSumLifetime20W4Off10", P2_7, 20, 39, 16, 6, sum(322)),
    Line("hashsig-p2-l20-ts-v20-w256", "SIGTargetSumLifetime20W8NoOff", P2_8, 20, 20, 256, 6, sum(2550)),
    Line("hashsig-p2-l20-ts-v20-w256-off10", "SIGTargetSumLifetime20W8Off10", P2_8, 20, 20, 256, 6, sum(2805)),
    Line("hashsig-p2-l18-wots-v163-w2", "SIGWinternitzLifetime18W1", P2_7, 18, 163, 2, 5, check(8)),
    Line("hashsig-p2-l18-wots-v82-w4", "SIGWinternitzLifetime18W2", P2_7, 18, 82, 4, 5, check(4)),
    Line("hashsig-p2-l18-wots-v42-w16", "SIGWinternitzLifetime18W4", P2_7, 18, 42, 16, 5, check(3)),
    Line("hashsig-p2-l18-wots-v22-w256", "SIGWinternitzLifetime18W8", P2_7, 18, 22, 256, 5, check(2)),
    Line("hashsig-p2-l20-wots-v163-w2", "SIGWinternitzLifetime20W1", P2_7, 20, 163, 2, 6, check(8)),
    Line("hashsig-p2-l20-wots-v82-w4", "SIGWinternitzLifetime20W2", P2_7, 20, 82, 4, 6, check(4)),
    Line("hashsig-p2-l20-wots-v42-w16", "SIGWinternitzLifetime20W4", P2_7, 20, 42, 16, 6, check(3)),
    Line("hashsig-p2-l20-wots-v22-w256", "SIGWinternitzLifetime20W8", P2_8, 20, 22, 256, 6, check(2)),
];

pub(super) static FAMILIES: [Poseidon; LINES.len()] = {
    let mut families = [family(&LINES[0]); LINES.len()];
    let mut i = 1;
    while i < LINES.len() {
        families[i] = family(&LINES[i]);
        i += 1;
    }
    families
};

const fn family(line: &Line) -> Poseidon {
    Poseidon {
        permutation: line.2,
        encoding: line.7,
    }
}

const fn scheme(i: usize) -> Scheme {
    let line = &LINES[i];
    Scheme::new(Row {
        id: line.0,
        upstream_name: line.1,
        log_lifetime: line.3,
        chains: line.4,
        chain_length: line.5,
        digest_bytes: 4 * line.2.digest_elements(),
        rho_bytes: 4 * line.6,
        tests_only: line.3 == 8,
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
