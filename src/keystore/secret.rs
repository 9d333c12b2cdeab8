//! The secret, and the plain text of it (docs/FORMAT.md, "secret").

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::origin::Origin;
use crate::plan::Plan;
use keymill_xmss::hash::{DrawnKey, PrfKey};
use keymill_xmss::scheme::Parameter;

/// More than the text has.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// What a key is made from. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum Secret {
    /// 32 bytes from which parameter, PRF key and fillers are drawn.
    Seed([u8; 32]),
    /// The PRF key itself; the public parameter is then given beside it.
    PrfKey([u8; 32]),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(secret)")
    }
}

impl Secret {
    /// A fresh seed from the operating system.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::Seed(*seed))
    }

    /// Everything that decides the key's bytes. `parameter` is used for a PRF key only; a seed draws its own.
    pub(crate) fn draw(&self, plan: &Plan, parameter: &Parameter) -> DrawnKey {
        let (scheme, places) = (plan.scheme(), plan.geometry().fillers().collect::<Vec<_>>());
        match self {
            Self::Seed(seed) => scheme.draw(seed, &places),
            Self::PrfKey(bytes) => {
                let prf_key = PrfKey::new(*bytes);
                DrawnKey {
                    fillers: scheme.fillers(&prf_key, parameter, &places),
                    parameter: *parameter,
                    prf_key,
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        match self {
            Self::Seed(bytes) | Self::PrfKey(bytes) => bytes,
        }
    }

    /// Whether both are the same secret.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.bytes() == other.bytes()
    }

    pub(crate) fn to_text(&self, origin: Origin) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(self.bytes()));
        // Room for all of it, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
        for part in ["keymill-secret 1\n", origin.secret_kind(), " ", &digits, "\n"] {
            text.push_str(part);
        }
        text
    }

    pub(crate) fn parse(text: &str) -> Option<(Self, Origin)> {
        let rest = text.strip_prefix("keymill-secret 1\n")?;
        let (kind, digits) = rest.strip_suffix('\n')?.split_once(' ')?;
        // keymill writes lower case, so anything else is not what it wrote.
        if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, &mut *bytes).ok()?;
        let origins = [Origin::Fresh, Origin::Seed, Origin::PrfKey];
        let origin = origins.into_iter().find(|origin| origin.secret_kind() == kind)?;
        let secret = match origin {
            Origin::Fresh | Origin::Seed => Self::Seed(*bytes),
            Origin::PrfKey => Self::PrfKey(*bytes),
        };
        Some((secret, origin))
    }
}
