//! The runner: interrupted at every point, it ends where an uninterrupted run ends. The last step exists only here.

use std::collections::BTreeMap;
use std::path::Path;

use super::m0001_create::HeaderV1;
use super::{Action, Context, Step, run, steps};
use crate::error::{Reason, Result};
use crate::failure::{attempt, write_whole};
use crate::keydir::{KeyPaths, LedgerMark, LockedDir, Manifest, Origin, Secret, Stage, commitment};
use crate::layers::{Disk, Header};
use crate::plan::Plan;
use crate::state::{LedgerHead, LedgerRecord, Store};
use crate::units::Epoch;
use keymill_xmss::hash::{PrfKey, fingerprint};
use keymill_xmss::scheme::Parameter;
use keymill_xmss::scheme::Scheme;

/// Notes every layer file in a new file, one action a level, and then renames that file: actions that must not be
/// applied twice to different effect.
struct Inventory;

impl Step for Inventory {
    fn version(&self) -> u32 {
        4
    }

    fn title(&self) -> &'static str {
        "list the layer files"
    }

    fn actions<'a>(&self, context: &'a Context<'a>) -> Vec<Action<'a>> {
        let draft = context.paths.layers().join("inventory.draft");
        let mut actions = Vec::new();
        for span in context.manifest.plan().geometry().levels() {
            let draft = draft.clone();
            let line = format!("{} {}\n", span.level, span.stored_count());
            actions.push(Action {
                title: format!("list level {}", span.level),
                apply: Box::new(move |_| append_once(draft.path(), &line)),
            });
        }
        actions.push(Action {
            title: "publish the list".to_owned(),
            apply: Box::new(move |_| {
                let list = context.paths.layers().join("inventory");
                if draft.exists()? {
                    Ok(attempt("rename", draft.path(), || draft.rename(&list))?)
                } else {
                    Ok(())
                }
            }),
        });
        actions
    }
}

fn append_once(path: &Path, line: &str) -> Result<()> {
    let published = path.with_extension("");
    let known = std::fs::read_to_string(path).unwrap_or_default();
    if known.contains(line) || published.exists() {
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let file = attempt("open", path, || file)?;
    Ok(write_whole(file, line.as_bytes(), path)?)
}

pub(super) fn manifest() -> Manifest {
    let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
    let plan = Plan::new(scheme, 37, 20).unwrap();
    let fillers = vec![1; plan.filler_count() * scheme.digest_bytes()];
    let commitment = commitment(&PrfKey::new([3; 32]));
    Manifest::begin(plan, Parameter::of(&[1; 20]), commitment, Origin::Seed, fillers)
}

pub(super) fn begin(directory: &Path) -> LockedDir {
    let paths = KeyPaths::open(directory).unwrap().lock().unwrap();
    manifest().write(&paths).unwrap();
    paths.write_plain(&Secret::PrfKey([3; 32]), Origin::PrfKey).unwrap();
    paths
}

fn all_steps() -> Vec<Box<dyn Step>> {
    let mut all = steps();
    all.push(Box::new(Inventory));
    all
}

/// All files outside RocksDB's own, by name.
fn content(paths: &KeyPaths) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("manifest".to_owned(), std::fs::read(paths.manifest()).unwrap());
    files.insert("ledger.mark".to_owned(), std::fs::read(paths.ledger_mark()).unwrap());
    for entry in std::fs::read_dir(paths.layers()).unwrap() {
        let entry = entry.unwrap();
        files.insert(
            entry.file_name().into_string().unwrap(),
            std::fs::read(entry.path()).unwrap(),
        );
    }
    files
}

/// Runs all steps with an interruption before the action of this number; `None` when there are fewer actions.
fn run_interrupted(paths: &LockedDir, stop_before: usize) -> Option<Manifest> {
    let mut seen = 0;
    let outcome = run(paths, manifest(), &Disk::default(), &all_steps(), |_| {
        seen += 1;
        seen <= stop_before
    });
    match outcome {
        Ok(manifest) => Some(manifest),
        Err(error) if error.reason() == Reason::Interrupted => None,
        Err(error) => panic!("stopped before action {stop_before}: {error}"),
    }
}

