//! How fast this machine does what parts and joins are made of, measured for a moment.

use std::time::{Duration, Instant};

use super::cost::{Work, seal_for_nobody, smallest_part};
use crate::error::Result;
use crate::plan::{MemoryPlan, Plan};
use crate::time::thread_processor_time;
use crate::units::{Epoch, Level, NodeIndex};
use crate::workers::Workers;
use keymill_xmss::arena::{Arena, ArenaOverflow};
use keymill_xmss::hash::{Kernel, PrfKey};

/// So long leaves are measured, at least one block of them on each worker.
const LEAVES_MOMENT: Duration = Duration::from_millis(150);
/// The same of the levels above them, once for each height that occurs.
const FOLD_MOMENT: Duration = Duration::from_millis(40);
/// The same of the checksums of a file.
const CONTENT_MOMENT: Duration = Duration::from_millis(50);
/// A moment has so many rounds, of which the middle one counts: what disturbs the machine for less than half of it does not.
const ROUNDS: u32 = 5;

/// What the workers of a job manage here and now, for a key of one plan. A machine that does something else all the while seems slow.
#[derive(Clone, Debug)]
pub struct Speed {
    leaf: Pace,
    /// Hashed with all others of its batch.
    node: Pace,
    /// All that is hashed again of a batch.
    batch_joined: Pace,
    /// With everything below it.
    sampled_node: Pace,
    content_byte: Pace,
}

/// How long some work takes, as far as it can be told beforehand: hashing and checksums alone, without disks, network and
/// checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// Processor time, of all threads together.
    pub processor: Duration,
    /// Time that passes meanwhile.
    pub elapsed: Duration,
}

/// What one of something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pace {
    /// Of a processor.
    processor_s: f64,
    /// Until the next one, when all who do it are at it.
    elapsed_s: f64,
}

impl Speed {
    /// Measures it on as many workers as a job of this plan has. It takes some tenths of a second.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the workers cannot be started.
    pub fn measure(plan: &Plan, memory: &MemoryPlan) -> Result<Self> {
        let workers = Workers::start(memory.threads, memory.arena_bytes)?;
        // Any secret takes as long as any other.
        let drawn = plan.scheme().draw(&[0; 32], &[]);
        let kernel = plan.scheme().kernel(&drawn.parameter);
        let stand = Stand {
            workers: &workers,
            kernel: kernel.as_ref(),
            prf_key: &drawn.prf_key,
            digest_bytes: plan.scheme().digest_bytes(),
        };
        let (trim, roots) = (plan.trim().0, plan.batches().root_level().0);
        let block = stand.block_of_leaves()?;
        let leaf = block.times(1.0 / kernel.lanes() as f64);
        let batch = stand.fold(roots)?;
        let (batch_joined, sampled_node) = if trim == 0 {
            (batch, leaf)
        } else {
            // Lanes that are too many for a node are computed all the same.
            let blocks = (1_usize << trim).div_ceil(kernel.lanes());
            let sampled_node = block.times(blocks as f64).and(stand.fold(trim)?);
            (stand.fold(roots - trim)?, sampled_node)
        };
        let nodes_of_batch = (1_u64 << roots) - 1;
        Ok(Self {
            leaf,
            node: batch.times(1.0 / nodes_of_batch.max(1) as f64),
            batch_joined,
            sampled_node,
            content_byte: stand.content_byte(plan)?,
        })
    }

    /// How long it takes.
    pub fn estimate(&self, work: &Work) -> Estimate {
        let all = [
            (work.leaves, self.leaf),
            (work.nodes, self.node),
            (work.batches_joined, self.batch_joined),
            (work.sampled_nodes, self.sampled_node),
            (work.crown_nodes, self.node.alone()),
            (work.content_bytes, self.content_byte),
        ];
        let total = all.into_iter().fold(Pace::default(), |total, (count, pace)| {
            total.and(pace.times(count as f64))
        });
        let duration = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Estimate {
            processor: duration(total.processor_s),
            elapsed: duration(total.elapsed_s),
        }
    }

    /// Leaves that all workers compute in a second.
    pub fn leaves_per_second(&self) -> f64 {
        1.0 / self.leaf.elapsed_s
    }

