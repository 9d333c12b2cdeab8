//! Keys of sets that have one-time keys in common: different public keys, and yet one epoch that both sign gives them away.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keymill::exchange::leansig_json;
use keymill::exchange::secret_key::{SecretKeyFile, SecretKeyForm};
use keymill::{PublicKey, Scheme};

use super::fixtures::{MESSAGE, TINY, changing_nothing, edit};
use super::program::Place;
use super::sets::small;

const MANIFEST: &str = "validator-keys-manifest.yaml";

/// A set whose keys do not store the whole lifetime, so that they have fillers.
#[track_caller]
fn made(place: &Place, directory: &str, validators: u64, more: &str) {
    let line = small(place, directory, validators, more).replace("epochs 8", "epochs 5");
    place.run(&line).exits(0);
}

/// How a twin differs from the key that it has its PRF key from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    /// In its fillers, and so in its root.
    OtherFillers,
    /// In its public parameter, and so in everything but where its chains begin.
    OtherParameter,
}

/// Puts a key with the PRF key of `from` into the place of `into`, whole and sound in itself: names are `SET/KEY`.
fn put_twin(place: &Place, twin: Twin, from: &str, into: &str) {
    let secret = fs::read(place.path(&format!("{from}_sk.ssz"))).unwrap();
    let parameter = match twin {
        Twin::OtherFillers => hex::encode(&secret[32..52]),
        Twin::OtherParameter => "01".repeat(3) + &"00".repeat(17),
    };
    place.file("prf", &secret[..32]);
    fs::set_permissions(place.path("prf"), fs::Permissions::from_mode(0o600)).unwrap();
    let key = format!("keygen twin --scheme {TINY} --epochs 32 --prf-key-file prf --parameter {parameter}");
    place.run(&key).exits(0);
    let old = hex::encode(fs::read(place.path(&format!("{into}_pk.ssz"))).unwrap());
    let secret_file = format!("{into}_sk.ssz");
    place
        .run(&format!("export twin --format leansig-ssz --out {secret_file} --force"))
        .exits(0);
    place
        .run(&format!("public-key twin --format ssz --out {into}_pk.ssz"))
        .exits(0);
    let new = hex::encode(fs::read(place.path(&format!("{into}_pk.ssz"))).unwrap());
    assert_ne!(old, new);
    let set = into.split('/').next().unwrap();
    edit(&place.path(set).join(MANIFEST), &old, &new);
    if place.path(&format!("{into}_sk.json")).exists() {
        let read = |name: String| fs::read(place.path(&name)).unwrap();
        let scheme = Scheme::by_id(TINY).unwrap();
        let public_key = PublicKey::from_ssz(scheme, &read(format!("{into}_pk.ssz"))).unwrap();
        let json = serde_json::to_vec_pretty(&leansig_json::public_key(&public_key)).unwrap();
        place.file(&format!("{into}_pk.json"), json);
        let secret = SecretKeyFile::read(&mut &read(secret_file)[..], None, None).unwrap();
        let mut json = Vec::new();
        let form = SecretKeyForm::HashSigCliJson;
        secret.write(form, &mut json).unwrap();
        place.file(&format!("{into}_sk.json"), json);
    }
    fs::remove_dir_all(place.path("twin")).unwrap();
}

const SAME: &str = "has the same one-time keys as";
const SAME_PRF_KEY: &str = "has the same PRF key, under another parameter as";

#[test]
fn two_keys_of_a_set_with_the_same_one_time_keys_are_a_fault_that_names_both() {
    for (twin, into, found) in [
        (Twin::OtherFillers, "0_attester", SAME),
        (Twin::OtherFillers, "1_proposer", SAME),
        (Twin::OtherParameter, "1_attester", SAME_PRF_KEY),
    ] {
        let place = Place::new();
        made(&place, "set", 2, "--export-format ssz");
        put_twin(
            &place,
            twin,
            "set/validator_0_proposer_key",
            &format!("set/validator_{into}_key"),
        );
        let (index, role) = into.split_once('_').unwrap();
        let line = format!(
            "wrong: set/validator_{into}_key_sk.ssz: the {role} key of validator {index} {found} the proposer key of validator \
             0 ('validator_0_proposer_key_sk.ssz')"
        );
        let outcome = changing_nothing(&place, || place.run("verify-set set"));
        // In itself each key is sound.
        outcome
            .exits(1)
            .prints(&[&line, "1 fault: 2 validators, 4 keys checked"]);
        let report = place.run("verify-set set --json").exits(1).json();
        assert_eq!(
            (&report["sound"], &report["keys_not_compared"]),
            (&false.into(), &0.into())
        );
    }
}

#[test]
fn of_two_files_that_hold_one_key_the_one_in_the_wrong_place_is_blamed() {
    for [wrong, right] in [["proposer", "attester"], ["attester", "proposer"]] {
        let place = Place::new();
        made(&place, "set", 1, "--export-format ssz --roles proposer,attester");
        let file = |role: &str| format!("validator_0_{role}_key_sk.ssz");
        let [from, to] = [right, wrong].map(|role| place.path("set").join(file(role)));
        fs::copy(from, to).unwrap();
        place.run("verify-set set").exits(1).prints(&[&format!(
            "wrong: set/{}: the {wrong} key of validator 0 {SAME} the {right} key of validator 0 ('{}'): an epoch that both sign \
             gives these away; use only the other file, and put the right one in the place of this\n",
            file(wrong),
            file(right)
        )]);
    }
}

