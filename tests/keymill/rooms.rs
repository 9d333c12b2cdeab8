//! Everything in its room: what the source itself promises about its own order.

mod lists;

use std::path::{Path, PathBuf};

/// The modules in the order in which they may import each other: only from lines above their own.
const ORDER: [&[&str]; 22] = [
    &["alone", "skip", "text", "time", "units"],
    &["drawing", "faults", "remedy"],
    &["failure"],
    &["error"],
    &["memory"],
    &["resources"],
    &["mapping"],
    &["files"],
    &["history", "plan", "workers"],
    &["interop", "keystore", "layers", "state"],
    &["keydir"],
    &["ledger", "subtree"],
    &["migrations"],
    &["keygen", "signing"],
    &["audit"],
    &["trim"],
    &["exchange", "parts"],
    &["sets"],
    &["service"],
    &["client"],
    &["capi"],
    &["cli", "config", "hostile", "main", "lib", "support"],
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of the program and of the compute crate, its path from the repository's root, and its text.
fn program() -> Vec<(String, String)> {
    [texts_below(&["src", "migrations"]), compute()].concat()
}

/// Those of the compute crate alone.
fn compute() -> Vec<(String, String)> {
    texts_below(&["crates/xmss/src"])
}

fn texts_below(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in folders {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 30);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    found.into_iter().map(read).collect()
}

/// The module that a file belongs to: the first folder below src, or its own name.
fn module(name: &str) -> &str {
    let inside = name.strip_prefix("src/").unwrap_or(name);
    let first = inside.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Whether a line has a word, and not as a part of a longer one: `debug_assert!` is not `assert!`.
fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&line[..at], &line[at + word.len()..]);
        let begins = !(word.starts_with(is_part) && before.ends_with(is_part));
        begins && !(word.ends_with(is_part) && behind.starts_with(is_part))
    })
}

/// How many modules down from the crate's own a file is.
fn depth(name: &str) -> usize {
    let path = name.strip_prefix("src/").unwrap_or(name).strip_suffix(".rs").unwrap();
    match path.strip_suffix("/mod").unwrap_or(path) {
        "lib" | "main" => 0,
        path => path.split('/').count(),
    }
}

/// What stands in a line behind the crate's own module, whether that is reached by its name or from below.
fn from_the_crate(line: &str, depth: usize) -> Vec<&str> {
    let supers = "super::".repeat(depth);
    let from_below = line.match_indices(&supers).filter(|_| depth > 0);
    let from_below = from_below.map(|(at, _)| &line[at + supers.len()..]);
    line.split("crate::").skip(1).chain(from_below).collect()
}

