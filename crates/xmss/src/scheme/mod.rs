//! What is being computed: a scheme, that is a family of hash functions with its sizes.

use std::sync::{PoisonError, RwLock};

use crate::blake2s;
use crate::hash::{DrawnKey, Kernel, PrfKey};
use crate::poseidon;
use crate::text::Foreign;
use crate::units::{Epoch, Level, NodeIndex};

mod family;
mod parameter;

pub use family::{Codewords, Family, KeyForms, NonCanonical, Secrets, SignatureForm, Widening};
pub use parameter::{Parameter, WrongParameter};

/// Bytes of a message (a digest of whatever is being signed).
pub const MESSAGE_BYTES: usize = 32;

/// One parameter set of generalized XMSS.
///
/// Obtain one with [`Scheme::by_id`] or [`Scheme::all`].
#[derive(Clone, Copy, Debug)]
pub struct Scheme(Row);

/// What a scheme is made of.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Identifier.
    pub id: &'static str,
    /// Name of the type in the library that defined it.
    pub upstream_name: &'static str,
    /// `h`: the lifetime is `2^h` epochs, `h` at most 32.
    pub log_lifetime: u8,
    /// Number of hash chains of an epoch, `v`.
    pub chains: u16,
    /// Number of positions of a chain, `w`.
    pub chain_length: u16,
    /// Bytes of a digest.
    pub digest_bytes: u8,
    /// Bytes of the randomness of a signature.
    pub rho_bytes: u8,
    /// Whether it exists only for tests.
    pub tests_only: bool,
    /// Everything that depends on the hash functions.
    pub family: &'static dyn Family,
}

impl PartialEq for Scheme {
    /// No two schemes have the same identifier.
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Scheme {}

/// The rows of all families, one family after the other.
static ALL: [Scheme; poseidon::SCHEMES.len() + blake2s::SCHEMES.len()] = {
    let (first, second) = (&poseidon::SCHEMES, &blake2s::SCHEMES);
    let mut all = [first[0]; poseidon::SCHEMES.len() + blake2s::SCHEMES.len()];
    let mut i = 1;
    while i < all.len() {
        all[i] = if i < first.len() {
            first[i]
        } else {
            second[i - first.len()]
        };
        i += 1;
    }
    all
};

/// Schemes beside those of the table ([`Scheme::add`]).
static ADDED: RwLock<Vec<&'static Scheme>> = RwLock::new(Vec::new());

/// The scheme asked for does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown scheme '{}'{}", Foreign(.asked), suggestion(.nearest))]
#[non_exhaustive]
pub struct UnknownScheme {
    /// What was asked for.
    pub asked: String,
    /// The identifier or upstream name that resembles it most, if any does.
    pub nearest: Option<&'static str>,
}

/// A scheme has no such epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("epoch {epoch} is past the lifetime of {scheme}, which has {lifetime} epochs")]
pub struct PastLifetime {
    /// The epoch.
    pub epoch: u64,
    /// Scheme identifier.
    pub scheme: &'static str,
    /// Epochs of the lifetime.
    pub lifetime: u64,
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}

impl Scheme {
    /// A scheme of this row.
    pub const fn new(row: Row) -> Self {
        Self(row)
    }

    /// Every scheme of the table, in its order.
    pub fn all() -> &'static [Scheme] {
        &ALL
    }

