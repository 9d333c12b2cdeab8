//! The page as a whole. It needs nothing but itself: no network, and no script to be complete.

use keymill::audit::{KeyReport, Sample};

use super::axis::{Scale, TimeAxis};
use super::chart::{Chart, Line, most, rates};
use super::words::{self, counted, escaped};
use super::{facts, map, runs};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

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
        header = facts::header(report, &axis),
        charts = charts(report, &axis),
        map = map::html(&report.map),
        marks = facts::marks(report),
        runs = runs::html(report),
        version = env!("CARGO_PKG_VERSION"),
        drawn = words::moment(report.drawn_unix_ms),
        data = data(report, &axis),
    )
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
    let [rate, memory, written] = drawn.map(|chart| chart.html());
    format!("{rate}<div class=\"pair\">{memory}{written}</div>\n")
}

fn rate_chart<'a>(report: &'a KeyReport, axis: &'a TimeAxis<'a>) -> Chart<'a> {
    let lines = vec![Line {
        name: "epochs a second",
        class: "rate",
        runs: rates(axis),
    }];
    let left_out = match axis.segments.len() {
        0 | 1 => "",
        _ => ". What lies between runs is left out, and shaded",
    };
    let most = most(&lines);
    let mean = facts::mean_rate(report, axis).unwrap_or_default();
    Chart {
        id: "rate",
        title: "Rate",
        note: format!("Epochs a second, over the time in which batches were made{left_out}."),
        summary: format!("{} in the mean, {} at most", words::rate(mean), words::rate(most)),
        scale: Scale::decimal(most),
        lines,
        tick: words::rate,
        axis,
        history: &report.history,
    }
}

fn series(axis: &TimeAxis<'_>, quantity: fn(&Sample) -> u64) -> Vec<Vec<(u64, f64)>> {
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
    let line = |name, class, quantity: fn(&Sample) -> u64| Line {
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
        summary: format!(
            "At most {} anonymous and {} of files",
            words::bytes(facts::most_of(report, |sample| sample.anonymous_bytes)),
            words::bytes(facts::most_of(report, |sample| sample.file_bytes))
        ),
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
    let last = report.history.samples.last().copied().unwrap_or_default();
    let summary = format!(
        "{} for {}",
        words::bytes(last.written_bytes),
        counted(last.batches_done, "batch", "batches")
    );
    Chart {
        id: "written",
        title: "Written to RocksDB",
        note: "Bytes of all commits up to a moment: checksums, progress, and this history.".to_owned(),
        summary,
        scale: Scale::binary(most(&lines)),
        lines,
        tick: |quantity| words::bytes(quantity as u64),
        axis,
        history: &report.history,
    }
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
