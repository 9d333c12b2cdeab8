//! Keys that are grown in memory.

use keymill_xmss::arena::Arena;
use keymill_xmss::hash::{Kernel, PrfKey};
use keymill_xmss::scheme::Parameter;
use keymill_xmss::tree::{Geometry, stored_interval};
use keymill_xmss::units::{Epoch, Level, NodeIndex};
use keymill_xmss::{Scheme, Signature};
use rayon::prelude::*;

/// A key grown in memory with the kernel, level by level as the plan's geometry says.
pub(crate) struct MemoryKey {
    pub(crate) scheme: &'static Scheme,
    pub(crate) geometry: Geometry,
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) prf_key: PrfKey,
    pub(crate) parameter: Parameter,
    pub(crate) layers: Vec<Vec<u8>>,
}

impl MemoryKey {
    /// The key that this scheme draws from a seed, for these epochs and what the family widens them by.
    pub(crate) fn grow(scheme: &'static Scheme, activation: u64, epochs: u64, seed: &[u8; 32]) -> Self {
        let stored = stored_interval(scheme, activation, epochs).unwrap();
        let geometry = Geometry::new(scheme.log_lifetime(), stored);
        let drawn = scheme.draw(seed, &geometry.fillers().collect::<Vec<_>>());
        let kernel = scheme.kernel(&drawn.parameter);
        let digest_bytes = scheme.digest_bytes();
        let mut fillers = drawn.fillers.chunks(digest_bytes);
        let mut layers: Vec<Vec<u8>> = Vec::new();
        for span in geometry.levels() {
            let mut layer = vec![0; span.stored_count() as usize * digest_bytes];
            let offset = |node: u64| (node - span.stored.start) as usize * digest_bytes;
            let computed = &mut layer[offset(span.computed.start)..offset(span.computed.end)];
            match layers.last() {
                None => grow_leaves(&*kernel, scheme, &drawn.prf_key, span.computed.start, computed),
                Some(below) => kernel.parents(span.level, NodeIndex(span.computed.start), below, computed),
            }
            for node in span.fillers() {
                let filler = fillers.next().unwrap();
                layer[offset(node.0)..][..digest_bytes].copy_from_slice(filler);
            }
            layers.push(layer);
        }
        assert_eq!(fillers.next(), None);
        Self {
            kernel,
            prf_key: drawn.prf_key,
            parameter: drawn.parameter,
            layers,
            scheme,
            geometry,
        }
    }

    pub(crate) fn node(&self, level: u8, index: u64) -> &[u8] {
        let span = self.geometry.level(Level(level));
        let digest_bytes = self.scheme.digest_bytes();
        let at = (index - span.stored.start) as usize * digest_bytes;
        &self.layers[usize::from(level)][at..at + digest_bytes]
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        [self.node(self.scheme.log_lifetime(), 0), &self.parameter].concat()
    }

    pub(crate) fn sign(&self, epoch: Epoch, message: &[u8; 32]) -> Vec<u8> {
        let path = self.geometry.path(epoch);
        let siblings = path.flat_map(|(level, node)| self.node(level.0, node.0).to_vec());
        sign_with(
            &*self.kernel,
            self.scheme,
            &self.prf_key,
            epoch,
            message,
            siblings.collect(),
        )
    }
}

fn grow_leaves(kernel: &dyn Kernel, scheme: &Scheme, prf_key: &PrfKey, first: u64, leaves: &mut [u8]) {
    let block = kernel.lanes() * 4;
    leaves
        .par_chunks_mut(block * scheme.digest_bytes())
        .enumerate()
        .for_each(|(i, leaves)| {
            let first = Epoch((first + (i * block) as u64) as u32);
            kernel
                .leaves(prf_key, first, leaves, &Arena::new(scheme.scratch_bytes()))
                .unwrap();
        });
}

pub(crate) fn sign_with(
    kernel: &dyn Kernel,
    scheme: &'static Scheme,
    prf_key: &PrfKey,
    epoch: Epoch,
    message: &[u8; 32],
    siblings: Vec<u8>,
) -> Vec<u8> {
    let codeword = kernel.find_codeword(prf_key, epoch, message).unwrap();
    let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
    kernel.reveal(prf_key, epoch, &codeword.positions, &mut hashes);
    let signature = Signature::new(scheme, codeword.rho, siblings, hashes);
    signature.unwrap().to_ssz()
}
