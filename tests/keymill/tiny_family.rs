//! The contract of a family, proven by a second one: a key of it is made, checked, damaged, repaired, trimmed, backed up,
//! restored and signs on disk, without a line of the program that knows it.

mod family;

use std::path::{Path, PathBuf};

use keymill::audit::{check, repair};
use keymill::exchange::{Backup, Exporter};
use keymill::plan::NodeIndex;
use keymill::{
    CancelHandle, Epoch, JobOptions, KeyRequest, KeygenJob, Level, MemoryRequest, NoProgress, Parameter, Plan,
    PublicKey, Secret, Signature, Signer, trim, verify, verify_batch,
};

use family::{DIGEST_BYTES, TINY_FAMILY, filler};
use keymill::Scheme;

const SEED: [u8; 32] = [5; 32];
/// Three batches, none of them whole at the ends, and no boundary of the tree at either end.
const START: u64 = 101;
const EPOCHS: u64 = 2_502;

fn options() -> JobOptions {
    JobOptions::default()
        .threads(2)
        .group_batches(1)
        .memory(MemoryRequest::NoLimit)
}

fn make(directory: &Path, request: &KeyRequest) -> Vec<u8> {
    Scheme::add(&TINY_FAMILY);
    let job = KeygenJob::builder(directory)
        .request(request.clone())
        .options(options())
        .open()
        .unwrap();
    job.run(&NoProgress).unwrap().public_key
}

fn request() -> KeyRequest {
    KeyRequest::new(&TINY_FAMILY)
        .activation_epoch(START)
        .epochs(EPOCHS)
        .secret(Secret::Seed(SEED))
}

/// The root, computed naively: every node by recursion, fillers where a subtree holds no epoch of the key.
fn root_by_recursion() -> Vec<u8> {
    let drawn = TINY_FAMILY.draw(&SEED, &[]);
    let kernel = TINY_FAMILY.kernel(&drawn.parameter);
    let arena = keymill::xmss::arena::Arena::new(TINY_FAMILY.scratch_bytes());
    let mut nodes: Vec<Vec<u8>> = (START..START + EPOCHS)
        .map(|epoch| {
            let mut leaf = vec![0; DIGEST_BYTES];
            let epoch = Epoch(epoch as u32);
            kernel.leaves(&drawn.prf_key, epoch, &mut leaf, &arena).unwrap();
            leaf
        })
        .collect();
    let mut first = START;
    for level in 0..TINY_FAMILY.log_lifetime() {
        let stand_in = |node: u64| filler(&SEED, Level(level), NodeIndex(node)).to_vec();
        if first % 2 == 1 {
            first -= 1;
            nodes.insert(0, stand_in(first));
        }
        if nodes.len() % 2 == 1 {
            nodes.push(stand_in(first + nodes.len() as u64));
        }
        first /= 2;
        let parents = nodes.chunks(2).zip(first..).map(|(pair, node)| {
            let mut parent = vec![0; DIGEST_BYTES];
            kernel.parents(Level(level + 1), NodeIndex(node), &pair.concat(), &mut parent);
            parent
        });
        nodes = parents.collect();
    }
    assert_eq!((first, nodes.len()), (0, 1));
    nodes.remove(0)
}

fn flip(path: PathBuf, at: usize) {
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "a sealed key's files are read-only, and this one is damaged"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn is_sound(directory: &Path) -> bool {
    check(directory, true, options()).unwrap().damage_count() == 0
}

#[test]
fn a_key_of_a_second_family_lives_a_whole_life_on_disk() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("key");
    let public_key = make(&directory, &request());
    let plan = Plan::new(&TINY_FAMILY, START, EPOCHS).unwrap();
    assert_eq!((plan.stored().start, plan.stored().count()), (START, EPOCHS));
    assert!(plan.geometry().fillers().any(|(level, _)| level == Level(0)));
    assert_eq!(public_key[..DIGEST_BYTES], root_by_recursion());
    assert_eq!(public_key.len(), DIGEST_BYTES + 12);
    assert!(is_sound(&directory));

    for level in [0, 4, 10, 11] {
        flip(directory.join(format!("layers/{level:02}.nodes")), 4096 + 3);
    }
    assert!(!is_sound(&directory));
    repair(&directory, options(), &CancelHandle::default()).unwrap();
    assert!(is_sound(&directory));

    trim(&directory, Level(6)).unwrap();
    assert!(is_sound(&directory));
    signs(&directory, &public_key);

    let text = Backup::of(&directory).unwrap().to_text();
    let elsewhere = parent.path().join("restored");
    let restored = Backup::parse(&text).unwrap().request(&elsewhere).unwrap();
    assert_eq!(make(&elsewhere, &restored), public_key);
}

/// The ends of the key, the ends of its batches, and an epoch between.
fn signs(directory: &Path, public_key: &[u8]) {
    keymill::ledger::init(directory, 0).unwrap();
    let public_key = PublicKey::from_ssz(&TINY_FAMILY, public_key).unwrap();
    let mut signer = Signer::open(directory).unwrap();
    let epochs = [START, 1023, 1024, 2047, 2048, 1500, START + EPOCHS - 1];
    let signatures: Vec<Signature> = epochs
        .iter()
        .map(|&epoch| signer.sign(Epoch(epoch as u32), &[epoch as u8; 32]).unwrap())
        .collect();
    for (&epoch, signature) in epochs.iter().zip(&signatures) {
        let bytes = signature.to_ssz();
        assert_eq!(bytes.len(), TINY_FAMILY.signature_bytes());
        let at = TINY_FAMILY.epoch(epoch).unwrap();
        verify(&public_key, at, &[epoch as u8; 32], &bytes).unwrap();
        let rejected = verify(&public_key, at, &[epoch as u8 + 1; 32], &bytes);
        assert!(rejected.is_err(), "{epoch}");
    }
    let messages: Vec<[u8; 32]> = epochs.iter().map(|&epoch| [epoch as u8; 32]).collect();
    let claims: Vec<_> = epochs
        .iter()
        .zip(&messages)
        .zip(&signatures)
        .map(|((&epoch, message), signature)| keymill::Claim {
            public_key: &public_key,
            epoch: Epoch(epoch as u32),
            message,
            signature,
        })
        .collect();
    assert!(verify_batch(&claims).iter().all(Result::is_ok));
    assert!(
        signer.sign(Epoch(START as u32), &[0; 32]).is_err(),
        "no epoch signs twice"
    );
}

#[test]
fn what_a_family_has_not_is_refused_by_name() {
    Scheme::add(&TINY_FAMILY);
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("key");
    let from_a_prf_key = request()
        .secret(Secret::PrfKey([1; 32]))
        .parameter(Parameter::of(&[1; 12]));
    let refused = KeygenJob::builder(&directory)
        .request(from_a_prf_key)
        .options(options())
        .open();
    let message = refused.map(drop).unwrap_err().to_string();
    assert!(message.contains("seed alone"), "{message}");
    assert!(!directory.exists());

    make(&directory, &request());
    let message = Exporter::open(&directory).map(drop).unwrap_err().to_string();
    assert!(message.contains("no form of secret keys"), "{message}");
}

#[test]
fn a_family_of_ones_own_does_not_take_the_name_of_a_known_scheme() {
    Scheme::add(&TINY_FAMILY);
    Scheme::add(&TINY_FAMILY);
    assert_eq!(Scheme::by_id("TinyFamilyOfTheTests").unwrap(), &TINY_FAMILY);
    assert!(!Scheme::all().contains(&TINY_FAMILY));
}
