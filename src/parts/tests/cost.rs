//! What is said of a division before anything is made, against what is made then.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Division, DivisionCost, JoinCost, JoinRequest, Joining, PARTS_MAX};
use super::{LEANVM, LEANVM_TRIMMED, OPTIONS, POSEIDON, Place, TestedKey, files_of};
use crate::alone::is_alone;
use crate::failure::FailureKind;
use crate::keygen::tests::quick_kernel::{JobKernel, JobOnly};
use crate::keygen::{CancelHandle, NoProgress};
use crate::plan::Plan;
use crate::units::{Epoch, Level, NodeIndex};
use keymill_xmss::arena::{Arena, ArenaOverflow};
use keymill_xmss::hash::{Kernel, PrfKey};
use keymill_xmss::scheme::Scheme;

/// Of which two parts have more nodes than are drawn, at either trim.
const LARGE: TestedKey = TestedKey {
    first: 1 << 31,
    epochs: 1 << 17,
    ..LEANVM
};

fn plan(key: TestedKey) -> Plan {
    let plan = Plan::new(Scheme::by_id(key.scheme).unwrap(), key.first, key.epochs).unwrap();
    plan.trimmed(Level(key.trim)).unwrap()
}

/// A key all of whose parts are made, and what was said of them.
fn made(key: TestedKey, division: Division) -> (Place, DivisionCost) {
    let cost = DivisionCost::of(&plan(key), division).unwrap();
    let place = Place::new(key, division);
    for index in 0..cost.parts {
        place.part(index).unwrap();
    }
    (place, cost)
}

#[test]
fn the_sizes_that_are_said_are_those_of_the_files_that_are_made() {
    for (key, division) in [
        (LEANVM, Division::Parts(1)),
        (LEANVM, Division::Parts(7)),
        (LEANVM, Division::Epochs(8192)),
        (LEANVM_TRIMMED, Division::Parts(3)),
        (POSEIDON, Division::Epochs(1024)),
        (TestedKey { trim: 10, ..POSEIDON }, Division::Parts(3)),
    ] {
        let (place, cost) = made(key, division);
        let bytes = |path| std::fs::metadata(path).unwrap().len();
        let files: Vec<u64> = place.published().into_iter().map(bytes).collect();
        let epochs: Vec<u64> = division.all(&plan(key)).map(|(_, epochs)| epochs.count()).collect();
        let told = format!("{key:?}, {division:?}");
        assert_eq!(cost.parts, files.len() as u64, "{told}");
        assert_eq!(cost.parts_bytes, files.iter().sum::<u64>(), "{told}");
        assert_eq!(Some(&cost.part_bytes_max), files.iter().max(), "{told}");
        assert_eq!(Some(&cost.part_epochs_min), epochs.iter().min(), "{told}");
        assert_eq!(Some(&cost.part_epochs_max), epochs.iter().max(), "{told}");
    }
}

/// The hash functions of a key, and how often they were asked for what.
struct Counting {
    kernel: Box<dyn Kernel>,
    digest_bytes: u64,
    leaves: AtomicU64,
    nodes: AtomicU64,
}

