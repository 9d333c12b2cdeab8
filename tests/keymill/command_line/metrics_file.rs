//! `--metrics-file`: figures of a job that others collect.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixtures::{LONG, OTHER_TINY, SEED, TINY};
use super::program::{PATIENCE, Place, SOON};
use crate::promtool::check_figures;

const FILE: &str = "job.prom";

/// What the file holds; it is never seen in part.
fn text(place: &Place) -> Option<String> {
    let text = fs::read_to_string(place.path(FILE)).ok()?;
    assert!(
        text.starts_with("# HELP keymill_job_state ") && text.ends_with('\n'),
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("keymill_job_"), "{text}");
    Some(text)
}

/// A figure, by its name and what else stands in the braces behind the directory.
fn figure(text: &str, name: &str, label: &str) -> Option<f64> {
    let value = |line: &str| {
        let (found, labels) = line.split_once('{')?;
        let (labels, value) = labels.rsplit_once("} ")?;
        (found == name && labels.ends_with(label)).then(|| value.parse().unwrap())
    };
    text.lines().find_map(value)
}

#[track_caller]
fn is_in_state(text: &str, state: &str) {
    for other in ["running", "finished", "interrupted", "out_of_memory", "failed"] {
        let value = figure(text, "keymill_job_state", &format!("state=\"{other}\""));
        assert_eq!(value, Some(f64::from(u8::from(state == other))), "{other} in\n{text}");
    }
}

/// Every figure that a document's table names in its first column.
fn documented() -> Vec<String> {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/GUIDE.md")).unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `keymill_job_"));
    rows.map(|row| format!("keymill_job_{}", row.split(['`', '{']).next().unwrap()))
        .collect()
}

fn named(text: &str) -> Vec<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn a_job_tells_its_figures_while_it_runs_and_at_its_end() {
    let place = Place::in_memory();
    place.file("seed", SEED);
    let line = format!(
        "keygen key --scheme {LONG} --epochs 2^16 --seed-file seed --threads 1 --metrics-file {FILE} --memory 200M"
    );
    let mut running = place.start(&[], &line);
    let begun = Instant::now();
    let (mut states, mut inodes) = (0, std::collections::BTreeSet::new());
    while running.is_running() {
        assert!(begun.elapsed() < PATIENCE, "{}", running.end().0.all());
        if let Some(text) = text(&place) {
            states += u32::from(figure(&text, "keymill_job_state", "state=\"running\"") == Some(1.0));
            inodes.extend(fs::metadata(place.path(FILE)).map(|found| found.ino()));
        }
    }
    let took = begun.elapsed();
    running.end().0.exits(0);
    assert!(states > 0, "it was not there while the job ran");
    // A new file each time, of which the system may give one the number of an older one; about one a second, the first and the last.
    assert!(
        inodes.len() as u64 <= took.as_secs() + 3,
        "{} in {took:?}",
        inodes.len()
    );
    let text = text(&place).unwrap();
    is_in_state(&text, "finished");
    check_figures(&text);
    let own = |name| figure(&text, name, "").unwrap_or_else(|| panic!("{name} in\n{text}"));
    for name in [
        "keymill_job_epochs",
        "keymill_job_epochs_done",
        "keymill_job_epochs_committed",
    ] {
        assert_eq!(own(name), 65_536.0, "{name}");
    }
    assert_eq!(
        figure(&text, "keymill_job_phase", "phase=\"sealing\""),
        Some(1.0),
        "{text}"
    );
    assert!(own("keymill_job_commits_total") >= 1.0);
    let layers = figure(&text, "keymill_job_written_bytes_total", "to=\"layers\"").unwrap();
    let files = fs::read_dir(place.path("key/layers")).unwrap();
    let on_disk: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // Each file has a head besides.
    assert!(
        layers <= on_disk as f64 && layers > 0.95 * on_disk as f64,
        "{layers} of {on_disk}"
    );
    assert!(figure(&text, "keymill_job_written_bytes_total", "to=\"checkpoints\"").unwrap() > 0.0);
    let (started, updated) = (
        own("keymill_job_start_time_seconds"),
        own("keymill_job_last_update_timestamp_seconds"),
    );
    assert!(started > 1.7e9 && updated >= started, "{started}, {updated}");
    assert_eq!(own("keymill_job_memory_limit_bytes"), f64::from(200 << 20));
    assert!(own("keymill_job_memory_held_bytes") < f64::from(200 << 20));
    let mode = fs::metadata(place.path(FILE)).unwrap().permissions().mode() & 0o777;
    let plain = fs::metadata(place.path("seed")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, plain, "others may read it as far as the umask lets them");
    for name in named(&text) {
        assert!(
            documented().contains(&name),
            "docs/GUIDE.md does not say what {name} is"
        );
    }
    assert!(!text.contains("keymill_job_keys"));
}