    /// Nodes of whole batches that all workers hash from their children in a second.
    pub fn nodes_per_second(&self) -> f64 {
        1.0 / self.node.elapsed_s
    }

    /// Bytes of the file of a part that one thread seals in a second, or compares with their seal.
    pub fn content_bytes_per_second(&self) -> f64 {
        1.0 / self.content_byte.elapsed_s
    }
}

impl Pace {
    /// Of workers that did the same at the same time.
    fn of(all: &[Timed]) -> Self {
        let units: f64 = all.iter().map(|timed| timed.units).sum();
        let processor_s: f64 = all.iter().map(|timed| timed.processor.as_secs_f64()).sum();
        let per_second: f64 = all.iter().map(|timed| 1.0 / timed.elapsed_s()).sum();
        Self {
            processor_s: processor_s / units,
            elapsed_s: 1.0 / per_second,
        }
    }

    fn times(self, factor: f64) -> Self {
        Self {
            processor_s: factor * self.processor_s,
            elapsed_s: factor * self.elapsed_s,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            processor_s: self.processor_s + other.processor_s,
            elapsed_s: self.elapsed_s + other.elapsed_s,
        }
    }

    /// The same where one thread does it.
    fn alone(self) -> Self {
        Self {
            elapsed_s: self.processor_s,
            ..self
        }
    }
}

/// What a worker has done.
struct Timed {
    units: f64,
    processor: Duration,
    elapsed: Duration,
}

impl Timed {
    /// Does something again and again, until the moment is over, and gives its middle round.
    fn until<E>(moment: Duration, mut unit: impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        // The first time, tables are made, and memory is touched that is new.
        unit()?;
        let rounds = (0..ROUNDS).map(|_| Self::round(moment / ROUNDS, &mut unit));
        let mut rounds = rounds.collect::<Result<Vec<_>, E>>()?;
        rounds.sort_by(|one, other| one.elapsed_s().total_cmp(&other.elapsed_s()));
        Ok(rounds.swap_remove(rounds.len() / 2))
    }

    fn round<E>(moment: Duration, unit: &mut impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        let (begun, processor_begun) = (Instant::now(), thread_processor_time());
        let mut units = 0.0;
        loop {
            unit()?;
            units += 1.0;
            let elapsed = begun.elapsed();
            if elapsed >= moment {
                let processor = thread_processor_time().saturating_sub(processor_begun);
                return Ok(Self {
                    units,
                    processor,
                    elapsed,
                });
            }
        }
    }

    /// Time that one of them has taken.
    fn elapsed_s(&self) -> f64 {
        self.elapsed.as_secs_f64() / self.units
    }
}

/// What is measured, and on what.
struct Stand<'a> {
    workers: &'a Workers,
    kernel: &'a dyn Kernel,
    prf_key: &'a PrfKey,
    digest_bytes: usize,
}

