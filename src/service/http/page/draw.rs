//! The page as HTML, complete without its script.

use std::time::Duration;

use indicatif::HumanCount;

use super::board::{Board, Values};
use super::live::Rates;
use super::view::{KeyView, SetView, Standing, View};
use crate::drawing::{human_bytes, human_duration, moment, share};
use crate::service::beside::{BeingMade, What};
use crate::text::counted;

/// Keys that have a row of their own.
const ROWS_MAX: usize = 200;
/// Digits of a public key that tell it from others on a page.
const SHORT_DIGITS: usize = 14;
/// Of the chart, which is stretched to the width of the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

const UNKNOWN: &str = "none yet";

/// A page, and its figures.
pub(super) struct Drawn {
    pub(super) html: String,
    /// What tells it from pages with other elements.
    pub(super) shape: u32,
    pub(super) values: Values,
}

/// Draws what was seen.
pub(super) fn draw(view: &View) -> Drawn {
    let mut board = Board::default();
    let keys = counted(view.keys.len() as u64, "key");
    let title = board.fixed(&keys);
    let (class, word) = match view.failed() {
        0 if view.memory.is_nearly_full => ("badge interrupted", "memory is nearly full"),
        0 => ("badge sealed", "ready"),
        _ => ("badge failed", "keys cannot sign"),
    };
    let body = format!(
        include_str!("body.html"),
        title = title,
        badge = board.badge("state", class, word),
        facts = facts(&mut board, view),
        memory = memory(&mut board, view),
        chart = chart(&mut board, &view.rates),
        sets = sets(&mut board, &view.sets),
        keys = key_rows(&mut board, view),
        being_made = being_made(&mut board, &view.being_made),
        refusals = refusals(&mut board, view),
        drawn = board.text("drawn", moment(view.now_unix_ms)),
        version = env!("CARGO_PKG_VERSION"),
    );
    let (shape, values) = board.finish();
    let html = format!(include_str!("page.html"), title = title, shape = shape, body = body);
    Drawn { html, shape, values }
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn ago(view: &View, unix_ms: Option<u64>) -> String {
    unix_ms.map_or(UNKNOWN.to_owned(), |unix_ms| {
        let seconds = view.now_unix_ms.saturating_sub(unix_ms) / 1000;
        format!("{} ago", human_duration(Duration::from_secs(seconds)))
    })
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

fn facts(board: &mut Board, view: &View) -> String {
    let refused = view.refusals.iter().map(|(_, count)| count).sum();
    let up = Duration::from_millis(view.now_unix_ms.saturating_sub(view.started_unix_ms));
    let commits = &view.commits;
    let mean = |sum: f64| (commits.count > 0).then(|| sum / commits.count as f64);
    let facts = [
        ("per-second", "Signatures a second", rate(view.rates.now())),
        ("signatures", "Signatures given out", count(view.signatures)),
        ("last", "Last signature", ago(view, view.last_unix_ms())),
        (
            "waiting",
            "Waiting",
            format!("{} of {}", count(view.waiting as u64), count(view.waiting_max as u64)),
        ),
        ("commits", "Commits", count(commits.count)),
        (
            "requests-per-commit",
            "Requests a commit",
            mean(commits.requests as f64).map_or(UNKNOWN.to_owned(), |mean| format!("{mean:.1}")),
        ),
        (
            "commit-time",
            "Time of a commit",
            mean(1e3 * commits.time.as_secs_f64()).map_or(UNKNOWN.to_owned(), |mean| format!("{mean:.1} ms")),
        ),
        (
            "left",
            "Epochs left, of the key that has the fewest",
            view.left_min().map_or("not known".to_owned(), count),
        ),
        ("refused", "Refusals", count(refused)),
        ("failed", "Keys that cannot sign", count(view.failed() as u64)),
        ("up", "Up for", human_duration(Duration::from_secs(up.as_secs()))),
    ];
    let fact = |(id, name, value): (&str, &str, String)| {
        format!("<div><dt>{name}</dt><dd>{}</dd></div>", board.text(id, value))
    };
    facts.map(fact).concat()
}

fn memory(board: &mut Board, view: &View) -> String {
    let held = view.memory.held_bytes;
    let Some(limit) = view.memory.limit_bytes else {
        let text = board.text("memory", format!("{} held, without a limit", human_bytes(held)));
        return format!("<p class=\"done\">{text}</p>");
    };
    let bar = board.bar("memory-bar", "Memory that is held", [held.min(limit), limit]);
    let percent = board.text("memory-share", share(held, limit));
    let text = board.text("memory", format!("{} of {}", human_bytes(held), human_bytes(limit)));
    format!("<p class=\"done\">{bar} <b>{percent}</b> {text}</p>")
}

/// Signatures a second, over the last minutes.
fn chart(board: &mut Board, rates: &Rates) -> String {
    let top = rates.round_top();
    let step = WIDTH / (rates.steps() - 1).max(1) as f64;
    let mut d = String::new();
    for (place, per_second) in rates.placed() {
        let command = if d.is_empty() { 'M' } else { 'L' };
        let y = HEIGHT * (1.0 - (per_second / top).min(1.0));
        d += &format!("{command}{:.1} {y:.1}", place as f64 * step);
    }
    format!(
        include_str!("chart.html"),
        top = board.text("rate-top", rate(top)),
        middle = board.text("rate-middle", rate(top / 2.0)),
        line = board.line("rate-line", "line rate", d),
        minutes = rates.span().as_secs() / 60,
    )
}

fn cells(cells: &[(&str, String)]) -> String {
    let cell = |(name, html): &(&str, String)| format!("<td data-name=\"{name}\">{html}</td>");
    format!("<tr>{}</tr>", cells.iter().map(cell).collect::<String>())
}

fn table(id: &str, heading: &str, names: &[&str], rows: &str) -> String {
    let names: String = names.iter().map(|name| format!("<th>{name}</th>")).collect();
    format!(
        "<section id=\"{id}\"><h2>{heading}</h2><table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"
    )
}

/// How much of something, as a bar with its share beside it.
fn progress(board: &mut Board, id: &str, label: &str, part: u64, all: u64) -> String {
    let bar = board.bar(&format!("{id}-bar"), label, [part, all]);
    let text = board.text(&format!("{id}-share"), share(part, all));
    format!("<span class=\"bar\">{bar} {text}</span>")
}

fn sets(board: &mut Board, sets: &[SetView]) -> String {
    if sets.is_empty() {
        return String::new();
    }
    let row = |(at, set): (usize, &SetView)| {
        let id = format!("set{at}");
        cells(&[
            ("Set", board.fixed(&set.name)),
            ("Keys", board.fixed(&count(set.keys))),
            ("Spent", progress(board, &id, "Spent epochs", set.spent, set.epochs)),
            (
                "Fewest left",
                board.text(
                    &format!("{id}-left"),
                    set.left_min.map_or("not known".to_owned(), count),
                ),
            ),
        ])
    };
    let rows: String = sets.iter().enumerate().map(row).collect();
    table("sets", "Sets", &["Set", "Keys", "Spent", "Fewest left"], &rows) + "</section>"
}

fn key_rows(board: &mut Board, view: &View) -> String {
    let names = ["Key", "Public key", "Spent", "Highest", "Left", "Last", "State"];
    let shown = view.keys.iter().take(ROWS_MAX).enumerate();
    let rows: String = shown.map(|(at, key)| key_row(board, view, at, key)).collect();
    let more = view.keys.len().saturating_sub(ROWS_MAX) as u64;
    let more = match more {
        0 => String::new(),
        more => format!(
            "<p>and {}, of which <a href=\"metrics\">metrics</a> tells</p>",
            counted(more, "more key")
        ),
    };
    table("keys", "Keys", &names, &rows) + &more + "</section>"
}

fn key_row(board: &mut Board, view: &View, at: usize, key: &KeyView) -> String {
    let id = format!("key{at}");
    let short: String = key.public_key.chars().take(SHORT_DIGITS).collect();
    let (name, scheme) = (board.fixed(&key.name), board.fixed(key.scheme));
    let public_key = board.fixed(&key.public_key);
    let (class, word) = match key.standing {
        None => ("badge failed", "cannot sign"),
        Some(Standing { left: 0, .. }) => ("badge interrupted", "nothing left"),
        Some(_) => ("badge sealed", "ready"),
    };
    let standing = key.standing.unwrap_or_default();
    let highest = standing.highest.map_or(UNKNOWN.to_owned(), |epoch| count(epoch.into()));
    cells(&[
        ("Key", format!("{name} <small>{scheme}</small>")),
        ("Public key", format!("<code title=\"{public_key}\">{short}…</code>")),
        (
            "Spent",
            progress(board, &id, "Spent epochs", standing.spent, key.epochs),
        ),
        ("Highest", board.text(&format!("{id}-highest"), highest)),
        ("Left", board.text(&format!("{id}-left"), count(standing.left))),
        (
            "Last",
            board.text(&format!("{id}-last"), ago(view, standing.last_unix_ms)),
        ),
        ("State", board.badge(&format!("{id}-state"), class, word)),
    ])
}

fn being_made(board: &mut Board, being_made: &[BeingMade]) -> String {
    if being_made.is_empty() {
        return String::new();
    }
    let row = |(at, made): (usize, &BeingMade)| {
        let id = format!("made{at}");
        let (kind, unit) = match made.of {
            What::Key => ("key", "epochs"),
            What::Set => ("set", "keys"),
        };
        let (class, word) = if made.is_running {
            ("badge running", "running")
        } else {
            ("badge interrupted", "interrupted")
        };
        let per_second = made.epochs_per_second.map_or(String::new(), rate);
        cells(&[
            ("Name", format!("{} <small>{kind}</small>", board.fixed(&made.name))),
            ("Done", progress(board, &id, "What is done", made.done, made.all)),
            (
                "Of",
                board.text(
                    &format!("{id}-done"),
                    format!("{} of {} {unit}", count(made.done), count(made.all)),
                ),
            ),
            ("Epochs a second", board.text(&format!("{id}-rate"), per_second)),
            ("State", board.badge(&format!("{id}-state"), class, word)),
        ])
    };
    let rows: String = being_made.iter().enumerate().map(row).collect();
    let names = ["Name", "Done", "Of", "Epochs a second", "State"];
    table("being-made", "Being made beside them", &names, &rows) + "</section>"
}

fn refusals(board: &mut Board, view: &View) -> String {
    let entry = |((_, reason, means), number): &(&'static super::super::refusal::Row, u64)| {
        let number = board.text(&format!("refused-{reason}"), count(*number));
        format!("<li title=\"{means}\"><span>{reason}</span> <b>{number}</b></li>")
    };
    view.refusals.iter().map(entry).collect()
}
