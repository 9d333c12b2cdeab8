//! The file of a history: bounded, readable after any end, and never in the way.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::faults::{Fate, Faults};
use crate::files::Entry;
use crate::units::BatchIndex;

const FILE_BYTES_MAX: u64 = 1 << 20;

fn entry(directory: &Path) -> Entry {
    Entry::of(&directory.join("history.jsonl")).unwrap()
}

fn run(number: u64) -> Run {
    Run {
        number,
        runs: 1,
        command: RunCommand::Keygen,
        started_unix_ms: 5_000 * number,
        seen_unix_ms: 5_000 * number + 1,
        end: None,
        begun: None,
        epochs: 1024,
        peak_bytes: 17 << 20,
        written_bytes: 345_678,
    }
}

fn sample(run: u64, unix_ms: u64, run_epochs: u64) -> Sample {
    Sample {
        run,
        unix_ms,
        run_epochs,
        ..Sample::default()
    }
}

/// The first and the last sample that each run gave.
type Ends = Vec<[Sample; 2]>;

/// Lets runs of random lengths commit at random moments. Gives what each began and ended with.
fn live(directory: &Path, seed: u64, runs: u64) -> Ends {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let mut unix_ms = 1_000;
    let of_run = |number| {
        let (mut file, known) = HistoryFile::open(entry(directory));
        assert_eq!(known.runs.len() as u64, number);
        let first = sample(number, unix_ms, 0);
        file.add([Line::Run(run(number)), Line::Sample(first)]);
        let (mut last, longest_ms) = (first, 1 << (random.next_u64() % 20));
        for commit in 1..2 + random.next_u64() % 400 {
            unix_ms += random.next_u64() % longest_ms;
            last = sample(number, unix_ms, 1024 * commit);
            file.add([Line::Sample(last), Line::Run(run(number))]);
            let length = fs::metadata(entry(directory)).unwrap().len();
            assert!(length <= FILE_BYTES_MAX, "seed {seed}: {length}");
        }
        [first, last]
    };
    (0..runs).map(of_run).collect()
}

#[test]
fn samples_are_thinned_out_and_the_first_and_last_of_each_run_stay() {
    for seed in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let expected = live(directory.path(), seed, 40 + seed * 10);
        let (history, damage) = of_key(&entry(directory.path()));
        assert_eq!(damage, None);
        assert!(
            (SAMPLES_MAX / 4..=SAMPLES_MAX).contains(&history.samples.len()),
            "seed {seed}: {}",
            history.samples.len()
        );
        let by_run = history.samples.chunk_by(|before, after| before.run == after.run);
        let ends = by_run.map(|samples| [samples[0], samples[samples.len() - 1]]);
        assert_eq!(ends.collect::<Ends>(), expected, "seed {seed}");
    }
}

#[test]
fn the_oldest_of_very_many_runs_are_told_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut file, _) = HistoryFile::open(entry(directory.path()));
    let runs = 40 * RUNS_MAX as u64 + 77;
    for number in 0..runs {
        file.add([Line::Run(run(number)), Line::Sample(sample(number, 5_000 * number, 0))]);
    }
    let length = fs::metadata(entry(directory.path())).unwrap().len();
    assert!(length <= FILE_BYTES_MAX, "{length}");
    let (history, damage) = of_key(&entry(directory.path()));
    assert_eq!((history.runs.len(), damage), (RUNS_MAX, None));
    assert!(history.samples.len() <= SAMPLES_MAX, "{}", history.samples.len());
    assert_eq!(history.runs.iter().map(|run| run.runs).sum::<u64>(), runs);
    assert_eq!(history.runs.iter().map(|run| run.epochs).sum::<u64>(), 1024 * runs);
    let told = &history.runs[1..];
    assert!(
        told.iter()
            .zip(history.runs[0].runs..)
            .all(|(run, number)| run.number == number)
    );
    let first = run(0);
    assert_eq!(history.runs[0].started_unix_ms, first.started_unix_ms);
}

#[test]
fn a_file_is_the_text_that_the_format_says_and_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut file, _) = HistoryFile::open(entry(directory.path()));
    let end = Some(RunEnd::OutOfBudget);
    let mut marks = Marks::default();
    [7, 8, 3]
        .into_iter()
        .for_each(|batch| assert!(marks.insert(BatchIndex(batch))));
    file.add([Line::Run(Run {
        end,
        command: RunCommand::Repair,
        ..run(3)
    })]);
    file.add([Line::Sample(sample(3, 2, 1024)), Line::Damaged(&marks)]);
    let expected = concat!(
        r#"{"run":{"number":3,"runs":1,"command":"repair","started_unix_ms":15000,"seen_unix_ms":15001,"#,
        r#""end":"out_of_budget","begun":null,"epochs":1024,"peak_bytes":17825792,"written_bytes":345678}}"#,
        "\n",
        r#"{"sample":{"run":3,"unix_ms":2,"run_epochs":1024,"batches_done":0,"anonymous_bytes":0,"file_bytes":0,"#,
        r#""planned_bytes":0,"budget_bytes":0,"in_flight_batches":0,"written_bytes":0}}"#,
        "\n",
        r#"{"damaged":[{"first":3,"last":3,"marked":1},{"first":7,"last":8,"marked":2}]}"#,
        "\n",
    );
    let file = entry(directory.path());
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Each changes a file of 20 runs, of which what is left is read.
type Change = fn(&mut Vec<u8>);

