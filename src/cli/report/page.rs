//! The page: its figures as plain HTML, and the report as JSON for the script that draws the rest.

use std::fmt::Display;
use std::time::Duration;

use indicatif::HumanCount;
use keymill::audit::{BatchState, KeyReport, MarkedRange, Marks, Run, Sample};
use keymill::support::{PAGE_STYLE, escaped, moment, share, visible_json};

use super::{batch_state_name, ended_early, mean_rate, run_command, run_end, state};
use crate::cli::output::{hex_digits, human_bytes, human_duration};

/// Ranges that are listed.
const LISTED_MAX: usize = 12;
/// Runs that are shown unasked.
const OPEN_MAX: usize = 12;
const COLUMNS: [&str; 7] = ["Run", "Command", "Began", "Took", "Epochs", "Most memory", "End"];

/// The page of a report, which is also given as JSON.
pub fn html(report: &KeyReport, json: &impl Display) -> String {
    let (batches, batches_done) = batches(report);
    format!(
        include_str!("page.html"),
        style = PAGE_STYLE,
        script = include_str!("page.js"),
        // Only a string of JSON can have a '<', and without one no script ends and no comment begins.
        json = visible_json(&json.to_string()).replace('<', "\\u003c"),
        scheme = escaped(report.plan.scheme().id()),
        key_id = escaped(&report.key_id),
        state = state(report),
        batches = batches,
        batches_done = batches_done,
        share_done = share(batches_done, batches),
        done = format_args!(
            "{} of {} done",
            HumanCount(batches_done),
            counted(batches, "batch", "batches")
        ),
        facts = listed_facts(facts(report)),
        long_facts = listed_facts(long_facts(report)),
        notice = notice(report),
        states = states(report),
        runs = runs(report),
        version = env!("CARGO_PKG_VERSION"),
        drawn = moment(report.drawn_unix_ms),
    )
}

/// How many batches there are, and how many are done.
fn batches(report: &KeyReport) -> (u64, u64) {
    let states = [BatchState::Done, BatchState::Redone, BatchState::Repaired];
    let done = states.into_iter().map(|state| report.map.total.of(state)).sum();
    (report.map.batches.end - report.map.batches.start, done)
}

type Fact = (&'static str, Option<String>);

fn listed_facts(facts: impl IntoIterator<Item = Fact>) -> String {
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value)))
        .collect()
}

fn facts(report: &KeyReport) -> [Fact; 14] {
    let (runs, samples) = (&report.history.runs, &report.history.samples);
    let (first, last) = (runs.first(), runs.last());
    let stored = report.plan.stored();
    let (start, end) = (HumanCount(stored.start), HumanCount(stored.end - 1));
    let trim = report.plan.trim();
    let bytes = |of: fn(&Sample) -> u64| samples.last().map(of).filter(|bytes| *bytes > 0).map(human_bytes);
    let peak_anonymous = samples.iter().map(|sample| sample.anonymous_bytes).max();
    [
        (
            "Epochs",
            Some(format!("{} ({start} to {end})", HumanCount(stored.count()))),
        ),
        ("Lowest stored level", (trim.0 > 0).then(|| trim.to_string())),
        ("On disk", Some(human_bytes(report.disk_bytes))),
        ("Begun", first.map(|run| moment(run.started_unix_ms))),
        ("Last seen", last.map(|run| moment(run.seen_unix_ms))),
        ("Time at work", first.map(|_| time_at_work(runs))),
        (
            "Interruptions",
            first.map(|_| HumanCount(ended_early(report)).to_string()),
        ),
        ("Mean rate", mean_rate(report).map(rate)),
        (
            "Peak memory",
            runs.iter().map(|run| run.peak_bytes).max().map(human_bytes),
        ),
        ("Peak anonymous memory", peak_anonymous.map(human_bytes)),
        ("Planned anonymous memory", bytes(|sample| sample.planned_bytes)),
        ("Memory budget", bytes(|sample| sample.budget_bytes)),
        ("Written to RocksDB", bytes(|sample| sample.written_bytes)),
        ("Held by", report.writer.clone()),
    ]
}

/// Those that need a line of their own.
fn long_facts(report: &KeyReport) -> [Fact; 4] {
    let public_key = report.public_key.as_ref().map(hex_digits);
    [
        ("Batches that a crash interrupted", listed(&report.history.redone)),
        ("Batches that were found damaged", listed(&report.history.damaged)),
        ("Key id", Some(report.key_id.clone())),
        (
            "Public key",
            public_key.or_else(|| Some("known when the key is sealed".to_owned())),
        ),
    ]
}

