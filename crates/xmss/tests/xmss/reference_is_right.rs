//! The reference implementation gives the recorded known answers, so it may judge the rest.
//!
//! In release mode on one core all of this takes about half a minute. It covers `steps.json`
//! entirely, and of every line of `keys.jsonl` all that needs no whole tree: the draw from the
//! seed, the recorded leaves, the tree above the bottom roots, and the signatures. The keys that
//! `is_grown_whole` chooses (22 of 34) are also built leaf by leaf. The others (w = 256, and the long
//! ones of 131072 epochs) would take most of half an hour here; keymill's kernels grow them whole in
//! `known_answers`.

use sha3::{Digest, Sha3_256};

use keymill_reference::params::Layout;
use keymill_reference::poseidon::Poseidon;
use keymill_reference::vectors::{self, Key, TopTree};
use keymill_reference::{
    DrawnKey, Filler, Params, Reference, Tree, all_ids, draw_from_seed, fillers_needed, keccak, params,
    poseidon2_classic as classic, secret_key_ssz, widen,
};

/// Epochs of the longest stored interval that is not a matter of minutes.
const SHORT: u64 = 10_000;

fn is_short(key: &Key) -> bool {
    key.stored_end - key.stored_start <= SHORT
}

/// All short keys, but of those with the longest chains only one.
fn is_grown_whole(key: &Key) -> bool {
    let slow = params(&key.scheme).w == 256;
    is_short(key) && (!slow || key.scheme == "hashsig-p2-l18-ts-v20-w256")
}

/// What a line of `keys.jsonl` is called when it disagrees.
fn name(key: &Key) -> String {
    format!("{} [{}, {})", key.scheme, key.stored_start, key.stored_end)
}

/// The siblings in a recorded signature: after the two offsets, rho, and the path's own offset.
fn siblings_in(params: &Params, signature: &[u8]) -> Vec<Vec<u8>> {
    let path = &signature[4 + 4 * params.r + 4 + 4..];
    path.chunks(params.digest_len())
        .take(params.h.into())
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn shake128_is_the_published_function() {
    // The same sponge with SHA-3's rate and suffix, against a published crate.
    let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
    for length in 0..bytes.len() {
        let expected = Sha3_256::digest(&bytes[..length]);
        let sponge = keccak::sponge(136, 0x06, &bytes[..length], 32);
        assert_eq!(sponge, expected.as_slice(), "SHA3-256 of {length} bytes");
    }
    // NIST's answer for the empty message.
    assert_eq!(
        hex::encode(keccak::shake128(b"", 32)),
        "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"
    );
    // The end of a long output of a long input (Python's hashlib).
    assert_eq!(
        hex::encode(&keccak::shake128(&bytes[..200], 400)[368..]),
        "fee6ee2f71a7379d317fde494491ec873fa6be71b2cf3888ff169e5a98c7fa85"
    );
}

#[test]
fn the_specification_lists_the_constants_and_permutations_of_the_reference() {
    let specification = include_str!("../../../../docs/SCHEMES.md");
    let (_, section) = specification.split_once("## Round constants of Poseidon2").unwrap();
    let numbers = |block: &str| -> Vec<u32> { block.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect() };
    let listed: Vec<_> = section.split("```").skip(1).step_by(2).map(numbers).collect();
    let expected = [
        classic::WIDTH_16_EXTERNAL_INITIAL.concat(),
        classic::WIDTH_16_INTERNAL.to_vec(),
        classic::WIDTH_16_EXTERNAL_FINAL.concat(),
        classic::WIDTH_24_EXTERNAL_INITIAL.concat(),
        classic::WIDTH_24_INTERNAL.to_vec(),
        classic::WIDTH_24_EXTERNAL_FINAL.concat(),
    ];
    assert_eq!(listed, expected);

    for (name, layout) in [("Poseidon1", Layout::Devnet4), ("Poseidon2", Layout::Classic)] {
        let poseidon = Poseidon::new(layout);
        let input: Vec<u32> = (0..24).collect();
        for (width, compressed) in [
            (16, poseidon.compress_16(&input[..16], 4)),
            (24, poseidon.compress_24(&input, 4)),
        ] {
            // What compressing adds to the permutation is its input: 0, 1, 2, 3.
            let permuted: Vec<_> = (0..).zip(&compressed).map(|(i, sum)| (sum - i).to_string()).collect();
            let row = format!("| {name}, width {width} | {} |", permuted.join(", "));
            assert!(specification.contains(&row), "docs/SCHEMES.md should have: {row}");
        }
    }
}

#[test]
fn the_table_has_31_rows_that_agree_with_their_identifiers() {
    let ids = all_ids();
    assert_eq!(ids.len(), 31);
    for id in &ids {
        let params = params(id);
        let checksum_chunks = match id.split('-').nth(3) {
            Some("wots") => params.v - params.c,
            _ => 0,
        };
        assert_eq!(params.v, params.c + checksum_chunks, "{id}");
        assert!(params.h.is_multiple_of(2), "{id}");
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id}");
    }
}

