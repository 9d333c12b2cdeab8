//! `keymill schemes`: the table of schemes.

use std::process::ExitCode;

use clap::Args;
use keymill::Scheme;

use serde_json::json;

use super::failure::Failure;
use super::output::{print_json, print_lines};

/// Flags of schemes.
#[derive(Debug, Args)]
pub struct SchemesArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists the schemes.
pub fn run(arguments: &SchemesArguments) -> Result<ExitCode, Failure> {
    if arguments.json {
        let schemes: Vec<_> = Scheme::all().iter().map(as_json).collect();
        print_json(&json!({ "schemes": schemes }))?;
    } else {
        let header = format!(
            "{:<32} {:<42} {:<20} {:>9} {:>8} {:>9}",
            "identifier", "upstream name", "permutation", "lifetime", "key", "signature"
        );
        let rows = Scheme::all().iter().map(as_text);
        print_lines(std::iter::once(header).chain(rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(scheme: &Scheme) -> String {
    format!(
        "{:<32} {:<42} {:<20} {:>9} {:>6} B {:>7} B{}",
        scheme.id(),
        scheme.upstream_name(),
        scheme.family().permutation(),
        format!("2^{}", scheme.log_lifetime()),
        scheme.public_key_bytes(),
        scheme.signature_bytes(),
        if scheme.tests_only() { "  tests only" } else { "" }
    )
}

fn as_json(scheme: &Scheme) -> serde_json::Value {
    let codewords = scheme.family().codewords();
    json!({
        "id": scheme.id(),
        "upstream_name": scheme.upstream_name(),
        "permutation": scheme.family().permutation(),
        "log_lifetime": scheme.log_lifetime(),
        "chains": scheme.chains(),
        "chain_length": scheme.chain_length(),
        "encoding": codewords.name,
        "target_sum": codewords.target_sum,
        "digest_bytes": scheme.digest_bytes(),
        "rho_bytes": scheme.rho_bytes(),
        "public_key_bytes": scheme.public_key_bytes(),
        "signature_bytes": scheme.signature_bytes(),
        "tests_only": scheme.tests_only(),
    })
}
