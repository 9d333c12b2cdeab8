//! `keymill report`: the page of a key, and what it tells of kills and damage.

use rustix::process::Signal;
use serde_json::Value;

use super::fixtures::{
    LONG, SEED, SMALL_GROUPS, TINY, changing_nothing, finished_key, flip_byte, stopped_key, unfinished_key,
};
use super::program::Place;
use crate::browser::drawn;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// A number as the page writes it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group));
    std::iter::once(head.into()).chain(groups).collect::<Vec<_>>().join(",")
}

fn report(place: &Place) -> Value {
    place.run("report key --json").exits(0).json()
}

/// The text of the page, which is also what goes to a file.
fn page(place: &Place) -> String {
    let page = place.run("report key").exits(0);
    assert!(page.text().starts_with("<!DOCTYPE html>"), "{}", page.all());
    place.run("report key --out page.html").exits(0).prints_nothing();
    let written = std::fs::read_to_string(place.path("page.html")).unwrap();
    // The second may have been another one.
    let undated = |page: &str| page.split("<footer>").next().unwrap().to_owned();
    assert_eq!(undated(page.text()), undated(&written));
    written
}

#[test]
fn a_key_that_was_killed_damaged_and_repaired_says_so() {
    let place = Place::new();
    stopped_key(&place, "2^14", Signal::KILL);
    let killed = report(&place);
    assert_eq!(
        (&killed["state"], &killed["runs"][0]["end"]),
        (&"interrupted".into(), &"killed".into())
    );
    let done_before = number(&killed["batch_states"]["done"]);
    place.run("keygen key").exits(0);
    flip_byte(&place.path("key/layers/00.nodes"), 4096 + 5 * 1024 * 28);
    place.run("check key").exits(1);
    place.run("repair key").exits(0);
    let report = changing_nothing(&place, || report(&place));
    let ends: Vec<&Value> = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["end"])
        .collect();
    assert_eq!(ends, ["killed", "finished", "finished"]);
    assert_eq!(report["runs"][2]["command"], "repair");
    assert_eq!(
        report["found_damaged"],
        serde_json::json!([{"first": 5, "last": 5, "marked": 1}])
    );
    // A kill meets the job when it has begun something, but for the moment between two batches.
    for range in report["redone"].as_array().unwrap() {
        assert!(number(&range["last"]) >= done_before, "{range} of {done_before}");
    }
    let states = &report["batch_states"];
    assert_eq!(number(&states["repaired"]), 1);
    assert_eq!(
        ["done", "redone", "repaired"]
            .iter()
            .map(|state| number(&states[state]))
            .sum::<u64>(),
        16
    );
    let page = page(&place);
    for words in [
        "<span>damaged, and rebuilt</span> <b>1</b>",
        "<dt>Batches that were found damaged</dt><dd>5</dd>",
        "killed",
        "repair",
        "16 of 16 batches done",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    if let Some(document) = drawn(&place.path("page.html"), &place.path("")) {
        assert!(
            document.contains("<title>batch 5: 1 damaged, and rebuilt</title>"),
            "{document}"
        );
    }
}

#[test]
fn the_figures_of_a_report_are_those_of_the_job() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 2^13 --seed-file seed --memory 40MiB --json");
    let keygen = place.run_with(&SMALL_GROUPS, &line).exits(0).json();
    let report = report(&place);
    let samples = report["samples"].as_array().unwrap();
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    assert_eq!(
        (number(&first["run_epochs"]), number(&last["run_epochs"])),
        (0, number(&keygen["epochs_computed"]))
    );
    assert_eq!(number(&last["batches_done"]), 8);
    assert!(
        number(&last["anonymous_bytes"]) <= number(&last["planned_bytes"]),
        "{last}"
    );
    assert_eq!(number(&last["budget_bytes"]), 40 << 20);
    let took_ms = number(&last["unix_ms"]) - number(&first["unix_ms"]);
    assert!(took_ms <= number(&keygen["elapsed_ms"]), "{took_ms} ms\n{keygen}");
    let rate = 8192.0 * 1000.0 / took_ms.max(1) as f64;
    assert!(
        (report["epochs_per_second"].as_f64().unwrap() - rate).abs() < 1e-6,
        "{rate}\n{report}"
    );
    let page = page(&place);
    for figure in [
        "8,192 (0 to 8,191)",
        "8 of 8 batches",
        &grouped(rate.round() as u64),
        keygen["public_key"].as_str().unwrap(),
    ] {
        assert!(page.contains(figure), "{figure}\n{page}");
    }
}

