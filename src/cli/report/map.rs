//! The map of batches: cells in rows, coloured by the worst that is in them.

use keymill::audit::{BatchMap, BatchState, MarkedRange, Marks, StateCounts};

use super::words::{self, counted, grouped};

/// Cells in a row of a map, and of one that has few.
const COLUMNS: usize = 64;
const COLUMNS_OF_FEW: usize = 32;
const FEW: usize = 512;
/// Ranges that are listed.
const LISTED_MAX: usize = 12;

/// The figure.
pub fn html(map: &BatchMap) -> String {
    let most = if map.cells.len() > FEW { COLUMNS } else { COLUMNS_OF_FEW };
    let columns = map.cells.len().clamp(1, most);
    let rows = map.cells.len().div_ceil(columns);
    let cell = match map.cell_batches {
        1 => "Each cell is one batch".to_owned(),
        batches => format!(
            "Each cell stands for {} batches and shows the worst that is among them",
            grouped(batches)
        ),
    };
    let range = format!(
        "{} to {}",
        grouped(map.batches.start),
        grouped(map.batches.end.saturating_sub(1))
    );
    format!(
        "<figure class=\"map\" id=\"map\"><figcaption><h2>Batches</h2><p>Batches {range}, row by row. {cell}.</p></figcaption>{}<svg viewBox=\"0 0 {columns} {rows}\" style=\"max-width:{}px\" role=\"img\" \
         aria-label=\"Map of batches\">{PATTERNS}{}{}</svg><output class=\"at\" for=\"map\"></output></figure>\n",
        legend(map),
        18 * columns,
        cells(map, columns),
        grid(columns, rows),
    )
}

/// What tells two states apart without colour.
const PATTERNS: &str = "<defs>\
    <pattern id=\"p-damaged\" width=\"1\" height=\"1\" patternUnits=\"userSpaceOnUse\"><path class=\"f-damaged\" d=\"M0 \
    0H1V1H0z\"/><path class=\"over\" d=\"M.25 .25L.75 .75M.75 .25L.25 .75\"/></pattern>\
    <pattern id=\"p-repaired\" width=\"1\" height=\"1\" patternUnits=\"userSpaceOnUse\"><path class=\"f-repaired\" d=\"M0 \
    0H1V1H0z\"/><path class=\"over\" d=\"M.5 .22V.78M.22 .5H.78\"/></pattern>\
    <pattern id=\"p-redone\" width=\"1\" height=\"1\" patternUnits=\"userSpaceOnUse\"><path class=\"f-redone\" d=\"M0 \
    0H1V1H0z\"/><path class=\"under\" d=\"M.5 .5h.001\"/></pattern>\
    <pattern id=\"p-in_progress\" width=\"1\" height=\"1\" patternUnits=\"userSpaceOnUse\"><path class=\"f-not_done\" d=\"M0 \
    0H1V1H0z\"/><path class=\"f-done\" d=\"M0 1L1 0V1z\"/></pattern></defs>";

/// Neighbours in a row that have the same in them are one rectangle.
fn cells(map: &BatchMap, columns: usize) -> String {
    let mut drawing = String::new();
    for (row, cells) in map.cells.chunks(columns).enumerate() {
        let mut column = 0;
        for alike in cells.chunk_by(|before, after| before == after) {
            let first = row * columns + column;
            let batches = map.range(first).start..map.range(first + alike.len() - 1).end;
            let mut each = alike.iter().map(|cell| cell.worst_first().collect::<Vec<_>>());
            let of_one = each.next().unwrap_or_default();
            let counts: Vec<String> = of_one
                .iter()
                .map(|(state, count)| format!("{} {}", grouped(count * alike.len() as u64), words::state(*state).0))
                .collect();
            let class = of_one.first().map_or("not_done", |(state, _)| words::state(*state).1);
            drawing += &format!(
                "<rect class=\"s-{class}\" x=\"{column}\" y=\"{row}\" width=\"{}\" height=\"1\"><title>{}: {}</title></rect>",
                alike.len(),
                named(&batches),
                counts.join(", ")
            );
            column += alike.len();
        }
    }
    drawing
}

fn named(batches: &std::ops::Range<u64>) -> String {
    match batches.end - batches.start {
        1 => format!("batch {}", grouped(batches.start)),
        _ => format!("batches {} to {}", grouped(batches.start), grouped(batches.end - 1)),
    }
}

fn grid(columns: usize, rows: usize) -> String {
    let vertical = (1..columns).map(|x| format!("M{x} 0V{rows}"));
    let horizontal = (1..rows).map(|y| format!("M0 {y}H{columns}"));
    let lines: String = vertical.chain(horizontal).collect();
    format!("<path class=\"cells\" d=\"{lines}\"/>")
}

fn legend(map: &BatchMap) -> String {
    let all = map.batches.end - map.batches.start;
    let entry = |state: BatchState| {
        let (name, class) = words::state(state);
        let count = map.total.of(state);
        let unused = if count == 0 { " class=\"none\"" } else { "" };
        format!(
            "<li{unused}><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"s-{class}\" width=\"1\" \
             height=\"1\"/></svg>{name} <b>{}</b> <small>{}</small></li>",
            grouped(count),
            share(count, all)
        )
    };
    let order = [
        BatchState::Done,
        BatchState::InProgress,
        BatchState::NotDone,
        BatchState::Redone,
        BatchState::Repaired,
        BatchState::Damaged,
    ];
    let entries: String = order.into_iter().map(entry).collect();
    format!("<ul class=\"legend states\">{entries}</ul>")
}

/// A part of the whole. What is not nothing and not all never looks like it.
pub fn share(part: u64, all: u64) -> String {
    let percent = 100.0 * part as f64 / all.max(1) as f64;
    match percent {
        _ if part == 0 || part == all => format!("{percent:.0}%"),
        percent if percent < 0.1 => "under 0.1%".to_owned(),
        percent if percent > 99.9 => "over 99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

/// The batches of a set in words.
pub fn listed(marks: &Marks) -> String {
    let ranges = marks.ranges();
    let name = |range: &MarkedRange| {
        let batches = match range.last - range.first {
            0 => grouped(range.first),
            _ => format!("{} to {}", grouped(range.first), grouped(range.last)),
        };
        match range.is_approximate() {
            true => format!("{} of {batches}", grouped(range.marked)),
            false => batches,
        }
    };
    let mut names: Vec<String> = ranges.iter().take(LISTED_MAX).map(name).collect();
    if let Some(more) = ranges.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        names.push(counted(more as u64, "more range", "more ranges"));
    }
    names.join(", ")
}

/// Whether a set says of some of its batches only about where they are.
pub fn is_approximate(marks: &Marks) -> bool {
    marks.ranges().iter().any(MarkedRange::is_approximate)
}

/// The counts of a cell or a map as JSON.
pub fn counts_as_json(counts: &StateCounts) -> serde_json::Value {
    let entry = |state: BatchState| (words::state(state).1.to_owned(), counts.of(state).into());
    serde_json::Value::Object(BatchState::ALL.into_iter().map(entry).collect())
}
