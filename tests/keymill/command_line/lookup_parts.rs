//! `tools/lookup.py --part`, beside part files that are written here from docs/FORMAT.md, out of the layers of a whole key.

use std::fs;
use std::ops::Range;

use sha3::{Digest, Sha3_256};

use super::fixtures::{LONG, SEED, TINY};
use super::lookup::{has_python, look_up};
use super::program::Place;

const PAGE: usize = 4096;
const PIECE_NODES: u64 = 1024;
const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";

/// What of a whole key a part is cut out of.
struct Key {
    manifest: toml::Table,
    layers: Vec<Vec<u8>>,
    digest_bytes: usize,
}

impl Key {
    fn read(place: &Place, name: &str) -> Self {
        let directory = place.path(name);
        let manifest: toml::Table = fs::read_to_string(directory.join("manifest.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let layer = |level: usize| fs::read(directory.join(format!("layers/{level:02}.nodes"))).ok();
        let layers: Vec<_> = (0..).map_while(layer).collect();
        let digest_bytes = u32::from_le_bytes(layers[0][48..52].try_into().unwrap()) as usize;
        Self {
            manifest,
            layers,
            digest_bytes,
        }
    }

    fn number(&self, key: &str) -> u64 {
        self.manifest[key].as_integer().unwrap().try_into().unwrap()
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        hex::decode(self.manifest[key].as_str().unwrap()).unwrap()
    }

    fn epochs(&self) -> Range<u64> {
        self.number("stored_start")..self.number("stored_end")
    }

    fn binding(&self) -> Vec<u8> {
        let scheme = self.manifest["scheme"].as_str().unwrap();
        let mut hash = Sha3_256::new_with_prefix("keymill/1 binding");
        hash.update((scheme.len() as u64).to_le_bytes());
        hash.update(scheme);
        for key in ["activation_epoch", "active_epochs", "stored_start", "stored_end"] {
            hash.update(self.number(key).to_le_bytes());
        }
        hash.update(self.bytes("parameter"));
        hash.update(self.bytes("secret_commitment"));
        for filler in self.manifest["fillers"].as_array().unwrap() {
            hash.update(hex::decode(filler.as_str().unwrap()).unwrap());
        }
        hash.finalize().to_vec()
    }

    /// The nodes that a level stores.
    fn stored(&self, level: usize) -> Range<u64> {
        let number = |at: usize| u64::from_le_bytes(self.layers[level][at..at + 8].try_into().unwrap());
        number(32)..number(32) + number(40)
    }

    fn nodes(&self, level: usize, range: &Range<u64>) -> &[u8] {
        let at = |index: u64| PAGE + usize::try_from(index - self.stored(level).start).unwrap() * self.digest_bytes;
        &self.layers[level][at(range.start)..at(range.end)]
    }

    /// The nodes of a level that a part of these epochs has.
    fn cut(&self, level: usize, epochs: &Range<u64>) -> Range<u64> {
        let whole = (self.epochs(), self.stored(level));
        let start = if epochs.start == whole.0.start {
            whole.1.start
        } else {
            epochs.start >> level
        };
        let end = if epochs.end == whole.0.end {
            whole.1.end
        } else {
            epochs.end >> level
        };
        start..end
    }

    /// The part of these epochs.
    fn part(&self, epochs: &Range<u64>, trim: usize) -> Vec<u8> {
        let whole = self.epochs();
        let is_whole = |level: &usize| {
            (epochs.start == whole.start || epochs.start.is_multiple_of(1 << level))
                && (epochs.end == whole.end || epochs.end.is_multiple_of(1 << level))
        };
        let top = (0..self.layers.len()).filter(is_whole).max().unwrap();
        let (mut levels, mut table) = (Vec::new(), Vec::new());
        for level in (trim..=top).rev() {
            let range = self.cut(level, epochs);
            levels.extend_from_slice(self.nodes(level, &range));
            levels.resize(levels.len().next_multiple_of(PAGE), 0);
            for start in range.clone().step_by(1024) {
                let piece = self.nodes(level, &(start..range.end.min(start + PIECE_NODES)));
                table.extend_from_slice(&crc32fast::hash(piece).to_le_bytes());
            }
        }
        let length = PAGE + levels.len() + table.len() + 64;
        let mut part = b"KEYPART\n".to_vec();
        part.extend_from_slice(&1_u32.to_le_bytes());
        part.extend_from_slice(&u32::try_from(self.digest_bytes).unwrap().to_le_bytes());
        part.extend_from_slice(&self.binding());
        part.extend_from_slice(&epochs.start.to_le_bytes());
        part.extend_from_slice(&epochs.end.to_le_bytes());
        part.extend_from_slice(&u32::try_from(trim).unwrap().to_le_bytes());
        part.extend_from_slice(&u32::try_from(top).unwrap().to_le_bytes());
        part.extend_from_slice(&(length as u64).to_le_bytes());
        part.extend_from_slice(&crc32fast::hash(&part).to_le_bytes());
        part.resize(PAGE, 0);
        part.extend(levels);
        part.extend(table);
        let digest = Sha3_256::digest(&part);
        part.extend_from_slice(&digest);
        // The tag cannot be told from any other bytes without the secret.
        part.resize(length, 0xa5);
        part
    }
}

/// Makes a SHA3-256 fit that does not any more, as whoever changes a part on purpose would.
fn with_digest(mut part: Vec<u8>) -> Vec<u8> {
    let end = part.len() - 64;
    let digest = Sha3_256::digest(&part[..end]);
    part[end..end + 32].copy_from_slice(&digest);
    part
}

/// The ticket of a key, with the checksum at its end.
fn ticket(key: &Key, more: &str) -> String {
    let text = |name: &str| format!("{name} = {}\n", key.manifest[name]);
    let mut body = "ticket_version = 1\n".to_owned();
    for name in ["key_id", "scheme", "activation_epoch", "active_epochs", "parameter"] {
        body += &text(name);
    }
    body += &text("secret_commitment");
    body += &format!("{}{more}\n{}", text("trim"), text("fillers"));
    let checksum = hex::encode(Sha3_256::digest(&body));
    format!("{body}checksum = \"{checksum}\"\n")
}

#[test]
fn lookup_takes_the_parts_of_keys_of_every_form_with_the_key_with_its_ticket_and_alone() {
    if !has_python() {
        return;
    }
    // Epochs asked for, and where the parts end.
    for (scheme, asked, trim, cuts) in [
        (
            LEANVM,
            "--epochs 5000 --activation-epoch 4999",
            0,
            &[5120, 6144, 8192][..],
        ),
        (LEANVM, "--epochs 1025 --activation-epoch 1023", 0, &[1024]),
        (LEANVM, "--epochs 4096 --trim 3", 3, &[1024]),
        (LEANVM, "--epochs 77 --activation-epoch 8000", 0, &[]),
        (LONG, "--epochs 1000 --activation-epoch 5000", 0, &[5120]),
        (TINY, "--epochs 256", 0, &[]),
    ] {
        let place = Place::new();
        place
            .run(&format!(
                "keygen whole --scheme {scheme} {}",
                asked.replace("--trim 3", "")
            ))
            .exits(0);
        let mut key = Key::read(&place, "whole");
        let epochs = key.epochs();
        if trim > 0 {
            place.run(&format!("trim whole --level {trim}")).exits(0);
            key.manifest
                .insert("trim".to_owned(), toml::Value::Integer(i64::try_from(trim).unwrap()));
        }
        place.file("ticket.toml", ticket(&key, "parts = 3"));
        let ends = [&[epochs.start], cuts, &[epochs.end]].concat();
        for part in ends.windows(2) {
            let part = part[0]..part[1];
            place.file("a.part", key.part(&part, trim));
            let alone = look_up(&place, "--part a.part --check --json")
                .exits(0)
                .says(&["no damage", "The tag"]);
            for beside in ["whole", "ticket.toml"] {
                let found = look_up(&place, &format!("{beside} --part a.part --check --json")).exits(0);
                assert_eq!(found.text(), alone.text(), "{scheme} {part:?}");
            }
            let found = alone.json();
            assert_eq!(
                (found["start"].as_u64(), found["end"].as_u64()),
                (Some(part.start), Some(part.end))
            );
            assert_eq!(found["key_id"], key.manifest["key_id"].as_str().unwrap());
            for level in found["levels"].as_array().unwrap() {
                let range = key.cut(usize::try_from(level["level"].as_u64().unwrap()).unwrap(), &part);
                assert_eq!(
                    (level["first"].as_u64(), level["end"].as_u64()),
                    (Some(range.start), Some(range.end))
                );
            }
        }
    }
}

#[test]
fn lookup_finds_every_byte_of_a_part_that_is_wrong_but_for_the_tag() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    place
        .run(&format!(
            "keygen key --scheme {LONG} --epochs 1000 --activation-epoch 5000"
        ))
        .exits(0);
    let key = Key::read(&place, "key");
    let sound = key.part(&(4608..5120), 0);
    place.file("ticket.toml", ticket(&key, "part_epochs = 1024"));
    for (offset, code, said) in [
        (0, 3, "offset 0: magic"),
        (9, 3, "offset 8: part format"),
        (13, 3, "offset 80: CRC-32"),
        (20, 3, "offset 80: CRC-32"),
        (50, 3, "offset 80: CRC-32"),
        (83, 3, "offset 80: CRC-32"),
        (4000, 3, "offset 84: zeros"),
        (PAGE, 1, "offset 4096: nodes [4, 5) of level 10"),
        (PAGE + 57, 1, "offset 4124: zeros after level 10"),
        (sound.len() - 68, 1, "offset 49152: nodes [4608, 5120) of level 0"),
        (sound.len() - 64, 1, "the SHA3-256 is not that"),
    ] {
        let mut part = sound.clone();
        part[offset] ^= 0x81;
        place.file("a.part", &part);
        for beside in ["", "key ", "ticket.toml "] {
            look_up(&place, &format!("{beside}--part a.part --check"))
                .exits(code)
                .prints_nothing()
                .says(&["a.part", said]);
        }
    }
    for length in [0, 100, PAGE, sound.len() - 1, sound.len() + 1] {
        let mut part = sound.clone();
        part.resize(length, 0);
        place.file("a.part", &part);
        look_up(&place, "--part a.part")
            .exits(3)
            .prints_nothing()
            .says(&["a.part, offset", "bytes"]);
    }
    let mut part = sound.clone();
    *part.last_mut().unwrap() ^= 1;
    place.file("a.part", &part);
    look_up(&place, "key --part a.part --check")
        .exits(0)
        .says(&["The tag", "keymill join"]);
}

#[test]
fn lookup_refuses_a_part_that_is_not_of_the_key_or_holds_other_fillers() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    for name in ["key", "other"] {
        place
            .run(&format!(
                "keygen {name} --scheme {LONG} --epochs 1000 --activation-epoch 5000"
            ))
            .exits(0);
    }
    let key = Key::read(&place, "key");
    place.file("a.part", key.part(&(4608..5120), 0));
    look_up(&place, "other --part a.part")
        .exits(3)
        .says(&["offset 16: it is a part of the key"]);
    look_up(&place, "--part a.part --check")
        .exits(0)
        .says(&["whether the key is the right one was not looked at"]);
    place.file("trimmed.part", key.part(&(4608..5120), 2));
    look_up(&place, "key --part trimmed.part")
        .exits(3)
        .says(&["offset 64: the lowest level is 2"]);

