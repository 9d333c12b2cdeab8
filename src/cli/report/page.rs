//! The page as a whole. It needs nothing but itself: no network, and no script to be complete.

use keymill::audit::{KeyReport, Run};
use keymill::keydir::KeyState;

use super::axis::{Scale, TimeAxis};
use super::chart::{Chart, Line, most, rates};
use super::map;
use super::words::{self, counted, escaped, grouped};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Runs that are shown unasked.
const RUNS_OPEN_MAX: usize = 12;

/// The page of a key.
pub fn html(report: &KeyReport) -> String {
    let axis = TimeAxis::new(&report.history);
    let scheme = report.plan.scheme().id();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{scheme}, key {key_id}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{header}{charts}{map}\
         {marks}{runs}<footer>Drawn by keymill {version} on {drawn}.</footer>\n</main>\n{data}<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        scheme = escaped(scheme),
        key_id = escaped(&report.key_id),
        header = header(report, &axis),
        charts = charts(report, &axis),
        map = map::html(&report.map),
        marks = marks(report),
        runs = runs(report),
        version = env!("CARGO_PKG_VERSION"),
        drawn = words::moment(report.drawn_unix_ms),
        data = data(report, &axis),
    )
}

/// What the key is right now.
fn state(report: &KeyReport) -> (&'static str, &'static str) {
    match (report.state, report.is_running()) {
        (_, true) => ("running", "busy"),
        (KeyState::Sealed, _) => ("sealed", "good"),
        (KeyState::Generating, _) => ("interrupted", "idle"),
    }
}

fn header(report: &KeyReport, axis: &TimeAxis<'_>) -> String {
    let (state, class) = state(report);
    let all = report.map.batches.end - report.map.batches.start;
    let left: u64 = [
        keymill::audit::BatchState::NotDone,
        keymill::audit::BatchState::InProgress,
        keymill::audit::BatchState::Damaged,
    ]
    .into_iter()
    .map(|state| report.map.total.of(state))
    .sum();
    let share = map::share(all - left, all);
    let facts: String = facts(report, axis)
        .into_iter()
        .map(|(name, value, class)| format!("<div{class}><dt>{name}</dt><dd>{}</dd></div>", escaped(&value)))
        .collect();
    format!(
        "<header>\n<p class=\"kicker\">keymill key</p>\n<h1>{scheme} <span class=\"badge {class}\">{state}</span></h1>\n\
         <p class=\"done\"><progress max=\"{all}\" value=\"{done}\"></progress> <b>{share}</b> <span>{done_words} of \
         {all_words} done</span></p>\n<dl>{facts}</dl>\n</header>\n",
        scheme = escaped(report.plan.scheme().id()),
        done = all - left,
        done_words = grouped(all - left),
        all_words = counted(all, "batch", "batches"),
    )
}

/// Name, value, and the attribute of those that are long.
fn facts(report: &KeyReport, axis: &TimeAxis<'_>) -> Vec<(&'static str, String, &'static str)> {
    const LONG: &str = " class=\"long\"";
    let (plan, runs, samples) = (&report.plan, &report.history.runs, &report.history.samples);
    let stored = plan.stored();
    let mut facts = vec![(
        "Epochs",
        format!(
            "{} ({} to {})",
            grouped(stored.count()),
            grouped(stored.start),
            grouped(stored.end - 1)
        ),
        "",
    )];
    if plan.trim().0 > 0 {
        facts.push(("Lowest stored level", plan.trim().to_string(), ""));
    }
    facts.push(("On disk", words::bytes(report.disk_bytes), ""));
    if let (Some(first), Some(last)) = (runs.first(), runs.last()) {
        let busy_ms: u64 = runs
            .iter()
            .map(|run| run.seen_unix_ms.saturating_sub(run.started_unix_ms))
            .sum();
        let count: u64 = runs.iter().map(|run| run.runs).sum();
        facts.push(("Begun", words::moment(first.started_unix_ms), ""));
        facts.push(("Last heard of", words::moment(last.seen_unix_ms), ""));
        facts.push((
            "Time at work",
            format!("{} in {}", words::duration(busy_ms), counted(count, "run", "runs")),
            "",
        ));
        facts.push(("Interruptions", grouped(interruptions(report)), ""));
        facts.push((
            "Peak memory",
            words::bytes(runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0)),
            "",
        ));
        facts.push(("Written to RocksDB", words::bytes(last.written_bytes), ""));
    }
    if let Some(rate) = mean_rate(report, axis) {
        facts.push(("Mean rate", format!("{} epochs a second", words::rate(rate)), ""));
    }
    if let Some(last) = samples.last() {
        facts.push(("Memory budget", words::bytes(last.budget_bytes), ""));
    }
    facts.push(("Key id", report.key_id.clone(), ""));
    if let Some(writer) = &report.writer {
        facts.push(("Written by", writer.clone(), ""));
    }
    let public_key = report
        .public_key
        .as_ref()
        .map_or("known when the key is sealed".to_owned(), hex::encode);
    facts.push(("Public key", public_key, LONG));
    facts
}

