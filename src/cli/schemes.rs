//! `keymill schemes`: the table of schemes.

use std::process::ExitCode;

use clap::Args;
use keymill::Scheme;

use super::answer::{Answer, Value, table};
use super::failure::Failure;

/// Flags of schemes.
#[derive(Debug, Args)]
pub struct SchemesArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists the schemes.
pub fn run(arguments: &SchemesArguments) -> Result<ExitCode, Failure> {
    let header = [
        "identifier",
        "upstream name",
        "permutation",
        "lifetime",
        "key",
        "signature",
        "",
    ];
    let rows: Vec<_> = std::iter::once(header.map(str::to_owned))
        .chain(Scheme::all().iter().map(row))
        .collect();
    let answer = Answer::default().field("schemes", Value::each(Scheme::all().iter().map(fields)));
    answer.text(table(&rows, 3)).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn row(scheme: &Scheme) -> [String; 7] {
    [
        scheme.id().to_owned(),
        scheme.upstream_name().to_owned(),
        scheme.family().permutation().to_owned(),
        format!("2^{}", scheme.log_lifetime()),
        format!("{} B", scheme.public_key_bytes()),
        format!("{} B", scheme.signature_bytes()),
        if scheme.tests_only() { "tests only" } else { "" }.to_owned(),
    ]
}

fn fields(scheme: &Scheme) -> Answer<'static> {
    let codewords = scheme.family().codewords();
    Answer::default()
        .field("id", scheme.id())
        .field("upstream_name", scheme.upstream_name())
        .field("permutation", scheme.family().permutation())
        .field("log_lifetime", scheme.log_lifetime())
        .field("chains", scheme.chains())
        .field("chain_length", scheme.chain_length())
        .field("encoding", codewords.name)
        .field("target_sum", codewords.target_sum)
        .field("digest_bytes", scheme.digest_bytes())
        .field("rho_bytes", scheme.rho_bytes())
        .field("public_key_bytes", scheme.public_key_bytes())
        .field("signature_bytes", scheme.signature_bytes())
        .field("tests_only", scheme.tests_only())
}
