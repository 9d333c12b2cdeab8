//! Pages of keys that never were: of the longest, the luckless and the hostile.

use std::time::{Duration, Instant};

use keymill::audit::{BatchMap, BatchState, KeyHistory, KeyReport, Run, RunCommand, RunEnd, Sample};
use keymill::plan::BatchIndex;
use keymill::{KeyState, Plan, Scheme};

use super::{answer, page};

#[path = "../../../tests/keymill/browser.rs"]
mod browser;
#[path = "../../../tests/keymill/skip.rs"]
mod skip;

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

fn html(report: &KeyReport) -> String {
    page::html(report, &answer(report))
}

/// Pages as a browser draws them, in their order, with the pointer in the middle of the first chart: each in a frame of one
/// document, which then shows their text.
fn drawn(reports: &[KeyReport]) -> Option<Vec<String>> {
    const SHOW: &str = "onload = () => { for (const frame of document.querySelectorAll('iframe')) {\
        const chart = frame.contentDocument.querySelector('.plot');\
        const { left, right } = chart?.getBoundingClientRect() ?? {};\
        chart?.dispatchEvent(new PointerEvent('pointermove', { clientX: (left + right) / 2 }));\
        const text = frame.contentDocument.documentElement.outerHTML; frame.remove();\
        document.body.append(Object.assign(document.createElement('pre'), { textContent: text })); } };";
    let frame = |report| {
        let page = html(report).replace('&', "&amp;").replace('"', "&quot;");
        format!("<iframe srcdoc=\"{page}\"></iframe>")
    };
    let frames: String = reports.iter().map(frame).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pages.html");
    let document = format!("<!DOCTYPE html><meta charset=\"utf-8\"><body>{frames}<script>{SHOW}</script>");
    std::fs::write(&file, document).unwrap();
    let document = browser::drawn(&file, directory.path())?;
    let pages = document.split("<pre>").skip(1).map(|rest| rest.split("</pre>").next());
    let unescaped = |page: &str| page.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let pages: Vec<String> = pages.map(|page| unescaped(page.unwrap())).collect();
    assert_eq!(pages.len(), reports.len(), "{document}");
    assert!(
        pages.iter().all(|page| !page.contains("id=\"undrawn\"")),
        "the script did not end"
    );
    Some(pages)
}

/// Whatever stands between these two texts.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .map(move |rest| rest.split(after).next().unwrap())
}

/// The lines of a page, each with the points of each run.
fn lines(page: &str) -> Vec<Vec<Vec<[f64; 2]>>> {
    let point = |point: &str| {
        let (x, y) = point.split_once(' ').unwrap();
        [x.parse().unwrap(), y.parse().unwrap()]
    };
    between(page, "<path class=\"line", "\"></path>")
        .map(|line| line.split(" d=\"").nth(1).unwrap())
        .map(|path| {
            path.split('M')
                .skip(1)
                .map(|run| run.split('L').map(point).collect())
                .collect()
        })
        .collect()
}

#[test]
fn the_page_of_4_194_304_batches_is_made_in_seconds_and_stays_small() {
    let begun = Instant::now();
    let report = longest();
    let page = html(&report);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(page.len() < 700 << 10, "{} bytes", page.len());
    assert_eq!((report.map.cells.len(), report.map.cell_batches), (2048, 2048));
    let total = |state| report.map.total.of(state);
    assert_eq!(total(BatchState::Redone), 255 * 16);
    assert_eq!((total(BatchState::Repaired), total(BatchState::Damaged)), (3, 1));
    assert_eq!(total(BatchState::NotDone), 4_194_304 - 4_100_000);
    for words in [
        "of 4,194,304 batches",
        "4,294,967,296 (0 to 4,294,967,295)",
        "<span>redone after a crash</span> <b>4,080</b>",
        "<span>damaged, and rebuilt</span> <b>3</b>",
    ] {
        assert!(page.contains(words), "{words}");
    }
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
    let page = html(&report);
    assert!(page.len() < 900 << 10, "{} bytes", page.len());
}