#[test]
fn a_job_that_is_running_is_drawn_without_being_disturbed() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 2^18 --seed-file seed --threads 1");
    let mut running = place.start(&SMALL_GROUPS, &line);
    place.wait_for_batches("key", 2);
    // Of two pages, the second could have more batches.
    let (report, page) = (report(&place), place.run("report key").exits(0));
    let page = page.text();
    assert!(running.is_running());
    running.signal(Signal::TERM);
    running.end().0.exits(130);
    assert_eq!(
        (&report["state"], &report["runs"][0]["end"]),
        (&"generating".into(), &"running".into())
    );
    assert!(number(&report["batch_states"]["done"]) >= 2, "{report}");
    assert!(page.contains(">running</span>"), "{page}");
    let ended = self::report(&place);
    assert_eq!(ended["runs"][0]["end"], "stopped by a signal");
    assert_eq!(number(&ended["batch_states"]["in_progress"]), 0, "{ended}");
}

#[test]
fn a_key_without_a_history_is_drawn_all_the_same() {
    let place = Place::new();
    finished_key(&place, TINY);
    std::fs::remove_file(place.path("key/history.jsonl")).unwrap();
    let report = report(&place);
    assert_eq!(
        (&report["runs"], &report["samples"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    assert_eq!(number(&report["batch_states"]["done"]), 1);
    let page = page(&place);
    assert!(
        page.contains("There is no record of how this key was made") && page.contains("1 of 1 batch "),
        "{page}"
    );
}

#[test]
fn the_page_does_not_go_among_the_files_of_a_key_and_a_missing_key_is_named() {
    let place = Place::new();
    place.run("report key").exits(3).prints_nothing().says(&["key"]);
    unfinished_key(&place, "2^14");
    changing_nothing(&place, || {
        place
            .run("report key --out key/page.html")
            .exits(2)
            .says(&["key directory"])
    });
}

#[test]
fn a_browser_shows_the_page_with_its_figures() {
    let place = Place::new();
    unfinished_key(&place, "2^14");
    place.run("keygen key --threads 1").exits(0);
    page(&place);
    let Some(document) = drawn(&place.path("page.html"), &place.path("")) else {
        return;
    };
    let report = report(&place);
    let samples = report["samples"].as_array().unwrap();
    let rate = report["epochs_per_second"].as_f64().unwrap();
    let runs: Vec<u64> = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| number(&run["epochs"]))
        .collect();
    assert_eq!((runs.len(), runs.iter().sum::<u64>()), (2, 1 << 14), "{report}");
    let figures = [
        format!("<dd>{} epochs a second</dd>", grouped(rate.round() as u64)),
        "<dd>16,384 (0 to 16,383)</dd>".to_owned(),
        format!("Epochs\">{}</td>", grouped(runs[0])),
        format!("Epochs\">{}</td>", grouped(runs[1])),
        format!("<dd>{}</dd>", report["public_key"].as_str().unwrap()),
        "End\">stopped by a signal</td>".to_owned(),
        "Point at a cell to see its batches.</output>".to_owned(),
    ];
    for figure in figures {
        assert!(document.contains(&figure), "{figure}\n{document}");
    }
    // Removed by the script at its very end: everything before it has run.
    assert!(!document.contains("id=\"undrawn\""), "{document}");
    assert!(samples.len() >= 4, "{report}");
    let drawn = document
        .split("class=\"line rate\" d=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
}

#[test]
fn a_key_behind_a_link_has_the_bytes_on_disk_that_it_has() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    std::os::unix::fs::symlink("key", place.path("link")).unwrap();
    let bytes = |name: &str| place.status(name).unwrap()["disk_bytes"].as_u64().unwrap();
    assert!(bytes("link") > 0);
    assert_eq!(bytes("link"), bytes("key"));
}
