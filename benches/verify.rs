//! Time of verifying a signature on one core, one by one and in batches.
//!
//! `cargo bench --bench verify [-- SCHEME...]`; without arguments the three schemes that the project quotes.

use std::time::Instant;

use keymill::hash::{PrfKey, kernel};
use keymill::interop::ssz::{PublicKey, Signature};
use keymill::plan::{Epoch, Level, NodeIndex};
use keymill::{Scheme, Verifier};

const DEFAULT_SCHEMES: [&str; 3] = [
    "leansig-p1-l32-abort-v46-w8",
    "leansig-p2-l32-top-v64-w8",
    "hashsig-p2-l18-wots-v22-w256",
];
const MESSAGE: [u8; 32] = [0x4b; 32];
const LEVELS: u8 = 6;
const EPOCHS: usize = 1 << LEVELS;

fn main() {
    for name in DEFAULT_SCHEMES {
        measure(Scheme::by_id(name).unwrap());
    }
}

fn measure(scheme: &'static Scheme) {
    let started = Instant::now();
    let kernel = kernel(scheme, &[1; 20]);
    println!("{} kernel {:.1} us", scheme.id(), started.elapsed().as_secs_f64() * 1e6);
    let prf_key = PrfKey::new([7; 32]);
    let n = scheme.digest_bytes();
    let mut layers = vec![vec![0; EPOCHS * n]];
    kernel.leaves(&prf_key, Epoch(0), &mut layers[0]);
    for level in 1..=LEVELS {
        let below = layers.last().unwrap();
        let mut parents = vec![0; below.len() / 2];
        kernel.parents(Level(level), NodeIndex(0), below, &mut parents);
        layers.push(parents);
    }
    let mut signatures = Vec::new();
    let mut root = Vec::new();
    let mut codeword_us = Vec::new();
    let mut reveal_us = Vec::new();
    for epoch in 0..EPOCHS {
        let mut siblings = Vec::new();
        for level in 0..scheme.log_lifetime() {
            if level < LEVELS {
                let index = (epoch >> level) ^ 1;
                siblings.extend_from_slice(&layers[level as usize][index * n..][..n]);
            } else {
                siblings.extend(std::iter::repeat_n([level, 1, 2, 3], n / 4).flatten());
            }
        }
        let started = Instant::now();
        let codeword = kernel.find_codeword(&prf_key, Epoch(epoch as u32), &MESSAGE).unwrap();
        codeword_us.push(started.elapsed().as_secs_f64() * 1e6);
        let mut hashes = vec![0; scheme.chains() * n];
        let started = Instant::now();
        kernel.reveal(&prf_key, Epoch(epoch as u32), &codeword.positions, &mut hashes);
        reveal_us.push(started.elapsed().as_secs_f64() * 1e6);
        root = layers[0][epoch * n..][..n].to_vec();
        kernel.fold_path(Epoch(epoch as u32), &siblings, &mut root);
        signatures.push(Signature {
            rho: codeword.rho,
            siblings,
            hashes,
        });
    }
    let public_key = PublicKey::from_ssz(scheme, &[&root[..], &[1; 20]].concat()).unwrap();
    let verifier = Verifier::new(scheme, &public_key);
    let mut us = Vec::new();
    let mut path_us = Vec::new();
    let mut code_us = Vec::new();
    let mut leaf_us = Vec::new();
    for _ in 0..20 {
        for (epoch, signature) in signatures.iter().enumerate() {
            let started = Instant::now();
            verifier.verify(epoch as u64, &MESSAGE, signature).unwrap();
            us.push(started.elapsed().as_secs_f64() * 1e6);
            let epoch = Epoch(epoch as u32);
            let started = Instant::now();
            kernel.fold_path(epoch, &signature.siblings, &mut root);
            path_us.push(started.elapsed().as_secs_f64() * 1e6);
            let started = Instant::now();
            let positions = kernel.codeword_of(epoch, &MESSAGE, &signature.rho).unwrap();
            code_us.push(started.elapsed().as_secs_f64() * 1e6);
            let started = Instant::now();
            kernel.leaf_of_revealed(epoch, &positions, &signature.hashes, &mut root);
            leaf_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    println!(
        "{} codeword mean {:.1} reveal {:.1} verify {:.1} (path {:.1} message {:.1} leaf {:.1})",
        scheme.id(),
        codeword_us.iter().sum::<f64>() / EPOCHS as f64,
        median(reveal_us),
        median(us),
        median(path_us),
        median(code_us),
        median(leaf_us)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
