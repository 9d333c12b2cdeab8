//! `keymill shell-files`: the manual pages and completions, from the tree of commands itself. `tools/install` calls it.

mod completions;
mod manual;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use keymill::support::{Mode, make_directories, parent_of, replace_at};

use super::failure::Failure;
use super::output::print_lines;
use super::tree;

/// For everybody to read, as far as the umask lets them.
const FILE_MODE: Mode = Mode::Umasked(0o666);
const DIRECTORY_MODE: Mode = Mode::Umasked(0o777);

/// Flags of shell-files.
#[derive(Debug, Args)]
pub struct ShellFilesArguments {
    /// The prefix, as /usr/local; files go below share/ in it and replace those of an earlier version.
    #[arg(value_name = "DIR")]
    prefix: PathBuf,
}

/// Writes the files and prints their names.
pub fn run(arguments: &ShellFilesArguments) -> Result<ExitCode, Failure> {
    let mut names = Vec::new();
    for (name, content) in files() {
        let path = arguments.prefix.join(name);
        make_directories(parent_of(&path), DIRECTORY_MODE)?;
        replace_at(&path, &content, FILE_MODE)?;
        names.push(path.display().to_string());
    }
    print_lines(names)?;
    Ok(ExitCode::SUCCESS)
}

/// Each file: its name below the prefix, and what is in it.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = completions::files(&shown());
    files.extend(manual::pages(shown()));
    files
}

/// The tree without what is hidden.
fn shown() -> Command {
    let tree = tree::command();
    let shown: Vec<_> = tree
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .cloned()
        .collect();
    Command::new("keymill")
        .version(env!("CARGO_PKG_VERSION"))
        .about(tree.get_about().cloned().unwrap_or_default())
        .args(tree.get_arguments().cloned())
        .after_help(tree.get_after_help().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(shown)
}