impl Stand<'_> {
    /// As many leaves as the kernel computes side by side.
    fn block_of_leaves(&self) -> Result<Pace> {
        self.on_all(LEAVES_MOMENT, || {
            let mut leaves = vec![0; self.kernel.lanes() * self.digest_bytes];
            move |arena: &Arena| self.kernel.leaves(self.prf_key, Epoch(0), &mut leaves, arena)
        })
    }

    /// So many levels above `2^height` nodes, up to one.
    fn fold(&self, height: u8) -> Result<Pace> {
        if height == 0 {
            return Ok(Pace::default());
        }
        let digest_bytes = self.digest_bytes;
        self.on_all(FOLD_MOMENT, || {
            let mut children = vec![0; digest_bytes << height];
            let mut parents = children.clone();
            move |_: &Arena| {
                for level in 1..=height {
                    let bytes = digest_bytes << (height - level);
                    let (below, above) = (&children[..2 * bytes], &mut parents[..bytes]);
                    self.kernel.parents(Level(level), NodeIndex(0), below, above);
                    std::mem::swap(&mut children, &mut parents);
                }
                Ok(())
            }
        })
    }

    /// Digest, tag and checksums of the file of a part, on one worker.
    fn content_byte(&self, plan: &Plan) -> Result<Pace> {
        let part = smallest_part(plan);
        let mut file_bytes = 1;
        let timed: Result<Timed> = self.workers.install(|| {
            Timed::until(CONTENT_MOMENT, || {
                file_bytes = seal_for_nobody(&part, self.prf_key);
                Ok(())
            })
        });
        Ok(Pace::of(&[timed?]).times(1.0 / file_bytes as f64))
    }

    /// Lets all workers do the same at the same time.
    fn on_all<U>(&self, moment: Duration, prepare: impl Fn() -> U + Sync) -> Result<Pace>
    where
        U: FnMut(&Arena) -> Result<(), ArenaOverflow>,
    {
        let timed = self.workers.on_each(|| {
            let mut unit = prepare();
            Timed::until(moment, || self.workers.with_arena(&mut unit))
        });
        let timed: Vec<Timed> = timed.into_iter().collect::<Result<_, _>>()?;
        Ok(Pace::of(&timed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keygen::JobOptions;
    use crate::plan::MemoryRequest;
    use keymill_xmss::scheme::Scheme;

    const SLOW: Pace = Pace {
        processor_s: 4.0,
        elapsed_s: 2.0,
    };

    fn timed(units: f64, processor_s: u64, elapsed_s: u64) -> Timed {
        Timed {
            units,
            processor: Duration::from_secs(processor_s),
            elapsed: Duration::from_secs(elapsed_s),
        }
    }

    #[test]
    fn workers_side_by_side_take_the_processor_each_and_the_time_once() {
        // Two workers have a processor each, or have one together.
        let each = Pace::of(&[timed(5.0, 10, 10), timed(5.0, 10, 10)]);
        assert_eq!((each.processor_s, each.elapsed_s), (2.0, 1.0));
        let together = Pace::of(&[timed(5.0, 5, 10), timed(5.0, 5, 10)]);
        assert_eq!((together.processor_s, together.elapsed_s), (1.0, 1.0));
    }

    #[test]
    fn what_one_thread_does_alone_is_not_shared_among_all() {
        let speed = Speed {
            leaf: SLOW,
            node: SLOW,
            batch_joined: SLOW,
            sampled_node: SLOW,
            content_byte: SLOW.alone(),
        };
        let shared = Work {
            leaves: 3,
            nodes: 2,
            ..Work::default()
        };
        let estimate = speed.estimate(&shared);
        assert_eq!((estimate.processor.as_secs(), estimate.elapsed.as_secs()), (20, 10));
        let alone = Work {
            crown_nodes: 3,
            content_bytes: 2,
            ..Work::default()
        };
        let estimate = speed.estimate(&alone);
        assert_eq!((estimate.processor.as_secs(), estimate.elapsed.as_secs()), (20, 20));
    }

    #[test]
    fn every_kind_of_work_takes_time_whatever_the_scheme_and_the_trim() {
        let options = JobOptions::default().threads(2).memory(MemoryRequest::NoLimit);
        for (scheme, trim) in [
            ("leansig-p1-l8-abort-v4-w8", 0),
            ("leansig-p2-l18-top-v64-w8", 1),
            ("leanvm-blake2s-l32-ts-v42-w8", 10),
        ] {
            let plan = Plan::new(Scheme::by_id(scheme).unwrap(), 0, 200).unwrap();
            let plan = plan.trimmed(Level(trim)).unwrap();
            let speed = Speed::measure(&plan, &options.memory_plan(&plan).unwrap()).unwrap();
            for work in [
                |work: &mut Work| work.leaves = 1 << 20,
                |work: &mut Work| work.nodes = 1 << 20,
                |work: &mut Work| work.sampled_nodes = 1 << 20,
                |work: &mut Work| work.crown_nodes = 1 << 20,
                |work: &mut Work| work.content_bytes = 1 << 30,
            ] {
                let mut some = Work::default();
                work(&mut some);
                let Estimate { processor, elapsed } = speed.estimate(&some);
                assert!(!processor.is_zero() && !elapsed.is_zero(), "{scheme}, {some:?}");
            }
            // With the roots alone there is nothing to hash in a batch.
            let joined = Work {
                batches_joined: 1 << 20,
                ..Work::default()
            };
            assert_eq!(speed.estimate(&joined).elapsed.is_zero(), trim == 10, "{scheme}");
            assert!(speed.leaves_per_second() > 1.0 && speed.content_bytes_per_second() > 1000.0);
        }
    }
}
