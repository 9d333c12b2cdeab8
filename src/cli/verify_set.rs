//! `keymill verify-set`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::Scheme;
use keymill::sets::{SchemeKeys, SetFinding, SetReport, verify_set};
use keymill::support::counted;
use keymill::xmss::scheme::KeyForms;

use super::advice::advised;
use super::answer::{Answer, Value, fields};
use super::failure::{self, Failure};
use super::request::MachineArguments;
use crate::config::{Settings, parse_scheme};

/// Flags of verify-set.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Check every file of a set:
    keymill verify-set part-a
  The same for a program:
    keymill verify-set part-a --json")]
pub struct VerifySetArguments {
    /// The directory of the set.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Scheme that the keys have to be of. It tells the versions of leanVM apart also where the manifest does not.
    #[arg(long, value_name = "ID", value_parser = parse_scheme)]
    scheme: Option<&'static Scheme>,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies, and prints what is wrong.
pub fn run(arguments: &VerifySetArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let machine = arguments.machine.settings(settings)?;
    let report = verify_set(&arguments.directory, arguments.scheme, machine.threads, machine.memory)?;
    let printed = answer(&report, arguments.scheme).print(arguments.json);
    let unread = report.unread.count();
    if unread > 0 {
        printed?;
        let files = counted(unread, "file");
        return Err(Failure::machine(format!(
            "{files} could not be read, so nothing is known of what is in them; run the same command again when the cause \
             is gone"
        )));
    }
    failure::answer(report.faults.is_empty(), printed)
}

fn answer<'a>(report: &'a SetReport, asked: Option<&'static Scheme>) -> Answer<'a> {
    let unlisted = |kind: &str, count: u64| (count > 0).then(|| format!("{kind}: {count} more, which are not listed"));
    let not_compared = (report.keys_not_compared > 0).then(|| {
        match report.keys_not_compared {
            1 => "not known: the secret of 1 key could not be read, so its one-time keys were not compared with the others"
                .to_owned(),
            keys => format!(
                "not known: the secrets of {keys} keys could not be read, so their one-time keys were not compared with the \
                 others"
            ),
        }
    });
    let kinds = [
        ("wrong", "faults", "faults_unlisted", &report.faults),
        ("not read", "unread", "unread_unlisted", &report.unread),
        ("warning", "warnings", "warnings_unlisted", &report.warnings),
    ];
    let answer = Answer::default()
        .field("sound", report.faults.is_empty() && report.unread.is_empty())
        .and(fields!(report; validators, keys_checked, keys_not_compared))
        .field("schemes", Value::each(report.schemes.iter().map(scheme_keys)))
        .field("claimed_scheme", report.claimed_scheme.map(Scheme::id))
        .field("leanvm_rev", report.leanvm_rev.map(|revision| revision.to_string()));
    let answer = kinds
        .into_iter()
        .fold(answer, |answer, (kind, field, unlisted_field, findings)| {
            let line = |finding: &SetFinding| format!("{kind}: {}: {}", finding.path.display(), said(finding));
            answer
                .field(field, Value::each(findings.listed.iter().map(finding)))
                .field(unlisted_field, findings.unlisted)
                .text(findings.listed.iter().map(line))
                .text(unlisted(kind, findings.unlisted))
        });
    answer
        .text(not_compared)
        .text(versions(report, asked))
        .text([summary(report)])
}

fn scheme_keys(of: &SchemeKeys) -> Answer<'_> {
    Answer::default().field("scheme", of.scheme.id()).field("keys", of.keys)
}

/// Of which version of leanVM's XMSS the keys are, and which one the manifest claims. Where there is one version, neither is a
/// question.
fn versions(report: &SetReport, asked: Option<&'static Scheme>) -> Vec<String> {
    let is_of_leanvm = |of: &SchemeKeys| of.scheme.family().key_forms() == KeyForms::Leanvm;
    if report.leanvm_rev.is_none() && !report.schemes.iter().any(is_of_leanvm) {
        return Vec::new();
    }
    let found = |of: &SchemeKeys| format!("found: {} of {}", counted(of.keys, "key"), of.scheme.id());
    let claimed = match (report.leanvm_rev, report.claimed_scheme) {
        (Some(revision), Some(scheme)) => format!("leanvm_rev {revision}, which is {}", scheme.id()),
        (Some(revision), None) => format!("leanvm_rev {revision}, of which keymill does not know what keys it makes"),
        (None, _) => "no leanvm_rev".to_owned(),
    };
    let wanted = match asked {
        Some(scheme) => format!("wanted: {}, as --scheme says", scheme.id()),
        None => "wanted: not known; --scheme says what the keys have to be".to_owned(),
    };
    let found = report.schemes.iter().map(found);
    let wanted = (asked.is_some() || report.claimed_scheme.is_none()).then_some(wanted);
    found.chain([format!("claimed: {claimed}")]).chain(wanted).collect()
}

fn said(finding: &SetFinding) -> String {
    format!("{}{}", finding.what, advised(&finding.remedies))
}

fn finding(finding: &SetFinding) -> Answer<'_> {
    Answer::default()
        .field("what", said(finding))
        .field("file", finding.path.clone())
}

fn summary(report: &SetReport) -> String {
    let verdict = match report.faults.count() {
        0 if report.unread.is_empty() => "sound".to_owned(),
        0 => "no fault in what was read".to_owned(),
        count => counted(count, "fault"),
    };
    let (validators, keys) = (report.validators, report.keys_checked);
    let (validators, keys) = (counted(validators, "validator"), counted(keys, "key"));
    format!("{verdict}: {validators}, {keys} checked")
}