#[test]
fn a_page_needs_nothing_but_itself() {
    for report in [longest(), small(history(3, 9, HOUR_MS)), small(KeyHistory::default())] {
        let page = html(&report);
        for word in ["http:", "https:", "src=", "@import", "<link", "fetch(", "import("] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("content=\"default-src 'none';"));
        assert!(page.split("url(").skip(1).all(|rest| rest.starts_with("#p-")));
    }
}

/// The figures do not wait for a script.
#[test]
fn facts_states_and_runs_are_plain_html() {
    let page = html(&small(history(3, 9, HOUR_MS)));
    let plain: Vec<&str> = page.split("<script").collect();
    for figure in [
        "<dt>Epochs</dt><dd>262,144 (0 to 262,143)</dd>",
        "<dt>Time at work</dt><dd>3 h 00 min in 3 runs</dd>",
        "<dt>Interruptions</dt><dd>2</dd>",
        "<span>not done</span> <b>56</b> <small>21.9%</small>",
        "<td data-name=\"End\">killed</td>",
        "<td data-name=\"End\">stopped by a signal</td>",
        "<td colspan=\"7\">1 h 00 min later</td>",
    ] {
        assert!(plain[0].contains(figure), "{figure}\n{}", plain[0]);
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</script><script>alert('1')</script><!--\"&\u{7}\u{2028}";
    let mut report = small(KeyHistory::default());
    report.writer = Some(hostile.to_owned());
    report.key_id = hostile.to_owned();
    report.history_damage = Some(hostile.to_owned());
    let page = html(&report);
    for active in ["<script>alert", "<!--", "\u{7}", "\u{2028}"] {
        assert!(!page.contains(active), "{active}\n{page}");
    }
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
    let escaped = "&lt;/script&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&lt;!--&quot;&amp;\\u{7}\\u{2028}";
    assert_eq!(page.matches(escaped).count(), 4, "{page}");
    let json = between(&page, "id=\"report\">", "</script>").next().unwrap();
    let read: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(read["writer"], hostile);
    let Some(drawn) = drawn(&[report]) else { return };
    assert_eq!(drawn[0].matches("<script").count(), 2, "{}", drawn[0]);
}

#[test]
fn what_is_missing_is_said_in_words() {
    assert!(html(&small(KeyHistory::default())).contains("There is no record of how this key was made"));
    let begun = KeyHistory {
        runs: vec![run(0, BEGUN_MS, 10, None)],
        ..KeyHistory::default()
    };
    assert!(html(&small(begun)).contains("No batch has been committed yet"));
}

/// Whatever stands in a history that somebody else wrote, and clocks that were set back.
#[test]
fn every_history_is_drawn_within_its_frame() {
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
    let mut sparse = history(2, 2, HOUR_MS);
    sparse.samples.remove(1);
    let histories = [senseless, at_its_limits, sparse, KeyHistory::default()];
    let mut reports: Vec<KeyReport> = histories.into_iter().map(small).collect();
    reports.push(longest());
    let Some(pages) = drawn(&reports) else { return };
    let points: Vec<usize> = pages.iter().map(|page| points_in_frame(page)).collect();
    // Five lines; a run of one sample has no rate.
    assert_eq!(points[2..4], [3 * 5 + 2, 0]);
    assert!(
        points[0] > 40 && points[1] > 10 && points[4] > 256 * 4 * 4,
        "{points:?}"
    );
    assert!(pages[4].contains("Each cell stands for 2,048 batches"));
    assert!(pages[4].contains("batches 999,424 to 1,001,471: 1 damaged"));
}

/// How many points are drawn; none is outside the frame.
fn points_in_frame(page: &str) -> usize {
    let drawing = page.split("<script").next().unwrap();
    for nonsense in ["NaN", "Infinity", "undefined", "null"] {
        assert!(!drawing.contains(nonsense), "{nonsense}\n{drawing}");
    }
    let lines = lines(page);
    let points = lines.iter().flatten().flatten();
    for [x, y] in points.clone() {
        assert!((0.0..=1000.0).contains(x) && (0.0..=100.0).contains(y), "{x} {y}");
    }
    points.count()
}

#[test]
fn ticks_are_round_few_and_in_the_frame() {
    let times = (0..46)
        .step_by(3)
        .flat_map(|exponent| [1_u64 << exponent, (1 << exponent) + (1 << exponent) / 3]);
    let mut reports: Vec<KeyReport> = times.map(|worked_ms| small(history(7, 12, worked_ms))).collect();
    for (exponent, report) in reports.iter_mut().enumerate() {
        let most = 1.7 * (1_u64 << exponent) as f64;
        let last = report.history.samples.last_mut().unwrap();
        (last.anonymous_bytes, last.written_bytes) = (most as u64, most as u64);
    }
    let Some(pages) = drawn(&reports) else { return };
    for page in pages {
        for times in between(&page, "<div class=\"x\"", "</div>") {
            let places: Vec<f64> = between(times, "left:", "%")
                .map(|place| place.parse().unwrap())
                .collect();
            assert!((1..=6).contains(&places.len()), "{times}");
            assert!(places.iter().all(|place| (0.0..=100.001).contains(place)), "{times}");
            assert!(places.is_sorted_by(|before, after| before < after), "{times}");
        }
        let scales: Vec<&str> = between(&page, "<div class=\"y\"", "</div>").collect();
        assert_eq!(scales.len(), 3);
        for quantities in scales {
            let places: Vec<f64> = between(quantities, "top:", "%")
                .map(|place| place.parse().unwrap())
                .collect();
            assert!((2..=6).contains(&places.len()), "{quantities}");
            assert_eq!((places[0], places[places.len() - 1]), (100.0, 0.0), "{quantities}");
            let names: std::collections::BTreeSet<&str> = between(quantities, "%;\">", "<").collect();
            assert!(
                names.len() <= 6 && names.iter().all(|name| name.len() <= 14),
                "{quantities}"
            );
        }
    }
}

#[test]
fn runs_stand_side_by_side_with_what_lies_between_them_left_out() {
    let Some(pages) = drawn(&[small(history(3, 5, HOUR_MS)), small(history(30, 5, HOUR_MS))]) else {
        return;
    };
    let lines = lines(&pages[0]);
    assert_eq!(lines.len(), 6, "rate, budget, planned, anonymous, file, written");
    for runs in lines {
        let ends: Vec<(f64, f64)> = runs.iter().map(|run| (run[0][0], run[run.len() - 1][0])).collect();
        assert_eq!((ends.len(), ends[0].0, ends[2].1), (3, 0.0, 1000.0), "{ends:?}");
        assert!(
            ends.windows(2).all(|pair| (pair[1].0 - pair[0].1 - 14.0).abs() < 0.11),
            "{ends:?}"
        );
        let lengths: Vec<f64> = ends.iter().map(|(start, end)| end - start).collect();
        assert!(
            lengths.iter().all(|length| (length - lengths[0]).abs() < 0.21),
            "{lengths:?}"
        );
    }
    for words in [
        "1 h 00 min between runs; the one before: killed",
        "1 h 00 min between runs; the one before: stopped by a signal",
        "class=\"number\"",
        "the number is that of the run before",
        // What is below the pointer.
        "2026-09-21 16:43:20 UTC: 13,717 epochs a second, 28,000 batches done</output>",
    ] {
        assert!(pages[0].contains(words), "{words}\n{}", pages[0]);
    }
    // More numbers than ten would stand on each other.
    let drawing = pages[1].split("<script").next().unwrap();
    assert!(
        drawing.contains("class=\"pause\"") && !drawing.contains("class=\"number\""),
        "{drawing}"
    );
}
