//! Sets of leanVM's keys that others made: everything but of which version they are.

use std::fs;

use keymill::Scheme;
use keymill::exchange::secret_key::{SecretKeyFile, SecretKeyForm};
use keymill::xmss::units::{Level, NodeIndex, Slice};

use super::fixtures::{changing_nothing, edit, flip_byte};
use super::program::Place;
use super::sets::made as made_of_leansig;
use super::sets_of_leanvm::{hex_of, manifest};
use super::sets_of_leanvm_verified::{MANIFEST, OF_B0, Pair, VARIANTS, put, recorded, verified};
use keymill_reference::leanvm::Variant;

#[test]
fn one_key_in_two_places_is_refused_by_the_names_of_both() {
    let place = Place::new();
    for variant in VARIANTS {
        let keys = recorded(&place, variant, 16);
        let (one, other) = (keys[0].clone(), keys[1].clone());
        for (keys, second, in_words) in [
            (
                vec![one.clone(), one.clone()],
                "0_attester",
                "the attester key of validator 0",
            ),
            (
                vec![one.clone(), other.clone(), other.clone(), one.clone()],
                "1_attester",
                "the attester key of validator 1",
            ),
        ] {
            put(&place, "set", 4, None, &keys);
            let same = format!(
                "'validator_{second}_key_pk.ssz' and 'validator_0_proposer_key_pk.ssz' have the same public key"
            );
            let shared = format!("{in_words} has the same one-time keys as the proposer key of validator 0");
            verified(&place, "").exits(1).prints(&[&same, &shared]);
            let outcome = changing_nothing(&place, || place.run("merge-sets set --out merged"));
            outcome
                .exits(3)
                .says(&["the public key 0x", " as the ", in_words.rsplit(' ').next().unwrap()]);
        }
    }
    // The same of leanSig, in two sets.
    made_of_leansig(&place, "a", 1, "--export-format ssz");
    let _ = fs::remove_dir_all(place.path("set"));
    fs::create_dir(place.path("set")).unwrap();
    for entry in fs::read_dir(place.path("a"))
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_file())
    {
        let name = entry.file_name().into_string().unwrap().replace("_0_", "_7_");
        fs::copy(entry.path(), place.path("set").join(name)).unwrap();
    }
    edit(&place.path("set").join(MANIFEST), "index: 0", "index: 7");
    for _ in 0..2 {
        edit(&place.path("set").join(MANIFEST), "validator_0", "validator_7");
    }
    let outcome = changing_nothing(&place, || place.run("merge-sets a set --out merged"));
    outcome.exits(3).says(&[
        "is in 'a' and in 'set'",
        "as the proposer key of validator 0 and as the proposer key of validator 7",
    ]);
}

#[test]
fn a_changed_byte_of_a_secret_and_one_that_is_cut_are_found() {
    let place = Place::new();
    for variant in VARIANTS {
        put(&place, "set", 4, None, &recorded(&place, variant, 16));
        let file = place.path("set/validator_0_attester_key_sk.ssz");
        let whole = fs::read(&file).unwrap();
        for at in (0..60).chain((60..whole.len()).step_by(41)).chain([whole.len() - 1]) {
            flip_byte(&file, at as u64);
            let outcome = verified(&place, "").exits(1);
            outcome.prints(&["wrong: set/validator_0_attester_key_sk.ssz: "]);
            fs::write(&file, &whole).unwrap();
        }
        for length in [0, 1, 2, 18, 50, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            let found = format!("wrong: set/validator_0_attester_key_sk.ssz: at byte {length}, the file ends");
            verified(&place, "").exits(1).prints(&[&found]);
        }
        fs::write(&file, [&whole[..], &[0]].concat()).unwrap();
        verified(&place, "").exits(1).prints(&["goes on"]);
        let json = place.path("set/validator_0_attester_key_sk.json");
        fs::write(&file, &whole).unwrap();
        fs::write(&json, "{}").unwrap();
        verified(&place, "")
            .exits(1)
            .prints(&["sk.json: it is JSON", "1 fault: "]);
        fs::remove_file(json).unwrap();
    }
}

/// The file of a key over 16 epochs with another node in its lowest level, and everything above it hashed again; and its public
/// key.
fn with_another_node(variant: Variant, file: &[u8]) -> Pair {
    let key = SecretKeyFile::read(&mut &file[..], None, None).unwrap();
    let scheme = Scheme::by_id(variant.id()).unwrap();
    let kernel = scheme.kernel(&key.head().parameter);
    let held = |level: u8, node: u64| key.node(Level(level), NodeIndex(node)).unwrap().to_vec();
    let mut levels = vec![(0..4).flat_map(|node| held(2, node)).collect::<Vec<u8>>()];
    levels[0][0] ^= 1;
    for level in 3..=32 {
        let mut children = levels[usize::from(level) - 3].clone();
        if children.len() == 16 {
            // A filler.
            children.extend(held(level - 1, 1));
        }
        let mut nodes = vec![0; children.len() / 2];
        kernel.parents(Level(level), NodeIndex(0), &children, &mut nodes);
        levels.push(nodes);
    }
    let mut file = Vec::new();
    let nodes = &mut |slice: &Slice, digests: &mut Vec<u8>| {
        let of_level = &levels[usize::from(slice.level.0) - 2];
        let place = 16 * slice.nodes.start as usize..16 * slice.nodes.end as usize;
        *digests = of_level[place].to_vec();
        Ok::<_, std::io::Error>(())
    };
    key.head()
        .write(SecretKeyForm::LeanvmPostcard, &mut file, nodes)
        .unwrap();
    ([&levels[30][..], &key.head().parameter].concat(), file)
}