    /// The scheme of this identifier, or of this upstream type name.
    ///
    /// # Errors
    /// [`UnknownScheme`], with the nearest known name.
    pub fn by_id(id: &str) -> Result<&'static Scheme, UnknownScheme> {
        let is_named = |scheme: &&'static Scheme| scheme.0.id == id || scheme.0.upstream_name == id;
        let added = || {
            ADDED
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .copied()
                .find(is_named)
        };
        Self::all()
            .iter()
            .find(is_named)
            .or_else(added)
            .ok_or_else(|| UnknownScheme {
                asked: id.to_owned(),
                nearest: nearest_name(id),
            })
    }

    /// Makes a scheme of one's own known to [`by_id`](Self::by_id), and so to whatever reads key directories, for as long as
    /// the process runs. For research on other hash functions: no other program knows such a key.
    ///
    /// One whose names are known already changes nothing.
    pub fn add(scheme: &'static Scheme) {
        if [scheme.0.id, scheme.0.upstream_name]
            .into_iter()
            .all(|name| Self::by_id(name).is_err())
        {
            ADDED.write().unwrap_or_else(PoisonError::into_inner).push(scheme);
        }
    }

    /// Identifier, `<library>-<permutation>-l<h>-<encoding>-v<chains>-w<chain length>[-off10]`.
    pub fn id(&self) -> &'static str {
        self.0.id
    }

    /// Name of the type in the library that defined the scheme; accepted wherever the identifier is.
    pub fn upstream_name(&self) -> &'static str {
        self.0.upstream_name
    }

    /// What depends on the hash functions.
    pub fn family(&self) -> &'static dyn Family {
        self.0.family
    }

    /// `h`: the lifetime is `2^h` epochs and the tree has levels 0 to `h`.
    pub fn log_lifetime(&self) -> u8 {
        self.0.log_lifetime
    }

    /// Number of epochs of the whole lifetime, `2^h`.
    pub fn lifetime(&self) -> u64 {
        1 << self.0.log_lifetime
    }

    /// The epoch of this number.
    ///
    /// # Errors
    /// [`PastLifetime`] if the lifetime has no such epoch.
    pub fn epoch(&self, number: u64) -> Result<Epoch, PastLifetime> {
        let epoch = u32::try_from(number).ok().filter(|_| number < self.lifetime());
        epoch.map(Epoch).ok_or(PastLifetime {
            epoch: number,
            scheme: self.id(),
            lifetime: self.lifetime(),
        })
    }

    /// Level of the root.
    pub fn root_level(&self) -> Level {
        Level(self.0.log_lifetime)
    }

    /// Number of hash chains of an epoch, `v`.
    pub fn chains(&self) -> usize {
        usize::from(self.0.chains)
    }

    /// Number of positions of a chain, `w`: 0 is the secret start, `w - 1` the public end.
    pub fn chain_length(&self) -> u32 {
        u32::from(self.0.chain_length)
    }

    /// Bytes of a digest: a tree node, a leaf, a chain value.
    pub fn digest_bytes(&self) -> usize {
        usize::from(self.0.digest_bytes)
    }

    /// Bytes of the randomness `rho` that a signature carries.
    pub fn rho_bytes(&self) -> usize {
        usize::from(self.0.rho_bytes)
    }

    /// Bytes of the public parameter.
    pub fn parameter_bytes(&self) -> usize {
        self.0.family.parameter_bytes()
    }

    /// Bytes of a public key: root, then parameter.
    pub fn public_key_bytes(&self) -> usize {
        self.digest_bytes() + self.parameter_bytes()
    }

    /// Bytes of a signature: path, rho, one chain value a chain, and its offsets if it has any.
    pub fn signature_bytes(&self) -> usize {
        let offsets = match self.0.family.signature_form() {
            SignatureForm::WithOffsets => 3 * 4,
            SignatureForm::Flat => 0,
        };
        let digests = usize::from(self.0.log_lifetime) + self.chains();
        offsets + self.rho_bytes() + digests * self.digest_bytes()
    }

    /// Whether the scheme exists only for tests.
    pub fn tests_only(&self) -> bool {
        self.0.tests_only
    }

    /// Attempts that signing may make to find an accepted codeword.
    pub fn attempts_max(&self) -> u64 {
        self.0.family.attempts_max()
    }

    /// Whether digests, a parameter or rho are in canonical form.
    ///
    /// # Errors
    /// [`NonCanonical`] names the first value that is not.
    pub fn check_canonical(&self, bytes: &[u8]) -> Result<(), NonCanonical> {
        self.0.family.check_canonical(bytes)
    }

    /// Everything that a seed decides: parameter, PRF key, and the fillers of these places, in their order.
    pub fn draw(&self, seed: &[u8; 32], fillers: &[(Level, NodeIndex)]) -> DrawnKey {
        self.0.family.draw(self, seed, fillers)
    }

    /// The fillers of a key that was given as PRF key and parameter.
    pub fn fillers(&self, prf_key: &PrfKey, parameter: &Parameter, places: &[(Level, NodeIndex)]) -> Vec<u8> {
        self.0.family.fillers(self, prf_key, parameter, places)
    }

    /// The kernel of this scheme under a public parameter.
    pub fn kernel(&'static self, parameter: &Parameter) -> Box<dyn Kernel> {
        self.0.family.kernel(self, parameter)
    }

    /// What the arena of a worker has to hold ([`Family::scratch_bytes`]).
    pub fn scratch_bytes(&self) -> usize {
        self.0.family.scratch_bytes(self)
    }
}

fn nearest_name(asked: &str) -> Option<&'static str> {
    crate::text::nearest(asked, Scheme::all().iter().flat_map(|s| [s.id(), s.upstream_name()]))
}
