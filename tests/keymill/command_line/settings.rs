//! Where settings come from, and what is said of those that are wrong.

use super::fixtures::{LONG, OTHER_TINY, TINY, changing_nothing};
use super::program::Place;

/// Where the program looks when nobody names a file.
fn user_file(place: &Place, content: &str) {
    std::fs::create_dir_all(place.path("no-settings-here/keymill")).unwrap();
    place.file("no-settings-here/keymill/config.toml", content);
}

fn threads(place: &Place, environment: &[(&str, &str)], flags: &str) -> u64 {
    let line = format!("plan --scheme {TINY} --json {flags}");
    let plan = place.run_with(environment, &line).exits(0).json();
    plan["threads"].as_u64().unwrap()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let place = Place::new();
    place.file("settings.toml", "threads = 3\n");
    let variable = [("KEYMILL_THREADS", "5")];
    assert_eq!(threads(&place, &[], "--config settings.toml"), 3);
    assert_eq!(threads(&place, &variable, "--config settings.toml"), 5);
    assert_eq!(threads(&place, &variable, "--config settings.toml --threads 7"), 7);
    assert_eq!(threads(&place, &[], "--config settings.toml --threads 7"), 7);
}

#[test]
fn a_named_file_is_read_instead_of_the_users_own() {
    let place = Place::new();
    user_file(&place, "threads = 2\n");
    place.file("a.toml", "threads = 3\n");
    place.file("b.toml", "threads = 4\n");
    let variable = [("KEYMILL_CONFIG", "a.toml")];
    assert_eq!(threads(&place, &[], ""), 2);
    assert_eq!(threads(&place, &variable, ""), 3);
    assert_eq!(threads(&place, &variable, "--config b.toml"), 4);
}

#[test]
fn scheme_and_epochs_of_a_new_key_come_from_the_settings_too() {
    let place = Place::new();
    place.file("settings.toml", format!("scheme = \"{LONG}\"\nepochs = \"2^12\"\n"));
    let plan = place.run("plan --json --config settings.toml").exits(0).json();
    assert_eq!((&plan["scheme"], &plan["active_epochs"]), (&LONG.into(), &4096.into()));
    let variable = [("KEYMILL_SCHEME", OTHER_TINY)];
    let plan = place
        .run_with(&variable, "plan --json --config settings.toml")
        .exits(0)
        .json();
    // A shorter lifetime gives a key for all of it.
    assert_eq!(
        (&plan["scheme"], &plan["active_epochs"]),
        (&OTHER_TINY.into(), &256.into())
    );
}

#[test]
fn settings_for_new_keys_do_not_contradict_one_that_exists() {
    let place = Place::new();
    let public_key = place.run(&format!("keygen key --scheme {TINY}")).exits(0).line();
    let variables = [("KEYMILL_SCHEME", OTHER_TINY), ("KEYMILL_EPOCHS", "7")];
    let again = place.run_with(&variables, "keygen key").exits(0);
    assert_eq!(again.line(), public_key);
}

#[test]
fn a_wrong_file_is_refused_by_its_name() {
    let place = Place::new();
    place.file("unknown.toml", "treads = 2\n");
    place.file("far.toml", "zzz = 2\n");
    place.file("value.toml", "threads = \"some\"\n");
    place.file("size.toml", "memory = \"lots\"\n");
    place.file("broken.toml", "threads = [\n");
    let wrong: [(&str, &[&str]); 8] = [
        ("unknown.toml", &["'unknown.toml'", "line 1", "'treads'", "'threads'"]),
        ("far.toml", &["'far.toml'", "'zzz'", "group_batches"]),
        ("value.toml", &["'value.toml'", "threads", "'some'", "0 to 1024"]),
        ("size.toml", &["'size.toml'", "memory", "'lots'", "64M"]),
        ("broken.toml", &["'broken.toml'", "not TOML", "line 1"]),
        ("missing.toml", &["'missing.toml'", "cannot be read"]),
        (".", &["'.'", "cannot be read"]),
        ("/dev/zero", &["'/dev/zero'", "more than 65536 bytes"]),
    ];
    changing_nothing(&place, || {
        for (file, message) in wrong {
            let line = format!("keygen key --scheme {TINY} --config {file}");
            place.run(&line).exits(2).prints_nothing().says(message);
            let variable = [("KEYMILL_CONFIG", file)];
            let line = format!("keygen key --scheme {TINY}");
            place.run_with(&variable, &line).exits(2).prints_nothing().says(message);
        }
    });
}

