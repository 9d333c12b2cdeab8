//! What is said on standard error: as text, or as JSON lines beside `--progress json`; always between the frames of the
//! bar. A job goes on when its terminal is gone.
//!
//! Whatever a message is put together from, it is made visible and cut here, behind all of those who have something to say.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Debug;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use indicatif::ProgressBar;
use keymill::Remedy;
use keymill::support::{bounded, visible};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::advice::advised;

/// As long as a message is at most, however long the names and texts are that it is put together from.
const MESSAGE_BYTES_MAX: usize = 1900;

static SPEAKER: Mutex<Speaker> = Mutex::new(Speaker {
    log: Level::WARN,
    is_json: false,
    bar: None,
});

struct Speaker {
    /// What is less urgent is not said.
    log: Level,
    is_json: bool,
    /// The bar that is drawn on standard error now.
    bar: Option<ProgressBar>,
}

fn speaker<T>(action: impl FnOnce(&mut Speaker) -> T) -> T {
    action(&mut SPEAKER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// From here on, what the library has to say is said too, and nothing that is less urgent than `log`.
pub fn start_logging(log: Level) {
    speaker(|speaker| speaker.log = log);
    // There is one only if this was called before, with the same effect.
    let _ = tracing::subscriber::set_global_default(Listener);
}

/// Whether more is to be said than what somebody came for.
pub fn is_verbose() -> bool {
    speaker(|speaker| speaker.log >= Level::INFO)
}

/// From here on, every line on standard error is a JSON object.
pub fn write_json() {
    speaker(|speaker| speaker.is_json = true);
}

/// Lets messages go between the frames of this bar, until it is taken away again.
pub fn write_above(bar: Option<ProgressBar>) {
    speaker(|speaker| speaker.bar = bar);
}

/// What a command has to say about its result.
pub fn say(text: impl std::fmt::Display) {
    speaker(|speaker| {
        if speaker.log >= Level::WARN {
            speaker.message("info", None, &text.to_string());
        }
    });
}

/// Says that a trim did not end, if it has left layer files.
pub fn say_left_over(files: &[PathBuf]) {
    if let Some(file) = files.first() {
        let (count, file) = (counted_files(files), file.display());
        say(format_args!(
            "{count} are left over from a trim, '{file}' first; the same 'keymill trim' again removes them"
        ));
    }
}

/// Several layer files, or files of which some are others.
pub fn counted_files(files: &[PathBuf]) -> String {
    let are_layers = files
        .iter()
        .all(|file| file.extension().is_some_and(|ending| ending == "nodes"));
    let kind = if are_layers {
        "layer files"
    } else {
        "files and directories"
    };
    format!("{} {kind}", files.len())
}

/// A warning.
pub fn warn(text: impl std::fmt::Display) {
    speaker(|speaker| speaker.log_message(Level::WARN, &text.to_string()));
}

/// Says of a secret that came in or leaves that more than one place can sign with it.
pub fn warn_of_other_copies() {
    warn("this secret may now exist in more than one place; each epoch may sign only one message, counting all copies");
}

/// Why a command fails.
pub fn error(text: impl std::fmt::Display) {
    let style = AnsiColor::Red.on_default().bold();
    speaker(|speaker| speaker.message("error", Some(style), &text.to_string()));
}

/// A line that shows progress.
pub fn progress(line: impl std::fmt::Display) {
    speaker(|speaker| speaker.line(&shown(&line.to_string())));
}

/// What is wrong with the command line, in the lines and colours of clap. What it quotes has been made visible where the
/// command line was read; here nothing but the colours is let through all the same.
pub fn wrong_usage(error: &clap::Error) {
    let rendered = error.render();
    let text = if is_coloured() {
        rendered.ansi().to_string()
    } else {
        rendered.to_string()
    };
    let lines: Vec<_> = text.trim_end().split('\n').map(with_colours).collect();
    speaker(|speaker| speaker.line(&lines.join("\n")));
}

/// The place and the words of a panic, and the way to it if RUST_BACKTRACE asks for that. It waits for nobody: who panics may
/// be speaking.
pub fn panicked(info: &PanicHookInfo<'_>) {
    let text = shown(&info.to_string());
    let mut lines = format!("keymill: failed in itself: {text}\n");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        for line in backtrace.to_string().lines() {
            lines += &visible(line);
            lines.push('\n');
        }
    }
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// A text as it is said: one line, without anything that a terminal would obey, and not too long.
fn shown(text: &str) -> String {
    bounded(&visible(text), MESSAGE_BYTES_MAX).into_owned()
}

/// A line of which colours (Select Graphic Rendition of ECMA-48) are obeyed and nothing else.
fn with_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut shown = visible(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) => shown += &format!("\x1b[{}m{}", &part[..end], visible(rest)),
            None => shown += &visible(&format!("\x1b[{part}")),
        }
    }
    shown
}

