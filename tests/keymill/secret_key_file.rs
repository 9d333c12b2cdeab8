//! The trees in SSZ secret keys that another program wrote.

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

pub fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The layers of the three trees in an SSZ secret key as leanSig writes it: level, first index, digests.
pub fn tree_layers_in_secret_key(ssz: &[u8]) -> Vec<(u8, u64, &[u8])> {
    // PRF key 32, parameter 20, interval 16, offset of the top tree, index of the left tree, two more offsets.
    let (top, left, right) = (word(ssz, 68), word(ssz, 80), word(ssz, 84));
    assert_eq!(top, 88);
    let trees = [&ssz[top..left], &ssz[left..right], &ssz[right..]];
    trees.into_iter().flat_map(tree_layers).collect()
}

fn tree_layers(tree: &[u8]) -> Vec<(u8, u64, &[u8])> {
    let lowest = long(tree, 8) as u8;
    let list = &tree[word(tree, 16)..];
    let count = word(list, 0) / 4;
    let offset = |i: usize| if i < count { word(list, 4 * i) } else { list.len() };
    let layer = |i: usize| &list[offset(i)..offset(i + 1)];
    (0..count)
        .map(|i| (lowest + i as u8, long(layer(i), 0), &layer(i)[word(layer(i), 8)..]))
        .collect()
}