fn time_at_work(runs: &[Run]) -> String {
    let busy_ms = runs.iter().map(took_ms).fold(0, u64::saturating_add);
    let count = runs.iter().map(|run| run.runs).fold(0, u64::saturating_add);
    format!("{} in {}", duration(busy_ms), counted(count, "run", "runs"))
}

/// The batches of a set; nothing if there are none. Of some ranges only the number of their batches that are meant is known.
fn listed(marks: &Marks) -> Option<String> {
    let ranges = marks.ranges();
    let name = |range: &MarkedRange| {
        let (first, last) = (HumanCount(range.first), HumanCount(range.last));
        match range.last - range.first {
            0 => first.to_string(),
            _ if range.is_approximate() => format!("{} of {first} to {last}", HumanCount(range.marked)),
            _ => format!("{first} to {last}"),
        }
    };
    let mut names: Vec<String> = ranges.iter().take(LISTED_MAX).map(name).collect();
    if ranges.len() > LISTED_MAX {
        names.push(counted((ranges.len() - LISTED_MAX) as u64, "more range", "more ranges"));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Why there is nothing to draw.
fn notice(report: &KeyReport) -> String {
    let history = &report.history;
    let why = if let Some(damage) = &report.history_damage {
        format!(
            "Not all of the record of how this key was made can be read: {damage}. The key itself does not depend on it."
        )
    } else if history.runs.is_empty() {
        "There is no record of how this key was made: the version of keymill that made it kept none, or the record was lost. \
         The key itself does not depend on it."
            .to_owned()
    } else if history.samples.is_empty() {
        "No batch has been committed yet, so there is nothing to draw.".to_owned()
    } else {
        return String::new();
    };
    format!(
        "<section id=\"notice\"><h2>Runs</h2><p>{}</p></section>\n",
        escaped(&why)
    )
}

/// The states of batches, which are the legend of the map too.
fn states(report: &KeyReport) -> String {
    let entry = |state: BatchState| {
        let (count, (field, name)) = (report.map.total.of(state), batch_state_name(state));
        let share = share(count, batches(report).0);
        let class = if count == 0 { " class=\"none\"" } else { "" };
        let count = HumanCount(count);
        format!("<li data-state=\"{field}\"{class}><span>{name}</span> <b>{count}</b> <small>{share}</small></li>")
    };
    BatchState::ALL.map(entry).concat()
}

fn runs(report: &KeyReport) -> String {
    let runs = &report.history.runs;
    if runs.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for (at, run) in runs.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).and_then(|before| runs.get(before)) {
            let away_ms = run.started_unix_ms.saturating_sub(before.seen_unix_ms);
            rows += &format!(
                "<tr class=\"away\"><td colspan=\"7\">{} later</td></tr>",
                duration(away_ms)
            );
        }
        rows += &row(report, run);
    }
    let names = COLUMNS.map(|name| format!("<th>{name}</th>")).concat();
    let open = if runs.len() > OPEN_MAX { "" } else { " open" };
    let all = counted(runs.len() as u64, "entry", "entries");
    format!(
        "<section id=\"runs\"><h2>Runs</h2><details{open}><summary>{all}</summary><table><thead><tr>{names}</tr></thead>\
         <tbody>{rows}</tbody></table></details></section>\n"
    )
}

fn row(report: &KeyReport, run: &Run) -> String {
    let first = HumanCount(run.number.saturating_add(1));
    let cells = [
        match run.runs {
            1 => first.to_string(),
            runs => format!("{first} to {}", HumanCount(run.number.saturating_add(runs))),
        },
        run_command(run).to_owned(),
        moment(run.started_unix_ms),
        duration(took_ms(run)),
        HumanCount(run.epochs).to_string(),
        human_bytes(run.peak_bytes),
        run_end(run, report).to_owned(),
    ];
    let cells = COLUMNS.iter().zip(cells);
    let cells: String = cells
        .map(|(name, cell)| format!("<td data-name=\"{name}\">{cell}</td>"))
        .collect();
    format!("<tr>{cells}</tr>")
}

fn took_ms(run: &Run) -> u64 {
    run.seen_unix_ms.saturating_sub(run.started_unix_ms)
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(number), if number == 1 { one } else { many })
}

fn duration(ms: u64) -> String {
    human_duration(Duration::from_millis(ms))
}

fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 10.0 => format!("{rate:.1} epochs a second"),
        rate => format!("{} epochs a second", HumanCount(rate.round() as u64)),
    }
}