    // Everything in the file fits, and the filler is another one.
    let mut changed = Key::read(&place, "key");
    changed.layers[9][PAGE + 4] ^= 1;
    place.file("filler.part", with_digest(changed.part(&(4608..5120), 0)));
    look_up(&place, "--part filler.part --check").exits(0);
    look_up(&place, "key --part filler.part --check")
        .exits(1)
        .says(&["offset 8192: node (9, 8) is not that of the key"]);

    let sound = ticket(&key, "parts = 2");
    for (from, to, said) in [
        (
            "ticket_version = 1",
            "ticket_version = 2",
            "ticket version 2 is not known",
        ),
        ("parts = 2", "parts = 3", "the checksum is not that"),
        ("key_id", "kye_id", "the checksum is not that"),
    ] {
        place.file("ticket.toml", sound.replacen(from, to, 1));
        look_up(&place, "ticket.toml --part a.part")
            .exits(3)
            .says(&["ticket.toml, offset", said]);
    }
    place.file("ticket.toml", ticket(&key, "parts = 2\npart_epochs = 1024"));
    look_up(&place, "ticket.toml --part a.part")
        .exits(3)
        .says(&["only one of them"]);
    for line in [
        "--part a.part --epoch 5000",
        "--part a.part --url http://localhost",
        "--part",
    ] {
        look_up(&place, line).exits(2).prints_nothing();
    }
    look_up(&place, "--part nowhere.part")
        .exits(3)
        .says(&["nowhere.part: No such file"]);
}

