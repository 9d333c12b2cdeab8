//! Signing and verifying (docs/SCHEMES.md, "Signing", "Verifying" and "Public key and signature").

use super::field;
use super::hash::Reference;

/// At the end of docs/SCHEMES.md, "Encodings".
const MOST_ATTEMPTS: u64 = 100_000;

/// A signature taken apart.
struct Parts {
    rho: Vec<u8>,
    path: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

impl Reference {
    /// The SSZ signature. `siblings` are those of the epoch's leaf, from level 0 to level h - 1.
    pub fn sign(&self, prf_key: &[u8; 32], epoch: u32, message: &[u8; 32], siblings: &[Vec<u8>]) -> Vec<u8> {
        assert!(u64::from(epoch) < self.params.lifetime());
        assert_eq!(siblings.len(), usize::from(self.params.h));
        let (rho, codeword) = (0..MOST_ATTEMPTS)
            .find_map(|attempt| {
                let rho = self.rho(prf_key, epoch, message, attempt);
                let codeword = self.codeword(epoch, message, &rho)?;
                Some((rho, codeword))
            })
            .expect("one of the attempts is accepted");
        let value_at = |(chain, &position): (usize, &u8)| {
            let start = self.chain_start(prf_key, epoch, chain as u64);
            self.chain_walk(epoch, chain as u64, 0, u64::from(position), &start)
        };
        self.ssz_of(&Parts {
            rho,
            path: siblings.to_vec(),
            hashes: codeword.iter().enumerate().map(value_at).collect(),
        })
    }

    /// Whether the SSZ signature is right; false, never a panic, for whatever else it may be.
    pub fn verify(&self, root: &[u8], epoch: u32, message: &[u8; 32], signature: &[u8]) -> bool {
        if u64::from(epoch) >= self.params.lifetime() {
            return false;
        }
        let Some(parts) = self.parts_of(signature) else {
            return false;
        };
        let Some(codeword) = self.codeword(epoch, message, &parts.rho) else {
            return false;
        };
        let last = self.params.w as u64 - 1;
        let end_of = |(chain, value): (usize, &Vec<u8>)| {
            let position = u64::from(codeword[chain]);
            self.chain_walk(epoch, chain as u64, position, last, value)
        };
        let ends: Vec<_> = parts.hashes.iter().enumerate().map(end_of).collect();

        let mut node = self.leaf_from_chain_ends(epoch, &ends);
        let mut index = u64::from(epoch);
        for (level, sibling) in (1..).zip(&parts.path) {
            let (left, right) = if index.is_multiple_of(2) {
                (&node, sibling)
            } else {
                (sibling, &node)
            };
            index /= 2;
            node = self.parent(level, index, left, right);
        }
        node == root
    }

    /// Offset of the path, rho, offset of the hashes; then the path with its own offset; then
    /// the hashes.
    fn ssz_of(&self, parts: &Parts) -> Vec<u8> {
        let (path_at, hashes_at) = self.ssz_offsets();
        let mut bytes = (path_at as u32).to_le_bytes().to_vec();
        bytes.extend(&parts.rho);
        bytes.extend((hashes_at as u32).to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        bytes.extend(parts.path.concat());
        assert_eq!(bytes.len(), hashes_at);
        bytes.extend(parts.hashes.concat());
        bytes
    }

    /// Where the path and the hashes begin.
    fn ssz_offsets(&self) -> (usize, usize) {
        let path_at = 4 + 4 * self.params.r + 4;
        let hashes_at = path_at + 4 + usize::from(self.params.h) * self.params.digest_len();
        (path_at, hashes_at)
    }

    /// None unless every offset and length is the scheme's and every element is canonical.
    fn parts_of(&self, signature: &[u8]) -> Option<Parts> {
        let params = &self.params;
        let (path_at, hashes_at) = self.ssz_offsets();
        if signature.len() != hashes_at + params.v * params.digest_len() {
            return None;
        }
        let offsets = [
            (0, path_at),
            (path_at - 4, hashes_at),
            // Inside the path: its digests begin after this very offset.
            (path_at, 4),
        ];
        for (at, expected) in offsets {
            if signature[at..at + 4] != (expected as u32).to_le_bytes() {
                return None;
            }
        }
        let rho = &signature[4..path_at - 4];
        let digests = &signature[path_at + 4..];
        field::from_bytes(rho, params.r)?;
        field::from_bytes(digests, digests.len() / 4)?;
        let mut digests = digests.chunks(params.digest_len()).map(<[u8]>::to_vec);
        Some(Parts {
            rho: rho.to_vec(),
            path: digests.by_ref().take(params.h.into()).collect(),
            hashes: digests.collect(),
        })
    }
}
