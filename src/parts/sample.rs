//! Nodes of a part, drawn at random, against the secret: what hashing the tree again cannot tell is whether the leaves are right.

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::inspect::{OpenPart, Refusal};
use crate::error::Error;
use crate::keygen::Gathering;
use crate::plan::Batches;
use crate::subtree::SubtreeSource;
use crate::units::{BatchIndex, Epoch, Level, Slice};

/// So many of the lowest nodes are compared that a part of which this share is wrong is found with this probability: n with
/// (1 - share)^n = 1 - probability.
pub fn sample_for(share: f64, probability: f64) -> u64 {
    ((1.0 - probability).ln() / (1.0 - share).ln()).ceil() as u64
}

/// One wrong node of 500 is found with 99.9 %.
pub(super) fn default_sample() -> u64 {
    sample_for(0.002, 0.999)
}

/// Nodes that are drawn and compared at a time.
const ROUND_NODES: u64 = 1 << 14;

/// Computes so many nodes of the lowest stored level from the secret, all of them if there are no more, and compares them with those
/// of a part.
pub(super) fn check(part: &OpenPart, count: u64, gathering: &Gathering<'_>) -> Result<(), Refusal> {
    let plan = part.part.plan();
    let level = plan.trim();
    let computed = plan.geometry().level(level).computed.clone();
    let all = computed.end - computed.start;
    let compared = count.min(all);
    for first in (0..compared).step_by(ROUND_NODES as usize) {
        let round = ROUND_NODES.min(compared - first);
        let nodes = if compared == all {
            (computed.start + first..computed.start + first + round).collect()
        } else {
            drawn(&computed, round)?
        };
        let wrong = if level == Level(0) {
            wrong_leaf(part, &nodes, gathering)?
        } else {
            wrong_root(part, level, &nodes, gathering)?
        };
        if let Some(node) = wrong {
            return Err(Refusal::Bad(format!(
                "node {node} of level {level} is not what the secret gives; it was one of {compared} that were compared"
            )));
        }
    }
    Ok(())
}

/// So many of these nodes, from the operating system's randomness: whoever made them could foresee any other choice.
fn drawn(nodes: &Range<u64>, count: u64) -> Result<Vec<u64>, Error> {
    let mut random = vec![0; count as usize * 8];
    getrandom::fill(&mut random)
        .map_err(|error| Error::machine(format!("the operating system could not provide randomness: {error}")))?;
    let numbers = random.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let mut drawn: Vec<u64> = numbers
        .map(|number| nodes.start + number % (nodes.end - nodes.start))
        .collect();
    drawn.sort_unstable();
    Ok(drawn)
}

/// The first of these leaves that is wrong. An epoch a lane, so that single leaves cost what runs of them do.
fn wrong_leaf(part: &OpenPart, nodes: &[u64], gathering: &Gathering<'_>) -> Result<Option<u64>, Refusal> {
    let (kernel, digest_bytes) = (gathering.kernel, part.part.scheme().digest_bytes());
    let block = |nodes: &[u64]| -> Result<Option<u64>, Refusal> {
        gathering.cancel.proceed()?;
        let epochs: Vec<Epoch> = nodes.iter().map(|&node| Epoch(node as u32)).collect();
        let mut leaves = vec![0; nodes.len() * digest_bytes];
        gathering
            .workers
            .with_arena(|arena| kernel.leaves_at(gathering.prf_key, &epochs, &mut leaves, arena))?;
        let mut found = Vec::new();
        for (&node, leaf) in nodes.iter().zip(leaves.chunks_exact(digest_bytes)) {
            part.read(&one(Level(0), node), &mut found)?;
            if found != leaf {
                return Ok(Some(node));
            }
        }
        Ok(None)
    };
    let compared: Vec<Option<u64>> = gathering.workers.install(|| {
        let blocks = nodes.par_chunks(kernel.lanes());
        blocks.map(block).collect::<Result<_, _>>()
    })?;
    Ok(compared.into_iter().flatten().next())
}

/// The first of these nodes above the leaves that is wrong.
fn wrong_root(part: &OpenPart, level: Level, nodes: &[u64], gathering: &Gathering<'_>) -> Result<Option<u64>, Refusal> {
    let whole = gathering.manifest.plan().geometry().clone().trimmed(Level(0));
    let blocks = Batches::with_roots_at(level, whole);
    let source = SubtreeSource {
        manifest: gathering.manifest,
        kernel: gathering.kernel,
        prf_key: gathering.prf_key,
        workers: gathering.workers,
    };
    let compare = |&node: &u64| -> Result<Option<u64>, Refusal> {
        gathering.cancel.proceed()?;
        let subtree = source.grow(&blocks, BatchIndex(node), level)?;
        let mut found = Vec::new();
        part.read(&one(level, node), &mut found)?;
        Ok((found != subtree.top()).then_some(node))
    };
    let compared: Vec<Option<u64>> = gathering.workers.install(|| {
        let nodes = nodes.par_iter().with_max_len(1);
        nodes.map(compare).collect::<Result<_, _>>()
    })?;
    Ok(compared.into_iter().flatten().next())
}

fn one(level: Level, node: u64) -> Slice {
    Slice {
        level,
        nodes: node..node + 1,
    }
}
