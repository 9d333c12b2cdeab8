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
        let order = longest_first(walks, self.last_position());
        for pack in order.chunks(V::WIDTH) {
            // Spare lanes repeat the last walk.
            let one = |lane: usize| pack[lane.min(pack.len() - 1)] as usize;
            let parameters = transposed(|lane| parameter(one(lane)));
            let hashes = Indexed::new::<D::Tweak>(&parameters, V::from_fn(|lane| walks[one(lane)].epoch));
            let ended = by_lane(&self.walk_pack(&hashes, |lane| &walks[one(lane)]));
            for (value, &index) in ended.iter().zip(pack) {
                walks[index as usize].value = *value;
            }
        }
    }

    /// The ends of a pack of walks, longest first. All arrive with the last step: a lane is handed its value when no more
    /// steps are left than it has to take, and what it computed before is nobody's.
    #[inline(always)]
    fn walk_pack<'a>(&self, hashes: &Indexed<V>, walk: impl Fn(usize) -> &'a Walk) -> Digest<V> {
        let ends = V::from_fn(|lane| walk(lane).end);
        let first_values: Digest<V> = transposed(|lane| walk(lane).value);
        let mut values = first_values;
        let mut walking = 0;
        for left in (1..=walk(0).steps).rev() {
            if walking < V::WIDTH && walk(walking).steps == left {
                let before = walking;
                while walking < V::WIDTH && walk(walking).steps == left {
                    walking += 1;
                }
                let kept = V::from_fn(|lane| if lane < before { u32::MAX } else { 0 });
                values = std::array::from_fn(|word| first_values[word] ^ ((first_values[word] ^ values[word]) & kept));
            }
            let place = ends + V::splat(left.wrapping_neg());
            values = hashes.of_value::<D::Tweak>(self.types.chain, place, &values);
        }
        values
    }
}

/// The indices of the walks that have a step to take, the longest walks first.
fn longest_first(walks: &[Walk], most: u32) -> Vec<u32> {
    let mut counts = vec![0; most as usize + 1];
    for walk in walks {
        counts[walk.steps as usize] += 1;
    }
    let mut places = vec![0; counts.len()];
    for steps in (1..counts.len()).rev() {
        places[steps - 1] = places[steps] + counts[steps];
    }
    // Those without a step have their places behind all others.
    let moving = places[0];
    let mut order = vec![0; walks.len()];
    for (walk, index) in walks.iter().zip(0..) {
        let place = &mut places[walk.steps as usize];
        order[*place] = index;
        *place += 1;
    }
    order.truncate(moving);
    order
}
