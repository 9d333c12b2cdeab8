//! Drawing a key from a 32-byte seed as the upstream libraries do from a seeded `StdRng` (docs/SCHEMES.md, "Keys from a
//! seed").

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, optimization_barrier};

use super::PRIME;
use super::field::{F, from_montgomery, write_elements};
use super::{PARAMETER_BYTES, PARAMETER_ELEMENTS};
use crate::hash::{DrawnKey, PrfKey};
use crate::scheme::{Parameter, Scheme};

/// Separates the fillers that keymill derives from a given PRF key from every other use of that key.
const FILLER_DOMAIN: &[u8] = b"keymill/1 fillers";

/// Draws parameter, PRF key and `filler_count` fillers, in this order, from ChaCha12 seeded with `seed`.
pub(super) fn draw_key(scheme: &Scheme, seed: &[u8; 32], filler_count: usize) -> DrawnKey {
    let mut generator = ChaCha12Rng::from_seed(*seed);
    let mut parameter = [0; PARAMETER_BYTES];
    draw_elements(&mut generator, PARAMETER_ELEMENTS, &mut parameter);
    let mut key: [u8; 32] = std::array::from_fn(|_| generator.next_u32() as u8);
    let prf_key = PrfKey::new(key);
    key.zeroize();
    let fillers = draw_fillers(&mut generator, scheme, filler_count);
    forget(&mut generator);
    DrawnKey {
        parameter: Parameter::of(&parameter),
        prf_key,
        fillers,
    }
}

/// Fillers for a key that was given as PRF key and parameter: a fixed function of both, so that the same secret makes
/// the same key again. SHA3-256(domain, PRF key, parameter) seeds the generator of [`draw_key`].
pub(super) fn derive_fillers(scheme: &Scheme, prf_key: &PrfKey, parameter: &Parameter, filler_count: usize) -> Vec<u8> {
    let seed = Sha3_256::new()
        .chain_update(FILLER_DOMAIN)
        .chain_update(prf_key.expose())
        .chain_update(parameter)
        .finalize();
    let mut generator = ChaCha12Rng::from_seed(seed.into());
    draw_fillers(&mut generator, scheme, filler_count)
}

/// Overwrites a generator that was seeded with a secret: it cannot wipe itself.
fn forget(generator: &mut ChaCha12Rng) {
    *generator = ChaCha12Rng::from_seed([0; 32]);
    optimization_barrier(generator);
}

fn draw_fillers(generator: &mut ChaCha12Rng, scheme: &Scheme, count: usize) -> Vec<u8> {
    let mut fillers = vec![0; count * scheme.digest_bytes()];
    draw_elements(generator, count * scheme.digest_bytes() / 4, &mut fillers);
    fillers
}

fn draw_elements(generator: &mut ChaCha12Rng, count: usize, bytes: &mut [u8]) {
    for place in bytes.chunks_exact_mut(4).take(count) {
        write_elements(&[draw_element(generator)], place);
    }
}

/// A random element: 31 bits, drawn again until they are below p, taken as the Montgomery form.
fn draw_element(generator: &mut ChaCha12Rng) -> F {
    loop {
        let value = generator.next_u32() >> 1;
        if value < PRIME {
            return from_montgomery(value);
        }
    }
}
