//! A service of a set: one ledger for all its keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::client::{Service, free_port, fresh_key, message, metrics, request, spent};
use crate::command_line::fixtures::{OTHER_TINY, TINY};
use crate::command_line::program::Place;

/// A set of two keys that sign by one ledger, and a key beside it. Gives the public keys.
fn set(place: &Place) -> [String; 3] {
    fs::create_dir(place.path("set")).unwrap();
    let keys = [("set/one", TINY), ("set/other", OTHER_TINY), ("beside", TINY)];
    let keys = keys.map(|(name, scheme)| fresh_key(place, name, scheme, "256"));
    for key in ["set/one", "set/other"] {
        place.run(&format!("ledger move {key} --into set")).exits(0);
    }
    keys
}

fn list(requests: &[(&String, u64, u64)]) -> String {
    let listed = |&(key, slot, number): &(&String, u64, u64)| {
        let mut body = request(slot, &message(number));
        body["identifier"] = json!(format!("0x{key}"));
        body
    };
    Value::from(requests.iter().map(listed).collect::<Vec<_>>()).to_string()
}

#[test]
fn a_list_over_all_keys_of_a_set_is_one_commit_and_keys_beside_it_have_their_own() {
    let place = Place::in_memory();
    let [one, other, beside] = set(&place);
    let port = free_port();
    let mut service = Service::start(&place, &format!("set beside --metrics-listen 127.0.0.1:{port}"));
    let client = service.client();
    let answer = client.post(
        "/api/v1/lean/sign",
        list(&[(&one, 7, 1), (&other, 7, 2), (&one, 8, 3), (&other, 7, 4)]),
    );
    let answers = answer.json();
    for signed in [0, 1, 2] {
        assert!(answers[signed]["signature"].is_string(), "{answers}");
    }
    assert_eq!(answers[3]["error"]["reason"], "spent");
    let figures = || String::from_utf8(metrics(port).body).unwrap();
    let commits = |text: &str, name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(commits(&figures(), "keymill_requests_per_commit_count"), 1);
    client.signature(&beside, 7, &message(1));
    assert_eq!(commits(&figures(), "keymill_requests_per_commit_count"), 2);
    // Whoever else wants to sign is refused as long as it runs.
    place.run("serve set --listen unix:second").exits(3).says(&["LOCK"]);
    place
        .run(&format!("sign set/one --epoch 9 --message {}", message(1)))
        .exits(3)
        .says(&["LOCK"]);
    place.run("ledger move set/one --out").exits(3).says(&["LOCK"]);
    service.running.signal(rustix::process::Signal::TERM);
    service.running.end().0.exits(0);
    assert_eq!(spent(&place, "set/one".as_ref()), 2);
    assert_eq!(spent(&place, "set/other".as_ref()), 1);
}

#[test]
fn a_set_whose_secrets_are_under_a_passphrase_is_made_served_and_looked_after_with_it_alone() {
    let place = Place::in_memory();
    for (name, words) in [("passphrase", "open sesame"), ("wrong", "open barley")] {
        place.file(name, words);
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let with = "--passphrase-file passphrase";
    let generate = |rest: &str| {
        format!("generate --num-validators 2 --log-num-active-epochs 8 --scheme {TINY} --output-dir set {rest}")
    };
    // The files of a set would have the secrets as plain text.
    place.run(&generate(&format!("--seal {with}"))).exits(2).says(&[
        "plain text",
        "give --keys-only",
        "leave --seal out",
    ]);
    place
        .run(&generate("--keys-only --seal"))
        .exits(2)
        .says(&["--passphrase-file"]);
    place
        .run(&generate(&format!("--keys-only {with}")))
        .exits(2)
        .says(&["add --seal"]);
    assert!(!place.path("set").exists());
    place.run(&generate(&format!("--keys-only --seal {with}"))).exits(0);
    let again = generate("--keys-only --seal --passphrase-file wrong");
    place.run(&again).exits(1).says(&["the passphrase does not open"]);
    place
        .run("serve set --listen unix:socket")
        .exits(2)
        .says(&["--passphrase-file"]);
    place
        .run("serve set --listen unix:socket --passphrase-file wrong")
        .exits(1);
    let mut service = Service::start(&place, &format!("set {with}"));
    let client = service.client();
    let keys = client.get("/api/v1/lean/publicKeys").json();
    for key in keys.as_array().unwrap() {
        client.signature(&key.as_str().unwrap()[2..], 7, &message(1));
    }
    assert_eq!(keys.as_array().unwrap().len(), 4);
    service.running.signal(rustix::process::Signal::TERM);
    service.running.end().0.exits(0);
    let key = "set/validator_0_attester_key";
    place.run(&format!("check {key} --deep {with}")).exits(0);
    place
        .run(&format!("check {key} --deep --passphrase-file wrong"))
        .exits(1);
    fs::remove_file(place.path(&format!("{key}/layers/08.nodes"))).unwrap();
    place.run(&format!("repair {key} {with}")).exits(0);
    place.run(&format!("ledger move {key} --out")).exits(0);
    let sign = format!("sign {key} --epoch 8 --message {}", message(2));
    place.run(&sign).exits(2);
    place.run(&format!("{sign} {with}")).exits(0);
    place.run(&format!("ledger move {key} --into set")).exits(0);
    let service = Service::start(&place, &format!("set {with}"));
    assert_eq!(service.client().get("/healthcheck").status, 200);
    assert!(!place.path(&format!("{key}/secret")).exists());
}

#[test]
fn an_old_copy_of_a_key_of_a_set_is_not_served_and_a_set_without_keys_neither() {
    let place = Place::in_memory();
    set(&place);
    let copied = |from: &str, to: &str| {
        let mut command = std::process::Command::new("cp");
        let command = command.arg("-a").args([place.path(from), place.path(to)]);
        assert!(command.status().unwrap().success());
    };
    place.run("ledger move set/one --out").exits(0);
    copied("set/one", "old");
    place.run("ledger move set/one --into set").exits(0);
    fs::rename(place.path("set/one"), place.path("one")).unwrap();
    copied("old", "set/one");
    place
        .run("serve set --listen unix:socket")
        .exits(3)
        .says(&["old copy", "set/one"]);
    fs::remove_dir_all(place.path("set/one")).unwrap();
    fs::rename(place.path("one"), place.path("set/one")).unwrap();
    for key in ["set/one", "set/other"] {
        place.run(&format!("ledger move {key} --out")).exits(0);
    }
    place
        .run("serve set --listen unix:socket")
        .exits(3)
        .says(&["no key signs"]);
}