#[test]
fn a_wrong_variable_is_refused_by_its_name() {
    let place = Place::new();
    let wrong: [(&str, &str, &[&str]); 4] = [
        ("KEYMILL_THREADS", "x", &["'x'", "0 to 1024"]),
        ("KEYMILL_GROUP_BATCHES", "0", &["'0'", "1 to 4096"]),
        ("KEYMILL_SCHEME", "leansig-p1-l8-abort-v4-w9", &["v4-w9", TINY]),
        ("KEYMILL_LOG", "loud", &["'loud'", "debug"]),
    ];
    changing_nothing(&place, || {
        for (name, value, message) in wrong {
            place
                .run_with(&[(name, value)], &format!("keygen key --scheme {TINY}"))
                .exits(2)
                .prints_nothing()
                .says(&[name])
                .says(message);
        }
    });
}

/// It may be somebody else's.
#[test]
fn a_variable_that_is_not_a_setting_is_a_warning_by_its_name_and_no_more() {
    let place = Place::new();
    let strays = [("KEYMILL_TREADS", "2"), ("KEYMILL_ZZZ", "3")];
    let outcome = place.run_with(&strays, &format!("keygen key --scheme {TINY} --progress json"));
    let public_key = outcome.line();
    let outcome = outcome.exits(0);
    for message in [
        "unknown environment variable KEYMILL_TREADS is ignored, did you mean 'KEYMILL_THREADS'?",
        "unknown environment variable KEYMILL_ZZZ is ignored; there are: KEYMILL_SCHEME, KEYMILL_EPOCHS",
    ] {
        assert_eq!(outcome.stderr.matches(message).count(), 1, "{}", outcome.all());
    }
    assert!(
        outcome.stderr.lines().all(|line| line.starts_with('{')),
        "{}",
        outcome.all()
    );
    for line in ["public-key key", "status key", "verify --help"] {
        let plain = place.run(line).exits(0);
        let warned = place.run_with(&strays, line).exits(0);
        assert_eq!(warned.text(), plain.text());
    }
    let quiet = place.run_with(&strays, "public-key key -q").exits(0);
    assert_eq!((quiet.line(), &*quiet.stderr), (public_key, ""));
}

#[test]
fn a_setting_is_minded_by_the_commands_that_use_it_alone() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    let signature = format!("sign key --epoch 3 --message {}", super::fixtures::MESSAGE);
    let without = [
        "schemes",
        "--help",
        "help keygen",
        "--version",
        "--version --verbose",
        "shell-files prefix",
        "status key",
        "public-key key",
        "path key --epoch 1",
        &signature,
        "ledger show key",
        "ledger export key",
        "backup key",
        "report key",
        "migrate key",
        "trim key --level 1",
    ];
    let of_machine = ["check key", "repair key", "keygen key"];
    let of_new_key = [
        "plan",
        "keygen new",
        "generate --num-validators 1 --log-num-active-epochs 8 --output-dir new",
    ];
    let of_progress = ["keygen key", "keygen new"];
    for (name, minded) in [
        ("SCHEME", &of_new_key[..]),
        ("EPOCHS", &of_new_key[..2]),
        ("TRIM", &of_new_key[..2]),
        ("THREADS", &of_machine),
        ("GROUP_BATCHES", &of_machine),
        ("MEMORY", &of_machine),
        ("PROGRESS", &of_progress),
    ] {
        place.file("settings.toml", format!("{} = \"?\"\n", name.to_lowercase()));
        let variable = [(&*format!("KEYMILL_{name}"), "?")];
        for line in without {
            let with_variable = place.run_with(&variable, line);
            let with_file = if line.starts_with("--") || line.starts_with("help") {
                place.run(line)
            } else {
                place.run(&format!("{line} --config settings.toml"))
            };
            for outcome in [with_variable, with_file] {
                // A key whose secret was printed may answer no: it has to be told what it has signed elsewhere.
                assert!(
                    matches!(outcome.code, Some(0 | 1 | 3)) && !outcome.stderr.contains("is wrong"),
                    "{}",
                    outcome.all()
                );
            }
        }
        for line in minded {
            place
                .run_with(&variable, line)
                .exits(2)
                .prints_nothing()
                .says(&["'?' is wrong"]);
            let line = format!("{line} --config settings.toml");
            place
                .run(&line)
                .exits(2)
                .prints_nothing()
                .says(&["'settings.toml'", "'?' is wrong"]);
        }
    }
}

#[test]
fn a_value_that_is_wrong_in_the_file_is_refused_even_where_a_flag_wins() {
    let place = Place::new();
    place.file("settings.toml", "threads = -1\n");
    place
        .run(&format!("plan --scheme {TINY} --threads 2 --config settings.toml"))
        .exits(2)
        .says(&["'settings.toml'", "threads", "'-1'"]);
}
