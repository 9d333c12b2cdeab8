//! What is being computed: the table of schemes, their encodings and their tweaks.

use crate::text::Foreign;
use crate::units::Level;

mod encoding;
mod table;
pub(crate) mod tweak;

pub(crate) use encoding::{CodewordEncoder, HASH_ELEMENTS_MAX};

/// The KoalaBear prime, `2^31 - 2^24 + 1`: the order of the field of every scheme of the table.
pub const PRIME: u32 = 0x7f00_0001;

/// Field elements of the public parameter, in every scheme of the table.
pub(crate) const PARAMETER_ELEMENTS: usize = 5;

/// Bytes of the public parameter: five field elements, each a canonical little-endian `u32`.
pub const PARAMETER_BYTES: usize = 4 * PARAMETER_ELEMENTS;

/// Bytes of a message (a digest of whatever is being signed).
pub const MESSAGE_BYTES: usize = 32;

/// Attempts after which signing gives up looking for an accepted codeword (docs/SCHEMES.md, "Encodings").
pub const SIGNING_ATTEMPTS_MAX: u64 = 100_000;

/// Permutation, and the order in which its inputs are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PermutationLayout {
    /// Poseidon2 over KoalaBear with the constants and input order of hash-sig and of leanSig up to devnet 3.
    Poseidon2Classic,
    /// Poseidon1 over KoalaBear with the input order of leanSig devnet 4 and leanSpec.
    Poseidon1Devnet4,
}

impl PermutationLayout {
    /// Short name for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poseidon2Classic => "Poseidon2, classic",
            Self::Poseidon1Devnet4 => "Poseidon1, devnet 4",
        }
    }
}

/// How a message hash becomes a codeword in `{0..w-1}^v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Base-w digits of the hash, accepted if they add up to the target.
    Plain {
        /// Required sum of the codeword.
        target_sum: u16,
    },
    /// Winternitz: base-w digits followed by the digits of their checksum; always accepted.
    Checksum {
        /// Chains that carry the checksum.
        checksum_chunks: u16,
    },
    /// The hash is unranked into the top layers of the hypercube (eprint 2025/889), accepted on the target sum.
    TopLevel {
        /// Deepest layer that is mapped into.
        final_layer: u16,
        /// Required sum of the codeword.
        target_sum: u16,
    },
    /// Each hash element below a bound gives a few digits, any other aborts the attempt (eprint 2026/016).
    Aborting {
        /// Digits taken from one hash element.
        chunks_per_element: u8,
        /// Hash values that share one group of digits.
        quotient: u32,
        /// Required sum of the codeword.
        target_sum: u16,
    },
}

/// One parameter set of generalized XMSS: a row of the table in `src/scheme/table.rs`.
///
/// Obtain one with [`Scheme::by_id`] or [`Scheme::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scheme {
    id: &'static str,
    upstream_name: &'static str,
    layout: PermutationLayout,
    log_lifetime: u8,
    chains: u16,
    chain_length: u16,
    digest_elements: u8,
    rho_elements: u8,
    encoding: Encoding,
}

/// The scheme asked for does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown scheme '{}'{}; 'keymill schemes' lists them all", Foreign(.asked), suggestion(.nearest))]
pub struct UnknownScheme {
    /// What was asked for.
    pub asked: String,
    /// The identifier or upstream name that resembles it most, if any does.
    pub nearest: Option<&'static str>,
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}

impl Scheme {
    /// Every scheme, in the order of the table.
    pub fn all() -> &'static [Scheme] {
        &table::SCHEMES
    }

    /// The scheme of this identifier, or of this upstream type name.
    ///
    /// # Errors
    /// [`UnknownScheme`], with the nearest known name.
    pub fn by_id(id: &str) -> Result<&'static Scheme, UnknownScheme> {
        Self::all()
            .iter()
            .find(|scheme| scheme.id == id || scheme.upstream_name == id)
            .ok_or_else(|| UnknownScheme {
                asked: id.to_owned(),
                nearest: nearest_name(id),
            })
    }

    /// Identifier, `<library>-<permutation>-l<h>-<encoding>-v<chains>-w<chain length>[-off10]`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Name of the type in the library that defined the scheme; accepted wherever the identifier is.
    pub fn upstream_name(&self) -> &'static str {
        self.upstream_name
    }

    /// Permutation and input order.
    pub fn layout(&self) -> PermutationLayout {
        self.layout
    }

    /// Encoding of messages as codewords.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// `h`: the lifetime is `2^h` epochs and the tree has levels 0 to `h`.
    pub fn log_lifetime(&self) -> u8 {
        self.log_lifetime
    }

    /// Number of epochs of the whole lifetime, `2^h`.
    pub fn lifetime(&self) -> u64 {
        1 << self.log_lifetime
    }

    /// Level of the root.
    pub fn root_level(&self) -> Level {
        Level(self.log_lifetime)
    }

    /// Number of hash chains of an epoch, `v`.
    pub fn chains(&self) -> usize {
        usize::from(self.chains)
    }

    /// Number of positions of a chain, `w`: 0 is the secret start, `w - 1` the public end.
    pub fn chain_length(&self) -> u32 {
        u32::from(self.chain_length)
    }

    /// Bytes of a digest: a tree node, a leaf, a chain value.
    pub fn digest_bytes(&self) -> usize {
        4 * self.digest_elements()
    }

    /// Bytes of the randomness `rho` that a signature carries.
    pub fn rho_bytes(&self) -> usize {
        4 * self.rho_elements()
    }

    /// Bytes of a public key: root, then parameter.
    pub fn public_key_bytes(&self) -> usize {
        self.digest_bytes() + PARAMETER_BYTES
    }

    /// Bytes of a signature in SSZ: path, rho, one chain value a chain, and three offsets.
    pub fn signature_bytes(&self) -> usize {
        let digests = usize::from(self.log_lifetime) + self.chains();
        3 * 4 + self.rho_bytes() + digests * self.digest_bytes()
    }

    /// Whether the scheme exists only for tests (a lifetime of 2^8).
    pub fn tests_only(&self) -> bool {
        self.log_lifetime == 8
    }

    pub(crate) fn digest_elements(&self) -> usize {
        usize::from(self.digest_elements)
    }

    pub(crate) fn rho_elements(&self) -> usize {
        usize::from(self.rho_elements)
    }

    /// Chains that carry the message: all but the Winternitz checksum's.
    pub(crate) fn message_chunks(&self) -> usize {
        match self.encoding {
            Encoding::Checksum { checksum_chunks } => self.chains() - usize::from(checksum_chunks),
            _ => self.chains(),
        }
    }

    /// Attempts that signing may make before it gives up; the checksum encoding accepts the first.
    pub fn attempts_max(&self) -> u64 {
        match self.encoding {
            Encoding::Checksum { .. } => 1,
            _ => SIGNING_ATTEMPTS_MAX,
        }
    }
}

fn nearest_name(asked: &str) -> Option<&'static str> {
    crate::text::nearest(asked, Scheme::all().iter().flat_map(|s| [s.id, s.upstream_name]))
}
