//! What the program says of itself.

use super::fixtures::{TINY, finished_key};
use super::program::Place;

#[test]
fn the_verbose_version_names_what_a_key_of_this_program_is_made_with() {
    let place = Place::new();
    finished_key(&place, TINY);
    let version = place.run("--version --verbose").exits(0);
    let first = format!("keymill {}\n", env!("CARGO_PKG_VERSION"));
    assert!(version.text().starts_with(&first), "{}", version.all());
    // RocksDB notes its version beside every store, so this one cannot be out of date.
    let mut states = std::fs::read_dir(place.path("key/state"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let options = states.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("OPTIONS-"));
    let options = std::fs::read_to_string(options.unwrap()).unwrap();
    let rocksdb = options
        .lines()
        .find_map(|line| line.trim().strip_prefix("rocksdb_version="))
        .unwrap();
    let manifest = std::fs::read_to_string(place.path("key/manifest.toml")).unwrap();
    let format = manifest
        .lines()
        .find_map(|line| line.strip_prefix("format_version = "))
        .unwrap();
    let architecture = format!("target          {}-", std::env::consts::ARCH);
    version.prints(&[
        "features        ",
        &architecture,
        &format!("RocksDB         {rocksdb}\n"),
        &format!("key directories format version {format}\n"),
        "CPU features    ",
    ]);
    let short = place.run("--version").exits(0);
    assert_eq!(short.text(), first);
}
