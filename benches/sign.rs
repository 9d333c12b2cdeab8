//! Time of signing on one core, over the time of its permutations alone.
//!
//! Makes a key in the temporary directory and signs a message with each of 1,000 of its epochs. Then it signs the same
//! again, which does all the work but writes nothing to the ledger; that is what is measured: the path read and folded,
//! attempts until a codeword is accepted, chain values revealed, and the signature verified.
//!
//! `cargo bench --bench sign [-- SCHEME...]`; without arguments the four schemes that the project quotes. A key of one of
//! these takes up to two minutes to make.

mod measure;
mod schemes;

use std::error::Error;
use std::time::Instant;

use keymill::xmss::hash::bound;
use keymill::{JobOptions, KeyDir, KeyRequest, KeygenJob, MemoryRequest, NoProgress, Scheme, Signer};
use measure::{median, processor_us};
use schemes::{asked_schemes, is_blake2s};

/// Epochs that sign; a test scheme has fewer.
const EPOCHS: u64 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:<32} {:>9} {:>9} {:>6} {:>9} {:>14}   medians of {EPOCHS} epochs, one core",
        "scheme", "sign us", "bound us", "ratio", "attempts", "with ledger us"
    );
    for scheme in asked_schemes()? {
        measure(scheme)?;
    }
    Ok(())
}

fn measure(scheme: &'static Scheme) -> Result<(), Box<dyn Error>> {
    let parent = tempfile::tempdir()?;
    let directory = parent.path().join("key");
    let epochs = EPOCHS.min(scheme.lifetime());
    let options = JobOptions::DEFAULT
        .threads(0)
        .group_batches(8)
        .memory(MemoryRequest::NoLimit);
    let request = KeyRequest::new(scheme).epochs(epochs);
    KeygenJob::builder(&directory)
        .request(request)
        .options(options)
        .open()?
        .run(&NoProgress)?;

    let key = KeyDir::open(&directory)?;
    let (kernel, prf_key) = (key.kernel(), key.prf_key()?);
    let mut signer = Signer::open(&directory)?;
    let mut figures: [Vec<f64>; 5] = Default::default();
    for number in 0..epochs {
        let epoch = signer.paths().epoch(number)?;
        let message = [number as u8; 32];
        let started = Instant::now();
        let first = signer.sign(epoch, &message)?;
        let with_ledger_us = started.elapsed().as_secs_f64() * 1e6;
        let (us, again) = processor_us(|| signer.sign(epoch, &message));
        if again? != first {
            return Err("another signature of the same message".into());
        }
        let codeword = kernel.find_codeword(&prf_key, epoch, &message).ok_or("no codeword")?;
        let bound_us = processor_us(|| run_bound(scheme, codeword.attempts)).0;
        for (figures, figure) in
            figures
                .iter_mut()
                .zip([us, bound_us, us / bound_us, codeword.attempts as f64, with_ledger_us])
        {
            figures.push(figure);
        }
    }
    let [us, bound_us, ratio, attempts, with_ledger_us] = figures.map(median);
    println!(
        "{:<32} {us:>9.1} {bound_us:>9.1} {ratio:>6.3} {attempts:>9.0} {with_ledger_us:>14.1}",
        scheme.id()
    );
    Ok(())
}

/// The permutations of one signature: of attempts, chain starts and chain steps in full lanes (a signature and its
/// verification walk each chain once from start to end), of sponge and message hash one after the other, and of the path
/// twice so.
fn run_bound(scheme: &Scheme, attempts: u64) {
    let attempts = attempts as usize;
    let steps = scheme.chains() * (scheme.chain_length() as usize - 1);
    if is_blake2s(scheme) {
        // Blocks that are the same for all attempts count once: of the message hash one, and in b0 one of rho.
        let blocks = if scheme.id().ends_with("-b0") { 2 } else { 3 };
        let side_by_side = blocks * attempts + scheme.chains() + steps;
        bound::compressions(side_by_side.div_ceil(bound::blake2s_lanes()));
        let levels = usize::from(scheme.log_lifetime());
        return bound::serial_compressions(2 + (2 + scheme.chains()).div_ceil(4) + 2 * levels);
    }
    let (lanes, keccak_lanes) = bound::lanes();
    let keccak = attempts.div_ceil(keccak_lanes) + scheme.chains().div_ceil(keccak_lanes);
    bound::run(scheme, steps.div_ceil(lanes), attempts.div_ceil(lanes), keccak);
    let sponge = (7 + scheme.chains() * scheme.digest_bytes() / 4).div_ceil(15);
    bound::run_serial(scheme, 1 + sponge + 2 * usize::from(scheme.log_lifetime()));
}
