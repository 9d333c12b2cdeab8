//! The shape of keys for arbitrary intervals, against trees built naively in memory.

use std::collections::BTreeSet;

use keymill::plan::{Batches, EpochRange, Geometry, NodeIndex};
use keymill::xmss::scheme::Widening;
use keymill::{Epoch, Level, Plan, Scheme};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use keymill_reference::{fillers_needed, widen};

/// An interval anywhere in a lifetime of 2^h, of any length and alignment.
fn lifetimes_and_intervals() -> impl Strategy<Value = (u8, u64, u64)> {
    (0u8..=8).prop_map(|half| 2 * half).prop_flat_map(|h| {
        let lifetime = 1u64 << h;
        (0..lifetime).prop_flat_map(move |start| (Just(h), Just(start), start + 1..=lifetime))
    })
}

/// The levels of a naive tree: sets of node indices, grown by taking every node's parent.
fn naive_levels(h: u8, start: u64, end: u64) -> Vec<(BTreeSet<u64>, BTreeSet<u64>)> {
    let mut computed: BTreeSet<u64> = (start..end).collect();
    let mut levels = Vec::new();
    for _ in 0..=h {
        let stored: BTreeSet<u64> = computed.iter().flat_map(|&node| [node, node ^ 1]).collect();
        let parents = stored.iter().map(|&node| node / 2).collect();
        levels.push((std::mem::replace(&mut computed, parents), stored));
    }
    levels
}

/// A key of one of the smallest schemes, trimmed to any level that is allowed.
fn trimmed_plans() -> impl Strategy<Value = (Plan, Plan)> {
    (0u64..256).prop_flat_map(|activation| {
        (1..=256 - activation, 0u8..=8).prop_map(move |(epochs, trim)| {
            let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
            let plan = Plan::new(scheme, activation, epochs).unwrap();
            (plan.clone().trimmed(Level(trim)).unwrap(), plan)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_level_holds_the_nodes_of_a_naive_tree((h, start, end) in lifetimes_and_intervals()) {
        let geometry = Geometry::new(h, EpochRange { start, end });
        let levels: Vec<Level> = geometry.levels().iter().map(|span| span.level).collect();
        prop_assert_eq!(levels, (0..=h).map(Level).collect::<Vec<_>>());
        for (span, (computed, stored)) in geometry.levels().iter().zip(naive_levels(h, start, end)) {
            prop_assert_eq!(span.computed.clone().collect::<BTreeSet<_>>(), computed);
            prop_assert_eq!(span.stored.clone().collect::<BTreeSet<_>>(), stored);
            prop_assert_eq!(span.stored_count(), span.stored.end - span.stored.start);
        }
        let fillers: Vec<(u8, u64)> = geometry.fillers().map(|(level, node)| (level.0, node.0)).collect();
        prop_assert_eq!(fillers, fillers_needed(h, start, end));
    }

    #[test]
    fn a_trimmed_key_stores_the_same_levels_from_its_trim_on((trimmed, whole) in trimmed_plans()) {
        let trim = trimmed.trim();
        prop_assert_eq!(trimmed.geometry().levels(), whole.geometry().levels());
        let kept = &whole.geometry().levels()[usize::from(trim.0)..];
        prop_assert_eq!(trimmed.geometry().stored_levels(), kept);
        let bytes: u64 = kept.iter().map(|span| whole.layer_file_bytes(span)).sum();
        prop_assert_eq!(trimmed.layer_bytes(), bytes);
        prop_assert!(trimmed.disk_bytes() >= bytes && trimmed.disk_bytes() <= whole.disk_bytes());
        let levels: Vec<Level> = trimmed.batches().stored_levels().collect();
        prop_assert_eq!(levels, (trim.0..=8).map(Level).collect::<Vec<_>>());
        let nodes = kept.iter().map(|span| 256 >> span.level.0).sum::<usize>();
        prop_assert_eq!(trimmed.batches().stored_nodes_max(), nodes);
        prop_assert!(trimmed.trimmed(Level(9)).is_err());
    }

    #[test]
    fn every_sibling_of_every_path_is_stored((h, start, end) in lifetimes_and_intervals(), pick in any::<u64>()) {
        let geometry = Geometry::new(h, EpochRange { start, end });
        let epoch = start + pick % (end - start);
        let path: Vec<(Level, NodeIndex)> = geometry.path(Epoch(epoch as u32)).collect();
        prop_assert_eq!(path.len(), usize::from(h));
        for (level, node) in path {
            prop_assert!(geometry.level(level).stored.contains(&node.0));
        }
    }

    /// With the crown's own fillers, the slices of all batches are all stored nodes, each once.
    #[test]
    fn batches_own_every_node_below_the_crown_exactly_once((h, start, end) in lifetimes_and_intervals()) {
        let batches = Batches::new(Geometry::new(h, EpochRange { start, end }));
        let mut epochs = Vec::new();
        for batch in batches.all() {
            epochs.extend(batches.epochs(batch).as_range());
        }
        prop_assert!(epochs.into_iter().eq(start..end));
        prop_assert!(batches.levels().eq((0..=h.min(10)).map(Level)));
        for level in batches.levels() {
            let owned = batches.all().flat_map(|batch| batches.slice(batch, level));
            let span = batches.geometry().level(level);
            let expected = if level == batches.root_level() { &span.computed } else { &span.stored };
            prop_assert!(owned.eq(expected.clone()), "level {}", level);
        }
        let nodes_of = |batch| batches.levels().map(|level| batches.slice(batch, level).count()).sum::<usize>();
        prop_assert!(batches.all().all(|batch| nodes_of(batch) <= batches.nodes_max()));
        for (position, batch) in batches.all().enumerate() {
            prop_assert_eq!(batches.position(batch), Some(position));
        }
    }

    #[test]
    fn stored_intervals_are_widened_as_the_plain_rule_says(
        which in 0..Scheme::all().len(), a in any::<u64>(), b in any::<u64>()
    ) {
        let scheme = &Scheme::all()[which];
        let activation = a % scheme.lifetime();
        let epochs = 1 + b % (scheme.lifetime() - activation);
        let plan = Plan::new(scheme, activation, epochs).unwrap();
        let stored = plan.stored();
        let expected = match scheme.family().widening() {
            Widening::ToBottomTrees => widen(scheme.log_lifetime(), activation, epochs),
            Widening::Exact => (activation, activation + epochs),
        };
        prop_assert_eq!((stored.start, stored.end), expected);
        prop_assert!(stored.start <= activation && activation + epochs <= stored.end);
        prop_assert!(stored.end <= scheme.lifetime());
    }
}

#[test]
fn epochs_past_the_lifetime_are_refused_without_overflow() {
    for scheme in Scheme::all() {
        let lifetime = scheme.lifetime();
        assert!(Plan::new(scheme, 0, lifetime).is_ok());
        for (activation, epochs) in [(0, 0), (0, lifetime + 1), (lifetime, 1), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(
                Plan::new(scheme, activation, epochs).is_err(),
                "{} {activation} {epochs}",
                scheme.id()
            );
        }
    }
}
