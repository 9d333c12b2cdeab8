//! The table of schemes (docs/SCHEMES.md, "The table of schemes").

/// Which permutation a scheme hashes with, and with it the order of the inputs
/// (docs/SCHEMES.md, "Permutation modes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `p2`: Poseidon2 with the classic layout.
    Classic,
    /// `p1`: Poseidon1 with the devnet 4 layout.
    Devnet4,
}

/// How a message hash becomes a codeword (docs/SCHEMES.md, "Encodings").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    /// Winternitz: this many checksum chunks follow the message chunks.
    Checksum {
        chunks: usize,
    },
    TopLevel {
        final_layer: usize,
    },
    Aborting {
        z: usize,
        q: u64,
    },
}

impl Encoding {
    /// Number of field elements of the message hash.
    pub fn hash_elements(self) -> usize {
        match self {
            Encoding::Plain | Encoding::Checksum { .. } => 5,
            Encoding::TopLevel { .. } => 15,
            Encoding::Aborting { .. } => 8,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    pub identifier: &'static str,
    pub layout: Layout,
    /// Logarithm of the lifetime.
    pub h: u8,
    /// Field elements of a digest.
    pub n: usize,
    /// Field elements of rho.
    pub r: usize,
    /// Chains of an epoch.
    pub v: usize,
    /// Positions of a chain.
    pub w: usize,
    /// The count that goes into the capacity: the chains that carry the message.
    pub c: usize,
    pub encoding: Encoding,
    /// None where every codeword is accepted (Winternitz).
    pub target_sum: Option<u64>,
}

impl Params {
    /// L, the number of epochs.
    pub fn lifetime(&self) -> u64 {
        1 << self.h
    }

    /// Bytes of a digest.
    pub fn digest_len(&self) -> usize {
        4 * self.n
    }
}

const fn top_level(final_layer: usize) -> Encoding {
    Encoding::TopLevel { final_layer }
}

const fn checksum(chunks: usize) -> Encoding {
    Encoding::Checksum { chunks }
}

const PLAIN: Encoding = Encoding::Plain;
const ABORTING: Encoding = Encoding::Aborting { z: 8, q: 127 };

/// Identifier, n, r, c, encoding, T. The identifier itself tells the rest.
type Row = (&'static str, usize, usize, usize, Encoding, Option<u64>);

#[rustfmt::skip]
const TABLE: [Row; 31] = [
    ("leansig-p2-l32-top-v64-w8",        8, 7,  64, top_level(77),  Some(375)),
    ("leansig-p2-l32-top-v48-w10",       8, 7,  48, top_level(112), Some(326)),
    ("leansig-p2-l32-top-v32-w26",       8, 7,  32, top_level(231), Some(579)),
    ("leansig-p2-l18-top-v64-w8",        7, 6,  64, top_level(77),  Some(375)),
    ("leansig-p2-l8-top-v64-w8",         8, 7,  64, top_level(77),  Some(375)),
    ("leansig-p1-l32-abort-v46-w8",      8, 7,  46, ABORTING,       Some(200)),
    ("leansig-p1-l8-abort-v4-w8",        8, 7,   4, ABORTING,       Some(6)),
    ("hashsig-p2-l18-ts-v155-w2",        7, 6, 155, PLAIN,          Some(78)),
    ("hashsig-p2-l18-ts-v78-w4",         7, 6,  78, PLAIN,          Some(117)),
    ("hashsig-p2-l18-ts-v39-w16",        7, 6,  39, PLAIN,          Some(293)),
    ("hashsig-p2-l18-ts-v20-w256",       7, 6,  20, PLAIN,          Some(2550)),
    ("hashsig-p2-l20-ts-v155-w2",        7, 6, 155, PLAIN,          Some(78)),
    ("hashsig-p2-l20-ts-v78-w4",         7, 6,  78, PLAIN,          Some(117)),
    ("hashsig-p2-l20-ts-v39-w16",        7, 6,  39, PLAIN,          Some(293)),
    ("hashsig-p2-l20-ts-v20-w256",       8, 6,  20, PLAIN,          Some(2550)),
    ("hashsig-p2-l18-ts-v155-w2-off10",  7, 6, 155, PLAIN,          Some(86)),
    ("hashsig-p2-l18-ts-v78-w4-off10",   7, 6,  78, PLAIN,          Some(129)),
    ("hashsig-p2-l18-ts-v39-w16-off10",  7, 6,  39, PLAIN,          Some(322)),
    ("hashsig-p2-l18-ts-v20-w256-off10", 7, 6,  20, PLAIN,          Some(2805)),
    ("hashsig-p2-l20-ts-v155-w2-off10",  7, 6, 155, PLAIN,          Some(86)),
    ("hashsig-p2-l20-ts-v78-w4-off10",   7, 6,  78, PLAIN,          Some(129)),
    ("hashsig-p2-l20-ts-v39-w16-off10",  7, 6,  39, PLAIN,          Some(322)),
    ("hashsig-p2-l20-ts-v20-w256-off10", 8, 6,  20, PLAIN,          Some(2805)),
    ("hashsig-p2-l18-wots-v163-w2",      7, 5, 155, checksum(8),    None),
    ("hashsig-p2-l18-wots-v82-w4",       7, 5,  78, checksum(4),    None),
    ("hashsig-p2-l18-wots-v42-w16",      7, 5,  39, checksum(3),    None),
    ("hashsig-p2-l18-wots-v22-w256",     7, 5,  20, checksum(2),    None),
    ("hashsig-p2-l20-wots-v163-w2",      7, 6, 155, checksum(8),    None),
    ("hashsig-p2-l20-wots-v82-w4",       7, 6,  78, checksum(4),    None),
    ("hashsig-p2-l20-wots-v42-w16",      7, 6,  39, checksum(3),    None),
    ("hashsig-p2-l20-wots-v22-w256",     8, 6,  20, checksum(2),    None),
];

/// The identifiers of all rows, in the order of the table.
pub fn all_ids() -> Vec<String> {
    TABLE.iter().map(|row| row.0.to_owned()).collect()
}

/// The number that follows `letter` in the one part of the identifier that is that letter and
/// digits, e.g. 64 for 'v' in `leansig-p2-l32-top-v64-w8`.
fn number_in(identifier: &str, letter: char) -> usize {
    identifier
        .split('-')
        .filter_map(|part| part.strip_prefix(letter))
        .find_map(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("{identifier} has no {letter}<number>"))
}

/// The parameters of a scheme; panics if no row has this identifier.
pub fn params(scheme_id: &str) -> Params {
    let &(identifier, n, r, c, encoding, target_sum) = TABLE
        .iter()
        .find(|row| row.0 == scheme_id)
        .unwrap_or_else(|| panic!("no scheme is called {scheme_id}"));
    let layout = match identifier.split('-').nth(1) {
        Some("p1") => Layout::Devnet4,
        _ => Layout::Classic,
    };
    Params {
        identifier,
        layout,
        h: number_in(identifier, 'l') as u8,
        n,
        r,
        v: number_in(identifier, 'v'),
        w: number_in(identifier, 'w'),
        c,
        encoding,
        target_sum,
    }
}
