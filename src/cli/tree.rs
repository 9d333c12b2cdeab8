//! The commands and flags as clap has them, and what holds for each of them, by whichever file it is defined.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};

use clap::builder::{PossibleValue, StyledStr, TypedValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, ValueHint};
use keymill::Scheme;
use keymill::support::{Foreign, bounded, visible};

use super::Arguments;
use super::failure::EXIT_CODES;
use crate::config::{PROGRESS_STYLES, ProgressStyle, parse_progress, parse_scheme};

/// Reads a command line. What is wrong with it is told with what was typed made visible, and cut.
pub fn parse(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches_from(line).map_err(quoting_visibly)?;
    Ok(Arguments {
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

const EXAMPLES: &str = r"Examples:
  Make a key, and look at it:
    keymill keygen key --epochs 2^18
    keymill status key
  Say what a command does, with examples:
    keymill help sign";

/// The commands that are shown, by what they are for.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Make a key", &["keygen", "plan", "split", "part", "join", "trim"]),
    ("Use it", &["public-key", "sign", "verify", "path", "ledger"]),
    #[cfg(feature = "serve")]
    ("Let others use it", &["serve"]),
    ("Keep it safe", &["check", "repair", "backup", "restore", "keystore"]),
    ("Move it", &["import", "export", "migrate"]),
    ("Sets of keys", &["generate", "merge-sets", "verify-set"]),
    ("Look", &["status", "report", "schemes", "memory-report"]),
];

/// The tree of commands, for the shells with what kind of file each value is.
pub fn command() -> Command {
    let exit_codes = EXIT_CODES
        .map(|(code, meaning)| format!("  {code:<3}  {}\n", indented(meaning)))
        .concat();
    // Whatever the program was called when it was started.
    let command = with_value_hints(Arguments::command().bin_name("keymill"));
    let template = in_groups(&command);
    command.help_template(template).after_help(format!(
        "{EXAMPLES}\n\n--version --verbose tells how this program was built.\n\nExit codes:\n{}",
        exit_codes.trim_end()
    ))
}

/// The help of the program, as clap takes it, with a line for each command.
fn in_groups(command: &Command) -> StyledStr {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let mut help = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        help += &format!("\n{header}{title}:{header:#}\n");
        for sub in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = sub.get_about().cloned().unwrap_or_default();
            help += &format!("  {literal}{:<13}{literal:#}  {about}\n", sub.get_name());
        }
    }
    (help + &format!("\n{header}{GLOBAL_HEADING}:{header:#}\n{{options}}{{after-help}}")).into()
}

const GLOBAL_HEADING: &str = "Options of every command";

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

/// A command and those below it.
fn with_value_hints(command: Command) -> Command {
    command.mut_args(with_value_hint).mut_subcommands(with_value_hints)
}

/// What stands for a value says what it is.
fn with_value_hint(arg: Arg) -> Arg {
    let arg = if arg.is_global_set() {
        arg.help_heading(GLOBAL_HEADING)
    } else {
        arg
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
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut lines = help.lines().take_while(|line| !line.is_empty()).peekable();
            assert!(
                command.has_subcommands() || lines.next() == Some("Examples:"),
                "'keymill {path}' has no examples: give it an after_help, each example a line that works"
            );
            while let Some(what) = lines.next().filter(|_| !path.is_empty()) {
                let is_sentence = what.starts_with(' ') && what.trim().starts_with(char::is_uppercase);
                assert!(
                    is_sentence && what.ends_with(':'),
                    "'{what}': say in capital and with a colon what the example is for"
                );
                let mut example = String::new();
                while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                    assert!(
                        line.len() < 98,
                        "'{line}' is wrapped in the help: break it with a backslash"
                    );
                    example += line;
                }
                assert!(
                    example.contains(&format!("keymill {path}")),
                    "'{example}' is not an example of '{path}'"
                );
            }
        });
    }

    /// One line each on a terminal of the usual width.
    #[test]
    fn every_command_that_is_shown_stands_in_one_group_of_the_help() {
        let help = command().render_help().to_string();
        let command = command();
        let named: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let shown: Vec<&str> = command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(Command::get_name)
            .collect();
        assert_eq!(named, shown);
        for name in shown {
            let line = help.lines().find(|line| line.starts_with(&format!("  {name} ")));
            assert!(line.is_some_and(|line| line.len() <= 80), "'{name}': {line:?}");
        }
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
                    "'keymill {path}', {}: no words; document its field",
                    arg.get_id()
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
                    "'keymill {path}', {}: give it value_name = \"DIR\" or \"FILE\"",
                    arg.get_id()
                );
            }
        });
    }

    /// What a program can use, it can have as one JSON object.
    #[test]
    fn every_command_can_answer_in_json() {
        // What they print is a form of its own.
        const ALWAYS: [&str; 5] = ["ledger export", "export", "backup", "keystore export", "serve"];
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
