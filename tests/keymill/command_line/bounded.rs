//! What is read is planned: commands that read files of others, each within a memory cgroup that is too small for what they
//! would like to hold.

use std::fmt::Write;
use std::fs;

use keymill::exchange::secret_key::{SecretKeyFile, SecretKeyForm};

use super::governed::{Cgroup, MIB};
use super::program::{Outcome, Place};

/// A secret key of the largest lifetime as leanSig's JSON has it, right in its form, with the same value in every place: 55 MB,
/// of which its reader keeps all nodes before it sees that they are not the hashes of each other.
fn largest_secret_key() -> String {
    let digest = format!("[{}]", ["1000000007"; 8].join(",\n                "));
    let mut text = String::with_capacity(64 << 20);
    let layer = |text: &mut String, first: u64, nodes: u64| {
        write!(text, "{{\"start_index\":{first},\"nodes\":[").unwrap();
        for node in 0..nodes {
            text.push_str(if node == 0 { "" } else { ",\n            " });
            text.push_str(&digest);
        }
        text.push_str("]}");
    };
    let prf_key: Vec<String> = (0..32_u8).map(|byte| byte.to_string()).collect();
    write!(
        text,
        "{{\"prf_key\":[{}],\"parameter\":[1,2,3,4,5],\"activation_epoch\":0,\"num_active_epochs\":4294967296,\"top_tree\":",
        prf_key.join(",")
    )
    .unwrap();
    let tree = |text: &mut String, lowest: u8, root: u8, left: u64| {
        write!(text, "{{\"depth\":32,\"lowest_layer\":{lowest},\"layers\":[").unwrap();
        for level in lowest..=root {
            text.push_str(if level == lowest { "" } else { "," });
            // The root has a filler beside it.
            let nodes = if level == 32 { 2 } else { 1 << (root - level) };
            layer(text, left << (root - level), nodes);
        }
        text.push_str("]}");
    };
    tree(&mut text, 16, 32, 0);
    text.push_str(",\"left_bottom_tree_index\":0,\"left_bottom_tree\":");
    tree(&mut text, 0, 16, 0);
    text.push_str(",\"right_bottom_tree\":");
    tree(&mut text, 0, 16, 1);
    text.push_str(",\"_encoding_type\":null}");
    text
}

/// The figures of a refusal: what is allowed, and what is needed.
#[track_caller]
fn refused(outcome: Outcome, allowed: u64) -> u64 {
    let outcome = outcome.exits(4).prints_nothing();
    let allowed = format!("a memory budget of {allowed} bytes (");
    let outcome = outcome.says(&[&allowed, " is too small: "]);
    let needed = outcome.stderr.split(" is too small: ").nth(1);
    let needed = needed.and_then(|rest| rest.split(' ').next()?.parse().ok());
    needed.unwrap_or_else(|| panic!("{}", outcome.all()))
}

/// Runs a command in cgroups: refused in one that is too small, with its own limit and what is needed, and then not killed in one
/// that has just that.
#[track_caller]
fn refused_then_run(place: &Place, name: &str, too_small: u64, line: &str) -> Option<Outcome> {
    let cgroup = Cgroup::made(name, too_small)?;
    let run = || place.run_under(cgroup.entering(), &[], line).unwrap();
    let outcome = run();
    let of_cgroup = format!("(cgroup '{}'", cgroup.at.display());
    let outcome = outcome.says(&[&of_cgroup, "raise the limit of the cgroup"]);
    let needed = refused(outcome, too_small);
    cgroup.limit_to(needed.next_multiple_of(4096)).unwrap();
    Some(run())
}

#[test]
fn an_import_is_refused_before_it_reads_what_there_is_no_room_for_and_is_never_killed() {
    let place = Place::new();
    place.file("key.json", largest_secret_key());
    let size = fs::metadata(place.path("key.json")).unwrap().len();
    assert!(size > 50_000_000, "{size}");
    let line = "import key --from key.json --scheme leansig-p1-l32-abort-v46-w8 --threads 1";
    // What was asked for is what is shown.
    let needed = refused(place.run(&format!("{line} --memory 8M")), 8 * MIB);
    assert!((20 * MIB..36 * MIB).contains(&needed), "{needed}");
    assert!(!place.path("key").exists());
    let pipe = "import key --from /dev/stdin --format leansig-json --memory 8M";
    assert_eq!(refused(place.run(pipe), 8 * MIB), needed);
    if let Some(outcome) = refused_then_run(&place, "import", 8 * MIB, line) {
        outcome.exits(2).says(&["node 0 of level 0"]);
    }
    place.run(&format!("{line} --memory {needed}")).exits(2);
}

