//! Keys made by the job, on disk, against the known answers; and signing from disk.

use std::path::Path;

use keymill::exchange::Exporter;
use keymill::exchange::secret_key::{SecretKeyFile, SecretKeyForm};
use keymill::plan::NodeIndex;
use keymill::{
    Epoch, JobOptions, KeyRequest, KeygenJob, Level, MemoryRequest, NoProgress, Parameter, PathReader, Plan, Scheme,
    Secret, Signature, Signer,
};

use crate::layers_on_disk::layer_files;
use crate::secret_key_file::tree_layers_in_secret_key;
use keymill_reference::vectors::{self, Key};

const HEADER_BYTES: usize = 4096;

fn options(threads: usize, group_batches: usize) -> JobOptions {
    JobOptions::DEFAULT
        .threads(threads)
        .group_batches(group_batches)
        .memory(MemoryRequest::NoLimit)
}

fn make(directory: &Path, key: &Key, options: JobOptions) -> Vec<u8> {
    let scheme = Scheme::by_id(&key.scheme).unwrap();
    let request = KeyRequest::new(scheme)
        .activation_epoch(key.activation_epoch)
        .epochs(key.num_active_epochs)
        .secret(Secret::Seed(key.rng_seed));
    let job = KeygenJob::builder(directory)
        .request(request)
        .options(options)
        .open()
        .unwrap();
    job.run(&NoProgress).unwrap().public_key
}

/// One key of each scheme that is recorded, and every key whose secret key file is.
fn chosen() -> Vec<Key> {
    let mut seen = std::collections::HashSet::new();
    let keys = vectors::keys().into_iter();
    keys.filter(|key| seen.insert(key.scheme.clone()) || key.secret_key_file.is_some())
        .collect()
}

#[test]
fn keys_made_on_disk_are_the_recorded_ones_and_sign_as_recorded() {
    for key in chosen() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("key");
        assert_eq!(
            make(&directory, &key, options(0, 8)),
            key.public_key_ssz,
            "{}",
            key.scheme
        );
        keymill::ledger::init(&directory, 0).unwrap();
        let mut signer = Signer::open(&directory).unwrap();
        for recorded in &key.signatures {
            let signature = signer.sign(Epoch(recorded.epoch), &recorded.message).unwrap();
            let ssz = signature.to_ssz();
            assert_eq!(ssz, recorded.signature_ssz, "{} epoch {}", key.scheme, recorded.epoch);
        }
        // Its secret does not leave while a signer is open.
        drop(signer);
        layers_hold_the_secret_key_file(&key, &directory);
        the_key_goes_out_as_the_recorded_secret_key(&key, &directory);
        paths_are_those_of_the_signatures(&key, &directory);
    }
}

/// What is exported is what the other program wrote, and is read as the same in every form.
fn the_key_goes_out_as_the_recorded_secret_key(key: &Key, directory: &Path) {
    let Some(recorded) = key.secret_key_ssz() else { return };
    let exporter = Exporter::open(directory).unwrap();
    let window = exporter.window(None).unwrap();
    for form in [
        SecretKeyForm::LeansigSsz,
        SecretKeyForm::LeansigJson,
        SecretKeyForm::HashSigCliJson,
    ] {
        let mut exported = Vec::new();
        window.write(form, &mut exported).unwrap();
        if form == SecretKeyForm::LeansigSsz {
            assert!(exported == recorded, "{}", key.scheme);
        }
        let read = SecretKeyFile::read(&mut &exported[..], None, None).unwrap();
        let mut again = Vec::new();
        read.write(SecretKeyForm::LeansigSsz, &mut again).unwrap();
        assert!(again == recorded, "{} {form:?}", key.scheme);
    }
}

/// Every node of the recorded secret key's three trees is in the layer files.
fn layers_hold_the_secret_key_file(key: &Key, directory: &Path) {
    let Some(ssz) = key.secret_key_ssz() else { return };
    let files = layer_files(directory);
    let digest_bytes = Scheme::by_id(&key.scheme).unwrap().digest_bytes();
    let mut nodes = 0;
    for (level, first_index, digests) in tree_layers_in_secret_key(&ssz) {
        let file = &files[&format!("{level:02}.nodes")];
        let stored_first = u64::from_le_bytes(file[32..40].try_into().unwrap());
        let at = HEADER_BYTES + (first_index - stored_first) as usize * digest_bytes;
        assert_eq!(&file[at..at + digests.len()], digests, "{} level {level}", key.scheme);
        nodes += digests.len() / digest_bytes;
    }
    assert!(nodes > 40, "{}: only {nodes} nodes compared", key.scheme);
}

