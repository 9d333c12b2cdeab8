//! Time of verifying a signature on one core, alone and in batches, over the time of its permutations alone, measured in
//! turn.
//!
//! Alone: message hash, sponge and path wait one for the other, so their bound is that of a single state; the chains' is
//! that of full lanes. In batches both are that of full lanes.
//!
//! `cargo bench --bench verify [-- SCHEME...]`; without arguments the four schemes that the project quotes.

mod measure;
mod schemes;

use std::error::Error;

use keymill::plan::NodeIndex;
use keymill::xmss::arena::Arena;
use keymill::xmss::hash::{PrfKey, bound};
use keymill::{Epoch, Level, Parameter, PublicKey, Rejection, Scheme, Signature, Verifier};
use measure::{median, processor_us};
use schemes::{asked_schemes, is_blake2s};

const MESSAGE: [u8; 32] = [0x4b; 32];
const PARAMETER: [u8; 20] = [1; 20];
/// Levels of the tree that are computed; above them every sibling is made up.
const LEVELS: u8 = 8;
const EPOCHS: usize = 1 << LEVELS;
const ROUNDS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:<32} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6}   medians of {} signatures and {ROUNDS} batches of them, one core",
        "scheme",
        "verify us",
        "bound us",
        "ratio",
        "batch us",
        "bound us",
        "ratio",
        EPOCHS * ROUNDS
    );
    for scheme in asked_schemes()? {
        Signed::new(scheme)?.measure()?;
    }
    Ok(())
}

/// Signatures of one key, and their chain steps to verify.
struct Signed {
    scheme: &'static Scheme,
    verifier: Verifier,
    signatures: Vec<(Signature, usize)>,
}

impl Signed {
    fn new(scheme: &'static Scheme) -> Result<Self, Box<dyn Error>> {
        let parameter = &PARAMETER[..scheme.parameter_bytes()];
        let kernel = scheme.kernel(&Parameter::of(parameter));
        let prf_key = PrfKey::new([7; 32]);
        let digest_bytes = scheme.digest_bytes();
        let mut layers = vec![vec![0; EPOCHS * digest_bytes]];
        kernel.leaves(&prf_key, Epoch(0), &mut layers[0], &Arena::new(scheme.scratch_bytes()))?;
        for level in 1..LEVELS {
            let below = &layers[usize::from(level) - 1];
            let mut parents = vec![0; below.len() / 2];
            kernel.parents(Level(level), NodeIndex(0), below, &mut parents);
            layers.push(parents);
        }
        let sibling = |epoch: usize, level: usize| match layers.get(level) {
            Some(layer) => layer[((epoch >> level) ^ 1) * digest_bytes..][..digest_bytes].to_vec(),
            None => vec![level as u8; digest_bytes],
        };
        let mut root = layers[0][..digest_bytes].to_vec();
        let mut signatures = Vec::new();
        for number in 0..EPOCHS {
            let epoch = Epoch(number as u32);
            let codeword = kernel.find_codeword(&prf_key, epoch, &MESSAGE).ok_or("no codeword")?;
            let mut hashes = vec![0; scheme.chains() * digest_bytes];
            kernel.reveal(&prf_key, epoch, &codeword.positions, &mut hashes);
            let siblings = (0..scheme.log_lifetime().into()).flat_map(|level| sibling(number, level));
            let signature = Signature::new(scheme, codeword.rho, siblings.collect(), hashes)?;
            let last = scheme.chain_length() as usize - 1;
            let steps = codeword.positions.iter().map(|&position| last - usize::from(position));
            signatures.push((signature, steps.sum()));
        }
        kernel.fold_path(Epoch(0), signatures[0].0.siblings(), &mut root);
        let public_key = PublicKey::from_ssz(scheme, &[&root[..], parameter].concat())?;
        Ok(Self {
            scheme,
            verifier: Verifier::new(&public_key),
            signatures,
        })
    }

    fn measure(&self) -> Result<(), Rejection> {
        let scheme = self.scheme;
        let elements = scheme.digest_bytes() / 4;
        let levels = usize::from(scheme.log_lifetime());
        let width_24 = 1 + (7 + scheme.chains() * elements).div_ceil(15) + levels;
        // Message hash, leaf and path.
        let blocks = 2 + (2 + scheme.chains()).div_ceil(4) + levels;
        let lanes = if is_blake2s(scheme) {
            bound::blake2s_lanes()
        } else {
            bound::lanes().0
        };
        let all_steps: usize = self.signatures.iter().map(|(_, steps)| steps).sum();
        let (mut alone_us, mut bound_us) = (Vec::new(), Vec::new());
        let (mut batch_us, mut batch_bound_us) = (Vec::new(), Vec::new());
        let claims = (0..).zip(&self.signatures);
        let claims: Vec<_> = claims
            .map(|(epoch, (signature, _))| (Epoch(epoch), &MESSAGE, signature))
            .collect();
        for _ in 0..ROUNDS {
            for (claim, (_, steps)) in claims.iter().zip(&self.signatures) {
                let (us, verdict) = processor_us(|| self.verifier.verify(claim.0, claim.1, claim.2));
                verdict?;
                alone_us.push(us);
                let steps = steps.div_ceil(lanes);
                let (us, ()) = processor_us(|| {
                    if is_blake2s(scheme) {
                        bound::serial_compressions(blocks);
                        bound::compressions(steps);
                    } else {
                        bound::run_serial(scheme, width_24);
                        bound::run(scheme, steps, 0, 0);
                    }
                });
                bound_us.push(us);
            }
            let (us, verdicts) = processor_us(|| self.verifier.verify_batch(&claims));
            verdicts.into_iter().collect::<Result<(), _>>()?;
            batch_us.push(us / EPOCHS as f64);
            let steps = all_steps.div_ceil(lanes);
            let (us, ()) = processor_us(|| {
                if is_blake2s(scheme) {
                    bound::compressions(steps + (blocks * EPOCHS).div_ceil(lanes));
                } else {
                    bound::run(scheme, steps, (width_24 * EPOCHS).div_ceil(lanes), 0);
                }
            });
            batch_bound_us.push(us / EPOCHS as f64);
        }
        let [alone, bound, batch, batch_bound] = [alone_us, bound_us, batch_us, batch_bound_us].map(median);
        println!(
            "{:<32} {alone:>9.1} {bound:>9.1} {:>6.3} {batch:>9.1} {batch_bound:>9.1} {:>6.3}",
            scheme.id(),
            alone / bound,
            batch / batch_bound
        );
        Ok(())
    }
}