/// A set of so many validators, one key each, of which every file of a secret is this one.
fn set_of(place: &Place, set: &str, validators: u64, secret: &[u8], public_key: &[u8]) {
    fs::create_dir(place.path(set)).unwrap();
    place.file("secret", secret);
    let mut manifest = format!(
        "# A set\n\nkey_scheme: SchemeAbortingTargetSumLifetime32Dim46Base8\nhash_function: Poseidon2\nencoding: \
         TargetSum\nlifetime: 4294967296\nlog_num_active_epochs: 32\nnum_active_epochs: 4294967296\nnum_validators: \
         {validators}\n\nvalidators:\n"
    );
    for index in 0..validators {
        let mut public_key = public_key.to_vec();
        public_key[..8].copy_from_slice(&(index + 1).to_le_bytes());
        let (public_key, name) = (
            hex::encode(public_key),
            format!("validator_{index}_proposer_key_sk.ssz"),
        );
        writeln!(
            manifest,
            "  - index: {index}\n    proposer_key_pubkey_hex: 0x{public_key}\n    proposer_key_privkey_file: {name}"
        )
        .unwrap();
        if !secret.is_empty() {
            fs::hard_link(place.path("secret"), place.path(set).join(name)).unwrap();
        }
    }
    fs::write(place.path(set).join("validator-keys-manifest.yaml"), manifest).unwrap();
}

#[test]
fn a_set_is_verified_by_as_many_threads_as_memory_has_room_for_or_refused() {
    let place = Place::new();
    let json = largest_secret_key();
    let key = SecretKeyFile::read(&mut json.as_bytes(), Some(SecretKeyForm::LeansigJson), None).unwrap();
    drop(json);
    let mut ssz = Vec::new();
    key.write(SecretKeyForm::LeansigSsz, &mut ssz).unwrap();
    let public_key = key.public_key();
    drop(key);
    set_of(&place, "set", 12, &ssz, &public_key);
    let line = "verify-set set --threads 6";
    let needed = refused(place.run(&format!("{line} --memory 12M")), 12 * MIB);
    assert!((16 * MIB..32 * MIB).contains(&needed), "{needed}");
    let fewer = place.run(&format!("{line} --memory {needed}")).exits(1);
    fewer.says(&[
        "warning: 1 instead of 6 threads: ",
        &format!("{needed} bytes (the memory setting)"),
    ]);
    // Each key is wrong, and all have the same one-time keys.
    let faults = "validators, 12 keys checked";
    if let Some(outcome) = refused_then_run(&place, "verify-small", 12 * MIB, line) {
        outcome.exits(1).prints(&[faults]).says(&["1 instead of 6 threads"]);
    }
    if let Some(cgroup) = Cgroup::made("verify", 48 * MIB) {
        let outcome = place.run_under(cgroup.entering(), &[], line).unwrap().exits(1);
        let of_cgroup = format!("{} bytes (cgroup '{}'", 48 * MIB, cgroup.at.display());
        outcome
            .prints(&[faults])
            .says(&["2 instead of 6 threads: ", &of_cgroup]);
    }
}

#[test]
fn a_set_of_a_hundred_thousand_keys_is_planned_and_its_findings_are_listed_in_part() {
    let place = Place::new();
    let public_key = [[1, 0, 0, 0]; 13].concat();
    set_of(&place, "set", 100_000, &[], &public_key);
    let line = "verify-set set --threads 2";
    let needed = refused(place.run(&format!("{line} --memory 4M")), 4 * MIB);
    assert!(needed < 80 * MIB, "{needed}");
    let check = |outcome: Outcome| {
        let outcome = outcome.exits(1).prints(&[
            "wrong: 199000 more, which are not listed",
            "not known: the secrets of 100000 keys could not be read",
            "200000 faults: 100000 validators, 100000 keys checked",
        ]);
        assert!(outcome.text().lines().count() < 1100);
    };
    if let Some(outcome) = refused_then_run(&place, "verify-many", 6 * MIB, line) {
        check(outcome);
    }
    let report = place.run(&format!("{line} --json --memory {needed}")).exits(1).json();
    assert_eq!(report["faults"].as_array().map(Vec::len), Some(1000));
    assert_eq!(
        (&report["faults_unlisted"], &report["sound"]),
        (&199_000.into(), &false.into())
    );
    let merge = "merge-sets set --out merged";
    refused(place.run(&format!("{merge} --memory 4M")), 4 * MIB);
    if let Some(outcome) = refused_then_run(&place, "merge-many", 6 * MIB, merge) {
        outcome
            .exits(3)
            .says(&["'set/validator_0_proposer_key_pk.ssz' is missing"]);
    }
}
