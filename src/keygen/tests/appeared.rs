//! A key that appears between the moment in which a keygen finds none and the one in which it has the lock.

use std::fs::{File, create_dir, rename};

use super::{POSEIDON, finished, in_memory, layers};
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keydir::Secret;
use crate::keygen::{JobOptions, KeyDefaults, KeyRequest, KeygenJob};
use crate::layers::Disk;
use crate::plan::MemoryRequest;
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

#[test]
fn a_key_that_is_finished_while_another_keygen_goes_for_its_lock_is_not_overwritten() {
    let place = in_memory();
    let [made, key] = ["made", "key"].map(|name| place.path().join(name));
    POSEIDON.run_quick(&made, Box::new(Disk::default())).unwrap();
    let expected = (finished(&made), layers(&made));
    create_dir(&key).unwrap();
    let lock = File::create(key.join("LOCK")).unwrap();
    lock.lock().unwrap();
    let mut holder = Some(lock);
    let (from, to) = (made.clone(), key.clone());
    let faults = Faults::below(&key, move |call, _| {
        // As whoever holds the lock would have made it.
        if call == "flock"
            && let Some(lock) = holder.take()
        {
            for name in ["secret", "state", "layers", "ledger.mark", "manifest.toml"] {
                rename(from.join(name), to.join(name)).unwrap();
            }
            lock.unlock().unwrap();
        }
        Fate::Pass
    });
    let request = KeyRequest {
        secret: Some(Secret::Seed([7; 32])),
        ..KeyRequest::default()
    };
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p2-l18-top-v64-w8").unwrap(),
        epochs: 1024,
        trim: Level(0),
    };
    let options = JobOptions::DEFAULT
        .threads(1)
        .group_batches(1)
        .memory(MemoryRequest::NoLimit);
    let refused = KeygenJob::builder(&key)
        .request(request)
        .defaults(defaults)
        .options(options)
        .open()
        .err();
    let seen = faults.seen();
    drop(faults);
    assert_eq!(refused.map(|error| error.reason()), Some(Reason::OtherKey));
    assert!(seen.iter().any(|seen| seen.call == "flock"), "{seen:?}");
    assert!((finished(&key), layers(&key)) == expected);
}
