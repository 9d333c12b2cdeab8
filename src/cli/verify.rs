//! `keymill verify`.

use std::process::ExitCode;

use clap::Args;
use keymill::{PublicKey, Scheme, verify};

use super::answer::Answer;
use super::failure::{self, Failure};
use super::input::{hex_or_file, parse_message};
use crate::config::{parse_count, parse_scheme};

/// Flags of verify.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Verify a signature of the key in public-key:
    keymill verify --scheme leansig-p2-l32-top-v64-w8 --epoch 7 --message $MESSAGE \
        --public-key public-key --signature 7.sig
  Go by the exit code alone:
    keymill verify --scheme leansig-p2-l32-top-v64-w8 --epoch 7 --message $MESSAGE \
        --public-key public-key --signature 7.sig >/dev/null && echo good")]
pub struct VerifyArguments {
    /// Scheme of the key.
    #[arg(long, value_name = "ID", value_parser = parse_scheme)]
    scheme: &'static Scheme,
    /// The public key: hex, or a file that holds the bytes or their hex.
    #[arg(long, value_name = "HEX|FILE")]
    public_key: String,
    /// The epoch.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    epoch: u64,
    /// The message: 32 bytes in hex.
    #[arg(long, value_name = "HEX32", value_parser = parse_message)]
    message: [u8; 32],
    /// The signature: hex, or a file that holds the bytes or their hex.
    #[arg(long, value_name = "HEX|FILE")]
    signature: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Says whether the signature is valid.
pub fn run(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let scheme = arguments.scheme;
    let text = &arguments.public_key;
    let given = hex_or_file("--public-key", text, scheme.public_key_bytes())?;
    let public_key =
        PublicKey::from_ssz(scheme, &given.bytes).map_err(|error| given.wrong("--public-key", text, error))?;
    let signature = hex_or_file("--signature", &arguments.signature, scheme.signature_bytes())?;
    let epoch = scheme.epoch(arguments.epoch).map_err(keymill::Rejection::from);
    let outcome = epoch.and_then(|epoch| verify(&public_key, epoch, &arguments.message, &signature.bytes));
    if outcome.is_err() {
        signature.warn_if_doubtful("--signature", &arguments.signature);
    }
    let reason = outcome.as_ref().err().map(ToString::to_string);
    let verdict = reason
        .as_ref()
        .map_or("valid".to_owned(), |reason| format!("invalid: {reason}"));
    let answer = Answer::default()
        .field("valid", outcome.is_ok())
        .field("reason", reason)
        .text([verdict]);
    failure::answer(outcome.is_ok(), answer.print(arguments.json))
}
