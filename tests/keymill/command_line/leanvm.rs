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

/// The recorded keys of a few epochs.
fn small_keys() -> impl Iterator<Item = Key> {
    let keys = ["s2", "s1"].into_iter().flat_map(vectors::keys);
    keys.filter(|key| key.last_epoch - key.first_epoch < 256 && key.seed[0] == 0)
}

/// The recorded key of so many epochs from there.
fn recorded(variant: &str, first_epoch: u32, epochs: u32) -> Key {
    let is_it = |key: &Key| key.first_epoch == first_epoch && key.last_epoch == first_epoch + epochs - 1;
    vectors::keys(variant).into_iter().find(is_it).unwrap()
}

#[track_caller]
fn exports_as_recorded(place: &Place, key: &Key) {
    for (form, file) in key.files() {
        let exported = place.run(&format!("export key --format {form}")).exits(0);
        assert!(exported.stdout == file, "{form}, from {}", key.first_epoch);
    }
}

#[test]
fn recorded_key_files_of_leanvm_come_in_and_go_out_byte_for_byte() {
    let mut seen = 0;
    for (number, key) in small_keys().enumerate() {
        let place = Place::new();
        let (form, file) = key.files()[number % 2];
        place.file("file", file);
        let format = if number % 3 == 0 {
            format!("--format {form}")
        } else {
            String::new()
        };
        let imported = place.run(&format!("import key --from file {format}")).exits(0).says(&[
            "root and top tree are those",
            key.variant().id(),
            "ledger init key",
        ]);
        assert_eq!(imported.line(), hex::encode(&key.public_key));
        exports_as_recorded(&place, &key);
        place.run("check key").exits(0);
        place
            .run(&format!("ledger init key --first-epoch {}", key.first_epoch))
            .exits(0);
        signs_as_recorded(&place, &key, key.variant().id());
        seen += 1;
    }
    assert_eq!(seen, 18);
}

#[test]
fn a_trimmed_key_of_leanvm_goes_out_whole() {
    for (variant, first_epoch, epochs, trim) in [("s2", 100_000, 1000, 10), ("s1", 1024, 1024, 7), ("s2", 7, 1, 4)] {
        let key = recorded(variant, first_epoch, epochs);
        let place = Place::new();
        place.file("file", key.files()[1].1);
        place.run(&format!("import key --from file --trim {trim}")).exits(0);
        exports_as_recorded(&place, &key);
    }
}

/// The version of August 2026 wrote no key files; keymill keeps its keys in the same form.
#[test]
fn a_key_of_the_first_version_goes_out_and_comes_in_as_what_it_is() {
    let place = Place::new();
    let scheme = Variant::B0.id();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {scheme} --epochs 5 --activation-epoch 9 --seed-file seed");
    let public_key = place.run(&line).exits(0).line();
    place.run("export key --format leanvm-postcard --out file").exits(0);
    let imported = place.run("import again --from file").exits(0).says(&[scheme]);
    assert_eq!(imported.line(), public_key);
}

#[test]
fn a_file_of_leanvm_with_another_root_or_scheme_is_refused_by_name() {
    let place = Place::new();
    let key = recorded("s2", 0, 4);
    let file = key.files()[0].1.to_vec();
    place.file("file", &file);
    let other = Variant::S1.id();
    let line = format!("import key --from file --scheme {other}");
    place
        .run(&line)
        .exits(2)
        .says(&["it is not a key of", other, key.variant().id()]);
    // The last epoch: as many nodes, and a filler in the place of a leaf.
    let mut shorter = file.clone();
    shorter[1] = 2;
    place.file("shorter", shorter);
    place
        .run("import key --from shorter")
        .exits(3)
        .says(&["node 1 of level 1 differs"]);
    let mut damaged = file;
    damaged[60] ^= 1;
    place.file("damaged", damaged);
    place
        .run("import another --from damaged")
        .exits(2)
        .says(&["node 0 of level 2 is not the hash of its children"]);
    assert!(!place.path("another").exists());
}

#[test]
fn forms_of_another_family_are_refused_by_name() {
    let place = Place::new();
    let scheme = Variant::S2.id();
    place.file("seed", SEED);
    let forms = ["leanvm-postcard, leanvm-bincode", scheme];
    place
        .run(&format!("keygen key --scheme {scheme} --epochs 3 --seed-file seed"))
        .exits(0);
    for form in ["leansig-ssz", "leansig-json", "leanspec-json"] {
        let line = format!("export key --format {form} --out exported");
        place.run(&line).exits(2).says(&forms);
        assert!(!place.path("exported").exists());
    }
    let line = "export key --format leanvm-postcard --epoch 1 --out exported";
    place.run(line).exits(2).says(&["--epoch", "leanSig"]);

    let folder = keymill_reference::vectors::folder().join("secret-keys");
    let file = std::fs::read(folder.join("leansig-p1-l8-abort-v4-w8_0442_80_48.ssz")).unwrap();
    place.file("leansig.ssz", file);
    let line = format!("import imported --from leansig.ssz --scheme {scheme}");
    place.run(&line).exits(2).says(&forms);
    for form in ["leanvm-postcard", "leanvm-bincode"] {
        let line = format!("import imported --from leansig.ssz --format {form}");
        place.run(&line).exits(2).says(&["another form"]);
    }
    place.run("import imported --from leansig.ssz").exits(0);
    place
        .run("export imported --format leanvm-bincode --out exported")
        .exits(2)
        .says(&["leansig-ssz, leansig-json, leanspec-json"]);
}

/// Its digests are not field elements, and would be reduced.
#[test]
fn the_json_of_leansig_is_refused_before_an_epoch_is_spent_for_it() {
    let place = Place::new();
    place.file("seed", SEED);
    let scheme = Variant::S2.id();
    place
        .run(&format!("keygen key --scheme {scheme} --epochs 3 --seed-file seed"))
        .exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    let says = ["leanSig", "field elements", scheme];
    place.run("public-key key --format leansig-json").exits(2).says(&says);
    let sign = |format: &str, byte: &str| {
        let message = byte.repeat(32);
        place.run(&format!("sign key --epoch 1 --message {message} --format {format}"))
    };
    sign("leansig-json", "11").exits(2).says(&says);
    sign("json", "22").exits(0);
}