/// Runs that ended before there was nothing left to do.
fn interruptions(report: &KeyReport) -> u64 {
    let running = u64::from(report.is_running());
    let ended_early = |run: &&Run| run.end != Some(keymill::audit::RunEnd::Finished);
    // Of those that are told together, only the last says how it ended; all others were followed by one more.
    let early: u64 = report.history.runs.iter().map(|run| run.runs - 1).sum();
    early + report.history.runs.iter().filter(ended_early).count() as u64 - running
}

/// Epochs a second over all the time in which runs committed.
pub fn mean_rate(report: &KeyReport, axis: &TimeAxis<'_>) -> Option<f64> {
    let epochs = report.history.samples.chunk_by(|before, after| before.run == after.run);
    let epochs: u64 = epochs.filter_map(|samples| Some(samples.last()?.run_epochs)).sum();
    (epochs > 0).then(|| epochs as f64 * 1e3 / axis.worked_ms as f64)
}

fn charts(report: &KeyReport, axis: &TimeAxis<'_>) -> String {
    if let Some(damage) = &report.history_damage {
        return format!(
            "<section class=\"empty\" id=\"no-history\"><h2>Runs</h2><p>What was remembered of how this key was made cannot \
             be read: {}. The key itself does not depend on it.</p></section>\n",
            escaped(damage)
        );
    }
    if report.history.runs.is_empty() {
        return "<section class=\"empty\" id=\"no-history\"><h2>Runs</h2><p>Nothing is remembered of how this key was made: it \
                was made by a version of keymill that did not note it, or its checkpoint store was made anew. The key itself \
                does not depend on it.</p></section>\n"
            .to_owned();
    }
    if report.history.samples.is_empty() {
        return "<section class=\"empty\" id=\"no-samples\"><h2>Runs</h2><p>No batch has been committed yet, so there is \
                nothing to draw.</p></section>\n"
            .to_owned();
    }
    let drawn = [
        rate_chart(report, axis),
        memory_chart(report, axis),
        written_chart(report, axis),
    ];
    drawn.iter().map(Chart::html).collect()
}

fn rate_chart<'a>(report: &'a KeyReport, axis: &'a TimeAxis<'a>) -> Chart<'a> {
    let lines = vec![Line {
        name: "epochs a second",
        class: "rate",
        runs: rates(axis),
    }];
    let gaps = axis.gaps(&report.history).len() as u64;
    let left_out = match gaps {
        0 => String::new(),
        gaps => format!(
            ", with {} left out where it is hatched",
            counted(gaps, "interruption", "interruptions")
        ),
    };
    Chart {
        id: "rate",
        title: "Rate",
        note: format!("Epochs a second, over the time in which batches were made{left_out}."),
        scale: Scale::decimal(most(&lines)),
        lines,
        tick: words::rate,
        axis,
        history: &report.history,
    }
}

fn series(axis: &TimeAxis<'_>, quantity: fn(&keymill::audit::Sample) -> u64) -> Vec<Vec<(u64, f64)>> {
    let segments = axis.segments.iter();
    let points = segments.map(|segment| {
        segment
            .samples
            .iter()
            .map(|sample| (sample.unix_ms, quantity(sample) as f64))
    });
    points.map(Iterator::collect).collect()
}

fn memory_chart<'a>(report: &'a KeyReport, axis: &'a TimeAxis<'a>) -> Chart<'a> {
    let line = |name, class, quantity: fn(&keymill::audit::Sample) -> u64| Line {
        name,
        class,
        runs: series(axis, quantity),
    };
    let lines = vec![
        line("budget for anonymous memory", "budget", |sample| sample.budget_bytes),
        line("anonymous", "anonymous", |sample| sample.anonymous_bytes),
        line("pages of files", "file", |sample| sample.file_bytes),
    ];
    Chart {
        id: "memory",
        title: "Memory",
        note:
            "What was resident at each commit. Pages of files are the kernel's to drop, and do not count towards the \
               budget."
                .to_owned(),
        scale: Scale::binary(most(&lines)),
        lines,
        tick: |quantity| words::bytes(quantity as u64),
        axis,
        history: &report.history,
    }
}

