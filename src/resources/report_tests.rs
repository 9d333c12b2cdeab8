//! What is told of traces, whole, doctored and cut.

use std::collections::BTreeMap;
use std::path::Path;

use super::ResourceKind;
use super::report::{Contradiction, Count, LINE_BYTES_MAX, Left, MemoryReport};
use crate::error::Result;

fn line(event: &str, id: u64, kind: &str, bytes: u64) -> String {
    format!(
        "@{{\"event\":\"{event}\",\"id\":{id},\"type\":\"{kind}\",\"bytes\":{bytes},\"place\":\"src/some.rs:7\",\
         \"unix_ms\":5,\"total_bytes\":0,\"rss_anon_bytes\":4096,\"rss_file_bytes\":8192}}\n"
    )
}

fn allocate(id: u64, bytes: u64) -> String {
    line("ALLOCATE", id, "arena", bytes)
}

fn drop_of(id: u64, bytes: u64) -> String {
    line("DROP", id, "arena", bytes)
}

fn report(lines: &[String]) -> Result<MemoryReport> {
    MemoryReport::of(lines.concat().as_bytes(), Path::new("trace"), u64::MAX)
}

#[track_caller]
fn flags(lines: &[String]) -> Vec<(u64, u64, Contradiction)> {
    let report = report(lines).unwrap();
    assert_eq!(report.flag_count, report.flags.len() as u64);
    assert!(report.flags.is_empty() || !report.is_clean());
    report.flags.iter().map(|f| (f.line, f.id, f.contradiction)).collect()
}

#[test]
fn what_came_and_went_leaves_nothing() {
    let lines = [
        allocate(1, 10),
        allocate(2, 30),
        drop_of(1, 10),
        allocate(3, 5),
        drop_of(3, 5),
        drop_of(2, 30),
    ];
    let report = report(&lines).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let count = Count {
        allocated: 3,
        dropped: 3,
        bytes_left: 0,
        peak_bytes: 40,
    };
    assert_eq!(report.kinds, BTreeMap::from([(ResourceKind::Arena, count)]));
    assert_eq!((report.events, report.torn_line), (6, None));
    assert_eq!(report.anonymous.registered_peak_bytes, 40);
    assert_eq!(report.file_pages.registered_peak_bytes, 0);
}

#[test]
fn what_is_left_is_counted_by_kind_and_place() {
    let elsewhere = line("ALLOCATE", 3, "mapping", 9).replace("some.rs:7", "other.rs:1");
    let lines = [
        allocate(1, 10),
        allocate(2, 30),
        elsewhere,
        line("ALLOCATE", 4, "file", 0),
    ];
    let report = report(&lines).unwrap();
    assert!(!report.is_clean());
    let left = |kind, place: &str, count, bytes| ((kind, place.to_owned()), Left { count, bytes });
    let expected = BTreeMap::from([
        left(ResourceKind::Arena, "src/some.rs:7", 2, 40),
        left(ResourceKind::Mapping, "src/other.rs:1", 1, 9),
        left(ResourceKind::File, "src/some.rs:7", 1, 0),
    ]);
    assert_eq!(report.left, expected);
    assert_eq!(
        (
            report.anonymous.registered_end_bytes,
            report.file_pages.registered_end_bytes
        ),
        (40, 9)
    );
}

#[test]
fn an_id_that_contradicts_the_events_before_it_is_flagged() {
    use Contradiction::{AllocatedTwice, DroppedAsAnother, DroppedTwice, NeverAllocated};

    let (first, gone) = (allocate(1, 8), drop_of(1, 8));
    assert_eq!(flags(&[first.clone(), first.clone()]), [(2, 1, AllocatedTwice)]);
    // Also when the first of the two is gone: an id is never used again.
    let again = [first.clone(), gone.clone(), first.clone()];
    assert_eq!(flags(&again), [(3, 1, AllocatedTwice)]);
    assert_eq!(
        flags(&[first.clone(), gone.clone(), gone.clone()]),
        [(3, 1, DroppedTwice)]
    );
    assert_eq!(
        flags(&[first.clone(), gone.clone(), drop_of(2, 8)]),
        [(3, 2, NeverAllocated)]
    );
    assert_eq!(flags(&[first.clone(), drop_of(1, 7)]), [(2, 1, DroppedAsAnother)]);
    assert_eq!(
        flags(&[first.clone(), line("DROP", 1, "file", 8)]),
        [(2, 1, DroppedAsAnother)]
    );
    let text = "a line of a log\n".to_owned();
    assert_eq!(flags(&[text, first, gone.clone(), gone]), [(4, 1, DroppedTwice)]);
}

