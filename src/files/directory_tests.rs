//! What is done in an open directory is done in that one.

use std::fs;
use std::path::Path;

use rustix::fs::OFlags;

use super::{Directory, Lost, lost};
use crate::skip::skip;

/// Copies a directory and all below it.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn what_is_done_in_an_open_directory_is_done_there_whatever_has_its_name() {
    let place = tempfile::tempdir().unwrap();
    let (name, moved) = (place.path().join("name"), place.path().join("moved"));
    fs::create_dir(&name).unwrap();
    let opened = Directory::open(&name).unwrap();
    fs::rename(&name, &moved).unwrap();
    fs::create_dir(&name).unwrap();
    for file in ["file", "old"] {
        fs::write(name.join(file), "of another").unwrap();
    }

    let file = opened.entry("file");
    let made = file
        .open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600)
        .unwrap();
    drop(made);
    opened.entry("below").make_directory().unwrap();
    opened
        .entry("below")
        .join("deep")
        .open(OFlags::WRONLY | OFlags::CREATE, 0o600)
        .unwrap();
    file.rename(&opened.entry("new")).unwrap();
    assert!(!file.exists().unwrap() && opened.entry("below").is_directory().unwrap());
    assert!(!opened.entry("old").exists().unwrap());
    opened.entry("below").sync().unwrap();
    opened.entry("below").join("deep").unlink().unwrap();
    opened.sync().unwrap();

    let mut names = opened.names().unwrap();
    names.sort();
    assert_eq!(names, ["below", "new"]);
    assert_eq!(fs::read_dir(moved.join("below")).unwrap().count(), 0);
    for file in ["file", "old"] {
        assert_eq!(fs::read_to_string(name.join(file)).unwrap(), "of another");
    }
    assert_eq!(fs::read_dir(&name).unwrap().count(), 2);
}

#[test]
fn a_name_that_leads_to_another_directory_or_to_none_is_noticed_until_it_leads_back() {
    let place = tempfile::tempdir().unwrap();
    let (name, moved) = (place.path().join("name"), place.path().join("moved"));
    fs::create_dir_all(name.join("below")).unwrap();
    let opened = Directory::open(&name).unwrap();
    let below = opened.entry("below").open_directory().unwrap();
    let is_lost = |directory: &Directory| {
        let failure = directory.check().unwrap_err();
        let words = failure.to_string();
        let is_displaced = matches!(lost(&failure), Some(Lost::Displaced(_)));
        is_displaced && words.contains(&*name.to_string_lossy()) && !directory.is_in_place()
    };
    for replaced in [false, true] {
        opened.check().unwrap();
        below.check().unwrap();
        fs::rename(&name, &moved).unwrap();
        if replaced {
            fs::create_dir_all(name.join("below")).unwrap();
        }
        assert!(is_lost(&opened) && is_lost(&below), "{replaced}");
        if replaced {
            fs::remove_dir_all(&name).unwrap();
        }
        fs::rename(&moved, &name).unwrap();
    }
    // What is in it can be replaced alone.
    fs::rename(name.join("below"), name.join("beside")).unwrap();
    fs::create_dir(name.join("below")).unwrap();
    assert!(is_lost(&below));
    opened.check().unwrap();
    // A link to it is as good as its name.
    fs::rename(&name, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &name).unwrap();
    opened.check().unwrap();
}

#[test]
fn a_directory_is_found_by_its_descriptor_whatever_becomes_of_its_name() {
    let place = tempfile::tempdir().unwrap();
    let (name, moved) = (place.path().join("name"), place.path().join("moved"));
    fs::create_dir(&name).unwrap();
    let opened = Directory::open(&name).unwrap();
    let Some(path) = opened.by_descriptor() else {
        return skip("/proc is not mounted here");
    };
    fs::rename(&name, &moved).unwrap();
    fs::write(path.join("file"), "here").unwrap();
    assert_eq!(fs::read_to_string(moved.join("file")).unwrap(), "here");
}
