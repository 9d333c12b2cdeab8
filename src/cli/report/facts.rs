//! What a key is and what became of its batches, in words and figures.

use keymill::audit::{BatchState, KeyReport, Run, RunEnd, Sample};
use keymill::keydir::KeyState;

use super::axis::TimeAxis;
use super::map;
use super::words::{self, counted, escaped, grouped};

/// What the key is right now.
fn state(report: &KeyReport) -> (&'static str, &'static str) {
    match (report.state, report.is_running()) {
        (_, true) => ("running", "busy"),
        (KeyState::Sealed, _) => ("sealed", "good"),
        (KeyState::Generating, _) => ("interrupted", "idle"),
    }
}

pub fn header(report: &KeyReport, axis: &TimeAxis<'_>) -> String {
    let (state, class) = state(report);
    let all = report.map.batches.end - report.map.batches.start;
    let left: u64 = [BatchState::NotDone, BatchState::InProgress, BatchState::Damaged]
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
        let busy_ms = sum(runs
            .iter()
            .map(|run| run.seen_unix_ms.saturating_sub(run.started_unix_ms)));
        let count = sum(runs.iter().map(|run| run.runs));
        facts.push(("Begun", words::moment(first.started_unix_ms), ""));
        facts.push(("Last heard of", words::moment(last.seen_unix_ms), ""));
        facts.push((
            "Time at work",
            format!("{} in {}", words::duration(busy_ms), counted(count, "run", "runs")),
            "",
        ));
        facts.push(("Interruptions", grouped(interruptions(report)), ""));
    }
    if let Some(rate) = mean_rate(report, axis) {
        facts.push(("Mean rate", format!("{} epochs a second", words::rate(rate)), ""));
    }
    if !runs.is_empty() {
        let peak_bytes = runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0);
        facts.push(("Peak memory", words::bytes(peak_bytes), ""));
    }
    if let Some(last) = samples.last() {
        let most_bytes = most_of(report, |sample| sample.anonymous_bytes);
        facts.push(("Peak anonymous memory", words::bytes(most_bytes), ""));
        facts.push(("Budget for anonymous memory", words::bytes(last.budget_bytes), ""));
    }
    if let Some(writer) = &report.writer {
        facts.push(("Written by", writer.clone(), ""));
    }
    facts.push(("Key id", report.key_id.clone(), LONG));
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
    let ended_early = |run: &&Run| run.end != Some(RunEnd::Finished);
    // Of those that are told together, only the last says how it ended; all others were followed by one more.
    let early = sum(report.history.runs.iter().map(|run| run.runs.saturating_sub(1)));
    let ended_early = report.history.runs.iter().filter(ended_early).count() as u64;
    early.saturating_add(ended_early) - running
}

/// Epochs a second over all the time in which runs committed.
pub fn mean_rate(report: &KeyReport, axis: &TimeAxis<'_>) -> Option<f64> {
    let epochs = report.history.samples.chunk_by(|before, after| before.run == after.run);
    let epochs = sum(epochs.filter_map(|samples| Some(samples.last()?.run_epochs)));
    (epochs > 0).then(|| epochs as f64 * 1e3 / axis.worked_ms as f64)
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// The most of a quantity at any sample.
pub fn most_of(report: &KeyReport, quantity: fn(&Sample) -> u64) -> u64 {
    report.history.samples.iter().map(quantity).max().unwrap_or(0)
}

/// Which batches had to be computed again, in words.
pub fn marks(report: &KeyReport) -> String {
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
