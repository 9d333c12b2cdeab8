//! The canonical byte form of field elements: what a digest or a parameter must look like.

use super::PRIME;

/// An element that is not reduced: its four bytes hold `PRIME` or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "element {element} (bytes {}..{}) is {value}, but a field element must be below {PRIME}",
    4 * .element, 4 * .element + 4
)]
pub struct NonCanonical {
    /// Index of the element, counted from 0 in units of four bytes.
    pub element: usize,
    /// What the four bytes hold, read little-endian.
    pub value: u32,
}

/// Checks that every four bytes are a field element in canonical little-endian form.
///
/// # Errors
/// [`NonCanonical`] names the first element that is not. Trailing bytes short of an element are not looked at.
pub fn check_canonical(bytes: &[u8]) -> Result<(), NonCanonical> {
    let (words, _) = bytes.as_chunks::<4>();
    for (element, word) in words.iter().enumerate() {
        let value = u32::from_le_bytes(*word);
        if value >= PRIME {
            return Err(NonCanonical { element, value });
        }
    }
    Ok(())
}
