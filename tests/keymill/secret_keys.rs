//! Secret keys of other programs: read as strictly as can be, and written as those programs write them.

use keymill::Scheme;

use keymill::exchange::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm};
use keymill::plan::NodeIndex;
use keymill::{Epoch, Level};

use keymill_reference::vectors;

const SCHEME: &str = "leansig-p1-l8-abort-v4-w8";
/// Stores [80, 128), so that there are fillers; the smallest of its kind.
const SMALL: &str = "leansig-p1-l8-abort-v4-w8_0442_80_48";

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(vectors::folder().join("secret-keys").join(name)).unwrap()
}

fn small_ssz() -> Vec<u8> {
    recorded(&format!("{SMALL}.ssz"))
}

fn read(bytes: &[u8]) -> Result<SecretKeyFile, SecretKeyError> {
    SecretKeyFile::read(&mut &bytes[..], None, None)
}

fn written(key: &SecretKeyFile, form: SecretKeyForm) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.write(form, &mut bytes).unwrap();
    bytes
}

/// Everything that an import looks at before it computes.
fn looked_at(bytes: &[u8]) -> Result<SecretKeyFile, String> {
    let key = read(bytes).map_err(|error| error.to_string())?;
    let scheme = key.scheme(None).map_err(|error| error.to_string())?;
    match key.first_wrong_node(scheme.kernel(&key.head().parameter).as_ref()) {
        Some((level, node)) => Err(format!("node {node} of level {level}")),
        None => Ok(key),
    }
}

#[test]
fn every_recorded_secret_key_is_recognised_and_agrees_with_itself() {
    let mut seen = 0;
    for key in vectors::keys() {
        let Some(ssz) = key.secret_key_ssz() else { continue };
        let scheme = Scheme::by_id(&key.scheme).unwrap();
        let file = read(&ssz).unwrap();
        assert_eq!(file.public_key(), key.public_key_ssz);
        assert_eq!(file.scheme(Some(scheme)).unwrap(), scheme);
        match file.scheme(None) {
            Ok(found) => assert_eq!(found, scheme),
            // Keys of both have the same trees, so both are named.
            Err(error) => {
                let both = key.scheme.strip_suffix("-off10").unwrap_or(&key.scheme);
                assert!(error.to_string().contains(&format!("{both}, {both}-off10")), "{error}");
            }
        }
        let kernel = scheme.kernel(&file.head().parameter);
        assert_eq!(file.first_wrong_node(kernel.as_ref()), None, "{}", key.scheme);
        assert!(written(&file, SecretKeyForm::LeansigSsz) == ssz, "{}", key.scheme);
        seen += 1;
    }
    assert_eq!(seen, 18);
}

#[test]
fn a_path_from_a_file_leads_to_its_root() {
    let key = read(&small_ssz()).unwrap();
    let scheme = Scheme::by_id(SCHEME).unwrap();
    let kernel = scheme.kernel(&key.head().parameter);
    for epoch in (80..112).map(Epoch) {
        let (leaf, siblings) = key.path(epoch).unwrap();
        let mut node = leaf.to_vec();
        kernel.fold_path(epoch, &siblings, &mut node);
        assert_eq!(node, key.root(), "epoch {epoch}");
    }
    // Behind the window, though in the key.
    assert!(key.path(Epoch(112)).is_none());
}

#[test]
fn the_json_that_leansig_wrote_is_read_and_written_byte_for_byte() {
    for name in ["0142_0_256", "0242_37_20", "0342_240_16", "0442_80_48"] {
        let name = format!("{SCHEME}_{name}");
        let json = recorded(&format!("{name}.json"));
        let key = read(&json).unwrap();
        let form = SecretKeyForm::LeansigJson;
        assert!(written(&key, form) == json, "{name}");
        assert!(
            written(&key, SecretKeyForm::LeansigSsz) == recorded(&format!("{name}.ssz")),
            "{name}"
        );
    }
    let indented = recorded(&format!("{SCHEME}_0242_37_20.indented.json"));
    let form = SecretKeyForm::HashSigCliJson;
    assert!(written(&read(&indented).unwrap(), form) == indented);
}

