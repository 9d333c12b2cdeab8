//! What other users of the machine can see: no file, no memory; and what links that they leave can do: nothing.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::fixtures::{
    LONG, MESSAGE, PARAMETER, SEED, TINY, finished_key, set_back_to_version_0, snapshot, unfinished_key,
};
use super::program::{Outcome, Place};

/// A run of keymill by a shell that executes `before` first.
fn after(place: &Place, before: &str, line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{before} && exec \"$0\" \"$@\"")]);
    place.under(shell, line)
}

fn run_after(place: &Place, before: &str, line: &str) -> Outcome {
    Outcome::new(line, after(place, before, line).output().unwrap())
}

#[test]
fn no_file_of_a_key_is_open_to_others_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let place = Place::new();
        let before = format!("umask {umask}");
        run_after(&place, &before, &format!("keygen key --scheme {TINY}")).exits(0);
        run_after(&place, &before, &format!("sign key --epoch 3 --message {MESSAGE}")).exits(0);
        run_after(&place, &before, "migrate key").exits(0);
        let entries = snapshot(&place.path("key"));
        assert!(entries.len() > 15, "{}", entries.len());
        for (path, (mode, content)) in entries {
            let allowed: &[u32] = match content {
                Some(_) if path.starts_with(place.path("key/layers")) => &[0o400],
                Some(_) => &[0o600],
                None => &[0o700],
            };
            let mode = mode & 0o7777;
            assert!(
                allowed.contains(&mode),
                "umask {umask}: {} has {mode:o}",
                path.display()
            );
        }
    }
}

/// Waits until a keygen has begun its layer files.
#[track_caller]
fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} did not come",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_job_leaves_no_core_file_and_lets_nobody_attach() {
    let place = Place::new().with_own_program();
    let line = format!("keygen key --scheme {LONG} --epochs 2^18 --threads 1 --progress none");
    let mut command = after(&place, "ulimit -S -c $(ulimit -H -c)", &line);
    // Root owns everything in /proc that is of root, so the flag can be seen on another user's process only.
    if !place.as_nobody(&mut command) {
        return;
    }
    let mut child = command.spawn().unwrap();
    wait_for(&place.path("key/layers/00.nodes"));
    let process = format!("/proc/{}", child.id());
    let [limits, status] = ["limits", "status"].map(|name| std::fs::read_to_string(format!("{process}/{name}")));
    let owner = std::fs::metadata(format!("{process}/environ")).map(|m| m.uid());
    child.kill().unwrap();
    child.wait().unwrap();
    let (limits, status) = (limits.unwrap(), status.unwrap());
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert_ne!(
        user.split_whitespace().next(),
        Some("0"),
        "root runs it, which shows nothing"
    );
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let figures: Vec<_> = core["Max core file size".len()..].split_whitespace().collect();
    assert_eq!(figures[..2], ["0", "0"], "{core}");
    // Of a process that may be dumped, and so attached to, they belong to its user (proc(5)).
    assert_eq!(owner.unwrap(), 0);
}

#[test]
fn a_user_other_than_root_is_told_the_memory_figures() {
    let place = Place::new().with_own_program();
    let line = format!("keygen key --scheme {TINY} --json");
    let mut command = place.command(&line);
    if !place.as_nobody(&mut command) {
        return;
    }
    let outcome = Outcome::new(&line, command.output().unwrap()).exits(0);
    let said = outcome.json();
    for figure in ["peak_bytes", "anonymous_bytes_max"] {
        assert!(said[figure].as_u64().unwrap() > 0, "{}", outcome.all());
    }
}

/// A file outside, at which links in the key directory point.
fn bait(place: &Place) -> std::path::PathBuf {
    let path = place.path("bait");
    std::fs::write(&path, [b'x'; 1 << 16]).unwrap();
    path
}

#[track_caller]
fn untouched(place: &Place, case: &str) {
    let bait = std::fs::read(place.path("bait")).unwrap();
    assert!(
        bait == [b'x'; 1 << 16],
        "{case}: a file outside was written through a link"
    );
}

/// Puts a link to the bait in the place of a file, or where one would be.
fn link(place: &Place, name: &str) {
    let path = place.path(name);
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(&path).unwrap();
    }
    symlink(place.path("bait"), path).unwrap();
}

#[test]
fn nothing_is_written_through_a_link_that_waits_where_a_key_is_made() {
    for name in ["key/secret", "key/LOCK", "key/manifest.toml", "key/layers", "key/state"] {
        let place = Place::new();
        bait(&place);
        std::fs::create_dir(place.path("key")).unwrap();
        link(&place, name);
        let outcome = place.run(&format!("keygen key --scheme {TINY}"));
        assert!(matches!(outcome.code, Some(3 | 4)), "{name}: {}", outcome.all());
        untouched(&place, name);
    }
}

#[test]
fn nothing_is_written_through_a_link_to_a_directory_that_waits_where_a_key_is_made() {
    for name in ["key/layers", "key/state"] {
        for (target, is_there) in [("elsewhere", true), ("nowhere", false)] {
            let place = Place::new();
            std::fs::create_dir(place.path("key")).unwrap();
            if is_there {
                std::fs::create_dir(place.path(target)).unwrap();
            }
            symlink(place.path(target), place.path(name)).unwrap();
            place.run(&format!("keygen key --scheme {TINY}")).exits(3).says(&[name]);
            let found = std::fs::read_dir(place.path(target)).map(Iterator::count);
            assert!(
                matches!(found, Err(_) | Ok(0)),
                "{name}: files came to lie behind the link"
            );
            assert_eq!(found.is_ok(), is_there, "{name}");
        }
    }
}

