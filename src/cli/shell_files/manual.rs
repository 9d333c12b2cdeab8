//! Manual pages: what clap knows of a command, and the sections that are the same for all.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::failure::EXIT_CODES;
use crate::config;

const FILES: [(&str, &str); 7] = [
    (
        "DIR/manifest.toml",
        "what the key is, its public key once it is finished, and a checksum",
    ),
    ("DIR/secret", "the seed or PRF key; anyone who has it can sign"),
    (
        "DIR/layers/",
        "the tree: a file a level, and the parts that were adopted",
    ),
    ("DIR/state/", "checkpoints and the ledger of signed epochs (RocksDB)"),
    ("DIR/ledger.mark", "how far the ledger was when the key signed last"),
    ("DIR/history.jsonl", "how the key came to be, for keymill report"),
    (
        "~/.config/keymill/config.toml",
        "settings, where neither --config nor KEYMILL_CONFIG names a file; below XDG_CONFIG_HOME, if that is set",
    ),
];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A page for the program and for every command, each with its name below the prefix.
pub fn pages(program: Command) -> Vec<(String, Vec<u8>)> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let names: Vec<String> = all(&program).iter().map(|command| page_name(command)).collect();
    let page = |command: &&Command| {
        let others = names.iter().filter(|name| **name != page_name(command));
        let content = page(command, others).into_bytes();
        (format!("share/man/man1/{}.1", page_name(command)), content)
    };
    all(&program).iter().map(page).collect()
}

/// A command and all below it, level by level.
fn all(program: &Command) -> Vec<&Command> {
    let mut found = vec![program];
    let mut next = 0;
    while next < found.len() {
        found.extend(found[next].get_subcommands());
        next += 1;
    }
    found
}

fn page_name(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn page<'a>(command: &Command, others: impl Iterator<Item = &'a String>) -> String {
    let man = Man::new(command.clone());
    // Not what clap_mangen makes: there an empty date is left out, and the version takes its place.
    let title = page_name(command).to_uppercase();
    let mut page = format!(".TH {title} 1 \"\" \"keymill {VERSION}\" \"User Commands\"\n").into_bytes();
    // Into memory, where nothing fails.
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    if command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut roff = Roff::new();
    entries(
        &mut roff,
        "EXIT STATUS",
        EXIT_CODES.iter().map(|(code, meaning)| (code.to_string(), *meaning)),
    );
    entries(&mut roff, "ENVIRONMENT", config::variables());
    entries(
        &mut roff,
        "FILES",
        FILES.map(|(name, meaning)| (name.to_owned(), meaning)),
    );
    examples(
        &mut roff,
        &command.get_after_help().map(ToString::to_string).unwrap_or_default(),
    );
    roff.control("SH", ["SEE ALSO"]);
    let mut others = others.peekable();
    while let Some(name) = others.next() {
        let comma = if others.peek().is_some() { "," } else { "" };
        roff.control("BR", [name.as_str(), &format!("(1){comma}")]);
    }
    String::from_utf8_lossy(&page).into_owned() + &roff.to_roff()
}

/// The examples at the beginning of a help's end.
fn examples(roff: &mut Roff, help: &str) {
    let mut lines = help.lines().take_while(|line| !line.is_empty()).peekable();
    if lines.next_if_eq(&"Examples:").is_none() {
        return;
    }
    roff.control("SH", ["EXAMPLES"]);
    while let Some(what) = lines.next() {
        roff.text([roman(what.trim())]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
            roff.text([roman(&line[4..])]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
        if lines.peek().is_some() {
            roff.control("PP", []);
        }
    }
}

fn entries<'a>(roff: &mut Roff, title: &str, entries: impl IntoIterator<Item = (String, &'a str)>) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning)]);
    }
}
