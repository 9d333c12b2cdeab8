//! Chains walked in part, a chain a lane: what is revealed of an epoch, and what revealed values lead to.

use p3_field::PrimeCharacteristicRing;

use super::PRIME;
use super::chain::ChainStep;
use super::field::{F, WIDTH};
use super::lanes::{Lanes, canonical_lanes, from_canonical_lanes, transposed, tweak_lanes};
use super::layout::Layout;
use crate::poseidon::PARAMETER_ELEMENTS;
use crate::poseidon::tweak::{CHAIN_INDEX_STRIDE, CHAIN_POSITION_STRIDE, chain_base};
use crate::units::Epoch;

/// A chain's value, and how far it is to go.
pub(super) struct Walk<const N: usize> {
    /// Canonical elements.
    value: [u32; N],
    /// Tweak of the first step.
    tweak: u64,
    steps: u16,
}

impl<const N: usize> Walk<N> {
    /// From position `from` of a chain, where it has this value, to position `to`.
    pub(super) fn new(epoch: Epoch, chain: usize, from: u16, to: u16, value: [u32; N]) -> Self {
        let first = u64::from(from) + 1;
        Self {
            value,
            tweak: chain_base(epoch) + chain as u64 * CHAIN_INDEX_STRIDE + first * CHAIN_POSITION_STRIDE,
            steps: to.saturating_sub(from),
        }
    }

    /// The value at the place that was reached.
    pub(super) fn value(&self) -> &[u32; N] {
        &self.value
    }

    /// Tweak of the step before which this many are left.
    fn tweak(&self, left: u16) -> u64 {
        self.tweak + u64::from(self.steps - left) * CHAIN_POSITION_STRIDE
    }
}

/// Takes all walks to their ends. `parameter(walk)` is the public parameter of that walk.
///
/// The longest go first, side by side, so that lanes that are together have about the same way to go.
pub(super) fn walk_all<L: Layout, const N: usize>(
    permutation: &L::Width16,
    parameter: impl Fn(usize) -> [F; PARAMETER_ELEMENTS],
    walks: &mut [Walk<N>],
) {
    let mut order: Vec<(u16, u32)> = (0..).zip(&*walks).map(|(index, walk)| (walk.steps, index)).collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    for pack in order.chunks(WIDTH) {
        let parameters = transposed(|lane| parameter(pack[lane.min(pack.len() - 1)].1 as usize));
        walk_pack(&ChainStep::<L, N>::new(permutation, &parameters), pack, walks);
    }
}

/// Takes a pack of walks, longest first, to their ends. All arrive with the last step: a lane is handed its value when no
/// more steps are left than it has to take, and what it computed before is not used.
fn walk_pack<L: Layout, const N: usize>(step: &ChainStep<'_, L, N>, pack: &[(u16, u32)], walks: &mut [Walk<N>]) {
    let mut values = [L::Lanes::ZERO; N];
    let mut tweaks = Tweaks::new(0, |_| 0);
    let mut walking = 0;
    for left in (1..=pack[0].0).rev() {
        let with_joining = pack.iter().take_while(|(steps, _)| *steps >= left).count();
        if with_joining > walking {
            let mut words = canonical_lanes(&values);
            for (word, &(_, index)) in words[..with_joining].iter_mut().zip(pack).skip(walking) {
                *word = walks[index as usize].value;
            }
            values = from_canonical_lanes(|lane| words[lane]);
            let joined = &pack[..with_joining];
            tweaks = Tweaks::new(left, |lane| {
                joined
                    .get(lane)
                    .map_or(0, |&(_, index)| walks[index as usize].tweak(left))
            });
            walking = with_joining;
        }
        step.take([tweaks.low, tweaks.high], &mut values);
        tweaks.advance(left);
    }
    let words = canonical_lanes(&values);
    for (word, &(_, index)) in words.iter().zip(&pack[..walking]) {
        walks[index as usize].value = *word;
    }
}

/// The tweaks of the step that comes next, a chain a lane.
///
/// Within a chain a tweak grows by less than 2^16 < p, so its low digit wraps at most once. Low digits are therefore had
/// by adding field elements, and high digits by remembering when they grow.
struct Tweaks<A> {
    low: A,
    high: A,
    /// How many steps are left when a lane's high digit grows; 0 if it does not.
    grows_at: [u16; WIDTH],
    any_grows: bool,
}

impl<A: Lanes> Tweaks<A> {
    /// `tweak(lane)` is that of the next step, before which `left` steps are left to all lanes.
    fn new(left: u16, tweak: impl Fn(usize) -> u64) -> Self {
        let [low, high] = tweak_lanes(&tweak);
        let grows_at = std::array::from_fn(|lane| {
            let room = u64::from(PRIME) - tweak(lane) % u64::from(PRIME);
            let steps = room.div_ceil(CHAIN_POSITION_STRIDE);
            u64::from(left).saturating_sub(steps) as u16
        });
        Self {
            low,
            high,
            any_grows: grows_at != [0; WIDTH],
            grows_at,
        }
    }

    /// Goes on by one step, before which `left` steps were left.
    #[inline(always)]
    fn advance(&mut self, left: u16) {
        self.low = self.low.plus(A::broadcast(F::new(CHAIN_POSITION_STRIDE as u32)));
        if self.any_grows {
            let grown = A::from_fn(|lane| F::from_bool(self.grows_at[lane] == left - 1));
            self.high = self.high.plus(grown);
        }
    }
}
