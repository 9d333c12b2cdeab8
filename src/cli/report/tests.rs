//! Pages of keys that never were: of the longest, the luckless and the hostile.

use std::time::{Duration, Instant};

use keymill::Scheme;
use keymill::audit::{BatchMap, BatchState, KeyHistory, KeyReport, Run, RunCommand, RunEnd, Sample};
use keymill::keydir::KeyState;
use keymill::plan::{BatchIndex, Plan};

use super::axis::{Scale, TimeAxis, WIDTH};
use super::{as_json, map, page, words};

const BEGUN_MS: u64 = 1_790_000_000_000;
const HOUR_MS: u64 = 3_600_000;

fn run(number: u64, started_unix_ms: u64, worked_ms: u64, end: Option<RunEnd>) -> Run {
    Run {
        number,
        runs: 1,
        command: RunCommand::Keygen,
        started_unix_ms,
        seen_unix_ms: started_unix_ms + worked_ms,
        end,
        begun: None,
        epochs: 0,
        peak_bytes: 17 << 20,
        interval_ms: 250,
        written_bytes: 0,
    }
}

/// A history of this many runs with some samples each, with a pause after each run.
fn history(runs: u64, samples: u64, worked_ms: u64) -> KeyHistory {
    let mut history = KeyHistory::default();
    for number in 0..runs {
        let started_unix_ms = BEGUN_MS + number * (worked_ms + HOUR_MS);
        let end = [None, Some(RunEnd::Interrupted), Some(RunEnd::OutOfBudget)][number as usize % 3];
        let end = if number + 1 == runs {
            Some(RunEnd::Finished)
        } else {
            end
        };
        history.runs.push(run(number, started_unix_ms, worked_ms, end));
        for at in 0..samples {
            history.samples.push(Sample {
                run: number,
                unix_ms: started_unix_ms + at * worked_ms / (samples - 1),
                run_epochs: at * 12_345_678,
                batches_done: (number * samples + at) * 4000,
                anonymous_bytes: (3 << 20) + at * 70_000,
                file_bytes: 13 << 20,
                planned_bytes: 14 << 20,
                budget_bytes: 20 << 20,
                in_flight_batches: 16,
                written_bytes: (number * samples + at) * 345_678,
            });
        }
    }
    history
}

fn report_of(scheme: &str, epochs: u64, history: KeyHistory, recorded: impl Iterator<Item = u64>) -> KeyReport {
    let plan = Plan::new(Scheme::by_id(scheme).unwrap(), 0, epochs).unwrap();
    let recorded = recorded.map(Ok::<_, ()>);
    KeyReport {
        drawn_unix_ms: BEGUN_MS,
        key_id: "5a".repeat(16),
        state: KeyState::Generating,
        public_key: None,
        writer: None,
        disk_bytes: 290 << 30,
        map: BatchMap::draw(plan.batches().indices(), recorded, &history, None).unwrap(),
        plan,
        history,
        history_damage: None,
    }
}

fn small(history: KeyHistory) -> KeyReport {
    report_of("leansig-p2-l18-top-v64-w8", 1 << 18, history, 0..200)
}

/// 2^32 epochs, 256 runs, and after each crash some batches that are begun again.
fn longest() -> KeyReport {
    let mut history = history(256, 4, 5 * HOUR_MS);
    for crash in 0..255_u64 {
        (0..16).for_each(|batch| assert!(history.redone.insert(BatchIndex(crash * 15_013 + batch))));
    }
    for damaged in [77, 1_000_000, 1_000_001, 3_999_999] {
        history.damaged.insert(BatchIndex(damaged));
    }
    let recorded = (0..4_100_000).filter(|batch| *batch != 1_000_000);
    report_of("leansig-p2-l32-top-v64-w8", 1 << 32, history, recorded)
}