fn is_coloured() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

impl Speaker {
    fn log_message(&mut self, level: Level, text: &str) {
        if level > self.log {
            return;
        }
        let yellow = AnsiColor::Yellow.on_default().bold();
        match level {
            Level::ERROR => self.message("error", Some(AnsiColor::Red.on_default().bold()), text),
            Level::WARN if self.is_json => self.message("warn", None, text),
            Level::WARN => self.message("warn", Some(yellow), &format!("warning: {text}")),
            Level::INFO => self.message("info", None, text),
            Level::DEBUG => self.message("debug", None, text),
            _ => self.message("trace", None, text),
        }
    }

    fn message(&mut self, level: &str, style: Option<Style>, text: &str) {
        let text = shown(text);
        if self.is_json {
            return self.line(&json!({ "level": level, "message": text }).to_string());
        }
        match style.filter(|_| is_coloured()) {
            Some(style) => self.line(&format!("{style}keymill:{style:#} {text}")),
            None => self.line(&format!("keymill: {text}")),
        }
    }

    /// Writes what was made visible.
    fn line(&mut self, text: &str) {
        // In one call, so that lines of several processes do not mix.
        let write = || {
            let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Hears what the library says through `tracing`. It has no spans.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= speaker(|speaker| speaker.log)
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let text = said.text + &advised(&said.remedy);
        speaker(|speaker| speaker.log_message(*event.metadata().level(), &text));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message of an event, and what can be done about it.
#[derive(Default)]
struct Said {
    text: String,
    remedy: Option<Remedy>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.text = value,
            // The key directory whose secret, or whose ledger, something has to be done about.
            "seal_secret" => self.remedy = Some(Remedy::SealSecret(value.into())),
            "ledger_init" => self.remedy = Some(Remedy::LedgerInit(value.into())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_with_colours_nothing_else_is_obeyed() {
        for (line, expected) in [
            ("plain", "plain"),
            ("\x1b[1;31merror:\x1b[0m no", "\x1b[1;31merror:\x1b[0m no"),
            (
                "\x1b[1m\x1b[2Ja\x1b]0;title\x07",
                "\x1b[1m\\u{1b}[2Ja\\u{1b}]0;title\\u{7}",
            ),
            ("\x1b[", "\\u{1b}["),
            ("\x1b[31", "\\u{1b}[31"),
            ("a\u{9b}31mb\r", "a\\u{9b}31mb\\r"),
        ] {
            assert_eq!(with_colours(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_and_not_long_whatever_it_is_put_together_from() {
        let text = format!("a\nkeymill: warning: forged\x1b[2J {}", "\u{202e}".repeat(1 << 16));
        let said = shown(&text);
        assert!(said.starts_with("a\\nkeymill: warning: forged\\u{1b}[2J"), "{said}");
        assert!(!said.contains(keymill::support::is_hidden) && said.len() <= MESSAGE_BYTES_MAX);
    }
}
