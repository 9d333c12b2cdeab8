//! `keymill check`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{CheckReport, Damage, check};
use keymill::plan::BatchIndex;
use keymill::support::{Runs, counted};
use keymill::{KeyPlace, Remedy, SecretForm};

use super::advice::{advised, words};
use super::answer::{Answer, Value, fields};
use super::failure::{self, Failure};
use super::messages::{say, say_left_over};
use super::passphrase::{PassphraseArguments, form_words};
use super::request::MachineArguments;
use crate::config::Settings;

/// Flags of check.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Compare every node of a key with its children:
    keymill check key
  Compute every leaf again too:
    keymill check key --deep --json")]
pub struct CheckArguments {
    /// The key directory. Its secret may be absent, unless --deep is given.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Also compute every leaf again from the secret; takes as long as keygen.
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks, and prints what is damaged.
pub fn run(arguments: &CheckArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let options = arguments.machine.settings(settings)?;
    let passphrase = arguments.passphrase.read()?;
    let report = check(
        KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()),
        arguments.deep,
        options,
    )?;
    let printed = answer(&report).print(arguments.json);
    say_left_over(&report.left_over);
    for remedies in ways_out(&report) {
        say(format_args!("there is damage{}", advised(remedies)));
    }
    failure::answer(report.damage.is_empty(), printed)
}

/// Lines of damage that are printed. What else there is, is counted; as JSON it is listed.
const LINES_MAX: usize = 100;

/// Damaged places of one kind: of one level, with the same to be said of all of them.
struct Places<'a> {
    first: &'a Damage,
    count: u64,
    batches: Runs,
    nodes: Runs,
}

impl<'a> Places<'a> {
    /// The damage of a report by its kinds, in the order in which each was found first.
    fn of(damage: &'a [Damage]) -> Vec<Self> {
        let mut kinds: Vec<Self> = Vec::new();
        let mut known = HashMap::new();
        for damage in damage {
            let kind = (&damage.file, damage.level, damage.batch.is_some(), &damage.what);
            let at = *known.entry(kind).or_insert_with(|| {
                kinds.push(Self {
                    first: damage,
                    count: 0,
                    batches: Runs::default(),
                    nodes: Runs::default(),
                });
                kinds.len() - 1
            });
            let places = &mut kinds[at];
            places.count += 1;
            if let Some(BatchIndex(batch)) = damage.batch {
                places.batches.add(batch..batch + 1);
            }
            if let Some(nodes) = &damage.nodes {
                places.nodes.add(nodes.clone());
            }
        }
        kinds
    }
}

/// Whether the whole file is of no use. Then the text has its name.
fn is_whole_file(damage: &Damage) -> bool {
    damage.batch.is_none() && damage.nodes.is_none()
}

/// What was found; of a whole file also what can be done about it. For programs: people read that once, behind all damage.
fn said(damage: &Damage) -> String {
    let remedies = damage.remedies.iter().filter(|_| is_whole_file(damage));
    format!("{}{}", damage.what, advised(remedies))
}

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage {
            file,
            level,
            batch,
            nodes,
            what,
            // What can be done is said once, behind all damage.
            remedies: _,
            ..
        } = self.first;
        if is_whole_file(self.first) {
            return write!(f, "damaged: {what}");
        }
        write!(f, "damaged: {}", file.display())?;
        if let Some(level) = level {
            write!(f, ", level {level}")?;
        }
        if batch.is_some() {
            let batches = if self.count == 1 { "batch" } else { "batches" };
            write!(f, ", {batches} {}", self.batches)?;
        }
        // Of several batches, the batches say it.
        if nodes.is_some() && (self.count == 1 || batch.is_none()) {
            write!(f, ", nodes {}", self.nodes)?;
        }
        write!(f, ": {what}")
    }
}

fn as_text(report: &CheckReport) -> Vec<String> {
    let kinds = Places::of(&report.damage);
    let mut lines: Vec<String> = kinds.iter().take(LINES_MAX).map(Places::to_string).collect();
    let unnamed: u64 = kinds.iter().skip(LINES_MAX).map(|places| places.count).sum();
    match unnamed + report.damage_unlisted {
        0 => {}
        more => lines.push(format!("damaged: {}, not listed", counted(more, "more place"))),
    }
    lines.push(summary(report));
    lines
}

fn summary(report: &CheckReport) -> String {
    let leaves = if report.deep { ", leaves computed again" } else { "" };
    let secret = match report.secret_form {
        _ if !report.secret_present => ", no usable secret",
        SecretForm::Keystore => ", secret under a passphrase",
        SecretForm::Both => ", secret under a passphrase and as plain text",
        SecretForm::Missing | SecretForm::Plain => "",
    };
    let missing = match report.batches_missing {
        0 => String::new(),
        missing => format!(", {missing} without a checkpoint"),
    };
    let verdict = match report.damage_count() {
        0 => "clean".to_owned(),
        count => counted(count, "damaged place"),
    };
    format!(
        "{verdict}: {} checked{missing}{leaves}{secret}",
        counted(report.batches_checked, "batch")
    )
}

/// What can be done about all that is damaged, each once, in the order in which it was found.
fn ways_out(report: &CheckReport) -> Vec<&[Remedy]> {
    let mut ways: Vec<&[Remedy]> = Vec::new();
    for damage in &report.damage {
        if !damage.remedies.is_empty() && !ways.contains(&&damage.remedies[..]) {
            ways.push(&damage.remedies);
        }
    }
    ways
}

fn answer<'a>(report: &'a CheckReport) -> Answer<'a> {
    let remedy = |remedy: &'a Remedy| {
        let path = remedy.path().map(Path::to_owned);
        Answer::default()
            .field("action", remedy.name())
            .field("path", path)
            .field("what", words(remedy))
    };
    let damage = move |damage: &'a Damage| {
        let nodes = damage.nodes.as_ref();
        fields!(damage; file, level, batch)
            .field("what", said(damage))
            .field("first_node", nodes.map(|nodes| nodes.start))
            .field("last_node", nodes.map(|nodes| nodes.end - 1))
            .field("remedy", Value::each(damage.remedies.iter().map(remedy)))
    };
    Answer::default()
        .field("clean", report.damage.is_empty())
        .and(fields!(report; batches_checked, batches_missing, secret_present))
        .field("secret_form", form_words(report.secret_form).0)
        .and(fields!(report; deep, left_over, damage_unlisted))
        .field("damage", Value::each(report.damage.iter().map(damage)))
        .text(as_text(report))
}