#[test]
fn the_page_of_4_194_304_batches_is_made_in_seconds_and_stays_small() {
    let begun = Instant::now();
    let report = longest();
    let page = page::html(&report);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(page.len() < 300 << 10, "{} bytes", page.len());
    assert_eq!((report.map.cells.len(), report.map.cell_batches), (2048, 2048));
    let total = |state| report.map.total.of(state);
    assert_eq!(total(BatchState::Redone), 255 * 16);
    assert_eq!((total(BatchState::Repaired), total(BatchState::Damaged)), (3, 1));
    assert_eq!(total(BatchState::NotDone), 4_194_304 - 4_100_000);
    for words in [
        "4,194,304 batches",
        "2,048 batches",
        "4,294,967,296 (0 to 4,294,967,295)",
        "batches 999,424 to 1,001,471: 1 damaged",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains(&words::grouped(total(BatchState::Done))));
}

/// Every cell with a number of its own in each state, so that none is like its neighbour.
#[test]
fn the_page_of_the_most_luckless_key_stays_small() {
    let mut history = history(256, 4, HOUR_MS);
    for cell in 0..1024_u64 {
        history.redone.insert(BatchIndex(cell * 4096));
        history.damaged.insert(BatchIndex(cell * 4096 + 2048));
    }
    let recorded = (0..1 << 22_u64).filter(|batch| batch % 2048 > batch / 2048);
    let report = report_of("leansig-p2-l32-top-v64-w8", 1 << 32, history, recorded);
    let page = page::html(&report);
    assert!(page.len() < 600 << 10, "{} bytes", page.len());
}