#[test]
fn every_recorded_step_is_reproduced() {
    for scheme in vectors::steps() {
        let reference = Reference::new(&scheme.scheme, &scheme.parameter);
        let last = reference.params.v as u64 - 1;
        let end = reference.params.w as u64 - 1;
        let prf_key = &scheme.prf_key;
        for step in &scheme.steps {
            let at = format!("{} epoch {}", scheme.scheme, step.epoch);
            let walk = |chain, to, value: &[u8]| reference.chain_walk(step.epoch, chain, 0, to, value);
            let rho = |attempt| reference.rho(prf_key, step.epoch, &step.message, attempt);
            let codeword = |rho: &[u8]| reference.codeword(step.epoch, &step.message, rho);

            let start_0 = reference.chain_start(prf_key, step.epoch, 0);
            let start_last = reference.chain_start(prf_key, step.epoch, last);
            assert_eq!(start_0, step.chain_start_0, "{at}");
            assert_eq!(start_last, step.chain_start_last, "{at}");
            assert_eq!(walk(0, 1, &start_0), step.chain_0_after_1_step, "{at}");
            assert_eq!(walk(0, end, &start_0), step.chain_end_0, "{at}");
            assert_eq!(walk(last, end, &start_last), step.chain_end_last, "{at}");
            let leaf = reference.leaf(prf_key, step.epoch);
            assert_eq!(leaf, step.leaf, "{at}");
            assert_eq!(
                reference.parent(1, u64::from(step.epoch) / 2, &leaf, &step.chain_end_0),
                step.parent_level1_of_leaf_and_chain_end_0,
                "{at}"
            );

            assert_eq!(rho(0), step.rho_attempt_0, "{at}");
            let any_sum = reference.codeword_of_any_sum(step.epoch, &step.message, &step.rho_attempt_0);
            assert_eq!(any_sum, step.codeword_attempt_0, "{at}");
            for attempt in 0..step.first_good_attempt {
                assert_eq!(codeword(&rho(attempt)), None, "{at} attempt {attempt}");
            }
            assert_eq!(rho(step.first_good_attempt), step.rho, "{at}");
            assert_eq!(codeword(&step.rho).as_ref(), Some(&step.codeword), "{at}");
        }
    }
}

/// The key drawn from the recorded seed over the interval widened from the one asked for; checks
/// all three against what was recorded.
fn drawn(key: &Key) -> (Reference, DrawnKey) {
    let h = params(&key.scheme).h;
    let stored = widen(h, key.activation_epoch, key.num_active_epochs);
    assert_eq!(stored, key.stored(), "{}", name(key));
    let drawn = draw_from_seed(&key.scheme, &key.rng_seed, stored);
    assert!(key.public_key_ssz.ends_with(&drawn.parameter), "{}", name(key));
    if key.secret_fields_are_its_own() {
        assert_eq!(drawn.parameter, key.parameter, "{}", name(key));
        assert_eq!(drawn.prf_key, key.prf_key, "{}", name(key));
    }
    (Reference::new(&key.scheme, &drawn.parameter), drawn)
}

/// What a tree has from half the height up is exactly what was recorded.
fn assert_top_tree(tree: &Tree, recorded: &TopTree, name: &str) {
    let skipped = usize::from(recorded.lowest_layer - tree.lowest_level);
    let layers = &tree.layers[skipped..];
    assert_eq!(layers.len(), recorded.layers.len(), "{name}");
    for (layer, recorded) in layers.iter().zip(&recorded.layers) {
        assert_eq!(layer.0, recorded.start_index, "{name}");
        assert_eq!(layer.1, recorded.nodes, "{name}");
    }
}

/// Every signature verifies, and signing again with the same siblings gives the same bytes.
fn assert_signatures(reference: &Reference, prf_key: &[u8; 32], key: &Key) {
    for recorded in &key.signatures {
        let (epoch, message) = (recorded.epoch, &recorded.message);
        let at = format!("{} epoch {epoch}", name(key));
        let bytes = &recorded.signature_ssz;
        assert!(reference.verify(key.root(), epoch, message, bytes), "{at}");
        let siblings = siblings_in(&reference.params, bytes);
        let again = reference.sign(prf_key, epoch, message, &siblings);
        assert_eq!(&again, bytes, "{at}");
    }
}