fn written_chart<'a>(report: &'a KeyReport, axis: &'a TimeAxis<'a>) -> Chart<'a> {
    let lines = vec![Line {
        name: "bytes",
        class: "written",
        runs: series(axis, |sample| sample.written_bytes),
    }];
    Chart {
        id: "written",
        title: "Written to RocksDB",
        note: "Bytes of all commits up to a moment: checksums, progress, and this history.".to_owned(),
        scale: Scale::binary(most(&lines)),
        lines,
        tick: |quantity| words::bytes(quantity as u64),
        axis,
        history: &report.history,
    }
}

/// Which batches had to be computed again, in words.
fn marks(report: &KeyReport) -> String {
    let history = &report.history;
    let sets = [
        ("In flight at a crash, and begun again", &history.redone),
        ("Found damaged", &history.damaged),
    ];
    let is_approximate = sets.iter().any(|(_, marks)| map::is_approximate(marks));
    let listed: String = sets
        .into_iter()
        .filter(|(_, marks)| !marks.ranges().is_empty())
        .map(|(name, marks)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", map::listed(marks)))
        .collect();
    if listed.is_empty() {
        return String::new();
    }
    let about = match is_approximate {
        true => {
            "<p>There were so many that neighbouring ranges are told as one; their other batches are coloured too.</p>"
        }
        false => "",
    };
    format!(
        "<section id=\"marks\"><h2>Batches that were computed more than once</h2><dl>{listed}</dl>{about}</section>\n"
    )
}

fn runs(report: &KeyReport) -> String {
    let runs = &report.history.runs;
    if runs.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    let mut before: Option<&Run> = None;
    for (at, run) in runs.iter().enumerate() {
        if let Some(before) = before {
            let away_ms = run.started_unix_ms.saturating_sub(before.seen_unix_ms);
            rows += &format!(
                "<tr class=\"away\"><td colspan=\"7\">{} later</td></tr>",
                words::duration(away_ms)
            );
        }
        rows += &row(run, report.is_running() && at + 1 == runs.len());
        before = Some(run);
    }
    let table = format!(
        "<table><thead><tr><th>Run</th><th>Command</th><th>Began</th><th>Took</th><th>Epochs</th><th>Peak memory</th>\
         <th>End</th></tr></thead><tbody>{rows}</tbody></table>"
    );
    let table = match runs.len() > RUNS_OPEN_MAX {
        true => format!(
            "<details><summary>All {}</summary>{table}</details>",
            counted(runs.len() as u64, "run", "runs")
        ),
        false => table,
    };
    format!("<section id=\"runs\"><h2>Runs</h2>{table}</section>\n")
}

fn row(run: &Run, is_running: bool) -> String {
    let number = match run.runs {
        1 => grouped(run.number + 1),
        runs => format!("{} to {}", grouped(run.number + 1), grouped(run.number + runs)),
    };
    let cells = [
        ("Run", number),
        ("Command", words::command(run).to_owned()),
        ("Began", words::moment(run.started_unix_ms)),
        (
            "Took",
            words::duration(run.seen_unix_ms.saturating_sub(run.started_unix_ms)),
        ),
        ("Epochs", grouped(run.epochs)),
        ("Peak memory", words::bytes(run.peak_bytes)),
        ("End", words::end(run, is_running).to_owned()),
    ];
    let cell = |(name, value): (&str, String)| format!("<td data-name=\"{name}\">{value}</td>");
    let cells: String = cells.into_iter().map(cell).collect();
    format!("<tr>{cells}</tr>")
}

/// The samples for the script that reads them out: a list a sample, beginning with its place in the drawings.
fn data(report: &KeyReport, axis: &TimeAxis<'_>) -> String {
    let rates = rates(axis);
    let first_ms = report.history.samples.first().map_or(0, |sample| sample.unix_ms);
    let mut points = Vec::new();
    for (segment, steps) in axis.segments.iter().zip(&rates) {
        for sample in segment.samples {
            let step = steps.iter().find(|(unix_ms, _)| *unix_ms >= sample.unix_ms);
            let rate = step.map_or(0.0, |(_, rate)| *rate);
            points.push(format!(
                "[{:.1},{},{:.0},{},{},{},{},{}]",
                axis.x(segment, sample.unix_ms),
                sample.unix_ms.saturating_sub(first_ms) / 100,
                rate,
                sample.batches_done,
                sample.anonymous_bytes >> 10,
                sample.file_bytes >> 10,
                sample.budget_bytes >> 10,
                sample.written_bytes >> 10,
            ));
        }
    }
    format!(
        "<script type=\"application/json\" id=\"samples\">{{\"first_ms\":{first_ms},\"samples\":[{}]}}</script>\n",
        points.join(",")
    )
}
