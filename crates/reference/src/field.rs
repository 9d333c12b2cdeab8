//! Field elements, their bytes, and numbers written in base p.
//!
//! Everywhere outside the permutations an element is its canonical value, a u32 below p.

use ruint::Uint;

/// KoalaBear (docs/SCHEMES.md, "Field elements").
pub const P: u64 = (1 << 31) - (1 << 24) + 1;

/// Wide enough for the largest number anywhere: 15 elements of 31 bits.
pub type Integer = Uint<512, 8>;

/// Little-endian canonical u32 each (docs/SCHEMES.md, "Field elements").
pub fn to_bytes(elements: &[u32]) -> Vec<u8> {
    elements.iter().flat_map(|e| e.to_le_bytes()).collect()
}

/// None if the bytes are not exactly `count` elements or one of them is not canonical.
pub fn from_bytes(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    if bytes.len() != 4 * count {
        return None;
    }
    bytes
        .chunks(4)
        .map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")))
        .map(|value| (u64::from(value) < P).then_some(value))
        .collect()
}

/// The `count` lowest digits of a number, lowest first; higher ones are left out.
pub fn low_first_digits(mut number: Integer, base: u64, count: usize) -> Vec<u64> {
    let base = Integer::from(base);
    let mut digits = Vec::with_capacity(count);
    for _ in 0..count {
        digits.push((number % base).to::<u64>());
        number /= base;
    }
    digits
}

/// The `count` lowest base-p digits, lowest first, as field elements.
pub fn low_first_elements(number: Integer, count: usize) -> Vec<u32> {
    let digits = low_first_digits(number, P, count);
    digits.into_iter().map(|digit| digit as u32).collect()
}

/// Elements read as a base-p number, the first one most significant.
pub fn big_endian_number(elements: &[u32]) -> Integer {
    let mut number = Integer::ZERO;
    for &element in elements {
        number = number * Integer::from(P) + Integer::from(element);
    }
    number
}

/// Each 16 bytes, read big-endian and reduced mod p (docs/SCHEMES.md, "Pseudorandom function").
pub fn reduce_each_16_bytes(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks(16)
        .map(|sixteen| u128::from_be_bytes(sixteen.try_into().expect("sixteen bytes")))
        .map(|wide| (wide % u128::from(P)) as u32)
        .collect()
}

/// The canonical value of the element whose Montgomery form is `form`: form * 2^-32 mod p.
pub fn from_montgomery(form: u32) -> u32 {
    let mut value = u64::from(form);
    for _ in 0..32 {
        // Halving mod p: an odd value becomes even by adding p, which is odd.
        value = if value.is_multiple_of(2) {
            value / 2
        } else {
            (value + P) / 2
        };
    }
    value as u32
}
