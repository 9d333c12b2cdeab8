//! Lists that people read first, and what they promise is there: commands, tools, tests of promises, names of the library.

use std::path::PathBuf;

use super::{code_lines, program, root, sources};

/// Texts that name a command although they are the library's, and why.
const NAMING_COMMANDS: [(&str, &str); 2] = [
    (
        "src/exchange/backup/mod.rs",
        "the text of a backup says how it is used, and its bytes stay as they are",
    ),
    (
        "src/sets/probe.rs",
        "a message that is signed to try a key, and shown to nobody",
    ),
];

/// What can be done is data in the library; `src/cli/advice.rs` knows the commands and the flags.
#[test]
fn only_the_command_line_names_commands_and_flags() {
    let commands = commands();
    let names_command = |line: &str| {
        let behind = line.split("keymill ").skip(1);
        let mut words = behind.map(|text| {
            text.split(|c: char| c != '-' && !c.is_ascii_lowercase())
                .next()
                .unwrap()
        });
        words.any(|word| commands.contains(&word.to_owned()))
    };
    let names_flag = |line: &str| {
        let mut behind = line.split("--").skip(1);
        behind.any(|text| text.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    assert!(names_command("run 'keymill ledger init'") && !names_command("a later keymill wrote it"));
    assert!(names_flag("leave --trim out") && !names_flag("a -- b"));
    let mut exceptions = 0;
    for (name, text) in program() {
        let is_ours = ["src/cli/", "src/config", "src/main.rs"]
            .iter()
            .any(|home| name.starts_with(home));
        if is_ours || name.ends_with("tests.rs") || name.contains("tests/") || name == "src/alone.rs" {
            continue;
        }
        // A text that goes on in the next line is one.
        let program = text.split("mod tests {\n").next().unwrap();
        let joined: Vec<_> = program.split("\\\n").map(str::trim_start).collect();
        let joined = joined.concat();
        let lines = code_lines(&joined).map(|line| line.split(" // ").next().unwrap());
        let found: Vec<_> = lines.filter(|line| names_command(line) || names_flag(line)).collect();
        let may_name = NAMING_COMMANDS.iter().any(|(file, _)| *file == name);
        assert!(found.is_empty() != may_name, "{name}: {found:?}");
        exceptions += usize::from(may_name);
    }
    assert_eq!(exceptions, NAMING_COMMANDS.len());
}

/// The commands, as the help lists them.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/cli/tree.rs")).unwrap();
    let groups = text
        .lines()
        .filter(|line| line.trim_start().starts_with("(\"") && line.contains("&["));
    let quoted = groups.flat_map(|line| line.split('"').skip(3).step_by(2));
    let commands: Vec<_> = quoted.map(str::to_owned).collect();
    assert!(
        commands.contains(&"keygen".to_owned()) && commands.len() > 20,
        "{commands:?}"
    );
    commands
}

#[test]
fn every_tool_is_listed_and_says_what_it_does() {
    let folder = root().join("tools");
    let list = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README.md" || name.starts_with(['.', '_']) {
            continue;
        }
        assert!(
            list.contains(&format!("| [{name}]({name}) |")),
            "tools/README.md does not list {name}"
        );
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
            let says = first.starts_with("# ") || first.starts_with("\"\"\"") || first.starts_with("r\"\"\"");
            assert!(says, "tools/{name} does not begin by saying what it does: {first}");
        }
    }
}

/// The names in backticks in a section of a document that look like tests: long, and of lower case words.
fn tests_named_in(document: &str, section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let section = text.split("\n## ").find(|text| text.starts_with(section)).unwrap();
    let quoted = section.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        let words = name.split('_').filter(|word| !word.is_empty());
        words.count() >= 5
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted.filter(is_test).map(str::to_owned).collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let mut files = Vec::new();
    for folder in ["src", "migrations", "crates", "tests/keymill"] {
        sources(&root().join(folder), &mut files);
    }
    let flattened = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let texts: Vec<_> = files.iter().map(flattened).collect();
    let named = tests_named_in("docs/DURABILITY.md", "The promises");
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        let defined = format!("#[test]\nfn {name}()");
        let is_there = texts.iter().any(|text| text.contains(&defined));
        assert!(
            is_there,
            "docs/DURABILITY.md names the test '{name}', which does not exist"
        );
    }
}

/// A user of the library reads this list first.
#[test]
fn the_library_has_one_list_of_names_and_few_modules() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let listed: String = text
        .split("\npub use ")
        .skip(1)
        .filter_map(|part| part.split(';').next())
        .collect();
    let names = listed.split(|c: char| !c.is_alphanumeric() && c != '_');
    let is_name = |name: &&str| name.len() > 1 && !["as", "self"].contains(name);
    let names: Vec<_> = names.filter(is_name).collect();
    assert!((30..70).contains(&names.len()), "{} names: {names:?}", names.len());
    let modules: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")).collect();
    let of_others = [
        "audit",
        "exchange",
        "hostile",
        "ledger",
        "memory",
        "parts",
        "plan",
        "resources",
        "service",
        "sets",
        "support",
    ];
    assert_eq!(modules, of_others.map(|module| format!("{module};")));
}