#[test]
fn the_parts_that_keymill_makes_are_those_that_are_written_here_from_the_page() {
    if !has_python() {
        return;
    }
    for (scheme, asked) in [
        (LEANVM, "--epochs 5000 --activation-epoch 4999"),
        (LEANVM, "--epochs 4096 --trim 3"),
        (LONG, "--epochs 5000 --activation-epoch 5000"),
    ] {
        let place = Place::new();
        place.file("seed", SEED);
        let untrimmed = asked.replace("--trim 3", "");
        place
            .run(&format!("keygen whole --scheme {scheme} {untrimmed} --seed-file seed"))
            .exits(0);
        place
            .run(&format!(
                "split key --scheme {scheme} {asked} --seed-file seed --parts 3"
            ))
            .exits(0);
        for index in 0..3 {
            let line = "--secret-file key/secret --work scratch --out parts --threads 1";
            place
                .run(&format!("part key/ticket.toml --index {index} {line}"))
                .exits(0);
        }
        let key = Key::read(&place, "whole");
        let mut seen = 0;
        for entry in fs::read_dir(place.path("parts")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let numbers: Vec<u64> = name.split('-').filter_map(|word| word.parse().ok()).collect();
            let trim = usize::from(asked.contains("trim")) * 3;
            let (made, written) = (
                fs::read(place.path("parts").join(&name)).unwrap(),
                key.part(&(numbers[0]..numbers[1]), trim),
            );
            let tag = written.len() - 32;
            assert!(made[..tag] == written[..tag], "{scheme} {asked}: {name}");
            for beside in ["key", "key/ticket.toml", ""] {
                look_up(&place, &format!("{beside} --part parts/{name} --check")).exits(0);
            }
            seen += 1;
        }
        assert_eq!(seen, 3, "{scheme} {asked}");
    }
}