/// The recorded leaves and the tree above the bottom roots.
fn assert_leaves_and_top_tree(reference: &Reference, drawn: &DrawnKey, key: &Key) {
    let half = reference.params.h / 2;
    if let Some(first) = &key.first_leaf_hash {
        let leaf = reference.leaf(&drawn.prf_key, key.stored_start as u32);
        assert_eq!(&leaf, first, "{}", name(key));
    }
    if let Some(last) = &key.last_prepared_leaf_hash {
        // Prepared are the first two bottom trees.
        let epoch = key.stored_start + (2 << half) - 1;
        let leaf = reference.leaf(&drawn.prf_key, epoch as u32);
        assert_eq!(&leaf, last, "{}", name(key));
    }
    if let Some(top) = &key.top_tree {
        assert_eq!((top.depth, top.lowest_layer), (reference.params.h, half));
        // The bottom roots without the fillers beside them, which must be drawn.
        let (first, end) = (key.stored_start >> half, key.stored_end >> half);
        let lowest = &top.layers[0];
        let skipped = (first - lowest.start_index) as usize;
        let nodes = lowest.nodes[skipped..][..(end - first) as usize].to_vec();
        assert_eq!(Some(&nodes[0]), key.left_bottom_root.as_ref());
        assert_eq!(Some(&nodes[1]), key.right_bottom_root.as_ref());
        let tree = Tree::build_above(reference, half, first, nodes, &drawn.fillers);
        assert_top_tree(&tree, top, &name(key));
        assert_eq!(tree.root(), key.root(), "{}", name(key));
    }
}

#[test]
fn every_recorded_key_agrees_in_all_that_needs_no_whole_tree() {
    for key in vectors::keys() {
        let (reference, drawn) = drawn(&key);
        if key.secret_fields_are_its_own() {
            assert_leaves_and_top_tree(&reference, &drawn, &key);
        }
        assert_signatures(&reference, &drawn.prf_key, &key);
    }
}

#[test]
fn only_two_recorded_lines_carry_the_secret_fields_of_another() {
    let keys = vectors::keys();
    let validator = |number: usize| {
        let source = format!("hash-zig published public key validator_{number}");
        let found = keys.iter().find(|key| key.source.starts_with(&source));
        found.expect("the lines of hash-zig are there")
    };
    assert!(validator(2).secret_fields_are_its_own());
    for number in [0, 1] {
        assert!(!validator(number).secret_fields_are_its_own());
        assert_eq!(validator(number).prf_key, validator(2).prf_key);
    }
    let others = keys.iter().filter(|key| !key.secret_fields_are_its_own());
    assert_eq!(others.count(), 2);
}

/// From the seed alone to the public key, the secret key and the signatures.
fn assert_grown_whole(key: &Key) {
    let begun = std::time::Instant::now();
    let (reference, drawn) = drawn(key);
    let leaves = (key.stored_start..key.stored_end)
        .map(|epoch| reference.leaf(&drawn.prf_key, epoch as u32))
        .collect();
    let tree = Tree::build(&reference, key.stored_start, leaves, &drawn.fillers);
    let public_key = [tree.root(), drawn.parameter].concat();
    assert_eq!(public_key, key.public_key_ssz, "{}", name(key));
    if let Some(top) = &key.top_tree
        && key.secret_fields_are_its_own()
    {
        assert_top_tree(&tree, top, &name(key));
    }
    let secret_key = secret_key_ssz(&reference, &drawn.prf_key, key.stored(), &tree);
    if let Some(length) = key.secret_key_ssz_len {
        assert_eq!(secret_key.len() as u64, length, "{}", name(key));
    }
    if let Some(recorded) = key.secret_key_ssz() {
        assert!(secret_key == recorded, "{} secret key", name(key));
    }
    for recorded in &key.signatures {
        let (epoch, message) = (recorded.epoch, &recorded.message);
        let siblings = tree.siblings(epoch.into());
        let signature = reference.sign(&drawn.prf_key, epoch, message, &siblings);
        assert_eq!(signature, recorded.signature_ssz, "{} epoch {epoch}", name(key));
        assert!(reference.verify(&tree.root(), epoch, message, &signature));
    }
    println!("{}: {:.1?}", name(key), begun.elapsed());
}

fn grow_whole(which: impl Fn(&Key) -> bool) {
    let mut keys = vectors::keys();
    keys.retain(which);
    assert_eq!(keys.len(), 22);
    keys.iter().for_each(assert_grown_whole);
}

