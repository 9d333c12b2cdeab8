//! The README's tour, line by line as it stands there, with smaller keys.

use std::process::{Command, Stdio};

use super::fixtures::TINY;
use super::program::Place;
use super::serving::client::free_port;
use crate::skip::skip;

const README: &str = include_str!("../../../README.md");

/// The commands of the tour. A line that ends with a backslash goes on.
fn commands() -> String {
    let tour = README.split("## A tour\n\n```console\n").nth(1).unwrap();
    let tour = tour.split("```").next().unwrap().replace("\\\n", " ");
    let typed = tour.lines().filter_map(|line| line.strip_prefix("$ "));
    typed.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_tour_of_the_readme_is_what_really_happens() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("there is no curl here");
    }
    let place = Place::new();
    let port = free_port();
    // What serves needs a moment, which somebody who types gives it.
    let listens = "& while ! [ -S keymill.sock ] && kill -0 $!; do sleep 0.02; done";
    let script = commands()
        .replace("2^18", "2^8")
        .replace("--log-num-active-epochs 18", "--log-num-active-epochs 8")
        .replace("--epoch 1000", "--epoch 100")
        .replace("leansig-p1-l32-abort-v46-w8", TINY)
        .replace(":9001", &format!(":{port}"))
        .replace(" &    #", &format!(" {listens}    #"));
    assert!(script.contains(listens) && script.lines().count() > 12, "{script}");
    let program = place.command("");
    std::os::unix::fs::symlink(program.get_program(), place.path("keymill")).unwrap();
    let path = format!("{}:{}", place.path("").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    place.prepare(&mut shell);
    let ended = shell
        .args([
            "-c",
            &format!("set -e; umask 077; echo passphrase > F\n{script}kill $!; wait $!\n"),
        ])
        .env("PATH", path)
        .env("KEYMILL_SCHEME", TINY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let [printed, said] = [&ended.stdout, &ended.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(ended.status.success(), "{script}\n{printed}\n{said}");
    for shown in ["\nvalid\n", "\nclean: 1 batch checked\n", "\n[\"0x"] {
        assert!(printed.contains(shown), "{shown:?} is not in\n{printed}");
    }
}