#[test]
fn a_page_needs_nothing_but_itself() {
    for report in [longest(), small(history(3, 9, HOUR_MS)), small(KeyHistory::default())] {
        let page = page::html(&report);
        for word in ["http:", "https:", "src=", "@import", "<link", "fetch(", "NaN", "inf"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.split("url(").skip(1).all(|rest| rest.starts_with("#p-")));
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</script><script>alert('1')</script>\"&\u{7}";
    let mut report = small(KeyHistory::default());
    report.writer = Some(hostile.to_owned());
    report.key_id = hostile.to_owned();
    report.history_damage = Some(hostile.to_owned());
    let page = page::html(&report);
    assert!(!page.contains("<script>alert") && !page.contains('\u{7}'), "{page}");
    let escaped = "&lt;/script&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}";
    assert_eq!(page.matches(escaped).count(), 4, "{page}");
}

#[test]
fn what_is_missing_is_said_in_words() {
    assert!(page::html(&small(KeyHistory::default())).contains("Nothing is remembered"));
    let begun = KeyHistory {
        runs: vec![run(0, BEGUN_MS, 10, None)],
        ..KeyHistory::default()
    };
    assert!(page::html(&small(begun)).contains("No batch has been committed yet"));
}

/// Whatever stands in a store that somebody else wrote, and clocks that were set back.
#[test]
fn a_history_that_makes_no_sense_is_drawn_within_its_frame() {
    let mut senseless = history(3, 5, HOUR_MS);
    for sample in &mut senseless.samples {
        sample.unix_ms = u64::MAX - sample.unix_ms;
        sample.written_bytes = u64::MAX;
        sample.budget_bytes = 0;
    }
    for run in &mut senseless.runs {
        (run.seen_unix_ms, run.runs, run.epochs) = (u64::MAX, u64::MAX, u64::MAX);
    }
    let mut at_its_limits = history(2, 3, HOUR_MS);
    for (at, sample) in at_its_limits.samples.iter_mut().enumerate() {
        let most = if at % 2 == 0 { 0 } else { u64::MAX };
        (sample.unix_ms, sample.run_epochs, sample.file_bytes) = (most, most, most);
    }
    for history in [senseless, at_its_limits] {
        let report = small(history);
        let page = page::html(&report);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        let mut drawn = 0;
        for coordinates in page.split("<path class=\"line").skip(1) {
            let coordinates = coordinates.split(" d=\"M").nth(1).unwrap_or("\"");
            let path = coordinates.split('"').next().unwrap();
            let numbers = path
                .split(|c: char| c.is_ascii_alphabetic() || c == ' ')
                .filter(|n| !n.is_empty());
            for number in numbers.map(|number| number.parse::<f64>().unwrap()) {
                assert!((0.0..=WIDTH).contains(&number), "{number} in {path}");
                drawn += 1;
            }
        }
        assert!(drawn > 10, "{drawn} coordinates");
        assert!(as_json(&report).is_object());
    }
}

#[test]
fn ticks_are_round_few_and_in_the_frame() {
    for exponent in 0..46 {
        for worked_ms in [1_u64 << exponent, (1 << exponent) + (1 << exponent) / 3] {
            let history = history(7, 12, worked_ms);
            let axis = TimeAxis::new(&history);
            let ticks = axis.ticks();
            assert!((1..=6).contains(&ticks.len()), "{worked_ms}: {ticks:?}");
            assert!(
                ticks.iter().all(|(x, _)| (0.0..=WIDTH + 0.01).contains(x)),
                "{worked_ms}: {ticks:?}"
            );
            assert!(
                ticks.is_sorted_by(|before, after| before.0 < after.0),
                "{worked_ms}: {ticks:?}"
            );
        }
        for scale in [Scale::decimal, Scale::binary].map(|scale| scale(1.7 * (1_u64 << exponent) as f64)) {
            assert!((2..=6).contains(&scale.ticks.len()), "{:?}", scale.ticks);
            assert!(scale.top >= 1.7 * (1_u64 << exponent) as f64, "{:?}", scale.ticks);
        }
    }
}

#[test]
fn runs_stand_side_by_side_with_what_lies_between_them_left_out() {
    let history = history(3, 5, HOUR_MS);
    let axis = TimeAxis::new(&history);
    assert_eq!(axis.worked_ms, 3 * HOUR_MS);
    let ends: Vec<(f64, f64)> = axis
        .segments
        .iter()
        .map(|segment| (segment.x, axis.x(segment, segment.samples[4].unix_ms)))
        .collect();
    assert!(
        ends.windows(2)
            .all(|pair| (pair[1].0 - pair[0].1 - axis.gap).abs() < 1e-6),
        "{ends:?}"
    );
    assert_eq!((ends[0].0, ends[2].1.round()), (0.0, WIDTH));
    let gaps = axis.gaps(&history);
    assert_eq!(
        gaps.iter()
            .map(|(_, before, after)| (before.number, after.number))
            .collect::<Vec<_>>(),
        [(0, 1), (1, 2)]
    );
    let page = page::html(&small(history));
    assert!(
        page.contains("1 h 00 min between runs; the one before: killed"),
        "{page}"
    );
    assert!(
        page.contains("1 h 00 min between runs; the one before: stopped by a signal"),
        "{page}"
    );
}

#[test]
fn quantities_are_in_the_words_of_people() {
    assert_eq!(
        [0, 999, 1000, 4_294_967_296].map(words::grouped),
        ["0", "999", "1,000", "4,294,967,296"]
    );
    assert_eq!(
        [0, 1023, 1024, 1536, 15_000, 14 << 20, u64::MAX].map(words::bytes),
        ["0 B", "1023 B", "1 KiB", "1.50 KiB", "14.6 KiB", "14 MiB", "16 EiB"]
    );
    assert_eq!(
        [0, 1500, 10_000, 61_000, 3_660_000, 90_000_000].map(words::duration),
        ["0.0 s", "1.5 s", "10 s", "1 min 01 s", "1 h 01 min", "1 d 01 h"]
    );
    assert_eq!(
        [(0, 9), (9, 9), (1, 9), (1, 4_194_304), (4_194_303, 4_194_304)].map(|(part, all)| map::share(part, all)),
        ["0%", "100%", "11.1%", "under 0.1%", "over 99.9%"]
    );
}
