//! Leaves of epochs that do not follow each other.

use keymill_xmss::arena::Arena;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::Scheme;
use keymill_xmss::units::Epoch;

#[test]
fn the_leaves_of_any_epochs_are_those_of_each_alone_however_many_there_are() {
    let schemes = [
        "leansig-p1-l8-abort-v4-w8",
        "leansig-p2-l18-top-v64-w8",
        "leanvm-blake2s-l32-ts-v42-w8",
        "leanvm-blake2s-l32-ts-v42-w8-b0",
    ];
    for id in schemes {
        let scheme = Scheme::by_id(id).unwrap();
        let drawn = scheme.draw(&[9; 32], &[]);
        let kernel = scheme.kernel(&drawn.parameter);
        let prf_key: &PrfKey = &drawn.prf_key;
        let mut arena = Arena::new(scheme.scratch_bytes());
        let bytes = scheme.digest_bytes();
        let most = 2 * kernel.lanes() + 3;
        // Any order, some of them twice, both ends of the lifetime.
        let epoch = |i: usize| Epoch(((i as u64 * 0x9e37_79b9 + 7) % scheme.lifetime()) as u32);
        let mut epochs: Vec<Epoch> = (0..most).map(epoch).collect();
        epochs[most / 2] = Epoch((scheme.lifetime() - 1) as u32);
        epochs[most / 3] = epochs[0];
        let mut alone = vec![0; most * bytes];
        for (epoch, leaf) in epochs.iter().zip(alone.chunks_exact_mut(bytes)) {
            kernel.leaves(prf_key, *epoch, leaf, &arena).unwrap();
            arena.reset();
        }
        for count in 0..=most {
            let mut leaves = vec![0; count * bytes];
            kernel
                .leaves_at(prf_key, &epochs[..count], &mut leaves, &arena)
                .unwrap();
            arena.reset();
            assert_eq!(leaves, alone[..count * bytes], "{id}, {count} epochs");
        }
    }
}
