//! Where answers may go, and where not: never over the files of a key, never nowhere.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::fixtures::{MESSAGE, TINY, changing_nothing};
use super::hostile_text::LINES;
use super::program::{Outcome, Place};

/// Commands that have `--out`, two of them with secrets.
const WITH_OUT: [&str; 7] = [
    "sign key --epoch 3 --message M",
    "public-key key",
    "path key --epoch 1",
    "ledger export key",
    "report key",
    "backup key",
    "export key --format leansig-ssz",
];

fn line(line: &str) -> String {
    line.replace("message M", &format!("message {MESSAGE}"))
}

fn key() -> Place {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    place
}

#[track_caller]
fn nothing_is_spent(place: &Place) {
    place.run("ledger show key --json").exits(0).prints(&["\"spent\":0"]);
}

#[test]
fn whatever_is_left_of_a_key_is_not_written_over() {
    let place = key();
    fs::create_dir(place.path("beside")).unwrap();
    // Each part may be the last that there is.
    for part in ["manifest.toml", "secret", "ledger.mark", "layers", "state"] {
        let lost = place.path("lost");
        fs::create_dir(&lost).unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(place.path("key").join(part))
            .arg(&lost)
            .status();
        assert!(copied.unwrap().success());
        symlink("../lost/secret", place.path("beside/link")).unwrap();
        symlink("link", place.path("beside/link-to-link")).unwrap();
        symlink("../lost", place.path("beside/directory")).unwrap();
        let outs = [
            "lost/manifest.toml",
            "lost/secret",
            "lost/ledger.mark",
            "lost/LOCK",
            "lost/new",
            "lost/layers/00.nodes",
            "lost/state/CURRENT",
            "beside/../lost/secret",
            "beside/link",
            "beside/link-to-link",
            "beside/directory/secret",
            "lost/../lost/../lost/ledger.mark",
        ];
        changing_nothing(&place, || {
            for out in outs {
                for with_out in WITH_OUT {
                    let secret = ["backup", "export"].iter().any(|name| with_out.starts_with(name));
                    let force = if secret { " --force" } else { "" };
                    let refused = place.run(&format!("{} --out {out}{force}", line(with_out)));
                    let refused = refused.exits(2).prints_nothing();
                    // A secret does not go through a link anyway.
                    assert!(
                        refused.stderr.contains("key directory") || refused.stderr.contains("regular file"),
                        "{part}: {}",
                        refused.all()
                    );
                }
                let traced = place.run(&format!("schemes --trace-memory {out}"));
                traced
                    .exits(2)
                    .prints_nothing()
                    .says(&["--trace-memory", "key directory"]);
            }
        });
        fs::remove_dir_all(lost).unwrap();
        for link in ["link", "link-to-link", "directory"] {
            fs::remove_file(place.path("beside").join(link)).unwrap();
        }
    }
    nothing_is_spent(&place);
}

#[test]
fn a_directory_as_destination_is_the_same_mistake_for_every_command() {
    let place = key();
    fs::create_dir(place.path("folder")).unwrap();
    symlink("folder", place.path("link")).unwrap();
    changing_nothing(&place, || {
        for out in ["folder", "folder/", "link", "."] {
            for with_out in WITH_OUT {
                let refused = place.run(&format!("{} --out {out}", line(with_out))).exits(2);
                refused.prints_nothing().says(&[&format!("'{out}'")]);
            }
        }
    });
    nothing_is_spent(&place);
}

#[test]
fn standard_output_has_other_names_too() {
    let place = key();
    symlink("/dev/stdout", place.path("link")).unwrap();
    for with_out in WITH_OUT {
        // Signed once, it is the same signature again.
        let printed = place.run(&line(with_out)).exits(0).stdout;
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"] {
            let with_out = format!("{} --out {name}", line(with_out));
            let into_pipe = place.run(&with_out).exits(0);
            // Behind what is there, as anything that is printed.
            let file = place.path("file");
            fs::write(&file, "before ").unwrap();
            let appending = File::options().append(true).open(&file).unwrap();
            let status = place.command(&with_out).stdout(appending).status().unwrap();
            assert!(status.success(), "{with_out}");
            let written = fs::read(&file).unwrap();
            assert!(written.starts_with(b"before "), "{with_out}");
            // A page says when it was drawn.
            if !with_out.starts_with("report") {
                assert!(into_pipe.stdout == printed && written[7..] == printed, "{with_out}");
            }
        }
    }
}

/// Runs a command line of the shell in which `$@` is keymill with these arguments.
fn in_shell(place: &Place, shell: &str, line: &str) -> Outcome {
    let mut sh = Command::new("sh");
    sh.args(["-c", shell, "sh"]);
    let mut command = place.under(sh, line);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    Outcome::new(line, output.unwrap())
}

#[test]
fn without_standard_output_nothing_is_begun() {
    let place = key();
    place.file("input", "something");
    // An export that has a file needs no standard output.
    let lines = LINES.iter().filter(|line| !line.contains("--out X"));
    let lines = lines.map(|line| {
        line.replace('X', "key")
            .replace("message M", &format!("message {MESSAGE}"))
    });
    let others = [
        "--help",
        "--version",
        "--version --verbose",
        "keygen new --progress json",
    ]
    .map(str::to_owned);
    for line in lines.chain(others) {
        let outcome = changing_nothing(&place, || in_shell(&place, "exec \"$@\" >&-", &line));
        outcome.exits(2).says(&["standard output is closed"]);
    }
    // Whatever else is closed.
    let sign = line(WITH_OUT[0]);
    for closed in ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let outcome = changing_nothing(&place, || in_shell(&place, &format!("exec \"$@\" {closed}"), &sign));
        outcome.exits(2);
    }
    nothing_is_spent(&place);
    // A place that is named, or that takes everything, is one.
    in_shell(&place, "exec \"$@\" >&-", &format!("{sign} --out /dev/stdout")).exits(2);
    nothing_is_spent(&place);
    in_shell(&place, "exec \"$@\" >&-", &format!("{sign} --out signature")).exits(0);
    assert!(!fs::read(place.path("signature")).unwrap().is_empty());
    in_shell(&place, "exec \"$@\" >/dev/null", &sign).exits(0);
    in_shell(&place, "exec \"$@\" 1<>/dev/null", &sign).exits(0);
    in_shell(&place, "exec \"$@\" <&- 2>&-", &sign).exits(0);
}