#[test]
fn a_last_line_that_is_cut_anywhere_is_told_and_the_others_are_counted() {
    let (whole, last) = (allocate(1, 8), drop_of(1, 8));
    for cut in 1..last.len() - 1 {
        let report = report(&[whole.clone(), last[..cut].to_owned()]).unwrap();
        assert_eq!((report.events, report.torn_line), (1, Some(2)), "cut at {cut}");
        assert!(!report.is_clean());
    }
    // But for its end, it is whole.
    let report = report(&[whole, last.trim_end().to_owned()]).unwrap();
    assert!(report.is_clean() && report.torn_line.is_none());
}

#[test]
fn what_is_no_trace_is_refused_and_the_line_is_named() {
    let torn = allocate(1, 8)[..20].to_owned();
    for lines in [
        vec![],
        vec!["some text\n".to_owned()],
        vec![" @{}\n".to_owned()],
        vec![torn],
    ] {
        let refused = report(&lines).unwrap_err().to_string();
        assert!(refused.contains("is not a trace"), "{lines:?}: {refused}");
    }
    let right = allocate(1, 8);
    for (from, to) in [
        ("ALLOCATE", "ALLOCATED"),
        ("arena", "arenas"),
        ("\"id\":1", "\"id\":-1"),
        ("\"id\":1", "\"id\":\"1\""),
        ("\"id\":1", "\"id\":18446744073709551616"),
        ("\"id\":1,", ""),
        ("\"id\":1", "\"id\":1,\"id\":1"),
        ("\"id\":1", "\"id\":1,\"more\":1"),
        ("}\n", "} \"\n"),
        ("@{", "@@{"),
    ] {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right);
        let refused = report(&[right.clone(), wrong.clone(), right.clone()]).unwrap_err();
        assert!(
            refused.to_string().contains(", line 2: this is not a line "),
            "{wrong}: {refused}"
        );
    }
    let long = right.replace("src/", &"s".repeat(LINE_BYTES_MAX as usize));
    let refused = report(&[long]).unwrap_err().to_string();
    assert!(refused.contains(", line 1: this is not a line "), "{refused}");
}

#[test]
fn numbers_that_no_machine_reaches_are_counted_without_overflow() {
    let huge = u64::MAX;
    let lines = [
        allocate(1, huge),
        allocate(huge - 1, 1),
        allocate(huge, huge),
        drop_of(huge, huge),
    ];
    let report = report(&lines).unwrap();
    assert_eq!(report.kinds[&ResourceKind::Arena].peak_bytes, huge);
    assert_eq!(report.flag_count, 0);
    assert_eq!(report.left.values().map(|left| left.count).sum::<u64>(), 2);
}

#[test]
fn a_long_trace_takes_no_more_memory_than_a_short_one() {
    let pairs = |count: u64| -> String { (1..=count).map(|id| allocate(id, 8) + &drop_of(id, 8)).collect() };
    let peak_bytes = |text: String| {
        let read = || MemoryReport::of(text.as_bytes(), Path::new("trace"), u64::MAX).unwrap();
        allocation_counter::measure(|| assert!(read().is_clean())).bytes_max
    };
    let (short, long) = (peak_bytes(pairs(10)), peak_bytes(pairs(20_000)));
    assert!(long < short + 64, "{long} bytes instead of {short}");
}

#[test]
fn a_trace_without_its_end_is_told_from_one_in_which_something_was_left() {
    let (thread, gone) = (line("ALLOCATE", 1, "thread", 8), line("DROP", 1, "thread", 8));
    let other = line("ALLOCATE", 2, "thread", 8);
    for (lines, is_unended) in [
        (vec![thread.clone()], true),
        (vec![thread.clone(), other.clone(), gone.clone()], false),
        (vec![thread, gone, other[..9].to_owned()], true),
        (vec![allocate(1, 8)], false),
    ] {
        assert_eq!(report(&lines).unwrap().is_unended(), is_unended, "{lines:?}");
    }
}

#[test]
fn growth_is_measured_from_the_first_event_to_the_most_and_to_the_last() {
    let at = |anon: u64, file: u64, line: String| {
        line.replace("4096", &anon.to_string())
            .replace("8192", &file.to_string())
    };
    let lines = [
        at(1000, 50, allocate(1, 300)),
        at(1500, 20, allocate(2, 100)),
        at(900, 70, drop_of(2, 100)),
    ];
    let report = report(&lines).unwrap();
    let anonymous = report.anonymous;
    assert_eq!(
        (anonymous.growth_peak_bytes(), anonymous.growth_end_bytes()),
        (500, -100)
    );
    assert_eq!(
        (anonymous.registered_peak_bytes, anonymous.registered_end_bytes),
        (400, 300)
    );
    assert_eq!(report.file_pages.growth_peak_bytes(), 20);
}
