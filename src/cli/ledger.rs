//! `keymill ledger`: which epochs are spent.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keymill::ledger::{
    Conflict, Export, ImportReport, LedgerCondition, LedgerStatus, UnknownMessage, import, init, move_in, move_out,
    show,
};
use keymill::memory::Limits;
use keymill::plan::Reading;
use keymill::support::{Runs, counted, utc};
use keymill::{KeyDir, MemoryRequest};

use super::advice::advised;
use super::answer::{Answer, Value, fields};
use super::failure::{self, Failure};
use super::messages::{say, warn};
use super::output::{OutArguments, PRIVATE_OUT, hex_digits, line};
use super::process::keep_files_private;
use super::request::MemoryArgument;
use super::shell::command;
use crate::config::{Settings, parse_count};

/// What a ledger file may have for each epoch that the key stores, and for all else: three times what is written, so that
/// other programs may write it wider, and list the histories of other keys too.
const ENTRY_BYTES_MAX: u64 = 512;
const LEDGER_BYTES_MAX: u64 = 1 << 20;
/// What a text and the entries in it take together, at most so many times the text.
const HELD_TO_TEXT: u64 = 6;
/// What the checkpoint store takes.
const STORE_BYTES: u64 = 4 << 20;
/// So much is read of a text before it is compared again with what memory has room for.
const PIECE_BYTES: u64 = 64 << 10;
/// So many epochs that have signed two messages are named each, with both digests.
const NAMED_CONFLICTS_MAX: usize = 16;

