//! Keys of sets that have one-time keys in common, although their public keys differ: an epoch that one of them signs is spent
//! for the other, and none of them knows what the other one signs.

use keymill_xmss::hash::{OneTimeKeys, Shared};

/// What keys are known by, without their secrets: 72 bytes of each.
#[derive(Default)]
pub(super) struct SeenKeys(Vec<(OneTimeKeys, usize)>);

/// Two keys that have something in common, by their places; the first one stands for all before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedPair {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) shared: Shared,
}

impl SeenKeys {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self(Vec::with_capacity(keys))
    }

    /// Takes note of the key in this place.
    pub(super) fn add(&mut self, place: usize, keys: OneTimeKeys) {
        self.0.push((keys, place));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Every key that has something in common with one before it, in the order of the keys.
    pub(super) fn pairs(mut self) -> Vec<SharedPair> {
        // Those of one PRF key come to stand together, those of one parameter among them, each by its place.
        self.0.sort_unstable();
        let mut pairs = Vec::new();
        for of_prf_key in self.0.chunk_by(|(one, _), (other, _)| one.shared_with(other).is_some()) {
            let earliest = of_prf_key.iter().map(|(_, place)| *place).min().unwrap_or_default();
            for same in of_prf_key.chunk_by(|(one, _), (other, _)| one == other) {
                let mut places = same.iter().map(|(_, place)| *place);
                let Some(first) = places.next() else { continue };
                pairs.extend((first != earliest).then_some((earliest, first, Shared::PrfKey)));
                pairs.extend(places.map(|second| (first, second, Shared::OneTimeKeys)));
            }
        }
        pairs.sort_unstable_by_key(|&(first, second, _)| (second, first));
        let pair = |(first, second, shared)| SharedPair { first, second, shared };
        pairs.into_iter().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymill_xmss::hash::PrfKey;
    use keymill_xmss::scheme::Parameter;

    fn pairs(keys: &[(u8, u8)]) -> Vec<(usize, usize, Shared)> {
        let mut seen = SeenKeys::with_capacity(keys.len());
        for (place, &(prf_key, parameter)) in keys.iter().enumerate().rev() {
            seen.add(
                place,
                OneTimeKeys::of(&PrfKey::new([prf_key; 32]), &Parameter::of(&[parameter; 20])),
            );
        }
        let pairs = seen.pairs().into_iter();
        pairs.map(|pair| (pair.first, pair.second, pair.shared)).collect()
    }

    #[test]
    fn every_key_is_paired_with_the_first_one_that_has_its_one_time_keys_or_else_its_prf_key() {
        use Shared::{OneTimeKeys, PrfKey};
        assert_eq!(pairs(&[(1, 1), (2, 1), (3, 1)]), []);
        assert_eq!(pairs(&[(1, 1), (2, 1), (1, 1)]), [(0, 2, OneTimeKeys)]);
        assert_eq!(pairs(&[(1, 1), (1, 2)]), [(0, 1, PrfKey)]);
        assert_eq!(
            pairs(&[(9, 0), (1, 2), (1, 1), (9, 0), (1, 2), (1, 1), (9, 0)]),
            [
                (1, 2, PrfKey),
                (0, 3, OneTimeKeys),
                (1, 4, OneTimeKeys),
                (2, 5, OneTimeKeys),
                (0, 6, OneTimeKeys)
            ]
        );
    }

    #[test]
    fn a_hundred_thousand_keys_are_compared_in_an_instant_also_if_all_are_the_same() {
        let mut seen = SeenKeys::default();
        let keys = OneTimeKeys::of(&PrfKey::new([1; 32]), &Parameter::of(&[1; 20]));
        (0..100_000).for_each(|place| seen.add(place, keys));
        assert_eq!(std::mem::size_of_val(&seen.0[0]), 72);
        assert_eq!(seen.pairs().len(), 99_999);
    }
}