#[test]
fn imports_point_one_way() {
    let mut seen = 0;
    for (name, text) in texts_below(&["src", "migrations"]) {
        let own = module(&name);
        let own_rank = rank(own).unwrap_or_else(|| panic!("{name}: its module has no place in the order"));
        let mut depth = depth(&name);
        // The binary's own modules use the library by its name.
        for line in code_lines(&text) {
            // Unit tests in the file are one module further down.
            depth += usize::from(line.ends_with("mod tests {"));
            for part in from_the_crate(line, depth) {
                let imported: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // What the library names at its top is for others; inside, things are imported from where they live.
                let rank = rank(&imported).unwrap_or_else(|| panic!("{name}: import from the module: {line}"));
                let inside = imported == own || own_rank == ORDER.len() - 1;
                assert!(inside || rank < own_rank, "{name}: {own} imports {imported}: {line}");
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen} imports");
    assert_eq!(from_the_crate("use super::super::keygen::X;", 2), ["keygen::X;"]);
}

/// One other use of the word: the attribute of what has to be looked at before `main`.
#[test]
fn unsafe_code_is_in_the_mapping_file_and_at_the_border_to_c() {
    for (name, text) in program() {
        let attribute = "#[ctor::ctor(unsafe, priority = early)]";
        let is_unsafe = |line: &&str| line.replace("unsafe_code", "").contains("unsafe") && *line != attribute;
        let found = code_lines(&text).find(is_unsafe);
        let may_be_unsafe = name == "src/mapping.rs" || name.starts_with("src/capi/");
        assert!(found.is_none() || may_be_unsafe, "{name}: {found:?}");
        let runs_before_main = ["src/cli/cpu.rs", "src/cli/streams.rs"].contains(&name.as_str());
        assert!(runs_before_main || !text.contains(attribute), "{name}");
    }
}

#[test]
fn rocksdb_and_bincode_are_named_in_their_files_alone() {
    for (name, text) in program() {
        // What stands in quotes is not code.
        let code: Vec<_> = code_lines(&text).flat_map(|line| line.split('"').step_by(2)).collect();
        let is_named = |word: &str| code.iter().any(|part| names(part, word));
        let may_name_rocksdb =
            ["src/state/store.rs", "src/state/options.rs", "src/state/verdict.rs"].contains(&name.as_str());
        assert!(!is_named("rocksdb") || may_name_rocksdb, "{name}");
        assert!(!is_named("bincode") || name == "src/state/records.rs", "{name}");
    }
}

/// What the compute crate is for: verifiers and other CPUs build it alone, in seconds.
#[test]
fn the_compute_crate_has_no_files_no_threads_and_no_clock() {
    for (name, text) in compute() {
        let machine = [
            "std::fs",
            "std::thread",
            "std::time",
            "std::env",
            "std::process",
            "std::net",
            "rayon",
        ];
        let program = text.split("mod tests {\n").next().unwrap();
        let found = code_lines(program).find(|line| machine.iter().any(|word| line.contains(word)));
        assert!(found.is_none(), "{name}: {found:?}");
    }
}

#[test]
fn only_the_command_line_prints() {
    for (name, text) in program() {
        let prints = ["println!", "print!(", "dbg!", "stdout()", "stderr()"];
        let found = code_lines(&text).find(|line| prints.iter().any(|word| line.contains(word)));
        assert!(found.is_none() || name.starts_with("src/cli/"), "{name}: {found:?}");
    }
}

/// What is subtracted must not jump: the clock that people set is recorded alone, for a signature and of a page.
#[test]
fn the_time_of_day_is_read_where_it_is_not_subtracted() {
    for (name, text) in program() {
        let reads = ["time_of_day_ms()", "SystemTime::now()"];
        let found = code_lines(&text).find(|line| reads.iter().any(|call| line.contains(call)));
        let may_read = [
            "src/time.rs",
            "src/ledger/mod.rs",
            "src/audit/report.rs",
            "src/cli/progress/metrics_file.rs",
        ];
        let may_read = may_read.contains(&name.as_str());
        assert!(found.is_none() || may_read, "{name}: {found:?}");
    }
}

const PANICS: [&str; 11] = [
    ".unwrap()",
    ".unwrap_err()",
    ".expect(",
    ".expect_err(",
    "panic!",
    "todo!",
    "unimplemented!",
    "unreachable!",
    "assert!",
    "assert_eq!",
    "assert_ne!",
];

/// Calls that make a file, or give one its name, and the files of the source that may make them: `publish.rs` for all that is
/// said to be written; layer files, the lock, the history, the list of a set and the trace, which are not such files; and what moves whole
/// directories, or a trimmed key's files, durably.
const MAKING_AND_NAMING: [(&[&str], &[&str]); 5] = [
    (
        &["linkat(", "renameat", "hard_link", "mkdirat("],
        &["src/files/directory.rs"],
    ),
    (&["DirBuilder"], &["src/files.rs"]),
    (
        &["TMPFILE", ".link_file(", ".rename_beside("],
        &["src/files/publish.rs"],
    ),
    (
        &["OFlags::CREATE", ".create(true", "create_new(", "File::create"],
        &[
            "src/files/publish.rs",
            "src/history/file.rs",
            "src/keydir/lock.rs",
            "src/layers/medium.rs",
            "src/resources/trace.rs",
            "src/sets/finished.rs",
            // A device or a pipe.
            "src/cli/output/destination.rs",
        ],
    ),
    (
        &[".rename(", "fs::rename(", "fs::write(", "NamedTempFile", "create_dir"],
        &[
            "src/files/directory.rs",
            "src/files/publish.rs",
            "src/audit/repair/files.rs",
            "src/audit/repair/store.rs",
            "src/ledger/set/place.rs",
            "src/sets/make.rs",
            "src/sets/prepare.rs",
        ],
    ),
];

#[test]
fn files_are_made_and_named_in_their_homes_alone() {
    for (name, text) in program() {
        let program = text.split("mod tests {\n").next().unwrap();
        if name.ends_with("tests.rs") || name.contains("tests/") {
            continue;
        }
        for (calls, homes) in MAKING_AND_NAMING {
            let found = code_lines(program).find(|line| calls.iter().any(|call| line.contains(call)));
            assert!(found.is_none() || homes.contains(&name.as_str()), "{name}: {found:?}");
        }
    }
}

#[test]
fn nothing_but_tests_panics_on_purpose() {
    let is_panic = |line: &&str| PANICS.iter().any(|word| names(line, word));
    for line in [
        "assert!(a);",
        "match x { _ => assert_eq!(a, b) }",
        "x.unwrap()",
        "_ => unreachable!(),",
    ] {
        assert!(is_panic(&line), "{line}");
    }
    assert!(!is_panic(&"debug_assert!(a);"));
    let mut seen = 0;
    for (name, text) in program() {
        // Unit tests stand at the end of a file, or in a file of their own.
        let program = text.split("mod tests {\n").next().unwrap();
        if name.ends_with("tests.rs") || name.contains("tests/") || name == "src/alone.rs" {
            continue;
        }
        let found = code_lines(program).find(is_panic);
        assert!(found.is_none(), "{name}: {found:?}");
        seen += 1;
    }
    assert!(seen > 150, "{seen} files");
}

#[test]
fn files_stay_short() {
    for (name, text) in program() {
        let lines = text.lines().count();
        assert!(lines <= 420, "{name} has {lines} lines");
    }
}