#[test]
fn the_twin_of_a_key_is_found_by_its_json_file_where_the_other_one_is_missing() {
    let place = Place::new();
    made(&place, "set", 1, "--export-format both --roles proposer,attester");
    put_twin(
        &place,
        Twin::OtherFillers,
        "set/validator_0_proposer_key",
        "set/validator_0_attester_key",
    );
    place.run("verify-set set").exits(1).prints(&[SAME, "1 fault: "]);
    fs::remove_file(place.path("set/validator_0_attester_key_sk.ssz")).unwrap();
    let outcome = place.run("verify-set set").exits(1);
    outcome.prints(&[SAME, "set/validator_0_attester_key_sk.ssz: it is missing", "2 faults: "]);
}

#[test]
fn of_a_distributed_set_both_keys_are_named_by_the_names_of_their_validators() {
    let place = Place::new();
    let flags = "--export-format ssz --distributed";
    made(&place, "set", 1, flags);
    let name = fs::read_dir(place.path("set"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find_map(|name| Some(name.strip_suffix("_proposer_key_sk.ssz")?.to_owned()))
        .unwrap();
    put_twin(
        &place,
        Twin::OtherFillers,
        &format!("set/{name}_proposer_key"),
        &format!("set/{name}_attester_key"),
    );
    let line = format!("the attester key of {name} {SAME} the proposer key of {name} (");
    place.run("verify-set set").exits(1).prints(&[&line]);
}

#[test]
fn a_set_without_secrets_says_that_its_keys_were_not_compared() {
    let place = Place::new();
    made(&place, "set", 2, "--export-format ssz");
    for key in ["0_proposer", "0_attester", "1_proposer", "1_attester"] {
        fs::remove_file(place.path(&format!("set/validator_{key}_key_sk.ssz"))).unwrap();
    }
    let outcome = place.run("verify-set set").exits(1);
    outcome.prints(&["not known: the secrets of 4 keys could not be read"]);
    let report = place.run("verify-set set --json").exits(1).json();
    assert_eq!(report["keys_not_compared"], 4);
}

#[test]
fn sets_that_share_one_time_keys_are_not_merged_and_both_keys_are_named() {
    for (twin, found) in [
        (Twin::OtherFillers, "have the same one-time keys"),
        (Twin::OtherParameter, "have the same PRF key, under another parameter"),
    ] {
        let place = Place::new();
        made(&place, "a", 2, "--export-format ssz");
        made(&place, "b", 1, "--export-format ssz --start-index 2");
        place.run("merge-sets a b --out before").exits(0);
        put_twin(&place, twin, "a/validator_1_attester_key", "b/validator_2_proposer_key");
        // Each of them is sound.
        place.run("verify-set a").exits(0);
        place.run("verify-set b").exits(0);
        let outcome = changing_nothing(&place, || place.run("merge-sets a b --out merged"));
        outcome.exits(3).prints_nothing().says(&[
            "the attester key of validator 1 ('a/validator_1_attester_key_sk.ssz')",
            "the proposer key of validator 2 ('b/validator_2_proposer_key_sk.ssz')",
            found,
        ]);
    }
}

/// A set of fresh seeds, so that nothing but the file beside it keeps a kept directory from signing.
fn kept(validators: u64, more: &str) -> String {
    format!(
        "generate --num-validators {validators} --log-num-active-epochs 8 --output-dir set --scheme {TINY} --export-format ssz \
         --keep-dirs --progress none {more}"
    )
}

#[test]
fn a_kept_directory_does_not_sign_beside_the_file_of_its_secret_whatever_becomes_of_the_set() {
    let place = Place::new();
    let key = "set/validator_0_proposer_key";
    let sign = |epoch: u32| place.run(&format!("sign {key} --epoch {epoch} --message {MESSAGE}"));
    let refused = |after: &str| {
        // One that has never signed.
        let outcome = sign(7);
        assert!(
            outcome.code != Some(0) && outcome.stdout.is_empty(),
            "{after}: {}",
            outcome.all()
        );
        outcome.says(&["keymill ledger init"]);
    };
    place.run(&kept(1, "")).exits(0);
    refused("made");
    place.run(&kept(1, "")).exits(0);
    refused("made again");
    place.run(&kept(2, "")).exits(0);
    refused("more validators");
    fs::remove_file(place.path(&format!("{key}_pk.ssz"))).unwrap();
    place.run(&kept(2, "")).exits(0);
    refused("mended");
    place.run("merge-sets set --out merged").exits(0);
    refused("merged");
    fs::remove_file(place.path(&format!("{key}_sk.ssz"))).unwrap();
    place.run(&kept(2, "--restore-secrets")).exits(0);
    refused("restored");
    place.run("verify-set set").exits(0);
    // Somebody says that it is the directory that signs, and what finds nothing to do does not gainsay it.
    place.run(&format!("ledger init {key} --first-epoch 0")).exits(0);
    sign(3).exits(0);
    let warning = format!("warning: {key}: its ledger lets it sign");
    place.run("verify-set set").exits(0).prints(&[&warning]);
    place.run(&kept(2, "")).exits(0);
    sign(4).exits(0);
    // Until the secret leaves once more.
    fs::remove_file(place.path(&format!("{key}_sk.ssz"))).unwrap();
    place.run(&kept(2, "--restore-secrets")).exits(0);
    refused("restored once more");
}
