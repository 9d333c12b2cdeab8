//! Whatever the division, the same key.

use super::super::{Division, JoinRequest, Joining, PARTS_MAX, PartIndex, PartJob, PartRequest, split};
use super::{LEANVM, LEANVM_TRIMMED, OPTIONS, POSEIDON, Place, TestedKey, files_of};
use crate::error::Reason;
use crate::failure::FailureKind;
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, KeyRequest, KeygenJob, NoProgress};
use crate::keystore::Passphrase;
use crate::ledger::{LedgerCondition, show};
use crate::plan::Plan;
use crate::signing::Signer;
use crate::units::{Epoch, Level};
use keymill_xmss::scheme::Scheme;

/// A pseudorandom order that is the same each time.
fn shuffled(count: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..count).collect();
    order.sort_by_key(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
    order
}

#[track_caller]
fn assert_same_key(key: TestedKey, division: Division) {
    let place = Place::new(key, division);
    let plan = Plan::new(Scheme::by_id(key.scheme).unwrap(), key.first, key.epochs).unwrap();
    for index in shuffled(division.count(&plan)) {
        let report = place.part(index).unwrap();
        assert_eq!(
            report.epochs_computed,
            report.epochs.count(),
            "{key:?}, {division:?}, {index}"
        );
    }
    let report = place.join().unwrap();
    let told = format!("{key:?}, {division:?}: {report:?}");
    assert!(
        report.summary.is_some() && report.bad.is_empty() && report.missing.is_empty(),
        "{told}"
    );
    assert_eq!(report.taken.len() as u64, division.count(&plan), "{told}");
    assert!(files_of(&place.key) == key.whole(), "{told}");
}

#[test]
fn parts_in_any_order_join_to_the_key_that_one_machine_makes() {
    for key in [LEANVM, LEANVM_TRIMMED, POSEIDON] {
        assert_same_key(key, Division::Parts(1));
        assert_same_key(key, Division::Parts(2));
        assert_same_key(key, Division::Epochs(1024));
    }
    assert_same_key(LEANVM, Division::Parts(7));
    assert_same_key(TestedKey { trim: 10, ..LEANVM }, Division::Epochs(1 << 13));
}

#[test]
fn ninety_seven_parts_join_to_the_key_that_one_machine_makes() {
    let key = TestedKey {
        epochs: 100_000,
        trim: 8,
        ..LEANVM
    };
    assert_same_key(key, Division::Parts(97));
}

#[test]
fn the_parts_of_any_division_cover_the_key_once() {
    let scheme = Scheme::by_id(LEANVM.scheme).unwrap();
    let mut random = 1_u64;
    for case in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(case);
        let epochs = 1 + (random >> 33) % (1 << (5 + case % 27));
        let first = (random >> 7) % (scheme.lifetime() - epochs + 1);
        let plan = Plan::new(scheme, first, epochs).unwrap();
        let by_number = 1 + random % PARTS_MAX.min(plan.batches().count());
        let by_epochs = 1 << (10 + case % 23);
        for division in [Division::Parts(by_number), Division::Epochs(by_epochs)] {
            if division.check(&plan).is_err() {
                assert!(division.count(&plan) > PARTS_MAX, "case {case}: {division:?}");
                continue;
            }
            let mut at = first;
            for (index, part) in division.all(&plan) {
                assert_eq!(part.start, at, "case {case}: {division:?}, part {index}");
                let top = plan.part_of(part).map(|part| part.geometry().root_level());
                assert!(
                    top.is_some_and(|top| top >= Level(10)),
                    "case {case}: {division:?}, {part}"
                );
                at = part.end;
            }
            assert_eq!(at, first + epochs, "case {case}: {division:?}");
            assert!(division.part(&plan, PartIndex(division.count(&plan))).is_err());
        }
    }
}

#[test]
fn a_division_that_a_key_cannot_have_is_refused_before_anything_is_written() {
    let directory = in_memory();
    let key = directory.path().join("key");
    let refused = [
        Division::Parts(0),
        Division::Parts(22),
        Division::Parts(u64::MAX),
        Division::Epochs(0),
        Division::Epochs(512),
        Division::Epochs(3000),
    ];
    for division in refused.map(Some).into_iter().chain([None]) {
        let error = split(&LEANVM.asked(&key), division).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Usage, "{division:?}: {error}");
        assert!(!key.exists(), "{division:?}");
    }
}

#[test]
fn a_key_is_split_again_as_it_was_and_in_no_other_way() {
    let place = Place::new(LEANVM, Division::Parts(4));
    let ticket = std::fs::read(place.key.join("ticket.toml")).unwrap();
    for same in [None, Some(Division::Parts(4))] {
        split(&LEANVM.asked(&place.key), same).unwrap();
    }
    let other = split(&LEANVM.asked(&place.key), Some(Division::Parts(5))).unwrap_err();
    assert_eq!(other.reason(), Reason::Contradiction);
    assert_eq!(std::fs::read(place.key.join("ticket.toml")).unwrap(), ticket);
    for index in 0..4 {
        place.part(index).unwrap();
    }
    place.join().unwrap();
    let finished = split(&LEANVM.asked(&place.key), None).unwrap_err();
    assert_eq!(finished.reason(), Reason::InTheWay);
}

#[test]
fn a_fresh_key_that_was_made_in_parts_signs_as_one_without_a_past() {
    let directory = in_memory();
    let key = directory.path().join("key");
    let request = KeyRequest {
        secret: None,
        ..LEANVM.request()
    };
    let asked = KeygenJob::builder(&key).request(request).options(OPTIONS);
    split(&asked, Some(Division::Parts(1))).unwrap();
    let request = PartRequest::new(key.join("ticket.toml"), PartIndex(0), key.join("secret"))
        .through(directory.path().join("work"), directory.path().join("out"));
    let part = PartJob::open(request, OPTIONS, CancelHandle::default()).unwrap();
    part.run(&NoProgress).unwrap();
    let request = JoinRequest::new(&key, directory.path().join("out"));
    let joining = Joining::open(request, OPTIONS, CancelHandle::default()).unwrap();
    assert!(joining.run(&NoProgress).unwrap().summary.is_some());
    assert_eq!(show(&key).unwrap().condition, LedgerCondition::Sound);
    let mut signer = Signer::open(&key).unwrap();
    signer.sign(Epoch(LEANVM.first as u32), &[7; 32]).unwrap();
}

#[test]
fn a_part_is_made_of_a_secret_under_a_passphrase_with_that_passphrase_alone() {
    let directory = in_memory();
    let key = directory.path().join("key");
    let passphrase = Passphrase::new("correct horse battery staple").unwrap();
    split(
        &LEANVM.asked(&key).seal_secret(passphrase.clone()),
        Some(Division::Parts(3)),
    )
    .unwrap();
    assert!(!key.join("secret").exists());
    let open = |passphrase| {
        let request = PartRequest::new(key.join("ticket.toml"), PartIndex(1), key.join("keystore.json"))
            .through(directory.path().join("work"), directory.path().join("out"))
            .passphrase(passphrase);
        PartJob::open(request, OPTIONS, CancelHandle::default())
    };
    let refused = |passphrase| open(passphrase).err().map(|error| error.reason());
    assert_eq!(refused(None), Some(Reason::PassphraseMissing));
    let wrong = Passphrase::new("incorrect horse").unwrap();
    assert_eq!(refused(Some(wrong)), Some(Reason::WrongPassphrase));
    open(Some(passphrase)).unwrap().run(&NoProgress).unwrap();
}
