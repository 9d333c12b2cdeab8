//! The canonical byte form of field elements: what a digest or a parameter must look like.

use super::PRIME;
use crate::scheme::NonCanonical;

/// Checks that every four bytes are a field element in canonical little-endian form.
///
/// # Errors
/// [`NonCanonical`] names the first element that is not. Trailing bytes short of an element are not looked at.
pub fn check_canonical(bytes: &[u8]) -> Result<(), NonCanonical> {
    let (words, _) = bytes.as_chunks::<4>();
    for (element, word) in words.iter().enumerate() {
        let value = u32::from_le_bytes(*word);
        if value >= PRIME {
            return Err(NonCanonical {
                element,
                value,
                bound: PRIME,
            });
        }
    }
    Ok(())
}

/// 2^32 mod p, and its inverse.
const MONTGOMERY_FACTOR: u64 = (1 << 32) % PRIME as u64;
const MONTGOMERY_INVERSE: u64 = inverse(MONTGOMERY_FACTOR);

/// By Fermat: the power of p - 2.
const fn inverse(value: u64) -> u64 {
    let prime = PRIME as u64;
    let (mut power, mut square, mut exponent) = (1, value, prime - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power * square % prime;
        }
        square = square * square % prime;
        exponent >>= 1;
    }
    power
}

/// The Montgomery form of a canonical element, `value * 2^32 mod p`: how the libraries hold it, and show it in JSON.
pub fn to_montgomery_form(value: u32) -> u32 {
    (u64::from(value) * MONTGOMERY_FACTOR % u64::from(PRIME)) as u32
}

/// The canonical element whose Montgomery form this is.
pub fn from_montgomery_form(value: u32) -> u32 {
    (u64::from(value) * MONTGOMERY_INVERSE % u64::from(PRIME)) as u32
}
