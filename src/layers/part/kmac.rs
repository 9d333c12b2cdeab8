//! KMAC256 of NIST SP 800-185, section 4, over the cSHAKE256 of a library. It has one length of output here.

use cshake::CShake256;
use cshake::digest::{ExtendableOutput, Update, XofReader};

const FUNCTION_NAME: &[u8] = b"KMAC";
/// What cSHAKE256 absorbs at a time (section 3.2): a key is padded to a multiple of it.
const RATE_BYTES: usize = 136;
/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 32;

/// A message that is being authenticated.
pub(super) struct Kmac256(CShake256);

impl Kmac256 {
    /// Under a key of 32 bytes, for a purpose.
    pub(super) fn new(key: &[u8; 32], customization: &[u8]) -> Self {
        let mut state = CShake256::new_with_function_name(FUNCTION_NAME, customization);
        // bytepad(encode_string(key), 136) of section 2.3, with left_encode of 136 and of 256 bits.
        let mut padded = zeroize::Zeroizing::new([0; RATE_BYTES]);
        padded[..2].copy_from_slice(&[1, RATE_BYTES as u8]);
        padded[2..5].copy_from_slice(&[2, 1, 0]);
        padded[5..37].copy_from_slice(key);
        state.update(&*padded);
        Self(state)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(mut self) -> [u8; TAG_BYTES] {
        // right_encode of 256 bits.
        self.0.update(&[1, 0, 2]);
        let mut tag = [0; TAG_BYTES];
        self.0.finalize_xof().read(&mut tag);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl mac -cipher none -macopt hexkey:... -macopt size:32 -macopt custom:... KMAC-256`.
    #[test]
    fn tags_are_those_of_another_implementation() {
        let key: [u8; 32] = std::array::from_fn(|i| 0x40 + i as u8);
        let message: Vec<u8> = (0..200).collect();
        for (custom, bytes, expected) in VECTORS {
            let mut kmac = Kmac256::new(&key, custom.as_bytes());
            // In two pieces, as it comes from a file.
            let (first, second) = message[..bytes].split_at(bytes / 3);
            kmac.update(first);
            kmac.update(second);
            assert_eq!(hex::encode(kmac.finish()), expected, "{custom}, {bytes} bytes");
        }
    }

    const VECTORS: [(&str, usize, &str); 3] = [
        (
            "My Tagged Application",
            4,
            "f2d95c33c9a201eb10c524b9084b4bacae0092f869122df7d7870b92c842e05b",
        ),
        (
            "",
            200,
            "9477eb6bf866118de63b11676645623bb7a05f9187fea90bd0c5fbe221b37a34",
        ),
        (
            "keymill/1 part",
            137,
            "03e5257e4354114916fc17e617beba0902d85c8dc221a424131758856b6bdbe8",
        ),
    ];
}
