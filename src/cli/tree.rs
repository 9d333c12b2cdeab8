//! The commands and flags as clap has them, and what holds for each of them, by whichever file it is defined.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};

use clap::builder::{PossibleValue, StyledStr, TypedValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, ValueHint};
use keymill::Scheme;
use keymill::text::{Foreign, bounded, visible};

use super::failure::EXIT_CODES;
use super::{Arguments, examples};
use crate::config::{PROGRESS_STYLES, ProgressStyle, parse_progress, parse_scheme};

/// Reads a command line. What is wrong with it is told with what was typed made visible, and cut.
pub fn parse(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Arguments, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(line).map_err(quoting_visibly)?;
    let shows_progress = |name: &str| {
        let mut arguments = command
            .find_subcommand(name)
            .into_iter()
            .flat_map(Command::get_arguments);
        arguments.any(|argument| argument.get_id() == "progress")
    };
    let sub = matches.subcommand().filter(|(name, _)| shows_progress(name));
    Ok(Arguments {
        progress: sub.map(|(_, sub)| sub.get_one::<ProgressStyle>("progress").copied()),
        answers_in_file: answers_in_file(&matches),
        ..Arguments::from_arg_matches(&matches)?
    })
}

/// Whether the command was given a file for its answer.
fn answers_in_file(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, sub)) => answers_in_file(sub),
        None => matches.try_contains_id(OUT_ARGUMENTS).unwrap_or(false),
    }
}

/// The group of [`OutArguments`](super::output::OutArguments), as clap names it.
const OUT_ARGUMENTS: &str = "OutArguments";

/// An error in which everything that was typed can be shown.
fn quoting_visibly(mut error: clap::Error) -> clap::Error {
    let quoted = |text: &str| visible(&Foreign(text).to_string()).into_owned();
    let replaced: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| {
            let value = match value {
                ContextValue::String(text) => ContextValue::String(quoted(text)),
                ContextValue::Strings(texts) => ContextValue::Strings(texts.iter().map(|text| quoted(text)).collect()),
                // A sentence of clap's with something that was typed in it.
                ContextValue::StyledStrs(texts) if kind == ContextKind::Suggested => {
                    let shown =
                        |text: &StyledStr| visible(&bounded(&text.to_string(), SUGGESTION_BYTES_MAX)).into_owned();
                    ContextValue::StyledStrs(texts.iter().map(|text| shown(text).into()).collect())
                }
                _ => return None,
            };
            Some((kind, value))
        })
        .collect();
    for (kind, value) in replaced {
        error.insert(kind, value);
    }
    error
}

/// As long as a suggestion of clap's is at most.
const SUGGESTION_BYTES_MAX: usize = 240;

/// The tree of commands, with examples in each help and, for the shells, with what kind of file each value is.
pub fn command() -> Command {
    let exit_codes = EXIT_CODES
        .map(|(code, meaning)| format!("  {code:<3}  {}\n", indented(meaning)))
        .concat();
    // Whatever the program was called when it was started.
    let command = dressed(Arguments::command().bin_name("keymill"), "");
    let examples = examples::as_text(examples::of(""));
    command.after_help(format!(
        "{examples}\n\n--version --verbose tells how this program was built.\n\nExit codes:\n{}",
        exit_codes.trim_end()
    ))
}

/// Text in lines of a help, behind a margin.
fn indented(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width + word.len() > 85 {
            lines += "\n       ";
            width = 0;
        } else if width > 0 {
            lines += " ";
        }
        lines += word;
        width += word.len() + 1;
    }
    lines
}

/// A command and those below it; `path` is its name as it is typed behind `keymill`.
fn dressed(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = command.mut_args(hinted);
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |sub| dressed(sub, path.trim_start()));
    }
    match examples::of(path) {
        [] => command,
        examples => command.after_help(examples::as_text(examples)),
    }
}

