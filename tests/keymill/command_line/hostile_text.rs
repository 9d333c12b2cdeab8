//! Text that somebody else wrote, wherever it can come from: nothing of it is obeyed by a terminal, and no error is a flood.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, Output};

use super::fixtures::{MESSAGE, TINY, edit_manifest, finished_key};
use super::help::commands;
use super::program::Place;

/// What is obeyed and not seen: by terminals in either kind of coding, and by whatever lays a line out.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{8}\u{7f}\u{9b}31m\u{85}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}z";
/// The same, as a name in a file of lines.
const FLOOD: usize = 800 << 10;
/// Bytes of a message.
const MESSAGE_BYTES_MAX: usize = 2000;

/// Every command, as it is typed for a key, a set or a file that are all called X.
pub const LINES: [&str; 36] = [
    "keygen X --scheme leansig-p1-l8-abort-v4-w8",
    "generate --scheme leansig-p1-l8-abort-v4-w8 --num-validators 1 --log-num-active-epochs 8 --output-dir X",
    "merge-sets X X --out Xmerged",
    "verify-set X",
    "import Ximported --from X",
    "export X --format leansig-ssz --out Xexported",
    "plan X",
    "split X --parts 1 --scheme leansig-p1-l8-abort-v4-w8",
    "part X --index 0 --secret-file X --work Xscratch --out Xparts",
    "join X X",
    "status X",
    "public-key X",
    "path X --epoch 1",
    "sign X --epoch 1 --message M",
    "ledger show X",
    "ledger init X --first-epoch 7",
    "ledger export X",
    "ledger import key X",
    "ledger move X --into Xset",
    "ledger move X --out",
    "verify --scheme leansig-p1-l8-abort-v4-w8 --public-key X --epoch 1 --message M --signature X",
    "check X",
    "repair X",
    "backup X",
    "restore Xrestored --from X",
    "report X",
    "trim X --level 1",
    "schemes",
    "migrate X",
    "memory-report X",
    "status X --json",
    // A key that is there would be served for ever if it were named once.
    "serve X X --listen unix:s",
    "keystore seal X --passphrase-file X",
    "keystore open X --passphrase-file X",
    "keystore export X --out Xkeystore --passphrase-file X",
    "keystore import Xkey --from X --passphrase-file X",
];

/// The words of a line, with a name in the place of X.
fn words(line: &str, name: &OsStr) -> Vec<OsString> {
    let named = |word: &str| match word.strip_prefix('X') {
        Some(end) => [name.as_bytes(), end.as_bytes()].concat(),
        None if word == "M" => MESSAGE.into(),
        None => word.into(),
    };
    line.split(' ').map(|word| OsString::from_vec(named(word))).collect()
}

/// Whether text can be shown: `is_hidden` of the program, told once more by what it is for.
fn is_obeyed(character: char) -> bool {
    character != '\n'
        && (character.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&character)
            || ('\u{2066}'..='\u{2069}').contains(&character)
            || character == '\u{feff}')
}

/// Runs a command and fails if it was obeyed what came from outside, or if it is told at length.
#[track_caller]
fn withstood(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let told = format!("{command:?}: {output:?}");
    let shown = &told[..told.floor_char_boundary(4000)];
    assert!(matches!(output.status.code(), Some(0..=4)), "{shown}");
    for stream in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(stream).unwrap_or_else(|error| panic!("{error}: {shown}"));
        let obeyed = text.chars().find(|&character| is_obeyed(character));
        assert_eq!(obeyed, None, "{shown}");
    }
    for line in output.stderr.split(|&byte| byte == b'\n') {
        assert!(line.len() < MESSAGE_BYTES_MAX, "{} bytes: {shown}", line.len());
    }
    if output.status.code() != Some(0) {
        assert!(
            output.stderr.len() < 2 * MESSAGE_BYTES_MAX,
            "{} bytes: {shown}",
            output.stderr.len()
        );
    }
    output
}

fn command(place: &Place, words: &[OsString]) -> Command {
    let mut command = place.command("");
    command.args(words);
    command
}

/// Runs every command on a name.
#[track_caller]
fn all_withstand(place: &Place, name: &OsStr) {
    for line in LINES {
        withstood(command(place, &words(line, name)));
    }
}

#[test]
fn the_lines_are_those_of_all_commands() {
    let place = Place::new();
    for (name, help) in commands(&place) {
        let is_there = LINES.iter().any(|line| line.starts_with(&name));
        assert!(
            is_there || help.contains("\nCommands:\n"),
            "add 'keymill {name}' to LINES"
        );
    }
}

