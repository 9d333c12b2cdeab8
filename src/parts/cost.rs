//! What a division costs, before anything is made: sizes from the layouts of the files, and what a join does with them.

use std::convert::Infallible;

use super::division::Division;
use super::sample::default_sample;
use crate::error::Result;
use crate::layers::part::{self as part_file, Layout, PAGE_BYTES};
use crate::plan::{LevelSpan, Plan};
use crate::units::{Level, Slice};
use keymill_xmss::hash::PrfKey;

/// What it costs to make a key in parts. All of it is counted; how long the work takes, a [`Speed`](super::Speed) says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DivisionCost {
    /// Number of parts.
    pub parts: u64,
    /// Epochs of the smallest part.
    pub part_epochs_min: u64,
    /// Epochs of the largest part.
    pub part_epochs_max: u64,
    /// Bytes of the largest file of a part.
    pub part_bytes_max: u64,
    /// Bytes of the files of all parts.
    pub parts_bytes: u64,
    /// Making the part with the most epochs.
    pub part: Work,
    /// Joining all parts, each of them once.
    pub join: JoinCost,
}

/// What a join of all parts does, if it is not interrupted and samples as many nodes as it does unless it is asked for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinCost {
    /// Bytes that it reads of the files of the parts. Each file is read about three times; memory that holds a whole part spares
    /// the disk all but the first.
    pub parts_read_bytes: u64,
    /// Bytes that it reads of the layer files that it has written.
    pub layers_read_bytes: u64,
    /// Bytes of the layer files that it writes. Checkpoints come on top.
    pub written_bytes: u64,
    /// The same of a join that adopts the files of the parts.
    pub written_bytes_adopting: u64,
    /// Nodes that it hashes from their children, those of the sample among them.
    pub nodes_hashed: u64,
    /// Leaves that it computes from the secret for the sample. Of a trimmed key it draws nodes above so many leaves each; where one
    /// of them is at an end of the key, it can be fewer.
    pub leaves_computed: u64,
    /// All of that which takes a processor.
    pub work: Work,
}

/// What takes a processor's time when a part is made, or when parts are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Leaves, of whole batches.
    pub(super) leaves: u64,
    /// Nodes above them, level by level of whole batches.
    pub(super) nodes: u64,
    /// Batches of which the levels above the lowest that is stored are hashed.
    pub(super) batches_joined: u64,
    /// Nodes of the lowest stored level that are computed from the secret.
    pub(super) sampled_nodes: u64,
    /// Nodes above the batches: one thread alone hashes them.
    pub(super) crown_nodes: u64,
    /// Bytes of files of parts that are sealed, or compared with their seal: one thread alone does it.
    pub(super) content_bytes: u64,
}

impl DivisionCost {
    /// Counts it for a key of this plan.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the key cannot be divided so.
    pub fn of(plan: &Plan, division: Division) -> Result<Self> {
        division.check(plan)?;
        let mut cost = Self {
            parts: 0,
            part_epochs_min: u64::MAX,
            part_epochs_max: 0,
            part_bytes_max: 0,
            parts_bytes: 0,
            part: Work::default(),
            join: JoinCost::default(),
        };
        let sample = default_sample();
        for (_, epochs) in division.all(plan) {
            // A division that was checked has no other parts.
            let Some(part) = plan.part_of(epochs) else {
                continue;
            };
            let file_bytes = layout(&part).file_bytes();
            cost.parts += 1;
            cost.parts_bytes += file_bytes;
            cost.part_bytes_max = cost.part_bytes_max.max(file_bytes);
            cost.part_epochs_min = cost.part_epochs_min.min(epochs.count());
            if epochs.count() > cost.part_epochs_max {
                cost.part_epochs_max = epochs.count();
                cost.part = Work::of_part(&part, file_bytes);
            }
            cost.join.add_part(&part, file_bytes, sample);
        }
        cost.join.add_layers(plan);
        Ok(cost)
    }
}

impl Work {
    fn of_part(part: &Plan, file_bytes: u64) -> Self {
        let crown_nodes = computed_above(part, part.batches().root_level());
        Self {
            leaves: count(&part.geometry().level(Level(0)).computed),
            nodes: computed_above(part, Level(0)) - crown_nodes,
            crown_nodes,
            content_bytes: file_bytes,
            ..Self::default()
        }
    }
}