/// What stands for a value says what it is.
fn hinted(arg: Arg) -> Arg {
    let arg = match arg.is_global_set() {
        true => arg.help_heading("Options of every command"),
        false => arg,
    };
    if !arg.get_action().takes_values() {
        return arg;
    }
    // So that a number that is negative is told what a number may be, and is not taken for a flag.
    let arg = arg.allow_negative_numbers(true);
    let type_of_value = arg.get_value_parser().type_id();
    if type_of_value == TypeId::of::<&'static Scheme>() {
        // There are many, and a command that lists them.
        return arg
            .value_parser(listed(parse_scheme, scheme_ids))
            .hide_possible_values(true);
    }
    if type_of_value == TypeId::of::<ProgressStyle>() {
        return arg
            .value_parser(listed(parse_progress, || {
                PROGRESS_STYLES.map(|(name, _)| name).to_vec()
            }))
            .hide_possible_values(true);
    }
    let name = arg.get_value_names().and_then(|names| names.first());
    match name.map(clap::builder::Str::as_str) {
        Some("DIR" | "DIR2") => arg.value_hint(ValueHint::DirPath),
        Some("FILE" | "HEX|FILE") => arg.value_hint(ValueHint::FilePath),
        // Its values are what is offered.
        _ if arg.get_value_parser().possible_values().is_some() => arg,
        // Nothing to be completed: without this, shells offer files.
        _ => arg.value_hint(ValueHint::Other),
    }
}

fn scheme_ids() -> Vec<&'static str> {
    Scheme::all().iter().map(Scheme::id).collect()
}

/// A parser of text that has names for its values, so that shells can complete them. Other texts may be values too.
fn listed<T>(parse: Parse<T>, names: fn() -> Vec<&'static str>) -> ValueParser
where
    T: Clone + Send + Sync + 'static,
{
    ValueParser::new(Listed { parse, names })
}

type Parse<T> = fn(&str) -> Result<T, String>;

#[derive(Clone)]
struct Listed<T> {
    parse: Parse<T>,
    names: fn() -> Vec<&'static str>,
}

impl<T> TypedValueParser for Listed<T>
where
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        TypedValueParser::parse_ref(&self.parse, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Every command that is shown, with its name as it is typed behind `keymill`.
    fn each(command: &Command, path: &str, visit: &mut dyn FnMut(&Command, &str)) {
        visit(command, path);
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            each(sub, format!("{path} {}", sub.get_name()).trim_start(), visit);
        }
    }

    #[test]
    fn clap_finds_no_contradiction_in_the_tree() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        each(&command(), "", &mut |command, path| {
            let examples = examples::of(path);
            assert!(
                command.has_subcommands() || !examples.is_empty(),
                "'keymill {path}' has no examples: add some to src/cli/examples.rs, each a line that works"
            );
            for (what, line) in examples {
                assert!(
                    line.contains(&format!("keymill {path}")),
                    "'{line}' is no example of '{path}'"
                );
                let is_sentence = what.starts_with(char::is_uppercase) && !what.ends_with(['.', ':']);
                assert!(
                    is_sentence,
                    "'{what}': say in capital and without a stop what the example is for"
                );
                let longest = line.lines().map(str::len).max();
                assert!(
                    longest < Some(94),
                    "'{line}' is wrapped in the help: break it with a backslash"
                );
            }
        });
    }

    #[test]
    fn every_command_and_flag_says_what_it_is_for() {
        each(&command(), "", &mut |command, path| {
            assert!(
                command.get_about().is_some(),
                "'keymill {path}' has no words: document its variant of Command"
            );
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "'keymill {path}', {arg}: no words; document its field"
                );
            }
        });
    }

    /// So that shells complete it as such.
    #[test]
    fn every_value_that_names_a_place_is_called_dir_or_file() {
        each(&command(), "", &mut |command, path| {
            for arg in command
                .get_arguments()
                .filter(|arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>())
            {
                let hint = arg.get_value_hint();
                assert!(
                    [ValueHint::DirPath, ValueHint::FilePath].contains(&hint),
                    "'keymill {path}', {arg}: give it value_name = \"DIR\" or \"FILE\""
                );
            }
        });
    }

    /// What a program can use, it can have as one JSON object.
    #[test]
    fn every_command_can_answer_in_json() {
        // What they print is a form of its own.
        const ALWAYS: [&str; 3] = ["ledger export", "export", "backup"];
        each(&command(), "", &mut |command, path| {
            let has_flag = command.get_arguments().any(|arg| arg.get_long() == Some("json"));
            let has_format = command.get_arguments().any(|arg| {
                let values = arg.get_possible_values();
                arg.get_long() == Some("format") && values.iter().any(|value| value.get_name() == "json")
            });
            assert!(
                command.has_subcommands() || has_flag || has_format || ALWAYS.contains(&path),
                "'keymill {path}' has no --json: give it one, one JSON object, and a table in docs/JSON.md"
            );
        });
    }
}
