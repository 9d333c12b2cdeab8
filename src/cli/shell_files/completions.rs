//! Completions for bash, zsh and fish.

use clap::Command;
use clap_complete::{Shell, generate};

/// Where each shell looks for the completions of a command that is not loaded yet.
const PLACES: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/keymill"),
    (Shell::Zsh, "share/zsh/site-functions/_keymill"),
    (Shell::Fish, "share/fish/vendor_completions.d/keymill.fish"),
];

/// Without this, bash offers flags where a word is wanted: clap_complete gives it one list for both.
const BASH_WORDS: &str = r#"
_keymill_words() {
    _keymill "$@"
    [[ $2 == -* ]] && return
    local word words=()
    for word in "${COMPREPLY[@]}"; do [[ $word == -* ]] || words+=("$word"); done
    COMPREPLY=("${words[@]}")
    [ ${#words[@]} -eq 0 ] || return
    case " ${COMP_WORDS[*]} " in
        FILES) ;;
        *) compopt -o dirnames +o default +o bashdefault ;;
    esac
}
complete -F _keymill_words -o nosort -o bashdefault -o default keymill
"#;

/// The completions of the program, each with its name below the prefix.
pub fn files(program: &Command) -> Vec<(String, Vec<u8>)> {
    let file = |(shell, place): (Shell, &str)| {
        let mut content = Vec::new();
        generate(shell, &mut program.clone(), "keymill", &mut content);
        if shell == Shell::Bash {
            content.extend(BASH_WORDS.replace("FILES", &takes_files(program, "")).bytes());
        }
        (place.to_owned(), content)
    };
    PLACES.map(file).into()
}

/// Patterns of the commands of which some word is a file rather than a directory.
fn takes_files(command: &Command, path: &str) -> String {
    let is_file = |arg: &clap::Arg| arg.get_value_hint() == clap::ValueHint::FilePath;
    let own = command.get_positionals().any(is_file).then(|| format!("*\"{path} \"*"));
    let below = command
        .get_subcommands()
        .map(|sub| takes_files(sub, &format!("{path} {}", sub.get_name())));
    let patterns: Vec<String> = own
        .into_iter()
        .chain(below)
        .filter(|pattern| !pattern.is_empty())
        .collect();
    patterns.join(" | ")
}
