//! Signatures of every scheme against the plain implementation, and batches of them against one after the other.

use keymill_xmss::arena::Arena;

use keymill_xmss::poseidon::PRIME;
use keymill_xmss::units::Epoch;
use keymill_xmss::{Claim, Rejection, Scheme, Verifier, verify_batch};
use keymill_xmss::{PublicKey, Signature};
use rayon::prelude::*;

use keymill_reference::Numbers;
use keymill_reference::Reference;

use crate::poseidon_schemes;

/// A signature, and what it is said to be one of.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) public_key: PublicKey,
    pub(crate) epoch: Epoch,
    pub(crate) message: [u8; 32],
    pub(crate) signature: Signature,
}

impl Signed {
    /// Signs a message, both made up, under a key and with siblings that are made up too.
    pub(crate) fn new(scheme: &'static Scheme, epoch: u32, numbers: &mut Numbers) -> Self {
        let drawn = scheme.draw(&std::array::from_fn(|_| numbers.below(256) as u8), &[]);
        let message = std::array::from_fn(|_| numbers.below(256) as u8);
        let siblings: Vec<u8> = (0..usize::from(scheme.log_lifetime()) * scheme.digest_bytes() / 4)
            .flat_map(|_| (numbers.below(PRIME.into()) as u32).to_le_bytes())
            .collect();
        let kernel = scheme.kernel(&drawn.parameter);
        let at = Epoch(epoch);
        let codeword = kernel.find_codeword(&drawn.prf_key, at, &message).unwrap();
        let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
        kernel.reveal(&drawn.prf_key, at, &codeword.positions, &mut hashes);
        let mut root = vec![0; scheme.digest_bytes()];
        let arena = Arena::new(scheme.scratch_bytes());
        kernel.leaves(&drawn.prf_key, at, &mut root, &arena).unwrap();
        kernel.fold_path(at, &siblings, &mut root);
        let signed = Self {
            public_key: PublicKey::from_ssz(scheme, &[&root[..], &drawn.parameter].concat()).unwrap(),
            epoch: at,
            message,
            signature: Signature::new(scheme, codeword.rho, siblings, hashes).unwrap(),
        };
        signed.is_as_the_plain_implementation_makes_it(scheme, drawn.prf_key.expose());
        signed
    }

    fn is_as_the_plain_implementation_makes_it(&self, scheme: &Scheme, prf_key: &[u8; 32]) {
        let reference = Reference::new(scheme.id(), self.public_key.parameter());
        let epoch = self.epoch.0;
        let siblings: Vec<Vec<u8>> = self
            .signature
            .siblings()
            .chunks(scheme.digest_bytes())
            .map(<[u8]>::to_vec)
            .collect();
        let made = self.signature.to_ssz();
        assert_eq!(
            made,
            reference.sign(prf_key, epoch, &self.message, &siblings),
            "{} epoch {epoch}",
            scheme.id()
        );
        assert!(
            reference.verify(self.public_key.root(), epoch, &self.message, &made),
            "{} epoch {epoch}",
            scheme.id()
        );
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim {
            public_key: &self.public_key,
            epoch: self.epoch,
            message: &self.message,
            signature: &self.signature,
        }
    }

    /// What verifying it alone says.
    pub(crate) fn verdict(&self) -> Result<(), Rejection> {
        Verifier::new(&self.public_key).verify(self.epoch, &self.message, &self.signature)
    }

    /// Makes it, most likely, wrong in one of many ways.
    pub(crate) fn spoil(&mut self, numbers: &mut Numbers) {
        let scheme = self.signature.scheme();
        let flip = |bytes: &mut [u8], numbers: &mut Numbers| {
            let at = numbers.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << numbers.below(8);
        };
        match numbers.below(8) {
            // A bit of any part, where the element stays canonical.
            way @ 0..6 => {
                let signature = &self.signature;
                let mut parts = [signature.rho(), signature.siblings(), signature.hashes()].map(<[u8]>::to_vec);
                flip(&mut parts[way as usize % 3], numbers);
                let [rho, siblings, hashes] = parts;
                if let Ok(signature) = Signature::new(scheme, rho, siblings, hashes) {
                    self.signature = signature;
                }
            }
            6 => flip(&mut self.message, numbers),
            _ => self.epoch.0 ^= 1 << numbers.below(32),
        }
    }
}