/// It could not sign with those epochs, and shows nothing of that by itself.
#[test]
fn a_tree_that_did_not_grow_from_the_seed_is_found_although_all_nodes_that_are_held_agree() {
    let place = Place::new();
    for variant in VARIANTS {
        let keys = recorded(&place, variant, 16);
        put(
            &place,
            "set",
            4,
            None,
            &[with_another_node(variant, &keys[0].1), keys[1].clone()],
        );
        let fault =
            "wrong: set/validator_0_proposer_key_sk.ssz: node 0 of level 2 is not the one that its seed makes\n";
        verified(&place, "").exits(1).prints(&[fault, "1 fault: "]);
    }
}

#[test]
fn both_orders_of_the_roles_are_read_and_one_set_has_one() {
    let place = Place::new();
    let keys = recorded(&place, Variant::S2, 16);
    let more = recorded(&place, Variant::S1, 16);
    put(&place, "set", 4, None, &[&keys[..], &more].concat());
    let path = place.path("set").join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let begins: Vec<usize> = (0..lines.len())
        .filter(|&at| lines[at].starts_with("  - index"))
        .collect();
    lines[begins[0] + 1..begins[0] + 5].rotate_left(2);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    verified(&place, "")
        .exits(1)
        .prints(&["stands where '    attester_key_pubkey_hex: ' has to"]);
    lines[begins[1] + 1..begins[1] + 5].rotate_left(2);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    verified(&place, "").exits(1).prints(&["found: 2 keys of"]);
    put(&place, "part", 4, None, &keys);
    put(&place, "set", 4, None, &keys);
    let at = text.lines().position(|line| line.starts_with("  - index")).unwrap();
    let mut lines: Vec<&str> = manifest(&place, "set").leak().lines().collect();
    lines[at + 1..at + 5].rotate_left(2);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    verified(&place, "").exits(0);
    // It is merged as it is laid out.
    place.run("merge-sets set --out merged").exits(0);
    let behind_comment = |name: &str| manifest(&place, name).lines().skip(2).collect::<Vec<_>>().join("\n");
    assert_eq!(behind_comment("merged"), behind_comment("set"));
    place.run("verify-set merged").exits(0);
}

#[test]
fn the_manifest_of_hash_sig_cli_0_5_is_read_and_its_leanvm_over_koala_bear_is_called_that() {
    let place = Place::new();
    made_of_leansig(&place, "set", 2, "--export-format ssz");
    fs::remove_dir_all(place.path("set/.keymill-set")).unwrap();
    let path = place.path("set").join(MANIFEST);
    edit(
        &path,
        "encoding: TargetSum\n",
        "encoding: TargetSum\npubkey_bytes: 52\n",
    );
    fs::write(&path, fs::read_to_string(&path).unwrap() + "\n").unwrap();
    verified(&place, "")
        .exits(0)
        .prints(&["sound: 2 validators, 4 keys checked"]);
    place.run("merge-sets set --out merged").exits(0);
    assert_eq!(manifest(&place, "merged"), manifest(&place, "set"));
    edit(&path, "pubkey_bytes: 52", "pubkey_bytes: 32");
    verified(&place, "")
        .exits(1)
        .prints(&["pubkey_bytes is '32', it has to be '52'"]);

    put(&place, "set", 4, None, &recorded(&place, Variant::S2, 16));
    edit(&path, "hash_function: BLAKE2s", "hash_function: Poseidon2");
    let name = "leanVM's KoalaBear XMSS of July 2026, which keymill does not know";
    let outcome = verified(&place, "").exits(1).prints(&[name, "1 fault: "]);
    assert!(!outcome.all().contains("damaged"), "{}", outcome.all());
    let outcome = changing_nothing(&place, || place.run("merge-sets set --out merged-too"));
    let outcome = outcome.exits(3).prints_nothing().says(&[name]);
    assert!(!outcome.all().contains("damaged"), "{}", outcome.all());
}

#[test]
fn every_line_of_the_manifest_of_ethlambda_counts() {
    let place = Place::new();
    let keys = recorded(&place, Variant::B0, 16);
    for (from, to) in [
        ("BLAKE2s", "BLAKE3"),
        ("pubkey_bytes: 32\n", ""),
        ("pubkey_bytes: 32", "pubkey_bytes: 52"),
        ("TargetSum\n", "Winternitz\n"),
        (OF_B0, &OF_B0[..39]),
        (OF_B0, "5DF6C373CC0D8DCDD082E213C70C001D608453F8"),
        ("log_num_active_epochs: 4", "log_num_active_epochs: 0"),
        ("log_num_active_epochs: 4", "log_num_active_epochs: 33"),
        ("num_active_epochs: 16", "num_active_epochs: 15"),
        ("leanvm_rev", "leansig_rev"),
    ] {
        put(&place, "set", 4, Some(OF_B0), &keys);
        edit(&place.path("set").join(MANIFEST), from, to);
        verified(&place, "")
            .exits(1)
            .prints(&["set/validator-keys-manifest.yaml: line "]);
    }
    // Fewer epochs than its keys have.
    put(&place, "set", 3, Some(OF_B0), &keys);
    verified(&place, "")
        .exits(1)
        .prints(&["its epochs are 0 to 15, those of the set 0 to 7"]);
    assert_eq!(hex_of(&place, "set/validator_0_proposer_key_pk.ssz").len(), 64);
}
