//! SHAKE128 (FIPS 202), which the pseudorandom function is made of.

/// Bytes of the state that a permutation call takes in or gives out in SHAKE128.
const SHAKE128_RATE: usize = 168;
/// The bits 1111 that tell SHAKE from SHA-3, and the first bit of the padding.
const SHAKE_SUFFIX: u8 = 0x1f;

/// What the step iota adds in each round (FIPS 202, 3.2.5).
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// SHAKE128 of `input`, the first `length` bytes.
pub fn shake128(input: &[u8], length: usize) -> Vec<u8> {
    sponge(SHAKE128_RATE, SHAKE_SUFFIX, input, length)
}

/// The sponge with the padding 10*1 (FIPS 202, 4 and 5.1). Also SHA-3, with another rate and
/// suffix, which is how it is checked against a published crate.
pub fn sponge(rate: usize, suffix: u8, input: &[u8], length: usize) -> Vec<u8> {
    let mut padded = input.to_vec();
    padded.push(suffix);
    padded.resize(padded.len().next_multiple_of(rate), 0);
    *padded.last_mut().expect("at least the suffix") |= 0x80;

    let mut state = [0u64; 25];
    for block in padded.chunks(rate) {
        for (lane, bytes) in state.iter_mut().zip(block.chunks(8)) {
            *lane ^= u64::from_le_bytes(bytes.try_into().expect("the rate is whole lanes"));
        }
        permute(&mut state);
    }
    let mut output = Vec::new();
    while output.len() < length {
        if !output.is_empty() {
            permute(&mut state);
        }
        output.extend(state.iter().flat_map(|lane| lane.to_le_bytes()).take(rate));
    }
    output.truncate(length);
    output
}

/// Keccak-f[1600]; lane (x, y) is at x + 5y (FIPS 202, 3.2 and 3.3).
fn permute(state: &mut [u64; 25]) {
    for constant in ROUND_CONSTANTS {
        theta(state);
        rho_and_pi(state);
        chi(state);
        state[0] ^= constant;
    }
}

fn theta(state: &mut [u64; 25]) {
    let column: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |parity, y| parity ^ state[x + 5 * y]));
    for (i, lane) in state.iter_mut().enumerate() {
        let x = i % 5;
        *lane ^= column[(x + 4) % 5] ^ column[(x + 1) % 5].rotate_left(1);
    }
}

/// Both steps visit the lanes along the same walk from (1, 0): step t rotates by
/// (t + 1)(t + 2) / 2 and moves lane (x, y) to (y, 2x + 3y).
fn rho_and_pi(state: &mut [u64; 25]) {
    let (mut x, mut y) = (1, 0);
    let mut moving = state[x + 5 * y];
    for t in 0..24u32 {
        let rotated = moving.rotate_left(((t + 1) * (t + 2) / 2) % 64);
        (x, y) = (y, (2 * x + 3 * y) % 5);
        moving = std::mem::replace(&mut state[x + 5 * y], rotated);
    }
}

fn chi(state: &mut [u64; 25]) {
    for row in state.chunks_mut(5) {
        let old: [u64; 5] = std::array::from_fn(|x| row[x]);
        for x in 0..5 {
            row[x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
        }
    }
}