#[test]
fn names_of_directories_and_files_are_shown_and_not_obeyed() {
    let names = [
        OsString::from(HOSTILE.replace(['/'], "")),
        OsString::from_vec(b"\x1b[2J\x9b31m\xed\xa0\x80\xff\n".to_vec()),
        OsString::from("a\nkeymill: warning: forged"),
    ];
    for name in names {
        // Of nothing, of a key, of a file.
        let place = Place::new();
        finished_key(&place, TINY);
        all_withstand(&place, &name);
        let key = Place::new();
        finished_key(&key, TINY);
        fs::rename(key.path("key"), key.path(".").join(&name)).unwrap();
        all_withstand(&key, &name);
        let file = Place::new();
        finished_key(&file, TINY);
        fs::write(file.path(".").join(&name), HOSTILE).unwrap();
        all_withstand(&file, &name);
    }
}

#[test]
fn whatever_a_file_holds_is_shown_and_not_obeyed() {
    let long = HOSTILE.repeat(FLOOD / HOSTILE.len());
    let object = |name: &str, value: &str| serde_json::json!({ name: value }).to_string();
    let ledger = |format: &str| {
        serde_json::json!({"metadata": {"format": format, "interchange_format_version": format}, "data": []})
            .to_string()
    };
    let event = |place: &str| {
        let line = serde_json::json!({"event": "ALLOCATE", "id": 1, "type": "thread", "bytes": 1, "place": place,
            "unix_ms": 1, "total_bytes": 1, "rss_anon_bytes": 1, "rss_file_bytes": 1});
        format!("@{line}\n@{{\"event\": \"{place}\"}}\n")
    };
    for text in [HOSTILE, &long] {
        let contents = [
            text.to_owned(),
            object(text, text),
            object("attestation_keypair", text),
            ledger(text),
            ledger("keymill-ledger").replace("\"data\":[]", &format!("\"data\":[{}]", object(text, text))),
            event(&text[..text.floor_char_boundary(10_000)]),
            format!("keymill backup\n1 {text} 0000\n"),
        ];
        for content in contents {
            let place = Place::new();
            finished_key(&place, TINY);
            place.file("input", content);
            all_withstand(&place, OsStr::new("input"));
            // As settings too.
            let config = words("plan --config X", OsStr::new("input"));
            withstood(command(&place, &config));
        }
    }
    // A whole trace with such a place is reported.
    let place = Place::new();
    let traced = event(HOSTILE);
    place.file("trace", traced.lines().next().unwrap().to_owned() + "\n");
    for line in ["memory-report X", "memory-report X --json"] {
        let output = withstood(command(&place, &words(line, OsStr::new("trace"))));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

#[test]
fn a_manifest_of_somebody_else_is_shown_and_not_obeyed() {
    let long = HOSTILE.repeat(FLOOD / HOSTILE.len());
    for text in [HOSTILE, &long] {
        let quoted = serde_json::Value::from(text).to_string().replace("\u{7f}", "\\u007f");
        for (from, to) in [
            (TINY.to_owned(), text.to_owned()),
            (format!("\"{TINY}\""), quoted.clone()),
            ("trim".to_owned(), quoted),
        ] {
            let place = Place::new();
            finished_key(&place, TINY);
            edit_manifest(&place, "key", &from, &to);
            all_withstand(&place, OsStr::new("key"));
        }
    }
}

#[test]
fn a_set_of_somebody_else_is_shown_and_not_obeyed() {
    let long = HOSTILE.repeat(FLOOD / HOSTILE.len());
    for text in [HOSTILE, &long] {
        for (file, from) in [
            ("set/validator-keys-manifest.yaml", "Poseidon1"),
            ("set/validator-keys-manifest.yaml", "0x"),
            ("set/validator-keys-manifest.yaml", "num_validators"),
            ("set/validator-keys-manifest.yaml", "ssz"),
            ("set/.keymill-set/set.toml", TINY),
            ("set/.keymill-set/set.toml", "version"),
        ] {
            let place = Place::new();
            super::sets::made(&place, "set", 1, "--export-format ssz");
            let path = place.path(file);
            let content = fs::read_to_string(&path).unwrap();
            assert!(content.contains(from), "{file} has no '{from}':\n{content}");
            fs::write(&path, content.replacen(from, text, 1)).unwrap();
            all_withstand(&place, OsStr::new("set"));
        }
    }
    let place = Place::new();
    super::sets::made(&place, "set", 1, "--export-format ssz");
    let name = OsString::from_vec(b"x\x1b[2J\x9b\xff\nsound".to_vec());
    fs::write(place.path("set").join(name), HOSTILE).unwrap();
    for line in ["verify-set set", "verify-set set --json"] {
        let output = withstood(place.command(line));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}

#[test]
fn the_holder_of_a_lock_is_shown_and_not_obeyed() {
    let place = Place::new();
    finished_key(&place, TINY);
    fs::write(place.path("key/LOCK"), HOSTILE.repeat(3)).unwrap();
    let lock = File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    all_withstand(&place, OsStr::new("key"));
    let text = place.run("status key").exits(0);
    assert!(text.text().contains("writer          \\u{1b}[2J"), "{}", text.all());
    // A program is told what stands there.
    let json = place.run("status key --json").exits(0).json();
    assert!(json["writer"].as_str().unwrap().starts_with("\u{1b}[2J"), "{json}");
    let report = place.run("report key --json").exits(0).json();
    assert_eq!(report["writer"], json["writer"]);
}

#[test]
fn settings_of_somebody_else_are_shown_and_not_obeyed() {
    let place = Place::new();
    let long = HOSTILE.repeat((64 << 10) / HOSTILE.len() - 2);
    for text in [HOSTILE, &long] {
        let quoted = serde_json::Value::from(text).to_string().replace("\u{7f}", "\\u007f");
        for content in [
            format!("scheme = {quoted}\n"),
            format!("{quoted} = 1\n"),
            format!("threads = {text}\n"),
            format!("[{text}"),
        ] {
            place.file("settings.toml", &content);
            let output = withstood(place.command("plan --config settings.toml"));
            assert_eq!(output.status.code(), Some(2), "{output:?}");
        }
    }
    // The system bounds what a program is given.
    let long = HOSTILE.repeat((100 << 10) / HOSTILE.len());
    for (name, value) in [
        ("KEYMILL_SCHEME".to_owned(), HOSTILE),
        ("KEYMILL_SCHEME".to_owned(), &long),
        ("KEYMILL_CONFIG".to_owned(), HOSTILE),
        ("KEYMILL_CONFIG".to_owned(), &long),
    ] {
        let mut command = place.command("plan");
        command.env(name, value);
        assert_eq!(withstood(command).status.code(), Some(2));
    }
    for name in [format!("KEYMILL_{HOSTILE}"), format!("KEYMILL_{long}")] {
        let mut command = place.command("plan");
        command.env(name, "1");
        let output = withstood(command);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("unknown environment variable KEYMILL_"));
    }
    let mut command = place.command("plan");
    command.env("KEYMILL_SCHEME", OsStr::from_bytes(b"\x1b[2J\x9b\xff"));
    assert_eq!(withstood(command).status.code(), Some(2));
}

#[test]
fn what_is_typed_is_shown_and_not_obeyed() {
    let place = Place::new();
    finished_key(&place, TINY);
    let long = HOSTILE.repeat((100 << 10) / HOSTILE.len());
    let bytes = OsStr::from_bytes(b"\x1b[2J\x9b\xff");
    for text in [OsStr::new(HOSTILE), OsStr::new(&long), bytes] {
        for line in LINES.into_iter().chain(["", "ledger", "help"]) {
            let mut name = OsString::from("--");
            name.push(text);
            for argument in [text, &name] {
                let mut command = command(&place, &words(line.trim(), OsStr::new("key")));
                command.arg(argument);
                let output = withstood(command);
                // It may be one more set to be merged, or another level.
                assert_ne!(output.status.code(), Some(0), "{line}: {output:?}");
            }
        }
        // In the place of each value.
        for line in LINES {
            let all = words(line, OsStr::new("key"));
            for place_of_flag in (0..all.len()).filter(|&at| all[at].as_bytes().starts_with(b"--")) {
                let mut changed = all.clone();
                match changed.get_mut(place_of_flag + 1) {
                    Some(value) => *value = text.to_owned(),
                    None => continue,
                }
                withstood(command(&place, &changed));
            }
        }
    }
}

/// With the colours of a terminal, which are ours.
#[test]
fn with_colours_nothing_else_is_obeyed() {
    let place = Place::new();
    for words in [
        vec![HOSTILE],
        vec!["status", HOSTILE],
        vec!["plan", "--scheme", HOSTILE],
    ] {
        let mut command = place.command("");
        let output = command.args(&words).env("CLICOLOR_FORCE", "1").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains('\x1b'), "{text:?}");
        let mut rest = text.as_str();
        while let Some(at) = rest.find(is_obeyed) {
            let sequence = rest[at..].strip_prefix("\x1b[").unwrap_or_else(|| panic!("{text:?}"));
            let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap();
            assert!(sequence[end..].starts_with('m') && &sequence[..end] != "2", "{text:?}");
            rest = &sequence[end..];
        }
    }
}

/// By the name that it was started under, too.
#[test]
fn the_name_of_the_program_is_not_obeyed_either() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    for line in ["--help", "keygen --help", "sign", "nothing"] {
        let mut command = place.command(line);
        command.arg0(HOSTILE);
        withstood(command);
    }
    finished_key(&place, TINY);
    let mut keygen = place.command("keygen other --scheme leansig-p1-l8-abort-v4-w8");
    keygen.arg0(HOSTILE);
    withstood(keygen);
}