impl JobKernel for Counting {
    fn block(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow> {
        let count = leaves.len() as u64 / self.digest_bytes;
        self.leaves.fetch_add(count, Ordering::Relaxed);
        self.kernel.leaves(prf_key, first, leaves, arena)
    }

    fn fold(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        let count = parents.len() as u64 / self.digest_bytes;
        self.nodes.fetch_add(count, Ordering::Relaxed);
        self.kernel.parents(level, first, children, parents);
    }
}

fn joined(place: &Place) -> Counting {
    let request = JoinRequest::new(&place.key, &place.out);
    let joining = Joining::open(request, OPTIONS, CancelHandle::default()).unwrap();
    let manifest = joining.manifest();
    let counting = JobOnly(Counting {
        kernel: manifest.scheme().kernel(manifest.parameter()),
        digest_bytes: manifest.scheme().digest_bytes() as u64,
        leaves: AtomicU64::new(0),
        nodes: AtomicU64::new(0),
    });
    let report = joining.run_with(&counting, &NoProgress).unwrap();
    assert!(report.summary.is_some(), "{report:?}");
    counting.0
}

#[test]
fn a_join_computes_as_many_leaves_and_nodes_as_were_said() {
    for (key, division) in [
        (LEANVM, Division::Parts(2)),
        (LEANVM, Division::Parts(7)),
        (LEANVM_TRIMMED, Division::Epochs(4096)),
        (TestedKey { trim: 10, ..LEANVM }, Division::Parts(3)),
        (TestedKey { trim: 4, ..LARGE }, Division::Parts(2)),
    ] {
        let (place, cost) = made(key, division);
        let JoinCost {
            leaves_computed,
            nodes_hashed,
            ..
        } = cost.join;
        let counted = joined(&place);
        let told = format!("{key:?}, {division:?}");
        assert_eq!(counted.leaves.into_inner(), leaves_computed, "{told}");
        assert_eq!(counted.nodes.into_inner(), nodes_hashed, "{told}");
    }
}

/// Bytes that this process has read so far, from wherever.
fn read_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn layer_bytes(place: &Place) -> u64 {
    let files = files_of(&place.key);
    let layers = files.iter().filter(|(name, _)| name.ends_with(".nodes"));
    layers.map(|(_, bytes)| bytes.len() as u64).sum()
}

#[test]
fn a_join_reads_and_writes_as_many_bytes_as_were_said() {
    if !is_alone("parts::tests::cost::a_join_reads_and_writes_as_many_bytes_as_were_said") {
        return;
    }
    for trim in [0, 1] {
        let (place, cost) = made(TestedKey { trim, ..LARGE }, Division::Parts(2));
        let before = read_bytes();
        joined(&place);
        let read = read_bytes() - before;
        let said = cost.join.parts_read_bytes + cost.join.layers_read_bytes;
        // The checkpoint store, the manifest and directories come on top.
        assert!((said..said + (1 << 20)).contains(&read), "{trim}: {read}, {said}");
        assert_eq!(layer_bytes(&place), cost.join.written_bytes, "{trim}");
        let (place, _) = made(TestedKey { trim, ..LARGE }, Division::Parts(2));
        place.adopt().unwrap();
        assert_eq!(layer_bytes(&place), cost.join.written_bytes_adopting, "{trim}");
    }
}

#[test]
fn the_most_parts_of_the_largest_key_are_all_counted() {
    let key = TestedKey {
        scheme: "leansig-p2-l32-top-v64-w8",
        first: 0,
        epochs: 1 << 32,
        trim: 0,
    };
    let plan = plan(key);
    let cost = DivisionCost::of(&plan, Division::Parts(PARTS_MAX)).unwrap();
    assert_eq!(cost.parts, PARTS_MAX);
    let mean = (1 << 32) / PARTS_MAX;
    assert!(cost.part_epochs_min <= mean && mean < cost.part_epochs_max);
    // Whatever the division, each leaf is in one part.
    let one = DivisionCost::of(&plan, Division::Parts(1)).unwrap();
    assert!(cost.parts_bytes > 32 << 32 && one.parts_bytes > 32 << 33);
    assert_eq!(one.part_bytes_max, one.parts_bytes);
    assert_eq!(one.join.written_bytes, cost.join.written_bytes);
    assert_eq!(cost.join.leaves_computed, PARTS_MAX * one.join.leaves_computed);
}

#[test]
fn a_division_that_a_key_cannot_have_costs_nothing_but_an_error() {
    for division in [
        Division::Parts(0),
        Division::Parts(22),
        Division::Epochs(0),
        Division::Epochs(3000),
    ] {
        let error = DivisionCost::of(&plan(LEANVM), division).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Usage, "{division:?}: {error}");
    }
}
