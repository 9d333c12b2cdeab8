//! What verifies, and in how many forms.

use keymill_xmss::PublicKey;
use keymill_xmss::Verifier;
use keymill_xmss::poseidon::PRIME;
use keymill_xmss::scheme::Scheme;

/// Public key (52 bytes), epoch (8), message (32), signature: whatever verifies does so in one form alone.
pub(super) fn verifying(bytes: &[u8]) -> Result<bool, String> {
    let Ok(scheme) = Scheme::by_id("leansig-p1-l8-abort-v4-w8") else {
        return Err("the scheme is gone".to_owned());
    };
    let Some((key, rest)) = bytes.split_first_chunk::<52>() else {
        return Ok(false);
    };
    let Some((epoch, rest)) = rest.split_first_chunk::<8>() else {
        return Ok(false);
    };
    let Some((message, signature)) = rest.split_first_chunk::<32>() else {
        return Ok(false);
    };
    let Ok(key) = PublicKey::from_ssz(scheme, key) else {
        return Ok(false);
    };
    let Ok(epoch) = scheme.epoch(u64::from_le_bytes(*epoch)) else {
        return Ok(false);
    };
    let verifier = Verifier::new(&key);
    let verifies = |signature: &[u8]| verifier.verify_ssz(epoch, message, signature).is_ok();
    if !verifies(signature) {
        return Ok(false);
    }
    if signature.len() != scheme.signature_bytes() {
        return Err("a signature was accepted that is not valid".to_owned());
    }
    if other_forms(scheme, signature).any(|other| verifies(&other)) {
        Err("a signature was accepted in two forms".to_owned())
    } else {
        Ok(true)
    }
}

/// A signature with each of its words, elements and offsets, in another form; with a bit of each byte flipped; longer and
/// shorter. The bits of rho are left out: they are hashed with the message, to the same codeword once in thousands of times.
fn other_forms(scheme: &Scheme, signature: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut other = signature.to_vec();
        change(&mut other);
        other
    };
    let rho = 4..4 + scheme.rho_bytes();
    let words = (0..signature.len()).step_by(4).map(move |at| {
        changed(&|other| {
            let word = std::array::from_fn(|i| other[at + i]);
            let same_element = u32::from_le_bytes(word).wrapping_add(PRIME);
            other[at..at + 4].copy_from_slice(&same_element.to_le_bytes());
        })
    });
    let bits = (0..signature.len()).filter(move |at| !rho.contains(at));
    let bits = bits.map(move |at| changed(&|other| other[at] ^= 1 << ((at / 4 + at) % 8)));
    let lengths = [changed(&|other| other.push(0)), changed(&|other| _ = other.pop())];
    words.chain(bits).chain(lengths)
}