#[test]
fn nothing_is_written_through_a_link_when_an_interrupted_creation_is_finished() {
    // A link in the place of a file that is rebuilt is removed; one in the place of a directory is refused.
    let files = [
        "key/secret",
        "key/manifest.toml",
        "key/LOCK",
        "key/layers/03.nodes",
        "key/layers/18.nodes",
    ];
    for name in files {
        let place = Place::new();
        bait(&place);
        unfinished_key(&place, "2^13");
        set_back_to_version_0(&place, "key");
        link(&place, name);
        let outcome = place.run("keygen key");
        let made_anew = name.starts_with("key/layers");
        assert_eq!(outcome.code == Some(0), made_anew, "{name}: {}", outcome.all());
        untouched(&place, name);
    }
    for name in ["key/layers", "key/state"] {
        let place = Place::new();
        unfinished_key(&place, "2^13");
        set_back_to_version_0(&place, "key");
        std::fs::remove_dir_all(place.path(name)).unwrap();
        std::fs::create_dir(place.path("elsewhere")).unwrap();
        symlink(place.path("elsewhere"), place.path(name)).unwrap();
        place.run("keygen key").exits(4).says(&["mkdir", name]);
        let found = std::fs::read_dir(place.path("elsewhere")).unwrap().count();
        assert_eq!(found, 0, "{name}: files came to lie behind the link");
    }
}

#[test]
fn nothing_is_written_through_a_link_when_a_key_is_gone_on_with() {
    for name in ["key/LOCK", "key/layers/00.nodes", "key/layers/18.nodes"] {
        let place = Place::new();
        unfinished_key(&place, "2^13");
        // Of the right length and with the right header, so that only the link is wrong.
        std::fs::copy(place.path(name), place.path("bait")).unwrap();
        let before = std::fs::read(place.path("bait")).unwrap();
        link(&place, name);
        place.run("keygen key").exits(3).says(&["symbolic link", name]);
        assert!(std::fs::read(place.path("bait")).unwrap() == before, "{name}");
    }
}

#[test]
fn a_repair_writes_through_no_link_and_changes_no_mode_behind_one() {
    for name in ["key/layers/03.nodes", "key/layers/08.nodes", "key/layers"] {
        let place = Place::new();
        finished_key(&place, TINY);
        std::fs::rename(place.path(name), place.path("victim")).unwrap();
        symlink(place.path("victim"), place.path(name)).unwrap();
        let victim = place.path("victim");
        if victim.is_file() {
            // What would be cut, overwritten, and given another mode.
            bait(&place);
            std::fs::rename(place.path("bait"), &victim).unwrap();
            std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o440)).unwrap();
        }
        let before = snapshot(&victim);
        place.run("repair key").exits(3).says(&["symbolic link", name]);
        assert!(
            snapshot(&victim) == before,
            "{name}: something behind the link was changed"
        );
    }
}

#[test]
fn a_store_behind_a_link_is_neither_used_nor_removed() {
    let place = Place::new();
    finished_key(&place, TINY);
    std::fs::rename(place.path("key/state"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("key/state")).unwrap();
    let before = snapshot(&place.path("elsewhere"));
    place
        .run(&format!("sign key --epoch 3 --message {MESSAGE}"))
        .exits(3)
        .says(&["key/state"]);
    place.run("repair key").exits(0);
    assert!(snapshot(&place.path("elsewhere")) == before, "a repair changed it");
    // A creation that is finished begins with an empty store.
    let place = Place::new();
    unfinished_key(&place, "2^13");
    set_back_to_version_0(&place, "key");
    std::fs::rename(place.path("key/state"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("key/state")).unwrap();
    let before = snapshot(&place.path("elsewhere"));
    place.run("keygen key").exits(4).says(&["key/state"]);
    assert!(snapshot(&place.path("elsewhere")) == before, "a creation changed it");
}

#[test]
fn temporaries_of_a_process_that_was_killed_are_removed_by_repair_and_migrate() {
    let temporary = "key/.keymill-a1B2c3.tmp";
    for line in ["repair key", "migrate key"] {
        let place = Place::new();
        unfinished_key(&place, "2^13");
        set_back_to_version_0(&place, "key");
        if line == "repair key" {
            place.run("migrate key").exits(0);
        }
        place.file(temporary, SEED);
        place.run(line).exits(0);
        assert!(!place.path(temporary).exists(), "{line}");
    }
}

#[test]
fn a_secret_that_is_handed_in_is_warned_of_if_others_can_read_it() {
    let place = Place::new();
    place.file("seed", SEED);
    let mode = |mode| std::fs::set_permissions(place.path("seed"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    let message = ["warning", "'seed'", "640"];
    let seed = format!("keygen key --scheme {TINY} --seed-file seed");
    place.run(&seed).exits(0).says(&["--seed-file"]).says(&message);
    let prf_key = format!("keygen other --scheme {TINY} --prf-key-file seed --parameter {PARAMETER}");
    place.run(&prf_key).exits(0).says(&["--prf-key-file"]).says(&message);
    mode(0o600);
    let quiet = place.run(&seed).exits(0);
    assert!(!quiet.stderr.contains("'seed'"), "{}", quiet.all());
    // A pipe is nobody else's to read again, whatever its mode says.
    let pipe = place.path("pipe");
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o644)).unwrap();
    let feeder = std::thread::spawn(move || std::fs::write(pipe, SEED).unwrap());
    let quiet = place
        .run(&format!("keygen piped --scheme {TINY} --seed-file pipe"))
        .exits(0);
    feeder.join().unwrap();
    assert!(!quiet.stderr.contains("'pipe'"), "{}", quiet.all());
}
