//! What the documents and the source say of each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `folder` with this ending.
fn files_below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a document, without those of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

fn headings(text: &str) -> Vec<&str> {
    let marked = prose(text).filter(|line| line.starts_with('#'));
    marked.map(|line| line.trim_start_matches('#').trim()).collect()
}

/// A heading as the end of a link to it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What a source cites, each title with its document: `docs/X.md, "One", "Two" and "Three"`, also across lines.
fn cited(source: &str) -> Vec<(String, String)> {
    let without_slashes = |line: &'_ str| line.trim().trim_start_matches(['/', '!']).trim().to_owned();
    let flat = source.lines().map(without_slashes).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for part in flat.split("docs/").skip(1) {
        let Some((name, mut rest)) = part.split_once(".md") else {
            continue;
        };
        while let Some(quoted) = rest.strip_prefix(", \"").or(rest.strip_prefix(" and \"")) {
            let (title, behind) = quoted.split_once('"').unwrap();
            found.push((format!("docs/{name}.md"), title.to_owned()));
            rest = behind;
        }
    }
    found
}

#[test]
fn every_section_that_the_source_cites_exists() {
    let mut files = Vec::new();
    for folder in ["src", "crates", "migrations", "tests/keymill", "benches"] {
        files_below(&root().join(folder), "rs", &mut files);
    }
    let mut seen = 0;
    for path in files.iter().filter(|path| !path.ends_with(file!())) {
        for (document, title) in cited(&read(path)) {
            let text = read(&root().join(&document));
            let is_there = headings(&text).contains(&title.as_str());
            assert!(is_there, "{}: {document} has no section \"{title}\"", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} citations");
    let example = "/// docs/A.md, \"One\", \"Two\n/// three\" and \"Four\"; docs/B.md.";
    let titles: Vec<_> = cited(example).into_iter().map(|(_, title)| title).collect();
    assert_eq!(titles, ["One", "Two three", "Four"]);
}

/// README, CONTRIBUTING and their like, and all of docs.
fn documents() -> Vec<PathBuf> {
    let names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tools/README.md"];
    let mut documents = names.map(|name| root().join(name)).to_vec();
    files_below(&root().join("docs"), "md", &mut documents);
    documents
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut seen = 0;
    for path in &documents() {
        let text = prose(&read(path)).collect::<Vec<_>>().join(" ");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !section.is_empty() {
                let text = read(&target);
                let sections: BTreeSet<_> = headings(&text).into_iter().map(anchor).collect();
                assert!(
                    sections.contains(section),
                    "{}: {link} has no such section",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} links");
}

/// What a document puts between backticks and is a path of the repository, or one of the command line's tests.
fn named_paths(text: &str) -> Vec<String> {
    let flat = prose(text).collect::<Vec<_>>().join(" ");
    let first_word = |quoted: &str| quoted.split([' ', ':']).next().unwrap_or_default().to_owned();
    let words: Vec<_> = flat.split('`').skip(1).step_by(2).map(first_word).collect();
    let rooms = ["src/", "crates/", "tests/", "tools/", "migrations/", "benches/"];
    let whole = words
        .iter()
        .filter(|word| rooms.iter().any(|room| word.starts_with(room)));
    let tests = words.iter().filter(|word| word.starts_with("command_line/"));
    whole
        .cloned()
        .chain(tests.map(|word| format!("tests/keymill/{word}")))
        .collect()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut seen = 0;
    for path in &documents() {
        for named in named_paths(&read(path)) {
            assert!(root().join(&named).exists(), "{}: there is no {named}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} paths");
}

/// What a text has of phrases that a native reader stumbles over.
fn stilted(text: &str) -> Vec<String> {
    let is_mark = |word: &&str| ["//", "///", "//!", "#", ">"].contains(word);
    let words: Vec<&str> = text.split_whitespace().filter(|word| !is_mark(word)).collect();
    let same = |word: &str, other: &str| word.trim_matches(|c: char| !c.is_alphabetic()) == other;
    let is_stilted = |four: &&[&str]| match **four {
        [first, second, ..] if same(first, "anew") || same(first, "held") && same(second, "against") => true,
        // "There is no key", "is no longer" and "the answer is no if" are English.
        [subject, "is" | "are" | "was" | "were", "no", what] => {
            let is_english = |word: &&str| same(what, word);
            !subject.to_lowercase().ends_with("there")
                && !["more", "longer", "larger", "limit", "if"].iter().any(is_english)
        }
        _ => false,
    };
    words.windows(4).filter(is_stilted).map(|four| four.join(" ")).collect()
}

#[test]
fn documents_and_sources_say_it_in_plain_words() {
    let mut files = documents();
    for folder in ["src", "crates", "migrations", "tests/keymill", "benches"] {
        files_below(&root().join(folder), "rs", &mut files);
    }
    // This file and the rules name what they forbid.
    files.retain(|path| !path.ends_with(file!()) && !path.ends_with("CONTRIBUTING.md"));
    assert!(files.len() > 300);
    for path in &files {
        let found = stilted(&read(path));
        assert!(found.is_empty(), "{}: say it in other words: {found:?}", path.display());
    }
    let example = "That is\n/// no error. There is no key; made anew by it, held against the root: it is no longer so.";
    let found = ["That is no error.", "anew by it, held", "held against the root:"];
    assert_eq!(stilted(example), found);
}

/// The cells of the rows of a table whose head has this text.
fn rows<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let lines = text
        .lines()
        .skip_while(|line| !(line.starts_with('|') && line.contains(head)));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn times_and_costs_on_a_cluster_follow_from_the_rates_that_were_measured() {
    let (cluster, measured) = (
        read(&root().join("docs/CLUSTER.md")),
        read(&root().join("docs/PERFORMANCE.md")),
    );
    let rates = [("p1", 18_692, 64.0), ("p2", 19_249, 64.0), ("blake2s", 207_365, 32.0)];
    for (_, rate, _) in rates {
        let text = format!("{},{:03}", rate / 1000, rate % 1000);
        assert!(measured.contains(&format!("| 1 | {text} |")), "{text} was not measured");
        assert!(cluster.contains(&text), "docs/CLUSTER.md does not say {text}");
    }
    assert!(cluster.contains("**0.04 dollars for an hour of one such core**"));
    let rows = rows(&cluster, "| core-hours |");
    assert_eq!(rows.len(), 15, "{rows:?}");
    let mut epochs = 0.0;
    for row in rows {
        if let Some(exponent) = row[0].strip_prefix("2^") {
            epochs = f64::powi(2.0, exponent.parse().unwrap());
        } else if row[0].starts_with("1,000 validators") {
            epochs = 2000.0 * f64::powi(2.0, 24);
        }
        let (_, rate, bytes) = rates.into_iter().find(|(name, ..)| *name == row[1]).unwrap();
        let hours = epochs / f64::from(rate) / 3600.0;
        // A cell is the figure, rounded to as many places as it has.
        let same = |cell: &str, figure: f64| {
            let places = cell.split_once('.').map_or(0, |(_, places)| places.len());
            cell.is_empty() || cell.replace(',', "") == format!("{figure:.places$}")
        };
        let size = |cell: &str, figure: f64| {
            let (number, unit) = cell.split_once(' ').unwrap();
            let exponent = if unit == "GiB" { 30 } else { 20 };
            same(number, figure / f64::powi(2.0, exponent))
        };
        let cells_are_right = [
            same(row[2], hours),
            same(row[3], hours * 60.0 / 64.0),
            same(row[4], hours * 60.0 / 256.0),
            same(row[5], hours * 0.04),
            size(row[6], epochs * bytes),
            size(row[7], epochs * bytes / 256.0),
        ];
        assert_eq!(
            cells_are_right, [true; 6],
            "{row:?}: {epochs} epochs, {hours} core-hours"
        );
    }
}