#[test]
fn a_migration_interrupted_at_any_point_ends_where_an_uninterrupted_one_ends() {
    let whole = tempfile::tempdir().unwrap();
    let paths = begin(whole.path());
    let manifest = run_interrupted(&paths, usize::MAX).unwrap();
    assert_eq!(manifest.format_version, 4);
    let expected = content(&paths);
    assert_eq!(
        manifest.fingerprint(),
        Some(fingerprint(&PrfKey::new([3; 32]), &Parameter::of(&[1; 20])))
    );
    assert!(expected.contains_key("inventory") && !expected.contains_key("inventory.draft"));

    let mut points = 0;
    loop {
        let directory = tempfile::tempdir().unwrap();
        let paths = begin(directory.path());
        if run_interrupted(&paths, points).is_some() {
            break;
        }
        // As a new process would: from the version that the manifest on disk names.
        let manifest = Manifest::read(&paths.manifest()).unwrap().unwrap();
        let finished = run(&paths, manifest, &Disk::default(), &all_steps(), |_| true).unwrap();
        assert_eq!(finished.format_version, 4);
        assert!(content(&paths) == expected, "interrupted before action {points}");
        points += 1;
    }
    // Creation: layers/, nine levels, their names, the store, the version. Ledger: head, mark, version. Fingerprint: mark,
    // history, version. Inventory: nine levels, publishing, version.
    assert_eq!(points, 13 + 3 + 3 + 11);
}

/// True as long as no version changes the header; one that does keeps the frozen one and drops this test.
#[test]
fn the_frozen_header_of_version_1_is_what_this_program_reads() {
    let manifest = manifest();
    for span in manifest.plan().geometry().levels() {
        let frozen = HeaderV1 {
            key_id: manifest.key_id().0,
            level: span.level.0.into(),
            first_index: span.stored.start,
            count: span.stored_count(),
            digest_bytes: 32,
        };
        let read = Header::new(manifest.key_id(), span, 32);
        read.check_page(&frozen.to_page(), Path::new("frozen")).unwrap();
    }
}

#[test]
fn what_a_migration_would_do_is_what_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let paths = begin(directory.path());
    let manifest = manifest();
    let context = Context {
        paths: &paths,
        manifest: &manifest,
        medium: &Disk::default(),
    };
    let promised = super::pending(&context, &all_steps());
    assert!(!paths.layers().path().exists(), "looking ahead wrote something");
    let mut done = Vec::new();
    run(&paths, manifest.clone(), &Disk::default(), &all_steps(), |title| {
        done.push(title.to_owned());
        true
    })
    .unwrap();
    let titles = promised.iter().map(|line| line.trim_start().to_owned());
    let titles: Vec<String> = titles.filter(|line| !line.starts_with("000")).collect();
    assert_eq!(titles, done);
}

#[test]
fn nothing_is_migrated_that_is_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let paths = begin(directory.path());
    let manifest = run(&paths, manifest(), &Disk::default(), &steps(), |_| true).unwrap();
    let again = run(&paths, manifest, &Disk::default(), &steps(), |title| {
        panic!("did: {title}")
    })
    .unwrap();
    assert_eq!(again.format_version, 3);
}

/// A directory of version 1 whose key has this origin, and is sealed or not, with the mark that a program which keeps a
/// ledger leaves first, or without; then what version 2 makes of it.
fn from_version_1(origin: Origin, sealed: bool, marked: bool) -> (tempfile::TempDir, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let paths = begin(directory.path());
    let scheme = manifest().scheme();
    let fillers = vec![1; manifest().plan().filler_count() * scheme.digest_bytes()];
    let commitment = commitment(&PrfKey::new([3; 32]));
    let manifest = Manifest::begin(
        manifest().plan().clone(),
        Parameter::of(&[1; 20]),
        commitment,
        origin,
        fillers,
    );
    let manifest = run(&paths, manifest, &Disk::default(), &steps()[..1], |_| true).unwrap();
    assert_eq!(manifest.format_version, 1);
    if marked {
        LedgerMark::of_creation(manifest.key_id()).write(&paths).unwrap();
    }
    let manifest = if sealed { manifest.sealed(vec![1; 32]) } else { manifest };
    let manifest = run(&paths, manifest, &Disk::default(), &steps(), |_| true).unwrap();
    (directory, manifest)
}

fn head(directory: &Path, manifest: &Manifest) -> Option<LedgerHead> {
    let paths = KeyPaths::open(directory).unwrap();
    let store = Store::open_read_only(&paths.state(), &manifest.binding()).unwrap();
    store.ledger_head().unwrap()
}

#[test]
fn only_a_fresh_key_that_was_begun_with_a_mark_and_never_finished_has_a_known_history() {
    for origin in [Origin::Fresh, Origin::Seed, Origin::PrfKey] {
        for sealed in [false, true] {
            for marked in [false, true] {
                let (directory, manifest) = from_version_1(origin, sealed, marked);
                let head = head(directory.path(), &manifest).unwrap();
                let is_known = origin == Origin::Fresh && !sealed && marked;
                assert_eq!(head.initialised, is_known, "{origin} sealed {sealed} marked {marked}");
                assert_eq!((head.extent.first_epoch, head.extent.spent), (0, 0));
            }
        }
    }
}

