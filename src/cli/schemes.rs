//! `keymill schemes`: the table of schemes.

use std::process::ExitCode;

use clap::Args;
use keymill::Scheme;

use super::answer::{Answer, Value, fields, table};
use super::failure::Failure;

/// Flags of schemes.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  List the schemes:
    keymill schemes
  Those of leanSig alone:
    keymill schemes | grep leansig")]
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
    let scheme = |scheme: &Scheme| {
        let (permutation, codewords) = (scheme.family().permutation(), scheme.family().codewords());
        fields!(scheme; id(), upstream_name(), log_lifetime(), chains(), chain_length(), digest_bytes(), rho_bytes(),
            public_key_bytes(), signature_bytes(), tests_only())
        .field("permutation", permutation)
        .field("encoding", codewords.name)
        .field("target_sum", codewords.target_sum)
    };
    let answer = Answer::default().field("schemes", Value::each(Scheme::all().iter().map(scheme)));
    let rows = Scheme::all().iter().map(row);
    answer.text(table(header, rows, 3)).print(arguments.json)?;
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
