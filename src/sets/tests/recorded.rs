//! What hash-sig-cli itself wrote (tests/vectors/README.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::super::key_files::public_bytes;
use super::super::names::{Half, MANIFEST, key_files};
use super::SetManifest;
use keymill_xmss::PublicKey;

#[test]
fn sets_of_hash_sig_cli_have_the_names_the_manifest_and_the_public_keys_that_are_written_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hash-sig-cli");
    for (set, with_json) in [("indexed", true), ("distributed", false), ("before-0.4", true)] {
        let directory = root.join(set);
        let text = fs::read_to_string(directory.join(MANIFEST)).unwrap();
        let manifest = SetManifest::read(text.as_bytes()).unwrap_or_else(|error| panic!("{set}: {error}"));
        let mut written = Vec::new();
        manifest.write(&mut written).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written.replace("by keymill", "by hash-sig-cli"), text, "{set}");
        let mut expected = BTreeSet::from([MANIFEST.to_owned()]);
        for key in manifest.keys() {
            let public = PublicKey::from_ssz(manifest.kind.scheme, key.public_key).unwrap();
            for &(half, form) in key_files(with_json) {
                let name = key.name.file((half, form));
                if half == Half::Public {
                    let content = public_bytes(&public, form);
                    assert!(fs::read(directory.join(&name)).unwrap() == content, "{set}: {name}");
                }
                expected.insert(name);
            }
        }
        let names = fs::read_to_string(directory.join("names")).unwrap();
        assert_eq!(
            names.lines().map(str::to_owned).collect::<BTreeSet<_>>(),
            expected,
            "{set}"
        );
    }
}
