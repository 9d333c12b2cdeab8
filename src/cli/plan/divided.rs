//! What `keymill plan` says of a key that is to be made in parts.

use std::time::Duration;

use keymill::Plan;
use keymill::parts::{ADOPTED_PARTS_MAX, Division, DivisionCost, Estimate, Speed};
use keymill::plan::MemoryPlan;
use keymill::support::counted;

use crate::cli::answer::{Answer, fields};
use crate::cli::failure::Failure;
use crate::cli::output::{human_bytes, human_duration};
use crate::cli::small_parts::warn_of_small_parts;

/// What the parts cost, and how long they take on this machine.
pub struct Divided {
    cost: DivisionCost,
    speed: Speed,
    /// Of making the largest part.
    part: Estimate,
    join: Estimate,
    threads: usize,
}

impl Divided {
    /// Counts, and measures the machine for a moment.
    pub fn of(plan: &Plan, memory: &MemoryPlan, division: Division) -> Result<Self, Failure> {
        let cost = DivisionCost::of(plan, division)?;
        let speed = Speed::measure(plan, memory)?;
        Ok(Self {
            part: speed.estimate(&cost.part),
            join: speed.estimate(&cost.join.work),
            threads: memory.threads,
            cost,
            speed,
        })
    }

    /// Says what should be known of the parts whatever is done with the answer.
    pub fn warn(&self) {
        warn_of_small_parts(self.cost.parts, self.cost.part_epochs_max, Some(self.part.elapsed));
    }

    /// For programs.
    pub fn fields<'a>(&self) -> Answer<'a> {
        let (cost, join) = (&self.cost, &self.cost.join);
        fields!(cost; parts, part_epochs_min, part_epochs_max, part_bytes_max, parts_bytes)
            .field("part_estimated_ms", milliseconds(self.part.elapsed))
            .field("part_processor_estimated_ms", milliseconds(self.part.processor))
            .field("join_parts_read_bytes", join.parts_read_bytes)
            .field("join_layers_read_bytes", join.layers_read_bytes)
            .field("join_written_bytes", join.written_bytes)
            .field("join_written_bytes_adopting", join.written_bytes_adopting)
            .field("join_nodes_hashed", join.nodes_hashed)
            .field("join_leaves_computed", join.leaves_computed)
            .field("join_estimated_ms", milliseconds(self.join.elapsed))
            .field("join_processor_estimated_ms", milliseconds(self.join.processor))
            .field("leaves_per_second", self.speed.leaves_per_second())
            .field("nodes_per_second", self.speed.nodes_per_second())
            .field("content_bytes_per_second", self.speed.content_bytes_per_second())
    }

    /// For people.
    pub fn lines<'a>(&self) -> Answer<'a> {
        let (cost, join) = (&self.cost, &self.cost.join);
        let (least, most) = (cost.part_epochs_min, cost.part_epochs_max);
        let epochs = if least < most {
            format!("{least} to {}", counted(most, "epoch"))
        } else {
            counted(most, "epoch")
        };
        let (largest, all) = (human_bytes(cost.part_bytes_max), human_bytes(cost.parts_bytes));
        let (of_parts, of_layers) = (human_bytes(join.parts_read_bytes), human_bytes(join.layers_read_bytes));
        let threads = counted(self.threads as u64, "thread");
        let time = |estimate: &Estimate| {
            format!(
                "about {} with {threads}, {} of processor time",
                human_duration(estimate.elapsed),
                human_duration(estimate.processor)
            )
        };
        let computes = format!(
            "{} again, and {} leaves of the sample",
            counted(join.nodes_hashed, "node"),
            join.leaves_computed
        );
        let mut writes = human_bytes(join.written_bytes);
        if cost.parts <= ADOPTED_PARTS_MAX as u64 {
            writes += &format!(", or {} with --adopt", human_bytes(join.written_bytes_adopting));
        } else {
            writes += &format!("; --adopt takes {ADOPTED_PARTS_MAX} parts at most");
        }
        Answer::default()
            .line("parts", format!("{}, of {epochs}", cost.parts))
            .line(
                "part files",
                format!("{largest} at most, {all} in all ({} bytes)", cost.parts_bytes),
            )
            .line("a part takes", format!("{}, if it is the largest", time(&self.part)))
            .line(
                "join reads",
                format!("{of_parts} of the parts, and {of_layers} of its own files"),
            )
            .line("join writes", writes)
            .line("join computes", computes)
            .line("join takes", time(&self.join))
            .line(
                "times",
                "estimated from a moment's work on this machine: hashing alone, without disks, network and checkpoints"
                    .to_owned(),
            )
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