#[test]
fn every_bit_of_a_secret_key_that_is_changed_is_found_and_its_place_is_named() {
    let ssz = small_ssz();
    let original = read(&ssz).unwrap();
    let digest_bytes = Scheme::by_id(SCHEME).unwrap().digest_bytes();
    // The sibling of the root is never read and hashed into nothing: another one is another key of the same root.
    let left_tree = u32::from_le_bytes(ssz[80..84].try_into().unwrap()) as usize;
    let beside_root = left_tree - digest_bytes..left_tree;
    // From 64 on instead of 80, or up to 112 instead of 128: the nodes of the file have the same places. The first is found when
    // the leaves are computed that are not in the file, the second is a key with fewer epochs.
    let other_intervals = [(52, 4), (60, 4)];
    for (at, bit) in (0..ssz.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut changed = ssz.clone();
        changed[at] ^= 1 << bit;
        match looked_at(&changed) {
            Ok(key) => {
                let may_be_changed = beside_root.contains(&at) || other_intervals.contains(&(at, bit));
                assert!(may_be_changed, "bit {bit} of byte {at} can be changed");
                assert_eq!(key.public_key(), original.public_key());
                assert_ne!(key.fillers(), original.fillers());
            }
            Err(message) => {
                // Above the prime it is not an element any more.
                let is_unreduced = message.contains("at byte ");
                assert!(
                    !beside_root.contains(&at) || is_unreduced,
                    "bit {bit} of byte {at}: {message}"
                );
                let names_a_place = is_unreduced || message.contains("node ");
                assert!(names_a_place, "bit {bit} of byte {at}: {message}");
            }
        }
    }
}

#[test]
fn a_secret_key_of_any_other_length_is_refused() {
    let json = recorded(&format!("{SMALL}.json"));
    for (whole, form) in [
        (small_ssz(), SecretKeyForm::LeansigSsz),
        (json, SecretKeyForm::LeansigJson),
    ] {
        for length in 0..whole.len() {
            let cut = SecretKeyFile::read(&mut &whole[..length], Some(form), None);
            assert!(
                matches!(cut, Err(SecretKeyError::Malformed { at, .. }) if at <= length as u64),
                "{length}: {cut:?}"
            );
        }
        let longer = [&whole[..], b"0"].concat();
        let refused = SecretKeyFile::read(&mut &longer[..], Some(form), None).unwrap_err();
        assert!(
            matches!(refused, SecretKeyError::Malformed { at, .. } if at == whole.len() as u64),
            "{refused}"
        );
    }
}

/// Replaces text that has to be there, and says where it was.
fn edited(text: &str, from: &str, to: &str) -> (String, u64) {
    let at = text.find(from).unwrap_or_else(|| panic!("no {from}"));
    (text.replacen(from, to, 1), at as u64)
}

