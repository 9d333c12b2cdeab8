//! The table of schemes: what differs between them and nothing else.
//!
//! Parameter sets are those of the hash-sig and leanSig libraries; the framework is eprint 2025/055, the top-level
//! target sum eprint 2025/889 and 2025/1332, the aborting hypercube hash eprint 2026/016.

use super::{Encoding, PermutationLayout, Scheme};

use Encoding::{Aborting, Checksum, Plain, TopLevel};
use PermutationLayout::{Poseidon1Devnet4, Poseidon2Classic};

/// A row as it is written below; [`row`] turns it into a [`Scheme`].
struct Row(
    &'static str, // identifier
    &'static str, // upstream type name
    PermutationLayout,
    u8,  // log2 of the lifetime
    u16, // chains
    u16, // chain length
    u8,  // digest elements
    u8,  // rho elements
    Encoding,
);

const fn row(row: &Row) -> Scheme {
    Scheme {
        id: row.0,
        upstream_name: row.1,
        layout: row.2,
        log_lifetime: row.3,
        chains: row.4,
        chain_length: row.5,
        digest_elements: row.6,
        rho_elements: row.7,
        encoding: row.8,
    }
}

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

const P2: PermutationLayout = Poseidon2Classic;
const P1: PermutationLayout = Poseidon1Devnet4;

#[rustfmt::skip]
const ROWS: [Row; 31] = [
    Row("leansig-p2-l32-top-v64-w8",  "SIGTopLevelTargetSumLifetime32Dim64Base8",  P2, 32, 64, 8,  8, 7, top(77, 375)),
    Row("leansig-p2-l32-top-v48-w10", "SIGTopLevelTargetSumLifetime32Dim48Base10", P2, 32, 48, 10, 8, 7, top(112, 326)),
    Row("leansig-p2-l32-top-v32-w26", "SIGTopLevelTargetSumLifetime32Dim32Base26", P2, 32, 32, 26, 8, 7, top(231, 579)),
    Row("leansig-p2-l18-top-v64-w8",  "SIGTopLevelTargetSumLifetime18Dim64Base8",  P2, 18, 64, 8,  7, 6, top(77, 375)),
    Row("leansig-p2-l8-top-v64-w8",   "SIGTopLevelTargetSumLifetime8Dim64Base8",   P2, 8,  64, 8,  8, 7, top(77, 375)),
    Row("leansig-p1-l32-abort-v46-w8", "SIGAbortingTargetSumLifetime32Dim46Base8",  P1, 32, 46, 8, 8, 7, abort(200)),
    Row("leansig-p1-l8-abort-v4-w8",  "SchemeAbortingTargetSumLifetime8Dim46Base8", P1, 8,  4,  8, 8, 7, abort(6)),
    Row("hashsig-p2-l18-ts-v155-w2",       "SIGTargetSumLifetime18W1NoOff", P2, 18, 155, 2,   7, 6, sum(78)),
    Row("hashsig-p2-l18-ts-v155-w2-off10", "SIGTargetSumLifetime18W1Off10", P2, 18, 155, 2,   7, 6, sum(86)),
    Row("hashsig-p2-l18-ts-v78-w4",        "SIGTargetSumLifetime18W2NoOff", P2, 18, 78,  4,   7, 6, sum(117)),
    Row("hashsig-p2-l18-ts-v78-w4-off10",  "SIGTargetSumLifetime18W2Off10", P2, 18, 78,  4,   7, 6, sum(129)),
    Row("hashsig-p2-l18-ts-v39-w16",       "SIGTargetSumLifetime18W4NoOff", P2, 18, 39,  16,  7, 6, sum(293)),
    Row("hashsig-p2-l18-ts-v39-w16-off10", "SIGTargetSumLifetime18W4Off10", P2, 18, 39,  16,  7, 6, sum(322)),
    Row("hashsig-p2-l18-ts-v20-w256",       "SIGTargetSumLifetime18W8NoOff", P2, 18, 20, 256, 7, 6, sum(2550)),
    Row("hashsig-p2-l18-ts-v20-w256-off10", "SIGTargetSumLifetime18W8Off10", P2, 18, 20, 256, 7, 6, sum(2805)),
    Row("hashsig-p2-l20-ts-v155-w2",       "SIGTargetSumLifetime20W1NoOff", P2, 20, 155, 2,   7, 6, sum(78)),
    Row("hashsig-p2-l20-ts-v155-w2-off10", "SIGTargetSumLifetime20W1Off10", P2, 20, 155, 2,   7, 6, sum(86)),
    Row("hashsig-p2-l20-ts-v78-w4",        "SIGTargetSumLifetime20W2NoOff", P2, 20, 78,  4,   7, 6, sum(117)),
    Row("hashsig-p2-l20-ts-v78-w4-off10",  "SIGTargetSumLifetime20W2Off10", P2, 20, 78,  4,   7, 6, sum(129)),
    Row("hashsig-p2-l20-ts-v39-w16",       "SIGTargetSumLifetime20W4NoOff", P2, 20, 39,  16,  7, 6, sum(293)),
    Row("hashsig-p2-l20-ts-v39-w16-off10", "SIGTargetSumLifetime20W4Off10", P2, 20, 39,  16,  7, 6, sum(322)),
    Row("hashsig-p2-l20-ts-v20-w256",       "SIGTargetSumLifetime20W8NoOff", P2, 20, 20, 256, 8, 6, sum(2550)),
    Row("hashsig-p2-l20-ts-v20-w256-off10", "SIGTargetSumLifetime20W8Off10", P2, 20, 20, 256, 8, 6, sum(2805)),
    Row("hashsig-p2-l18-wots-v163-w2", "SIGWinternitzLifetime18W1", P2, 18, 163, 2,   7, 5, check(8)),
    Row("hashsig-p2-l18-wots-v82-w4",  "SIGWinternitzLifetime18W2", P2, 18, 82,  4,   7, 5, check(4)),
    Row("hashsig-p2-l18-wots-v42-w16", "SIGWinternitzLifetime18W4", P2, 18, 42,  16,  7, 5, check(3)),
    Row("hashsig-p2-l18-wots-v22-w256", "SIGWinternitzLifetime18W8", P2, 18, 22, 256, 7, 5, check(2)),
    Row("hashsig-p2-l20-wots-v163-w2", "SIGWinternitzLifetime20W1", P2, 20, 163, 2,   7, 6, check(8)),
    Row("hashsig-p2-l20-wots-v82-w4",  "SIGWinternitzLifetime20W2", P2, 20, 82,  4,   7, 6, check(4)),
    Row("hashsig-p2-l20-wots-v42-w16", "SIGWinternitzLifetime20W4", P2, 20, 42,  16,  7, 6, check(3)),
    Row("hashsig-p2-l20-wots-v22-w256", "SIGWinternitzLifetime20W8", P2, 20, 22, 256, 8, 6, check(2)),
];

pub(super) static SCHEMES: [Scheme; ROWS.len()] = {
    let mut schemes = [row(&ROWS[0]); ROWS.len()];
    let mut i = 1;
    while i < ROWS.len() {
        schemes[i] = row(&ROWS[i]);
        i += 1;
    }
    schemes
};
