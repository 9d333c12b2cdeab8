use std::path::Path;

use super::*;
use crate::keydir::{Stage, commitment};
use crate::units::{KeyId, Level};
use keymill_xmss::scheme::Scheme;

const SEED: Secret = Secret::Seed([1; 32]);
const OTHER_SEED: Secret = Secret::Seed([2; 32]);

fn scheme() -> &'static Scheme {
    Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap()
}

fn defaults() -> KeyDefaults {
    KeyDefaults {
        scheme: scheme(),
        epochs: 256,
        trim: Level(0),
    }
}

/// The key that the seed makes.
fn begun(origin: Origin) -> Manifest {
    let plan = Plan::new(scheme(), 0, 256).unwrap();
    let drawn = SEED.draw(&plan, &Default::default());
    let bound = commitment(&drawn.prf_key);
    Manifest::begin(plan, drawn.parameter, bound, origin, drawn.fillers)
}

fn sealed(origin: Origin) -> Manifest {
    begun(origin).sealed(vec![7; 32])
}

fn nothing(secret: Option<(Secret, Origin)>) -> Present {
    Present {
        secret,
        ..Present::default()
    }
}

fn key(manifest: Manifest) -> Present {
    Present {
        manifest: Some(manifest),
        ..Present::default()
    }
}

fn key_with(manifest: Manifest, secret: Option<Secret>, is_unused: bool) -> Present {
    Present {
        secret: secret.map(|secret| (secret, manifest.origin())),
        is_unused,
        ..key(manifest)
    }
}

fn silent() -> KeyRequest {
    KeyRequest::default()
}

fn of(secret: Secret) -> KeyRequest {
    KeyRequest {
        secret: Some(secret),
        ..silent()
    }
}

/// A key that comes from a backup.
fn restored(secret: Secret, origin: Origin) -> KeyRequest {
    KeyRequest {
        restored: Some(origin),
        ..of(secret)
    }
}

/// A key of the file of another program.
fn with_root(root: Vec<u8>) -> KeyRequest {
    KeyRequest {
        root: Some(root),
        ..of(SEED)
    }
}

/// What is decided, in a few words.
fn decided(request: &KeyRequest, found: Present) -> String {
    let changed = |change: &Change| match change {
        Change::Nothing => "",
        Change::TakeBack => ", vouches no more",
        Change::Secret { is_unused: false, .. } => ", secret put back",
        Change::Secret { is_unused: true, .. } => ", secret put back, vouches no more",
    };
    match resolve(request, Some(&defaults()), Path::new("key"), found) {
        Ok(Decision::Begin { secret, is_found, .. }) => match (secret, is_found) {
            (None, false) => "begin of a fresh secret".to_owned(),
            (Some((_, origin)), false) => format!("begin of the given {origin}"),
            (Some((_, origin)), true) => format!("begin of the {origin} that was found"),
            (None, true) => "a secret that was found is lost".to_owned(),
        },
        Ok(Decision::Resume { manifest, change }) => {
            let expects = manifest.expected_root().map_or("", |_| " to a root");
            format!("resume{expects}{}", changed(&change))
        }
        Ok(Decision::Sealed { change, .. }) => format!("sealed{}", changed(&change)),
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn a_request_and_what_is_in_the_directory_decide_what_is_done() {
    use Origin::{Fresh, PrfKey, Seed};

    let root = vec![7; 32];
    let other_root = vec![8; 32];
    let trimmed = KeyRequest {
        trim: Some(Level(2)),
        ..silent()
    };
    let longer = KeyRequest {
        epochs: Some(512),
        ..silent()
    };
    let prf_key = Secret::PrfKey([3; 32]);
    #[rustfmt::skip]
    let cases = [
        // No key.
        (silent(), nothing(None), "begin of a fresh secret"),
        (of(SEED), nothing(None), "begin of the given seed"),
        (of(prf_key.clone()), nothing(None), "refused: needs its public parameter"),
        (longer.clone(), nothing(None), "refused: lifetime"),
        (with_root(vec![0xff; 32]), nothing(None), "refused: not a digest"),
        (silent(), nothing(Some((SEED, Fresh))), "begin of the fresh that was found"),
        (silent(), nothing(Some((prf_key, PrfKey))), "refused: needs its public parameter"),
        (of(SEED), nothing(Some((SEED, Seed))), "begin of the given seed"),
        (of(OTHER_SEED), nothing(Some((SEED, Seed))), "refused: 'key/secret' is in the way"),
        // A key that is not finished.
        (silent(), key(begun(Fresh)), "resume"),
        (of(SEED), key(begun(Seed)), "resume"),
        (of(SEED), key(begun(Fresh)), "resume, vouches no more"),
        (of(OTHER_SEED), key(begun(Seed)), "refused: another secret"),
        (trimmed.clone(), key(begun(Seed)), "refused: asks for the trim 2"),
        (longer, key(begun(Seed)), "refused: asks for 512 epochs"),
        (with_root(root.clone()), key_with(begun(Fresh), Some(SEED), true), "refused: the key has not signed"),
        (with_root(root.clone()), key_with(begun(Seed), Some(SEED), false), "resume to a root, vouches no more"),
        (with_root(root.clone()), key_with(begun(Seed), None, false), "resume to a root, secret put back"),
        (with_root(root.clone()), key_with(begun(Seed), Some(OTHER_SEED), false), "refused: 'key/secret' does not belong to this key"),
        (with_root(other_root.clone()), key_with(begun(Seed).expecting(Some(root.clone())), None, false), "refused: has to have the root"),
        (restored(SEED, Fresh), key_with(begun(Fresh), None, true), "resume, secret put back, vouches no more"),
        (restored(SEED, Seed), key_with(begun(Seed), Some(SEED), false), "resume"),
        // A key that is finished.
        (silent(), key(sealed(Fresh)), "sealed"),
        (of(SEED), key(sealed(Fresh)), "sealed, vouches no more"),
        (of(SEED), key(sealed(Seed)), "sealed"),
        (trimmed, key(sealed(Seed)), "refused: asks for the trim 2"),
        (with_root(root.clone()), key_with(sealed(Seed), Some(SEED), false), "sealed, vouches no more"),
        (with_root(root), key_with(sealed(Seed), None, false), "resume, secret put back"),
        (with_root(other_root), key_with(sealed(Seed), None, false), "refused: the root of"),
        (restored(SEED, Seed), key_with(sealed(Seed), None, false), "resume, secret put back"),
    ];
    for (number, (request, found, expected)) in cases.into_iter().enumerate() {
        let decided = decided(&request, found);
        let is_expected = match expected.strip_prefix("refused: ") {
            Some(words) => decided.starts_with("refused: ") && decided.contains(words),
            None => decided == expected,
        };
        assert!(is_expected, "case {number}: {decided}");
    }
}

#[test]
fn the_mark_that_a_creation_left_goes_with_what_is_begun() {
    let left = LedgerMark::of_creation(KeyId([4; 16]));
    let found = Present {
        mark: Some(left.clone()),
        ..nothing(Some((SEED, Origin::Fresh)))
    };
    match resolve(&silent(), Some(&defaults()), Path::new("key"), found).unwrap() {
        Decision::Begin { mark, .. } => assert_eq!(mark, Some(left.clone())),
        other => panic!("{other:?}"),
    }
    assert_eq!(left.stage, Stage::Creating);
}
