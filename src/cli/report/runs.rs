//! The table of runs.

use keymill::audit::{KeyReport, Run};

use super::words::{self, counted, grouped};

/// Runs that are shown unasked.
const OPEN_MAX: usize = 12;

/// The section.
pub fn html(report: &KeyReport) -> String {
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
        "<table><thead><tr><th>Run</th><th>Command</th><th>Began</th><th>Took</th><th>Epochs</th><th>Most memory</th>\
         <th>End</th></tr></thead><tbody>{rows}</tbody></table>"
    );
    let table = match runs.len() > OPEN_MAX {
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
        1 => grouped(run.number.saturating_add(1)),
        runs => format!(
            "{} to {}",
            grouped(run.number.saturating_add(1)),
            grouped(run.number.saturating_add(runs))
        ),
    };
    let cells = [
        number,
        words::command(run).to_owned(),
        words::moment(run.started_unix_ms),
        words::duration(run.seen_unix_ms.saturating_sub(run.started_unix_ms)),
        grouped(run.epochs),
        words::bytes(run.peak_bytes),
        words::end(run, is_running).to_owned(),
    ];
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr>{cells}</tr>")
}