/// An epoch within which the low digit of the chain tweaks wraps: `127 q * 2^24` is `-q` mod p, so it does `q` further on.
/// That is between two steps of a chain, if a chain has more than one and the lifetime is long enough.
fn wrapping_epoch(scheme: &Scheme, numbers: &mut Numbers) -> u32 {
    let most = (scheme.lifetime() - 1) / 127;
    let within_chains = (scheme.chains() as u64) << 16;
    let any = 1 + numbers.below(most.min(within_chains));
    let steps_after_the_first = u64::from(scheme.chain_length()) - 2;
    if steps_after_the_first == 0 {
        return 127 * any as u32;
    }
    // Chains are 2^16 apart, positions 2^8; the first step leads to position 1.
    let between = (any & !0xffff) + 257 + numbers.below(steps_after_the_first << 8);
    127 * if between <= most { between } else { any } as u32
}

#[test]
fn every_scheme_signs_and_verifies_as_the_plain_implementation() {
    poseidon_schemes().for_each(|scheme| {
        let seed = 0x51 + scheme.signature_bytes() as u64;
        let mut numbers = Numbers(seed);
        let anywhere = numbers.below(scheme.lifetime()) as u32;
        // Several, since a chain crosses the wrap either when it is revealed or when it is verified.
        let wrapping: [u32; 3] = std::array::from_fn(|_| wrapping_epoch(scheme, &mut numbers));
        for epoch in wrapping.into_iter().chain([anywhere]) {
            let place = format!("{} epoch {epoch} seed {seed}", scheme.id());
            let signed = Signed::new(scheme, epoch, &mut numbers);
            assert_eq!(signed.verdict(), Ok(()), "{place}");
            let count = 1 + numbers.below(70) as usize;
            let verdicts = verify_batch(&vec![signed.claim(); count]);
            assert_eq!(verdicts, vec![Ok(()); count], "{place}");
        }
    });
}

/// Valid, spoiled and malformed ones mixed, of several keys, in batches that fill lanes and that do not.
#[test]
fn a_batch_is_judged_as_its_signatures_are_one_by_one() {
    let names = [
        "leansig-p1-l8-abort-v4-w8",
        "leansig-p1-l32-abort-v46-w8",
        "leansig-p2-l18-top-v64-w8",
    ];
    let names = names
        .into_iter()
        .chain(["hashsig-p2-l18-wots-v42-w16", "hashsig-p2-l20-ts-v20-w256"]);
    names.par_bridge().for_each(|name| {
        let scheme = Scheme::by_id(name).unwrap();
        let seed = 0xba7c + name.len() as u64;
        let mut numbers = Numbers(seed);
        let valid: Vec<Signed> = (0..5)
            .map(|_| Signed::new(scheme, numbers.below(scheme.lifetime()) as u32, &mut numbers))
            .collect();
        let mut rejected = [0; 3];
        for count in [0, 1, 2, 5, 6, 15, 16, 17, 63, 64, 65, 150] {
            let batch: Vec<Signed> = (0..count)
                .map(|_| {
                    let mut signed = valid[numbers.below(5) as usize].clone();
                    if numbers.below(3) > 0 {
                        signed.spoil(&mut numbers);
                    }
                    signed
                })
                .collect();
            let alone: Vec<_> = batch.iter().map(Signed::verdict).collect();
            for verdict in &alone {
                rejected[match verdict {
                    Err(Rejection::PastLifetime { .. }) => 0,
                    Err(Rejection::OtherRoot) => 1,
                    Ok(()) => 2,
                    // The checksum encoding accepts everything.
                    Err(Rejection::CodewordRejected) => continue,
                    Err(_) => panic!("{name} {verdict:?}"),
                }] += 1;
            }
            let claims: Vec<_> = batch.iter().map(Signed::claim).collect();
            assert_eq!(verify_batch(&claims), alone, "{name}, {count} of seed {seed}");

            let public_key = &valid[0].public_key;
            let verifier = Verifier::new(public_key);
            let of_one: Vec<_> = claims
                .iter()
                .map(|claim| (claim.epoch, claim.message, claim.signature))
                .collect();
            let alone: Vec<_> = of_one
                .iter()
                .map(|(epoch, message, signature)| verifier.verify(*epoch, message, signature))
                .collect();
            assert_eq!(
                verifier.verify_batch(&of_one),
                alone,
                "{name}, {count} of seed {seed}, one key"
            );
        }
        // Every epoch that can be written down is within the longest lifetime.
        let from = usize::from(scheme.log_lifetime() == 32);
        assert!(
            rejected[from..].iter().all(|&count| count > 0),
            "{name} seed {seed}: {rejected:?}"
        );
    });
}