/// Flags of ledger.
#[derive(Debug, Args)]
pub struct LedgerArguments {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Say from which epoch on a key is unused, so that it may sign.
    ///
    /// A key made from a given seed or PRF key needs it once, and so does one whose secret was exported, imported or restored,
    /// or whose ledger is lost or older than its mark. A key made from fresh randomness never needs it.
    #[command(after_help = r"Examples:
  Say that no epoch from 200 on has ever signed, here or elsewhere:
    keymill ledger init key --first-epoch 200")]
    Init {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// No epoch from this one on has ever signed, here or anywhere else, but for those that the ledger lists.
        #[arg(long, value_name = "N", value_parser = parse_count)]
        first_epoch: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what the ledger says; exit code 1 if the key cannot sign by it.
    #[command(after_help = r"Examples:
  Say whether the key may sign, and what is spent:
    keymill ledger show key")]
    Show {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the ledger as JSON, for another copy of the key, or another key of the same secret. Writes nothing to DIR.
    #[command(after_help = r"Examples:
  Write down what is spent, before the key moves:
    keymill ledger export key --out spent.json")]
    #[command(mut_arg("out", |out| out.help(PRIVATE_OUT)))]
    Export {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        #[command(flatten)]
        out: OutArguments,
    },
    /// Move the ledger of a key into that of its set, or out of it.
    ///
    /// The keys of a set that have one ledger sign together, many in one write, with 'keymill serve SET'. The key directory stands
    /// in the directory of the set, and stays there. A key signs by one ledger at a time; a move that was interrupted is finished by
    /// the same command.
    #[command(after_help = r"Examples:
  Let a key sign by the ledger of the set in which it stands, and take it out again:
    keymill ledger move set/key --into set
    keymill ledger move set/key --out")]
    #[command(group(clap::ArgGroup::new("where").required(true).args(["into", "out"])))]
    Move {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The directory of the set, in which the key directory stands; its ledger is begun if it has none.
        #[arg(long, value_name = "DIR2")]
        into: Option<PathBuf>,
        /// Give the key a ledger of its own again, with everything that it has spent.
        #[arg(long)]
        out: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Add what another copy of the key has exported; exit code 1 if an epoch has signed two messages.
    ///
    /// Takes the history of any key with the same one-time keys, whatever its interval and public key are.
    ///
    /// Nothing is forgotten or overwritten. Importing does not make a key with an unknown history ready to sign: run 'ledger
    /// init' after it.
    #[command(after_help = r"Examples:
  Add what another copy of the key has spent:
    keymill ledger import key ledger.json")]
    Import {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The file that 'keymill ledger export' wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        memory: MemoryArgument,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked with the ledger.
pub fn run(arguments: &LedgerArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    match &arguments.command {
        LedgerCommand::Init {
            directory,
            first_epoch,
            json,
        } => {
            let may_sign = match init(directory, *first_epoch)? {
                Some(first) => format!("epochs from {first} on may sign"),
                None => format!("no epoch may sign: those from {first_epoch} on are spent"),
            };
            let answer = Answer::default().field("first_epoch", *first_epoch);
            answer.text([may_sign]).print(*json)?;
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::Show { directory, json } => run_show(directory, *json),
        LedgerCommand::Export { directory, out } => run_export(directory, out),
        LedgerCommand::Move {
            directory, into, json, ..
        } => run_move(directory, into.as_deref(), *json),
        LedgerCommand::Import {
            directory,
            file,
            memory,
            json,
        } => run_import(directory, file, memory.or(settings)?, *json),
    }
}

fn run_show(directory: &Path, json: bool) -> Result<ExitCode, Failure> {
    let status = show(directory)?;
    failure::answer(status.condition == LedgerCondition::Sound, shown(&status).print(json))
}

fn run_export(directory: &Path, out: &OutArguments) -> Result<ExitCode, Failure> {
    out.check()?;
    let export = Export::open(directory)?;
    out.write(|writer| {
        for text in export.lines()? {
            line(writer, text?)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn run_move(directory: &Path, into: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let (report, place) = match into {
        Some(set) => (
            move_in(directory, set)?,
            format!("that of the set in '{}'", set.display()),
        ),
        None => (move_out(directory)?, "its own".to_owned()),
    };
    let is = if report.was_there { "was already" } else { "is now" };
    let summary = format!(
        "the ledger of '{}' {is} {place}, with {}",
        directory.display(),
        counted(report.spent, "spent epoch")
    );
    let answer = fields!(report; key_id, moves, spent, was_there).text([summary]);
    answer.print(json)?;
    Ok(ExitCode::SUCCESS)
}

fn run_import(directory: &Path, file: &Path, memory: MemoryRequest, json: bool) -> Result<ExitCode, Failure> {
    let text = read_ledger(directory, file, memory)?;
    let report = import(directory, file, &text)?;
    for conflict in report.conflicts.iter().take(NAMED_CONFLICTS_MAX) {
        say(format_args!(
            "epoch {} has signed two messages, of digests {} here and {} there: its one-time key is given \
             away. The ledger keeps the first",
            conflict.epoch,
            hex_digits(conflict.ours),
            hex_digits(conflict.theirs)
        ));
    }
    if let more @ 1.. = report.conflicts.len().saturating_sub(NAMED_CONFLICTS_MAX) {
        let epochs = report.conflicts.iter().skip(NAMED_CONFLICTS_MAX);
        let epochs = runs(epochs.map(|conflict| conflict.epoch.0.into()));
        say(format_args!(
            "so have {}, {epochs}; --json lists all of them",
            counted(more as u64, "more epoch")
        ));
    }
    let unknown = |is_here: bool| {
        let epochs = report
            .unknown
            .iter()
            .filter(move |epoch| epoch.ours.is_none() == is_here);
        epochs.map(|unknown| u64::from(unknown.epoch.0))
    };
    for (epochs, whose) in [(runs(unknown(true)), "the ledger"), (runs(unknown(false)), "the file")] {
        if epochs != Runs::default() {
            warn(format_args!(
                "epochs that {whose} does not know the message of are spent here and there: {epochs}. If it is another one there, \
                 their one-time keys are given away"
            ));
        }
    }
    if report.outside > 0 {
        say(format_args!(
            "the file has {} of another key with the same one-time keys, which this one does not have",
            counted(report.outside, "epoch")
        ));
    }
    if let Some(first_epoch) = report.raised_to {
        say(format_args!(
            "epochs below {first_epoch} sign no more, for the file does not know whether they are unused"
        ));
    }
    if !report.initialised {
        say(format_args!(
            "from where the key is unused is still not known; {} says it",
            command("keymill ledger init {} --first-epoch N", directory)
        ));
    }
    failure::answer(report.conflicts.is_empty(), imported(&report).print(json))
}

/// Epochs, in whatever order a file has them.
fn runs(epochs: impl Iterator<Item = u64>) -> Runs {
    let mut epochs: Vec<u64> = epochs.collect();
    epochs.sort_unstable();
    epochs.into_iter().collect()
}

fn imported(report: &ImportReport) -> Answer<'_> {
    let mut summary = format!(
        "{} added, {} known before",
        counted(report.added, "epoch"),
        report.known
    );
    if !report.conflicts.is_empty() {
        summary += &format!(", {} signed twice", report.conflicts.len());
    }
    if !report.unknown.is_empty() {
        summary += &format!(", {} of an unknown message", report.unknown.len());
    }
    if report.outside > 0 {
        summary += &format!(", {} outside this key", report.outside);
    }
    let conflict = |conflict: &Conflict| fields!(conflict; epoch, ours, theirs);
    let unknown = |unknown: &UnknownMessage| fields!(unknown; epoch, ours, theirs);
    fields!(report; added, known, outside, raised_to, initialised)
        .field("conflicts", Value::each(report.conflicts.iter().map(conflict)))
        .field("unknown", Value::each(report.unknown.iter().map(unknown)))
        .text([summary])
}

/// The content of a ledger file, which is no larger than one of this key can need to be, nor than memory has room for.
fn read_ledger(directory: &Path, path: &Path, memory: MemoryRequest) -> Result<Vec<u8>, Failure> {
    let epochs = KeyDir::open_sealed(directory)?.manifest().plan().stored().count();
    let bytes_max = LEDGER_BYTES_MAX + ENTRY_BYTES_MAX * epochs;
    let limits = Limits::detect();
    let unreadable = |error| Failure::usage(format!("'{}' cannot be read: {error}", path.display()));
    let refuse_beyond_memory = |text_bytes: u64| {
        let reading = Reading {
            held_bytes: text_bytes.saturating_mul(HELD_TO_TEXT) + STORE_BYTES,
            thread_bytes: 0,
            threads: 1,
            memory,
        };
        let planned = reading.plan(&limits).map(drop);
        planned.map_err(|error| Failure::from(error.within(format!("'{}' is not read", path.display()))))
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // Some have no end, and the bound for a large key is more than memory holds.
    let kind = metadata.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Err(Failure::usage(format!(
            "'{}' is a device; name the file that 'keymill ledger export' wrote, or a pipe",
            path.display()
        )));
    }
    // How much comes through a pipe shows while it comes.
    refuse_beyond_memory(metadata.len().min(bytes_max))?;
    let mut text = Vec::with_capacity(metadata.len().min(bytes_max) as usize + 1);
    let mut file = file.take(bytes_max + 1);
    while file
        .by_ref()
        .take(PIECE_BYTES)
        .read_to_end(&mut text)
        .map_err(unreadable)?
        > 0
    {
        refuse_beyond_memory(text.len() as u64 + PIECE_BYTES)?;
    }
    if text.len() as u64 > bytes_max {
        Err(Failure::usage(format!(
            "'{}' cannot be imported: it has more than {bytes_max} bytes, and a ledger of this key, which stores {epochs} \
             epochs, needs less",
            path.display()
        )))
    } else {
        Ok(text)
    }
}

fn name(condition: LedgerCondition) -> &'static str {
    match condition {
        LedgerCondition::Sound => "sound",
        LedgerCondition::NoHistory => "no-history",
        LedgerCondition::UsedUp => "used-up",
        LedgerCondition::WentBackwards => "went-backwards",
        LedgerCondition::MarkMissing => "mark-missing",
        LedgerCondition::MarkDamaged => "mark-damaged",
        LedgerCondition::Moved => "moved",
    }
}

fn shown(status: &LedgerStatus) -> Answer<'_> {
    let or = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.to_owned());
    let first = status.first_epoch.map(|epoch| epoch.to_string());
    let highest = status.highest.map(|epoch| epoch.to_string());
    let problem = status.problem.as_ref();
    let problem = problem.map(|problem| format!("{problem}{}", advised(&status.remedies)));
    Answer::default()
        .fact("state", name(status.condition))
        .fact("key_id", status.manifest.key_id())
        .field("first_epoch", status.first_epoch)
        .line("unused from", or(first, "not known"))
        .fact("spent", status.spent)
        .field("highest", status.highest)
        .line("highest spent", or(highest, "none"))
        .field("last_signed_unix_ms", status.last_unix_ms)
        .line("last spent at", or(status.last_unix_ms.map(utc), "none"))
        .field("marked", status.marked)
        .fact("set", status.set.as_ref().map(|set| set.display().to_string()))
        .fact("writer", status.writer.clone())
        .fact("problem", problem)
}
