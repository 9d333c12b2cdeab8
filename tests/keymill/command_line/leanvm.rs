//! Keys of leanVM's XMSS (the BLAKE2s family) through the whole program, compared with its recorded answers.

use super::fixtures::{SEED, flip_byte};
use super::program::Place;
use keymill_reference::leanvm::{PlainKey, Variant};
use keymill_reference::leanvm_vectors::{self as vectors, Key};

/// Signs the recorded messages of one epoch: an epoch signs once.
fn signs_as_recorded(place: &Place, key: &Key, scheme: &str) {
    let public_key = hex::encode(&key.public_key);
    let mut spent = Vec::new();
    for known in &key.signatures {
        if spent.contains(&known.epoch) {
            continue;
        }
        spent.push(known.epoch);
        let (epoch, message) = (known.epoch, hex::encode(known.message));
        let signed = place
            .run(&format!("sign key --epoch {epoch} --message {message}"))
            .exits(0)
            .line();
        assert_eq!(signed, hex::encode(&known.signature), "epoch {epoch}");
        let line = format!("--scheme {scheme} --public-key {public_key} --epoch {epoch} --message {message}");
        assert_eq!(
            place
                .run(&format!("verify {line} --signature {signed}"))
                .exits(0)
                .line(),
            "valid"
        );
        let path = place.run(&format!("path key --epoch {epoch}")).exits(0).json();
        let siblings = path["siblings"].as_array().unwrap();
        let siblings: String = siblings.iter().map(|sibling| sibling.as_str().unwrap()).collect();
        assert!(signed.ends_with(&siblings), "epoch {epoch}");
        if let Some(leaf) = key.leaves.iter().find(|leaf| leaf.epoch == epoch) {
            assert_eq!(path["leaf"], hex::encode(leaf.leaf), "epoch {epoch}");
        }
    }
}

/// Over unaligned epochs, over one, across the middle of the lifetime, and to its end.
#[test]
fn recorded_keys_of_leanvm_are_made_and_sign_byte_for_byte() {
    let is_chosen = |key: &Key| [37, 7, 100_000, (1 << 31) - 2, u32::MAX - 3].contains(&key.first_epoch);
    let keys = ["s2", "s1"].into_iter().flat_map(vectors::keys);
    let mut made = 0;
    for key in keys.filter(|key| is_chosen(key) && key.seed[0] == 0) {
        let place = Place::new();
        let scheme = key.variant().id();
        place.file("seed", key.seed);
        let epochs = key.last_epoch - key.first_epoch + 1;
        let line = format!(
            "keygen key --scheme {scheme} --activation-epoch {} --epochs {epochs}",
            key.first_epoch
        );
        let public_key = place.run(&format!("{line} --seed-file seed")).exits(0).line();
        assert_eq!(
            public_key,
            hex::encode(&key.public_key),
            "{scheme} from {}",
            key.first_epoch
        );
        place
            .run(&format!("ledger init key --first-epoch {}", key.first_epoch))
            .exits(0);
        signs_as_recorded(&place, &key, scheme);
        made += 1;
    }
    assert_eq!(made, 10);
}

/// Five thousand epochs at the end of the lifetime, none of the batches whole.
#[test]
fn a_key_of_leanvm_lives_a_whole_life_on_disk() {
    let place = Place::new();
    place.file("seed", SEED);
    let (scheme, first, last) = (Variant::S2.id(), 4_294_962_296_u32, u32::MAX);
    let line = format!("--scheme {scheme} --epochs 5000 --activation-epoch {first}");
    let public_key = place
        .run(&format!("keygen key {line} --seed-file seed"))
        .exits(0)
        .line();
    place.run(&format!("ledger init key --first-epoch {first}")).exits(0);
    let plain = PlainKey::new(Variant::S2, SEED, first, last);
    assert_eq!(hex::decode(&public_key).unwrap(), plain.public_key());
    place.run("check key").exits(0);

    flip_byte(&place.path("key/layers/00.nodes"), 4096 + 5);
    flip_byte(&place.path("key/layers/11.nodes"), 4096 + 5);
    place.run("check key").exits(1);
    place.run("repair key").exits(0);
    place.run("check key").exits(0);
    place.run("trim key --level 6").exits(0);
    place.run("check key").exits(0);
    for epoch in [first, first + 2345, last] {
        let message = hex::encode([epoch as u8; 32]);
        let signed = place
            .run(&format!("sign key --epoch {epoch} --message {message}"))
            .exits(0)
            .line();
        let signed = hex::decode(signed).unwrap();
        assert!(
            plain
                .variant
                .verify(&plain.public_key(), epoch, &[epoch as u8; 32], &signed),
            "epoch {epoch}"
        );
    }
    place.run("backup key --out text").exits(0);
    place.run("restore again --from text").exits(0);
    assert_eq!(place.run("public-key again").exits(0).line(), public_key);
}

#[test]
fn what_keymill_cannot_do_yet_with_keys_of_leanvm_is_refused_by_name() {
    let place = Place::new();
    let scheme = Variant::B0.id();
    place.file("seed", SEED);
    let refusal = ["no form of secret keys", scheme];
    let set = format!("generate --scheme {scheme} --num-validators 1 --log-num-active-epochs 2 --output-dir set");
    place.run(&set).exits(2).says(&refusal);
    assert!(!place.path("set").exists());
    place
        .run(&format!("keygen key --scheme {scheme} --epochs 3 --seed-file seed"))
        .exits(0);
    place
        .run("export key --format leansig-ssz --out exported")
        .exits(2)
        .says(&refusal);
    let recorded = keymill_reference::vectors::folder().join("secret-keys");
    let mut files = std::fs::read_dir(recorded).unwrap().map(|entry| entry.unwrap().path());
    let file = files
        .find(|path| path.extension().is_some_and(|extension| extension == "ssz"))
        .unwrap();
    place.file("leansig.ssz", std::fs::read(file).unwrap());
    let line = format!("import imported --from leansig.ssz --scheme {scheme}");
    place.run(&line).exits(2).says(&refusal);
}
