//! `keymill sign`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::exchange::leansig_json;
use keymill::{KeyPlace, Signer};

use super::answer::Answer;
use super::failure::Failure;
use super::input::parse_message;
use super::output::{OutArguments, PRIVATE_OUT, SharedFormat, hex_digits, shared};
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use crate::config::parse_count;

/// Flags of sign.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Sign the hash of a file at epoch 100:
    keymill sign key --epoch 100 --message $(sha256sum block | head -c 64) \
        --out 100.sig
  Print the signature of a message of 32 bytes:
    keymill sign key --epoch 101 --message $MESSAGE")]
#[command(mut_arg("out", |out| out.help(PRIVATE_OUT)))]
pub struct SignArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// The epoch. It signs one message: the same one again gives the same signature, another one is refused.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    epoch: u64,
    /// The message: 32 bytes in hex.
    #[arg(long, value_name = "HEX32", value_parser = parse_message)]
    message: [u8; 32],
    /// How to print the signature.
    #[arg(long, value_enum, default_value = "hex")]
    format: SharedFormat,
    #[command(flatten)]
    out: OutArguments,
}

/// Signs, and prints the signature after it has been verified.
pub fn run(arguments: &SignArguments) -> Result<ExitCode, Failure> {
    keep_files_private();
    arguments.out.check_writable()?;
    let passphrase = arguments.passphrase.read()?;
    let mut signer = Signer::open(KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()))?;
    let epoch = signer.paths().epoch(arguments.epoch)?;
    let scheme = signer.paths().manifest().scheme();
    // Before the epoch is spent.
    arguments.format.check(scheme)?;
    let signature = signer.sign(epoch, &arguments.message)?;
    let ssz = signature.to_ssz();
    let as_json = || {
        Answer::default()
            .field("scheme", scheme.id())
            .field("epoch", epoch)
            .field("message", arguments.message)
            .field("signature", hex_digits(&ssz))
    };
    let written = arguments.out.write(|writer| {
        shared(writer, arguments.format, &ssz, as_json, || {
            leansig_json::signature(&signature)
        })
    });
    // Elsewhere a reader that has gone away has seen enough. Here the epoch is spent, and the signature is lost.
    written.map_err(|failure| match failure {
        Failure::ReaderGone => {
            Failure::machine("the signature was not taken; ask for the same message again to get it")
        }
        failure => failure,
    })?;
    Ok(ExitCode::SUCCESS)
}
