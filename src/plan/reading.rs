//! How many threads a command that only reads may have, so that what they hold fits into memory.

use super::memory::{MemoryRequest, PLANNED_PERCENT, budget_for, lowest, too_small};
use crate::error::Result;
use crate::memory::{Limit, LimitSource, Limits};

/// Anonymous memory of the program beside what is listed here: its tables, stacks in use, and what the allocator keeps.
const BASE_BYTES: u64 = 3 << 20;
/// What a thread takes beside what its work holds: the stack that it touches, and its part of the allocator.
const THREAD_BYTES: u64 = 512 << 10;
/// Address space of the program itself, and of the stack of a thread.
const ADDRESS_BYTES_BASE: u64 = 48 << 20;
const ADDRESS_BYTES_THREAD: u64 = 4 << 20;

/// What a command holds that makes nothing: so much whatever it does, and so much more on each of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes that are held once.
    pub held_bytes: u64,
    /// Bytes that each thread holds at a time.
    pub thread_bytes: u64,
    /// Threads; 0 for one per core.
    pub threads: usize,
    /// The budget.
    pub memory: MemoryRequest,
}

/// The threads that a budget leaves room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readers {
    /// How many, one or more.
    pub threads: usize,
    /// What allowed no more of them, if more were asked for by number.
    pub fewer_for: Option<Limit>,
}

impl Reading {
    /// As many threads as were asked for, or as fit into the lowest of the limits and of what was asked for.
    ///
    /// # Errors
    /// [`Reason::TooLittleMemory`](crate::Reason::TooLittleMemory) if there is no room for one.
    pub fn plan(&self, limits: &Limits) -> Result<Readers> {
        let wanted = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mapped = |threads: usize| ADDRESS_BYTES_BASE + threads as u64 * ADDRESS_BYTES_THREAD;
        let room = |threads: usize| lowest(self.memory, limits, mapped(threads));
        let fits = |&threads: &usize| room(threads).is_none_or(|limit| self.needed_bytes(threads) <= limit.bytes);
        match ((1..=wanted).rev().find(fits), room(1)) {
            (Some(threads), _) => Ok(Readers {
                threads,
                fewer_for: room(wanted).filter(|_| threads < self.threads),
            }),
            (None, Some(limit)) => {
                let mapped = match limit.source {
                    LimitSource::AddressSpace => mapped(1),
                    _ => 0,
                };
                let as_set = Limit {
                    // Where the limit is below what is mapped, nothing was left of it.
                    bytes: match (&limit.source, limits.address_bytes) {
                        (LimitSource::AddressSpace, Some(bytes)) => bytes,
                        _ => limit.bytes,
                    },
                    ..limit
                };
                Err(too_small(&as_set, self.needed_bytes(1) + mapped, 1))
            }
            // Without a limit everything fits.
            (None, None) => Ok(Readers {
                threads: wanted,
                fewer_for: None,
            }),
        }
    }

    /// Most bytes that one thread may hold within a budget, for a caller that does not know before how many there will be.
    pub fn held_bytes_max(memory: MemoryRequest, limits: &Limits) -> u64 {
        let limit = lowest(memory, limits, ADDRESS_BYTES_BASE + ADDRESS_BYTES_THREAD);
        let planned = limit.map_or(u64::MAX, |limit| limit.bytes / 100 * PLANNED_PERCENT);
        planned.saturating_sub(BASE_BYTES + THREAD_BYTES)
    }

    /// The least budget that so many threads fit into.
    fn needed_bytes(&self, threads: usize) -> u64 {
        let of_threads = (threads as u64).saturating_mul(THREAD_BYTES.saturating_add(self.thread_bytes));
        budget_for(BASE_BYTES.saturating_add(self.held_bytes).saturating_add(of_threads))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::error::Reason;

    const MIB: u64 = 1 << 20;

    fn reading(threads: usize, memory: MemoryRequest) -> Reading {
        Reading {
            held_bytes: MIB,
            thread_bytes: 12 * MIB,
            threads,
            memory,
        }
    }

    fn cgroup(bytes: u64) -> Limits {
        let source = LimitSource::Cgroup {
            directory: PathBuf::from("/sys/fs/cgroup/job"),
            file: "memory.max",
        };
        Limits {
            memory: vec![Limit { bytes, source }],
            address_bytes: None,
        }
    }

    #[test]
    fn so_many_threads_read_as_fit_and_no_more_than_were_asked_for() {
        let six = reading(6, MemoryRequest::Auto);
        let readers = six.plan(&cgroup(48 * MIB)).unwrap();
        assert_eq!(readers.threads, 2);
        assert_eq!(readers.fewer_for.as_ref(), cgroup(48 * MIB).lowest());
        let all = six.plan(&cgroup(1 << 30)).unwrap();
        assert_eq!((all.threads, all.fewer_for), (6, None));
        assert_eq!(six.plan(&Limits::default()).unwrap().threads, 6);
        assert_eq!(reading(6, MemoryRequest::NoLimit).plan(&cgroup(1)).unwrap().threads, 6);
        // The user has named no number, so the message names none.
        let any = reading(0, MemoryRequest::AtMost(24 * MIB))
            .plan(&cgroup(1 << 40))
            .unwrap();
        assert_eq!((any.threads, any.fewer_for), (1, None));
    }

    #[test]
    fn what_grows_is_held_as_long_as_it_would_have_been_planned() {
        for bytes in [MIB, 5 * MIB, 48 * MIB + 1] {
            let most = Reading::held_bytes_max(MemoryRequest::AtMost(bytes), &Limits::default());
            let fits = |held_bytes| {
                let reading = Reading {
                    held_bytes,
                    thread_bytes: 0,
                    ..reading(1, MemoryRequest::AtMost(bytes))
                };
                reading.plan(&Limits::default()).is_ok()
            };
            assert!((most == 0 || fits(most)) && !fits(most + 200), "{bytes}: {most}");
        }
        let endless = Reading::held_bytes_max(MemoryRequest::NoLimit, &cgroup(MIB));
        assert!(endless > 1 << 60);
    }

    #[test]
    fn what_has_no_room_for_one_thread_is_refused_with_the_limit_as_it_was_set() {
        let refused = |reading: Reading, limits: &Limits, bytes: u64| {
            let error = reading.plan(limits).unwrap_err();
            assert!(error.to_string().contains(&format!(" of {bytes} bytes (")), "{error}");
            match error.reason() {
                Reason::TooLittleMemory { needed_bytes } => needed_bytes,
                other => panic!("{other:?}"),
            }
        };
        let one = reading(1, MemoryRequest::Auto);
        let needed = refused(one, &cgroup(8 * MIB), 8 * MIB);
        assert_eq!(one.plan(&cgroup(needed)).unwrap().threads, 1);
        assert_eq!(refused(one, &cgroup(needed - 1), needed - 1), needed);
        let of_address_space = |bytes| Limits {
            address_bytes: Some(bytes),
            ..Limits::default()
        };
        for bytes in [MIB, 60 * MIB] {
            let needed = refused(one, &of_address_space(bytes), bytes);
            assert!(one.plan(&of_address_space(needed)).is_ok());
            assert!(one.plan(&of_address_space(needed - 1)).is_err());
        }
    }
}