impl JoinCost {
    /// What is done with the file of each part.
    fn add_part(&mut self, part: &Plan, file_bytes: u64, sample: u64) {
        let (geometry, trim, roots) = (part.geometry(), part.trim(), part.batches().root_level());
        let drawn_from = count(&geometry.level(trim).computed);
        let sampled = sample.min(drawn_from);
        let (leaves, parents) = if sampled == drawn_from {
            let below = &geometry.levels()[1..=usize::from(trim.0)];
            let parents = below.iter().map(|span| count(&span.computed)).sum();
            (count(&geometry.level(Level(0)).computed), parents)
        } else {
            (sampled << trim.0, sampled * ((1 << trim.0) - 1))
        };
        let crown_nodes = computed_above(part, roots);
        self.leaves_computed += leaves;
        self.nodes_hashed += parents + computed_above(part, trim);
        // The header, when parts are looked for and when one is opened; all of the file and all of its nodes, for the checksums; the
        // sample; all nodes once more, and the batches' roots both in their batches and with the fillers beside them.
        let stored: u64 = geometry.stored_levels().iter().map(LevelSpan::stored_count).sum();
        let nodes_read = 2 * stored + part.batches().count() + sampled;
        self.parts_read_bytes += 2 * PAGE_BYTES + file_bytes + nodes_read * digest_bytes(part);
        self.work.sampled_nodes += sampled;
        self.work.batches_joined += part.batches().count();
        self.work.crown_nodes += crown_nodes;
        self.work.content_bytes += file_bytes;
    }

    /// What is done with the layer files: every batch is compared with its record, and the levels above are folded and read again.
    fn add_layers(&mut self, plan: &Plan) {
        let roots = plan.batches().root_level();
        let crown_nodes = computed_above(plan, roots);
        let stored: u64 = plan
            .geometry()
            .stored_levels()
            .iter()
            .map(LevelSpan::stored_count)
            .sum();
        let root = 1;
        let nodes_read = stored + plan.batches().count() + 2 * crown_nodes + root;
        self.layers_read_bytes = nodes_read * digest_bytes(plan);
        self.written_bytes = plan.layer_bytes();
        let above = plan.geometry().levels().get(usize::from(roots.0)..).unwrap_or_default();
        self.written_bytes_adopting = above.iter().map(|span| plan.layer_file_bytes(span)).sum();
        self.nodes_hashed += crown_nodes;
        self.work.crown_nodes += crown_nodes;
    }
}

fn count(nodes: &std::ops::Range<u64>) -> u64 {
    nodes.end - nodes.start
}

fn digest_bytes(plan: &Plan) -> u64 {
    plan.scheme().digest_bytes() as u64
}

/// Nodes above a level that are hashes of their children.
fn computed_above(plan: &Plan, level: Level) -> u64 {
    let above = &plan.geometry().levels()[usize::from(level.0) + 1..];
    above.iter().map(|span| count(&span.computed)).sum()
}

/// Where things are in the file of a part follows from its plan, whosever key it is.
fn layout(part: &Plan) -> Layout {
    Layout::of(part, &[0; 32])
}

/// Makes the content of the file of a part, with digests of zeros, for nobody. Gives its bytes.
pub(super) fn seal_for_nobody(part: &Plan, prf_key: &PrfKey) -> u64 {
    let layout = layout(part);
    let digest_bytes = part.scheme().digest_bytes();
    let read = |slice: &Slice, bytes: &mut Vec<u8>| {
        bytes.resize(slice.count() * digest_bytes, 0);
        Ok::<(), Infallible>(())
    };
    let Ok(()) = part_file::write(part, &layout, prf_key, read, |_| Ok(()));
    layout.file_bytes()
}

/// The smallest part that this key could have.
pub(super) fn smallest_part(plan: &Plan) -> Plan {
    let batches = plan.batches();
    let epochs = batches
        .all()
        .next()
        .map_or(plan.stored(), |batch| batches.epochs(batch));
    plan.part_of(epochs).unwrap_or_else(|| plan.clone())
}