#[test]
fn json_that_is_not_quite_right_is_refused_with_its_place() {
    let text = String::from_utf8(recorded(&format!("{SMALL}.json"))).unwrap();
    let deep = "[".repeat(1000);
    for (from, to, fragment) in [
        ("{\"prf_key\"", "{\"prf_kex\"", "not one of"),
        ("\"parameter\":", "\"activation_epoch\":80,\"parameter\":", "twice"),
        ("\"num_active_epochs\":48", "\"num_active_epochs\":47", "bottom trees"),
        (
            "\"num_active_epochs\":48",
            "\"num_active_epochs\":18446744073709551615",
            "bottom trees",
        ),
        (
            "\"num_active_epochs\":48",
            "\"num_active_epochs\":18446744073709551616",
            "larger",
        ),
        (
            "\"num_active_epochs\":48",
            "\"num_active_epochs\":48.5",
            "something else",
        ),
        ("\"num_active_epochs\":48", "\"num_active_epochs\":-48", "digits alone"),
        ("\"num_active_epochs\":48", "\"num_active_epochs\":048", "begins with 0"),
        (
            "\"left_bottom_tree_index\":5",
            "\"left_bottom_tree_index\":7",
            "index of the left",
        ),
        ("\"depth\":8", "\"depth\":9", "depth"),
        ("\"start_index\":", "\"start_index\":1", "first index"),
        ("\"_encoding_type\":null", "\"_encoding_type\":0", "null"),
        (",\"_encoding_type\":null", "", "\"_encoding_type\" is missing"),
        ("\"nodes\":[[", "\"nodes\":[[2130706433,", "below"),
        ("\"nodes\":[[", "\"nodes\":[[1,", "more elements"),
        ("\"nodes\":[[", "\"nodes\":[[1],[", "unlike"),
        ("\"nodes\":[[", &format!("\"nodes\":[[{deep}"), "digits alone"),
        ("\"prf_key\":[", "\"prf_key\":[256,", "above 255"),
        ("\"prf_key\":[", "\"prf_key\":[1,", "more bytes"),
    ] {
        let (changed, edit_at) = edited(&text, from, to);
        let refused = read(changed.as_bytes()).unwrap_err();
        let SecretKeyError::Malformed { at, what } = &refused else {
            panic!("{to}: {refused}");
        };
        assert!(what.contains(fragment), "{to}: {refused}");
        assert!(*at <= edit_at + to.len() as u64 + 400, "{to} at {edit_at}: {refused}");
    }
    // Any order of the fields is the same key.
    let (without, _) = edited(&text, "\"activation_epoch\":80,", "");
    let (reordered, _) = edited(
        &without,
        "\"_encoding_type\":null",
        "\"_encoding_type\" : null,\n\"activation_epoch\":80",
    );
    let key = read(reordered.as_bytes()).unwrap();
    assert_eq!(written(&key, SecretKeyForm::LeansigSsz), small_ssz());
}

#[test]
fn a_node_that_was_changed_is_named_by_its_level_and_index() {
    let ssz = small_ssz();
    let key = read(&ssz).unwrap();
    for (level, node) in [
        (0, 80),
        (1, 41),
        (2, 21),
        (3, 12),
        (4, 6),
        (4, 7),
        (5, 2),
        (7, 0),
        (8, 0),
    ] {
        let digest = key.node(Level(level), NodeIndex(node)).unwrap();
        let found = ssz.windows(digest.len()).position(|bytes| bytes == digest).unwrap();
        let mut changed = ssz.clone();
        changed[found] ^= 1;
        let message = looked_at(&changed).unwrap_err();
        // A node is named as the wrong hash of its children; a filler and a leaf have none, so their parent is.
        let parent = format!("node {} of level {}", node / 2, level + 1);
        let itself = format!("node {node} of level {level}");
        assert!(
            message.contains(&itself) || message.contains(&parent),
            "({level}, {node}): {message}"
        );
    }
}

#[test]
fn what_is_said_of_a_file_in_another_form_shows_nothing_of_its_prf_key() {
    let json = recorded(&format!("{SMALL}.json"));
    // Read as SSZ, the digits of the PRF key stand where the offset of the top tree would, or the parameter.
    let mut shifted = [&[0; 16], &small_ssz()[..]].concat();
    shifted[16..48].fill(0xff);
    let mut shifted_far = [&[0; 40], &small_ssz()[..]].concat();
    shifted_far[40..72].fill(0xab);
    for file in [&json, &shifted, &shifted_far] {
        let refused = SecretKeyFile::read(&mut &file[..], Some(SecretKeyForm::LeansigSsz), None).unwrap_err();
        let said = refused.to_string();
        let numbers = said.split(|character: char| !character.is_ascii_digit());
        let numbers: Vec<&str> = numbers.filter(|digits| !digits.is_empty()).collect();
        // Where it is, and what it should be.
        assert_eq!(numbers, ["68", "88"], "{said}");
        assert!(said.contains("another form, such as JSON"), "{said}");
    }
}