#[test]
fn however_a_job_ends_its_file_says_so() {
    let place = Place::in_memory();
    let begin = |line: &str| place.start(&[], &format!("{line} --metrics-file {FILE}"));
    let slow = format!("keygen key --scheme {LONG} --epochs 2^18 --threads 1 --progress none");
    let mut running = begin(&slow);
    place.wait_for_batches("key", 1);
    running.signal(Signal::TERM);
    let (outcome, took) = running.end();
    outcome.exits(130);
    assert!(took < SOON, "{took:?}");
    is_in_state(&text(&place).unwrap(), "interrupted");
    begin(&format!("keygen key --scheme {OTHER_TINY}")).end().0.exits(3);
    is_in_state(&text(&place).unwrap(), "failed");
    begin(&format!("keygen tiny --scheme {TINY}")).end().0.exits(0);
    is_in_state(&text(&place).unwrap(), "finished");
    // Once more: there is nothing to do.
    begin("keygen tiny").end().0.exits(0);
    let again = text(&place).unwrap();
    is_in_state(&again, "finished");
    assert_eq!(figure(&again, "keymill_job_epochs_done", ""), Some(256.0), "{again}");
    // What was killed cannot say so: it stays as it was, and gets old.
    let mut killed = begin(&slow);
    let begun = Instant::now();
    while text(&place).is_some_and(|text| figure(&text, "keymill_job_state", "state=\"running\"") != Some(1.0)) {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.signal(Signal::KILL);
    killed.end();
    is_in_state(&text(&place).unwrap(), "running");
}

#[test]
fn a_set_tells_how_many_of_its_keys_are_finished() {
    let place = Place::in_memory();
    let line = format!(
        "generate --num-validators 2 --log-num-active-epochs 8 --scheme {TINY} --output-dir set --metrics-file {FILE}"
    );
    place.run(&line).exits(0);
    let text = text(&place).unwrap();
    is_in_state(&text, "finished");
    check_figures(&text);
    for (name, value) in [
        ("keymill_job_keys", 4.0),
        ("keymill_job_keys_finished", 4.0),
        ("keymill_job_epochs", 1024.0),
        ("keymill_job_epochs_done", 1024.0),
    ] {
        assert_eq!(figure(&text, name, ""), Some(value), "{name} in\n{text}");
    }
    assert!(!text.contains("keymill_job_commits_total"));
    for name in named(&text) {
        assert!(
            documented().contains(&name),
            "docs/GUIDE.md does not say what {name} is"
        );
    }
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_one_warning_and_the_job_goes_on() {
    let place = Place::in_memory();
    let line = format!("keygen key --scheme {LONG} --epochs 2^16 --threads 1 --metrics-file missing/{FILE}");
    let running = place.start(&[], &line);
    place.wait_for_batches("key", 1);
    // It is tried again each time.
    fs::create_dir(place.path("missing")).unwrap();
    let outcome = running.end().0.exits(0).says(&["warning", "missing"]);
    assert_eq!(outcome.stderr.matches("metrics file").count(), 1, "{}", outcome.all());
    is_in_state(
        &fs::read_to_string(place.path("missing").join(FILE)).unwrap(),
        "finished",
    );
}

#[test]
fn a_metrics_file_takes_the_place_of_nothing_else() {
    let place = Place::new();
    place.file("mine", "do not lose this");
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    std::os::unix::fs::symlink("mine", place.path("link")).unwrap();
    for (name, why) in [
        ("mine", "not a metrics file"),
        ("link", "not a regular file"),
        ("/dev/null", "not a regular file"),
        (".", "not a regular file"),
        ("key/job.prom", "key directory"),
        ("other/job.prom", "which the job fills"),
    ] {
        let line = format!("keygen other --scheme {TINY} --metrics-file {name}");
        place.run(&line).exits(2).says(&["--metrics-file", why]);
        assert!(!place.path("other").exists(), "{name}");
    }
    assert_eq!(fs::read_to_string(place.path("mine")).unwrap(), "do not lose this");
}

/// Nobody waits for the disk because somebody watches.
#[test]
fn a_metrics_file_is_not_synced() {
    let place = Place::new();
    let mut strace = std::process::Command::new("strace");
    strace.args([
        "-f",
        "-y",
        "-qq",
        "-o",
        "log",
        "-e",
        "trace=fsync,fdatasync,sync_file_range,/rename",
    ]);
    fs::create_dir(place.path("watched")).unwrap();
    let line = format!("keygen key --scheme {TINY} --metrics-file watched/{FILE}");
    let Some(outcome) = place.run_under(strace, &[], &line) else {
        return crate::skip::skip("there is no strace");
    };
    outcome.exits(0);
    let log = fs::read_to_string(place.path("log")).unwrap();
    let is_sync = |line: &&str| line.contains("sync") && line.contains("watched");
    assert!(log.contains("fsync") && log.contains(FILE), "{log}");
    assert_eq!(log.lines().find(is_sync), None);
}