#[test]
fn chosen_short_keys_are_reproduced_whole_from_their_seeds() {
    grow_whole(is_grown_whole);
}

#[test]
fn widened_intervals_need_fillers_only_from_half_the_height_and_at_the_root() {
    for h in [8, 18, 20, 32] {
        let (lifetime, step) = (1u64 << h, 1u64 << (h / 2));
        for activation in [0, 1, step - 1, step, 5 * step + 3, lifetime / 2, lifetime - 1] {
            for epochs in [1, step, step + 1, 3 * step, lifetime - activation] {
                let epochs = epochs.min(lifetime - activation);
                let (start, end) = widen(h, activation, epochs);
                assert!(start <= activation && activation + epochs <= end && end <= lifetime);
                assert!(start.is_multiple_of(step) && end.is_multiple_of(step));
                assert!(end - start >= 2 * step);
                assert!(end - start <= (epochs + 2 * step).max(2 * step));
                let needed = fillers_needed(h, start, end);
                assert!(needed.iter().all(|&(level, _)| level >= h / 2));
                assert_eq!(needed.last(), Some(&(h, 1)));
            }
        }
    }
}

#[test]
fn trees_over_any_interval_sign_for_all_their_epochs() {
    let key = &vectors::keys()[0];
    assert_eq!(key.scheme, "leansig-p1-l8-abort-v4-w8");
    let (reference, drawn) = drawn(key);
    for (start, end) in [(0, 1), (255, 256), (5, 10), (7, 8), (101, 104), (0, 256)] {
        // Any digests will do as fillers.
        let fillers: Vec<Filler> = fillers_needed(8, start, end)
            .into_iter()
            .map(|(level, index)| (level, index, vec![level; 32]))
            .collect();
        for pair in fillers.windows(2) {
            assert!((pair[0].0, pair[0].1) < (pair[1].0, pair[1].1));
        }
        let leaf = |epoch: u64| reference.leaf(&drawn.prf_key, epoch as u32);
        let leaves = (start..end).map(leaf).collect();
        let tree = Tree::build(&reference, start, leaves, &fillers);
        let in_layers: usize = tree.layers.iter().map(|layer| layer.1.len()).sum();
        let nodes: u64 = (0..=8).map(|l| ((end - 1) >> l) - (start >> l) + 1).sum();
        assert_eq!(in_layers as u64, nodes + fillers.len() as u64);
        for (level, index, digest) in &fillers {
            assert_eq!(&tree.node(*level, *index), digest);
        }
        for epoch in start..end {
            let (epoch, message) = (epoch as u32, &[epoch as u8; 32]);
            let siblings = tree.siblings(epoch.into());
            let signature = reference.sign(&drawn.prf_key, epoch, message, &siblings);
            assert!(reference.verify(&tree.root(), epoch, message, &signature));
        }
    }
}

#[test]
fn verification_rejects_whatever_is_not_the_signature() {
    let mut schemes_seen = Vec::new();
    for key in vectors::keys() {
        if schemes_seen.contains(&key.scheme) {
            continue;
        }
        schemes_seen.push(key.scheme.clone());
        let reference = Reference::new(&key.scheme, &key.parameter);
        let recorded = &key.signatures[0];
        let (root, epoch, message) = (key.root(), recorded.epoch, &recorded.message);
        let good = &recorded.signature_ssz;
        let verify = |bytes: &[u8]| reference.verify(root, epoch, message, bytes);
        assert!(verify(good), "{}", name(&key));

        for at in (0..good.len()).step_by(61).chain([good.len() - 1]) {
            let mut altered = good.clone();
            // Each bit in its turn: 61 is odd.
            altered[at] ^= 1 << (at % 8);
            assert!(!verify(&altered), "{} byte {at}", name(&key));
            // The highest byte of an element: not canonical any more.
            altered[at / 4 * 4 + 3] = 0xff;
            assert!(!verify(&altered), "{} element {}", name(&key), at / 4);
        }
        for length in [0, 1, 4, 40, good.len() - 4, good.len() - 1] {
            assert!(!verify(&good[..length]), "{} length {length}", name(&key));
        }
        assert!(!verify(&[good.as_slice(), &[0; 4]].concat()));
        assert!(!reference.verify(root, epoch ^ 1, message, good));
        assert!(!reference.verify(root, epoch, &[0; 32], good));
        assert!(!reference.verify(&root[1..], epoch, message, good));
        assert!(!reference.verify(&[], epoch, message, good));
        if reference.params.h < 32 {
            let beyond = reference.params.lifetime() as u32 + epoch;
            assert!(!reference.verify(root, beyond, message, good));
        }
    }
}
