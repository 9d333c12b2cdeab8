//! Chains walked in part, a chain a lane: what is revealed of an epoch, and what revealed values lead to.

use super::derivation::{Derivation, Digest};
use super::lanes::{Lanes, by_lane, transposed};
use super::tweak::Indexed;
use super::xmss::Xmss;

/// A chain's value, and how far it is to go.
pub(super) struct Walk {
    pub(super) value: Digest<u32>,
    epoch: u32,
    /// The place behind the last step.
    end: u32,
    steps: u32,
}

impl<V: Lanes, D: Derivation> Xmss<V, D> {
    /// From position `from` of a chain, where it has this value, to position `to`.
    pub(super) fn walk(&self, epoch: u32, chain: usize, from: u32, to: u32, value: Digest<u32>) -> Walk {
        Walk {
            value,
            epoch,
            end: self.first_place(chain) + to,
            steps: to.saturating_sub(from),
        }
    }

    /// Takes all walks to their ends. `parameter(walk)` is the public parameter of that walk.
    ///
    /// The longest go first, side by side, so that lanes that are together have about the same way to go.
    pub(super) fn walk_all(&self, parameter: impl Fn(usize) -> Digest<u32>, walks: &mut [Walk]) {
        let mut order: Vec<(u32, usize)> = walks.iter().zip(0..).map(|(walk, index)| (walk.steps, index)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        for pack in order.chunks(V::WIDTH) {
            let one = |lane: usize| pack[lane.min(pack.len() - 1)].1;
            let parameters = transposed(|lane| parameter(one(lane)));
            let hashes = Indexed::new::<D::Tweak>(&parameters, V::from_fn(|lane| walks[one(lane)].epoch));
            self.walk_pack(&hashes, pack, walks);
        }
    }

    /// Takes a pack of walks, longest first, to their ends. All arrive with the last step: a lane is handed its value when no
    /// more steps are left than it has to take, and what it computed before is nobody's.
    fn walk_pack(&self, hashes: &Indexed<V>, pack: &[(u32, usize)], walks: &mut [Walk]) {
        let ends = V::from_fn(|lane| pack.get(lane).map_or(0, |&(_, index)| walks[index].end));
        let mut values = [V::splat(0); 4];
        let mut walking = 0;
        for left in (1..=pack[0].0).rev() {
            let with_joining = pack.iter().take_while(|(steps, _)| *steps >= left).count();
            if with_joining > walking {
                let mut words = by_lane(&values);
                for (word, &(_, index)) in words[..with_joining].iter_mut().zip(pack).skip(walking) {
                    *word = walks[index].value;
                }
                values = transposed(|lane| words[lane]);
                walking = with_joining;
            }
            let place = ends + V::splat(left.wrapping_neg());
            values = hashes.of_value::<D::Tweak>(self.types.chain, place, &values);
        }
        for (word, &(_, index)) in by_lane(&values).iter().zip(&pack[..walking]) {
            walks[index].value = *word;
        }
    }
}
