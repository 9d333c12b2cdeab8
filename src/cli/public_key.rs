//! `keymill public-key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::exchange::leansig_json;
use keymill::{KeyDir, PublicKey};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{OutArguments, SharedFormat, hex_digits, shared};

/// Flags of public-key.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Print the public key in hex:
    keymill public-key key
  Write its bytes into a file:
    keymill public-key key --format ssz --out public-key.ssz")]
pub struct PublicKeyArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value = "hex")]
    format: SharedFormat,
    #[command(flatten)]
    out: OutArguments,
}

/// Prints the public key of a sealed key.
pub fn run(arguments: &PublicKeyArguments) -> Result<ExitCode, Failure> {
    let key = KeyDir::open_sealed(&arguments.directory)?;
    let manifest = key.manifest();
    let public_key = manifest.public_key().unwrap_or_default();
    arguments.format.check(manifest.scheme())?;
    let parsed = PublicKey::from_ssz(manifest.scheme(), &public_key)?;
    let as_json = || {
        Answer::default()
            .field("scheme", manifest.scheme().id())
            .field("public_key", hex_digits(&public_key))
            .field("root", manifest.root().map(hex_digits))
            .field("parameter", hex_digits(manifest.parameter()))
    };
    arguments.out.write(|writer| {
        shared(writer, arguments.format, &public_key, as_json, || {
            leansig_json::public_key(&parsed)
        })
    })?;
    Ok(ExitCode::SUCCESS)
}