fn paths_are_those_of_the_signatures(key: &Key, directory: &Path) {
    let reader = PathReader::open(directory).unwrap();
    for recorded in &key.signatures {
        let signature = Signature::from_ssz(reader.manifest().scheme(), &recorded.signature_ssz).unwrap();
        assert_eq!(
            reader.path(Epoch(recorded.epoch)).unwrap().siblings,
            signature.siblings()
        );
    }
    let mut stream = reader.stream();
    let stored = reader.manifest().plan().stored().as_range();
    let last = stored.end.saturating_sub(1100).max(stored.start)..stored.end;
    for number in stored.take(1100).chain(last) {
        let epoch = reader.epoch(number).unwrap();
        let path = reader.path(epoch).unwrap();
        assert_eq!(stream.path(epoch).unwrap(), &path, "{} epoch {number}", key.scheme);
    }
}

#[test]
fn threads_and_group_sizes_do_not_change_a_byte() {
    let keys = vectors::keys();
    let key = keys
        .iter()
        .find(|key| key.stored_end - key.stored_start == 5632)
        .unwrap();
    let parent = tempfile::tempdir().unwrap();
    let made = |threads, group_batches| {
        let directory = parent.path().join(format!("{threads}-{group_batches}"));
        make(&directory, key, options(threads, group_batches));
        layer_files(&directory)
    };
    let expected = made(1, 1);
    for (threads, group_batches) in [(2, 1), (2, 3), (3, 100), (1, 4)] {
        assert!(
            made(threads, group_batches) == expected,
            "{threads} threads, groups of {group_batches}"
        );
    }
}

#[test]
fn a_prf_key_and_parameter_make_the_same_key_again() {
    let scheme = Scheme::by_id("leansig-p2-l8-top-v64-w8").unwrap();
    let parent = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let request = KeyRequest::new(scheme)
            .epochs(32)
            .secret(Secret::PrfKey([5; 32]))
            .parameter(Parameter::of(&[1; 20]));
        let job = KeygenJob::builder(parent.path().join(name))
            .request(request)
            .options(options(0, 8))
            .open()
            .unwrap();
        job.run(&NoProgress).unwrap().public_key
    };
    let first = made("a");
    assert_eq!(first, made("b"));
    assert_eq!(first[32..], [1; 20]);
    assert_eq!(
        layer_files(&parent.path().join("a")),
        layer_files(&parent.path().join("b"))
    );
}

#[test]
fn a_prf_key_with_fillers_of_another_program_makes_that_programs_key() {
    let keys = vectors::keys();
    let key = keys
        .iter()
        .find(|key| key.scheme == "leansig-p2-l8-top-v64-w8" && key.stored() == (32, 64))
        .unwrap();
    let scheme = Scheme::by_id(&key.scheme).unwrap();
    let plan = Plan::new(scheme, key.stored_start, key.stored_end - key.stored_start).unwrap();
    let top = key.top_tree.as_ref().unwrap();
    let recorded = |(level, node): (Level, NodeIndex)| {
        let layer = &top.layers[usize::from(level.0 - top.lowest_layer)];
        layer.nodes[(node.0 - layer.start_index) as usize].clone()
    };
    let fillers: Vec<u8> = plan.geometry().fillers().flat_map(recorded).collect();
    let request = |fillers: Vec<u8>| {
        let mut request = KeyRequest::new(scheme)
            .activation_epoch(key.stored_start)
            .epochs(key.stored_end - key.stored_start)
            .secret(Secret::PrfKey(key.prf_key))
            .parameter(Parameter::of(&key.parameter));
        request.fillers = Some(fillers);
        request
    };
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("key");
    let open = |request: KeyRequest| {
        KeygenJob::builder(&directory)
            .request(request)
            .options(options(1, 1))
            .open()
    };

    let mut short = fillers.clone();
    short.pop();
    let refused = open(request(short)).err().unwrap();
    assert!(refused.to_string().contains("bytes of fillers"), "{refused}");
    assert!(!directory.exists(), "nothing is made of a request that is refused");

    let made = open(request(fillers.clone())).unwrap().run(&NoProgress).unwrap();
    assert_eq!(made.public_key, key.public_key_ssz);
    open(request(fillers.clone())).unwrap();

    let mut other = fillers;
    other[0] ^= 1;
    let refused = open(request(other)).err().unwrap();
    assert!(refused.to_string().contains("the fillers are not those"), "{refused}");
}
