//! Nothing of a part is believed.

use std::fs;
use std::path::Path;

use super::super::inspect::{OpenPart, Refusal};
use super::super::ticket::Ticket;
use super::super::{Division, PartIndex};
use super::{LEANVM, LEANVM_TRIMMED, POSEIDON, Place, SEED, TestedKey, files_of};
use crate::files::Entry;
use crate::keydir::Manifest;
use crate::keygen::CancelHandle;
use crate::layers::part::{self as part_file, Layout};
use crate::units::{Level, Slice};
use keymill_xmss::hash::PrfKey;

fn prf_key(key: &Manifest) -> PrfKey {
    key.scheme().draw(&SEED, &[]).prf_key
}

/// What is wrong with the content of a file, as far as it can be told without hashing the tree.
fn fault(path: &Path, key: &Manifest) -> Option<String> {
    let checked = OpenPart::open(&Entry::of(path).unwrap(), key)
        .and_then(|part| part.check_content(&prf_key(key), &CancelHandle::default()));
    match checked {
        Ok(_) => None,
        Err(Refusal::Bad(what)) => Some(what),
        Err(Refusal::Failed(error)) => panic!("{error}"),
    }
}

#[test]
fn every_byte_of_a_part_counts_as_does_its_length() {
    let key = TestedKey {
        first: 3000,
        epochs: 1100,
        trim: 9,
        ..LEANVM
    };
    let place = Place::new(key, Division::Epochs(1024));
    let file = place.part(1).unwrap().file;
    let ticket = Ticket::read(&place.key.join("ticket.toml")).unwrap();
    let right = fs::read(&file).unwrap();
    assert_eq!(fault(&file, ticket.key()), None);
    let changed = place.out.join("changed.part");
    for at in 0..right.len() {
        let mut bytes = right.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&changed, &bytes).unwrap();
        assert!(fault(&changed, ticket.key()).is_some(), "byte {at} was changed");
    }
    for length in (0..right.len()).step_by(61).chain([right.len() - 1]) {
        fs::write(&changed, &right[..length]).unwrap();
        assert!(fault(&changed, ticket.key()).is_some(), "cut to {length} bytes");
    }
    fs::write(&changed, [&right[..], &[0]].concat()).unwrap();
    assert!(fault(&changed, ticket.key()).is_some(), "one byte too many");
}

/// Replaces a part by what somebody publishes who has the secret, and `change`s the digests of its slices.
fn forge(place: &Place, index: u64, change: impl Fn(&Slice, &mut Vec<u8>)) {
    let right = place.part(index).unwrap().file;
    let ticket = Ticket::read(&place.key.join("ticket.toml")).unwrap();
    let part = ticket.part(PartIndex(index)).unwrap();
    let Ok(opened) = OpenPart::open(&Entry::of(&right).unwrap(), ticket.key()) else {
        panic!("the part is right");
    };
    let mut forged = Vec::new();
    let read = |slice: &Slice, bytes: &mut Vec<u8>| -> Result<(), Refusal> {
        opened.read(slice, bytes)?;
        change(slice, bytes);
        Ok(())
    };
    let put = |bytes: &[u8]| {
        forged.extend_from_slice(bytes);
        Ok(())
    };
    let layout = Layout::of(part.plan(), &part.binding());
    assert!(part_file::write(part.plan(), &layout, &prf_key(ticket.key()), read, put).is_ok());
    fs::write(&right, forged).unwrap();
}

/// Joins with one bad part, which is named and left out; when it is made again, the key is finished.
#[track_caller]
fn assert_left_out(key: TestedKey, index: u64, sample: Option<u64>, change: impl Fn(&Slice, &mut Vec<u8>)) -> String {
    let place = Place::new(key, Division::Epochs(1024));
    for index in 0..3 {
        place.part(index).unwrap();
    }
    let right = fs::read(place.part(index).unwrap().file).unwrap();
    forge(&place, index, change);
    let report = place.join_sampling(sample).unwrap();
    let [bad] = &report.bad[..] else {
        panic!("{report:?}");
    };
    assert!(report.summary.is_none() && report.taken.len() == 2, "{report:?}");
    assert!(
        report.missing.iter().any(|part| part.index == Some(PartIndex(index))),
        "{report:?}"
    );
    fs::write(&bad.file, right).unwrap();
    let ticket = Ticket::read(&place.key.join("ticket.toml")).unwrap();
    for index in 0..ticket.division().count(ticket.key().plan()) {
        place.part(index).unwrap();
    }
    let report = place.join().unwrap();
    assert!(report.summary.is_some(), "{report:?}");
    assert!(files_of(&place.key) == key.whole(), "{report:?}");
    bad.what.clone()
}

/// Changes a byte of a node.
fn at_node(level: u8, node: u64) -> impl Fn(&Slice, &mut Vec<u8>) {
    move |slice, bytes| {
        if slice.level == Level(level) && slice.nodes.contains(&node) {
            let digest_bytes = bytes.len() / slice.count();
            bytes[(node - slice.nodes.start) as usize * digest_bytes] ^= 1;
        }
    }
}

#[test]
fn a_node_that_is_not_the_hash_of_its_children_is_found_at_every_level_whoever_signed_for_it() {
    let first = LEANVM.first / 1024 + 1;
    for level in 1..=10 {
        let node = (first << (10 - level)) + 1 % (1 << (10 - level));
        let what = assert_left_out(LEANVM, 1, Some(0), at_node(level, node));
        assert!(
            what.contains("is not the hash of its children"),
            "level {level}: {what}"
        );
    }
    let what = assert_left_out(LEANVM, 1, Some(0), at_node(0, first << 10));
    assert!(what.contains("of level 1 is not the hash"), "{what}");
    let what = assert_left_out(POSEIDON, 1, Some(0), at_node(3, 5120 >> 3));
    assert!(what.contains("of level 3 is not the hash"), "{what}");
}