#[test]
fn a_ledger_that_has_entries_is_not_begun_anew_nor_is_its_mark() {
    let (directory, manifest) = from_version_1(Origin::Fresh, false, true);
    let paths = KeyPaths::open(directory.path()).unwrap().lock().unwrap();
    let record = LedgerRecord {
        message_digest: Some([8; 32]),
        scheme: manifest.scheme().id().to_owned(),
        signed_unix_ms: 1,
    };
    let mut written = head(directory.path(), &manifest).unwrap();
    written.add(Epoch(40), &record);
    let store = Store::open(&paths.state(), &manifest.binding()).unwrap();
    store.commit_ledger([(Epoch(40), &record)], &written).unwrap();
    drop(store);
    std::fs::remove_file(paths.ledger_mark().path()).unwrap();
    // As if an old manifest had been put back.
    let mut old = manifest.clone();
    old.format_version = 1;
    run(&paths, old, &Disk::default(), &steps(), |_| true).unwrap();
    assert_eq!(head(directory.path(), &manifest).unwrap(), written);
    assert!(!paths.ledger_mark().path().exists(), "the loss of the mark is hidden");
}

/// What version 2 had, with this mark and this word of the head; then the mark of version 3.
fn mark_from_version_2(initialised: bool, mark: Option<&str>) -> (Option<LedgerMark>, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let paths = begin(directory.path());
    let manifest = run(&paths, manifest(), &Disk::default(), &steps()[..2], |_| true).unwrap();
    let head = LedgerHead {
        initialised,
        ..LedgerHead::default()
    };
    let store = Store::open(&paths.state(), &manifest.binding()).unwrap();
    store.commit_ledger([], &head).unwrap();
    drop(store);
    std::fs::remove_file(paths.ledger_mark().path()).unwrap();
    if let Some(text) = mark {
        std::fs::write(paths.ledger_mark().path(), text).unwrap();
    }
    let manifest = run(&paths, manifest, &Disk::default(), &steps(), |_| true).unwrap();
    let read = LedgerMark::read(&paths.ledger_mark(), manifest.key_id());
    (read.unwrap_or_default(), manifest)
}

#[test]
fn the_mark_of_a_key_that_exists_says_what_its_ledger_says_and_a_lost_one_stays_lost() {
    let stage = |initialised, mark: Option<&str>| mark_from_version_2(initialised, mark).0.map(|mark| mark.stage);
    let key_id = manifest().key_id();
    let of_creation = LedgerMark::of_creation(key_id);
    let new = |stage| {
        LedgerMark {
            stage,
            ..of_creation.clone()
        }
        .to_text()
    };
    let old = of_creation.to_old_text();
    assert_eq!(stage(true, Some(&old)), Some(Stage::Begun));
    assert_eq!(stage(false, Some(&old)), Some(Stage::NotBegun));
    assert_eq!(stage(true, Some(&new(Stage::Creating))), Some(Stage::Begun));
    assert_eq!(stage(false, Some(&new(Stage::Creating))), Some(Stage::NotBegun));
    // A secret that has left meanwhile has left.
    assert_eq!(stage(true, Some(&new(Stage::NotBegun))), Some(Stage::NotBegun));
    assert_eq!(stage(false, None), Some(Stage::NotBegun));
    assert_eq!(stage(true, None), None);
    assert_eq!(stage(true, Some("damaged")), None);
}

#[test]
fn a_key_without_its_secret_or_with_a_damaged_store_is_migrated_all_the_same() {
    for (is_secret_gone, is_store_gone) in [(true, false), (false, true), (true, true)] {
        let directory = tempfile::tempdir().unwrap();
        let paths = begin(directory.path());
        let manifest = run(&paths, manifest(), &Disk::default(), &steps()[..2], |_| true).unwrap();
        let manifest = manifest.sealed(vec![1; 32]);
        if is_secret_gone {
            std::fs::remove_file(paths.secret().path()).unwrap();
        }
        if is_store_gone {
            std::fs::write(paths.state().path().join("CURRENT"), "").unwrap();
        }
        let manifest = run(&paths, manifest, &Disk::default(), &steps(), |_| true).unwrap();
        assert_eq!(manifest.format_version, 3);
        assert_eq!(manifest.fingerprint().is_none(), is_secret_gone);
    }
}