#[test]
fn what_cannot_be_read_of_a_file_is_passed_over_and_gone_after_the_next_run() {
    let cases: [(Change, u64, bool); 7] = [
        (|_| {}, 20, false),
        // As a kill or a full disk leaves it.
        (|text| text.truncate(text.len() - 30), 19, false),
        (|text| text.extend(b"{\"run\""), 20, false),
        // As a power cut can.
        (|text| text.extend([0; 4096]), 20, false),
        (|text| text.extend(b"\xff\xfe\n[]\n{\"run\":{}}\n\n"), 20, true),
        (|text| text[1..300].fill(b'x'), 18, true),
        (|text| text.resize(5 << 20, b' '), 20, true),
    ];
    for (case, (change, left, is_damage)) in cases.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let file = entry(directory.path());
        let (mut history, _) = HistoryFile::open(file.clone());
        (0..20).for_each(|number| history.add([Line::Run(run(number))]));
        let mut text = fs::read(&file).unwrap();
        change(&mut text);
        fs::write(&file, &text).unwrap();
        let (found, damage) = of_key(&file);
        assert_eq!(
            (found.runs.len() as u64, damage.is_some()),
            (left, is_damage),
            "case {case}: {damage:?}"
        );
        let (mut again, known) = HistoryFile::open(file.clone());
        assert_eq!(known, found, "case {case}");
        again.add([Line::Run(run(90))]);
        let (found, damage) = of_key(&file);
        assert_eq!((found.runs.len() as u64, damage), (left + 1, None), "case {case}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_hostile_file_is_read_within_bounds() {
    let mut text = Vec::new();
    for number in 0..9_000 {
        let number = u64::MAX - 9_000 + number;
        let lines = [
            Line::<Marks>::Run(run(number / 7)),
            Line::Sample(sample(number, 0, u64::MAX)),
        ];
        for line in lines {
            serde_json::to_writer(&mut text, &line).unwrap();
            text.push(b'\n');
        }
    }
    for length in [text.len(), 100_000, 1_000_000] {
        assert!(reread(&text[..length]).is_ok(), "{length}");
    }
    for line in [
        "[".repeat(100_000),
        "{\"redone\":[{\"first\":0,\"last\":18446744073709551615,\"marked\":1}]}".to_owned(),
    ] {
        assert_eq!(reread((line + "\n").as_bytes()), Ok(false));
    }
}

#[test]
fn what_stands_in_the_place_of_the_file_is_left_alone_and_waited_for_by_nobody() {
    type Make = fn(&Path);
    let cases: [(Make, &str); 4] = [
        (
            |path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            "FIFO",
        ),
        (|path| fs::create_dir(path).unwrap(), "directory"),
        (
            |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            "socket",
        ),
        (
            |path| std::os::unix::fs::symlink("elsewhere", path).unwrap(),
            "symbolic link",
        ),
    ];
    for (make, name) in cases {
        let directory = tempfile::tempdir().unwrap();
        let file = entry(directory.path());
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "of somebody else").unwrap();
        make(file.path());
        let (found, damage) = of_key(&file);
        assert_eq!(found, KeyHistory::default());
        assert!(damage.is_some_and(|damage| damage.contains(name)), "{name}");
        let (mut history, known) = HistoryFile::open(file.clone());
        assert_eq!(known, KeyHistory::default());
        history.add([Line::Run(run(0))]);
        history.add_last([Line::Run(run(0))]);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "of somebody else", "{name}");
    }
}

#[test]
fn after_a_failure_nothing_more_is_written_and_what_was_is_readable() {
    for number in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let file = entry(directory.path());
        // Long enough that it has to be written again.
        let text = format!("{}\n", serde_json::to_string(&Line::<Marks>::Run(run(0))).unwrap());
        fs::File::create(&file)
            .unwrap()
            .write_all(text.repeat(6_000).as_bytes())
            .unwrap();
        let mut seen = 0;
        let (calls, count) = std::sync::mpsc::channel();
        let faults = Faults::below(directory.path(), move |_, _| {
            calls.send(()).unwrap();
            seen += 1;
            if seen == number + 1 { Fate::Fail(28) } else { Fate::Pass }
        });
        let (mut history, _) = HistoryFile::open(file.clone());
        history.add([Line::Run(run(1))]);
        history.add_last([Line::Run(run(2))]);
        drop(faults);
        let (found, damage) = of_key(&file);
        assert!(
            found.runs.first().is_some_and(|first| *first == run(0)),
            "call {number}"
        );
        if count.iter().count() <= number {
            assert_eq!((found.runs.len(), damage), (3, None));
            assert!(number > 8, "{number}");
            return;
        }
    }
}