#[test]
fn a_filler_that_is_not_that_of_the_key_is_found() {
    let filler = LEANVM.first - 1;
    let what = assert_left_out(LEANVM, 0, Some(0), at_node(0, filler));
    assert!(
        what.contains("filler") || what.contains("hash of its children"),
        "{what}"
    );
}

/// The levels of the tree over the leaves of a part of which one is another, from the lowest that is stored upward.
fn tree_over_a_wrong_node(place: &Place, index: u64, node: u64) -> Vec<(Slice, Vec<u8>)> {
    let file = place.part(index).unwrap().file;
    let ticket = Ticket::read(&place.key.join("ticket.toml")).unwrap();
    let part = ticket.part(PartIndex(index)).unwrap();
    let Ok(opened) = OpenPart::open(&Entry::of(&file).unwrap(), ticket.key()) else {
        panic!("the part is right");
    };
    let kernel = part.scheme().kernel(part.parameter());
    let fold = part.fold(kernel.as_ref());
    let mut levels: Vec<(Slice, Vec<u8>)> = Vec::new();
    for span in part.plan().geometry().stored_levels() {
        let slice = Slice {
            level: span.level,
            nodes: span.stored.clone(),
        };
        let digests = match levels.last() {
            Some((_, below)) => fold.folded(&slice, below),
            None => {
                let mut digests = Vec::new();
                assert!(opened.read(&slice, &mut digests).is_ok());
                at_node(slice.level.0, node)(&slice, &mut digests);
                digests
            }
        };
        levels.push((slice, digests));
    }
    levels
}

#[test]
fn nodes_that_the_secret_does_not_give_are_found_in_the_sample_although_the_tree_is_one() {
    for trim in [0, 4, 10] {
        let key = TestedKey { trim, ..LEANVM };
        let node = (((LEANVM.first / 1024 + 1) << 10) + 777) >> trim;
        let levels = {
            let place = Place::new(key, Division::Epochs(1024));
            tree_over_a_wrong_node(&place, 1, node)
        };
        let forged = |piece: &Slice, bytes: &mut Vec<u8>| {
            let (slice, digests) = levels.iter().find(|(slice, _)| slice.level == piece.level).unwrap();
            let place = slice.place(&piece.nodes, digests.len() / slice.count());
            bytes.copy_from_slice(&digests[place]);
        };
        let what = assert_left_out(key, 1, None, forged);
        let words = format!("node {node} of level {trim} is not what the secret gives");
        assert!(what.contains(&words), "{what}");
    }
}

#[test]
fn what_is_not_a_part_of_this_key_is_named_and_left_out() {
    let place = Place::new(LEANVM_TRIMMED, Division::Parts(2));
    let ours = place.part(0).unwrap().file;
    let name = ours.file_name().unwrap().to_owned();
    let prefix = name.to_string_lossy().split('-').next().unwrap().to_owned();
    let of_other = |key: TestedKey| {
        let other = Place::new(key, Division::Parts(2));
        let file = other.part(0).unwrap().file;
        fs::read(file).unwrap()
    };
    let other_key = of_other(TestedKey {
        first: LEANVM.first + 1,
        ..LEANVM_TRIMMED
    });
    let other_trim = of_other(LEANVM);
    let bad = |name: &str, bytes: &[u8]| fs::write(place.out.join(format!("{prefix}-{name}.part")), bytes).unwrap();
    bad("a", b"");
    bad("b", &[0; 10_000]);
    bad("c", &other_key);
    bad("d", &other_trim);
    fs::create_dir(place.out.join(format!("{prefix}-e.part"))).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.out.join(format!("{prefix}-f.part")),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    // Not looked at: it does not say that it is of this key.
    fs::write(place.out.join("another-key.part"), b"?").unwrap();
    fs::write(place.out.join(".keymill-abcdef.tmp"), b"?").unwrap();
    fs::copy(&ours, place.out.join(format!("{prefix}-twice.part"))).unwrap();
    let report = place.join().unwrap();
    assert_eq!(
        (report.bad.len(), report.taken.len(), report.missing.len()),
        (6, 2, 1),
        "{report:?}"
    );
    let words = [
        "reading it",
        "not the file of a part",
        "another key",
        "trim 0",
        "directory",
        "FIFO",
    ];
    for (bad, words) in report.bad.iter().zip(words) {
        assert!(bad.what.contains(words), "{bad:?}");
    }
    place.part(1).unwrap();
    let report = place.join().unwrap();
    assert!(report.summary.is_some() && report.bad.len() == 6, "{report:?}");
    assert!(files_of(&place.key) == LEANVM_TRIMMED.whole());
}

#[test]
fn every_change_of_a_ticket_is_noticed() {
    let place = Place::new(LEANVM, Division::Parts(2));
    let right = fs::read(place.key.join("ticket.toml")).unwrap();
    assert!(Ticket::parse(&right).is_ok());
    for at in 0..right.len() {
        let mut bytes = right.clone();
        bytes[at] ^= 1;
        assert!(Ticket::parse(&bytes).is_err(), "byte {at}");
        assert!(Ticket::parse(&right[..at]).is_err(), "cut to {at} bytes");
    }
}
