//! The client and the service, each as it is.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::address::DUTIES;
use super::{Address, RemoteKey};
use crate::error::{Reason, Result};
use crate::failure::FailureKind;
use crate::plan::MemoryRequest;
use crate::service::{Listen, Service, ServiceEnd, ServiceHandle, ServiceOptions, Token};
use crate::signing::tests::key;
use crate::signing::{PathReader, Signer};
use crate::units::Epoch;
use keymill_xmss::scheme::MESSAGE_BYTES;

const A: [u8; MESSAGE_BYTES] = [0xaa; MESSAGE_BYTES];
const B: [u8; MESSAGE_BYTES] = [0xbb; MESSAGE_BYTES];
const TOKEN: &str = "0123456789abcdef";

/// A service that runs until this is dropped.
pub(crate) struct Running {
    handle: ServiceHandle,
    thread: Option<JoinHandle<Result<ServiceEnd>>>,
}

impl Running {
    /// One that holds the key in a directory, and listens at a socket.
    pub(crate) fn start(directory: &Path, socket: &Path, token: Option<Token>) -> Self {
        let mut options = ServiceOptions::new(Listen::Unix(socket.to_owned()))
            .threads(1)
            .memory(MemoryRequest::NoLimit);
        if let Some(token) = token {
            options = options.token(token);
        }
        let service = Service::open(&[PathBuf::from(directory)], options).unwrap();
        Self {
            handle: service.handle(),
            thread: Some(std::thread::spawn(move || service.run())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.end();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(ServiceEnd::Whole)))) || std::thread::panicking());
    }
}

/// The address of the key in a directory, at a socket.
pub(crate) fn address(directory: &Path, socket: &Path) -> String {
    let reader = PathReader::open(directory).unwrap();
    let public_key = hex::encode(reader.manifest().public_key().unwrap());
    format!("unix:{}?key=0x{public_key}", socket.display())
}

fn open(address: &str) -> Result<RemoteKey> {
    RemoteKey::open(&Address::parse(address).unwrap().unwrap())
}

#[test]
fn a_key_in_a_service_gives_what_its_directory_gives() {
    let (directory, place) = (key(), tempfile::tempdir().unwrap());
    let socket = place.path().join("a socket");
    let address = address(directory.path(), &socket).replace(' ', "%20");
    let running = Running::start(directory.path(), &socket, None);
    let remote = open(&address).unwrap();
    let reader = PathReader::open(directory.path()).unwrap();
    assert_eq!(remote.stored(), reader.manifest().plan().stored());
    assert_eq!(remote.public_key().to_ssz(), reader.manifest().public_key().unwrap());
    for epoch in [0, 5, 255] {
        assert_eq!(remote.path(epoch).unwrap(), reader.path(Epoch(epoch as u32)).unwrap());
    }
    let signature = remote.sign(5, &A).unwrap();
    assert_eq!(remote.sign(5, &A).unwrap(), signature);
    let error = remote.sign(5, &B).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (FailureKind::No, Reason::Spent));
    assert!(
        error.to_string().contains("the slot has signed another message"),
        "{error}"
    );
    for (epoch, duty) in (10..).zip(DUTIES) {
        open(&format!("{address}&type={duty}"))
            .unwrap()
            .sign(epoch, &A)
            .unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let remote = &remote;
            scope.spawn(move || (0..8).for_each(|round| drop(remote.sign(20 + 2 * round + thread % 2, &A).unwrap())));
        }
    });
    drop(running);
    assert_eq!(
        Signer::open(directory.path()).unwrap().sign(Epoch(5), &A).unwrap(),
        signature
    );
}

#[test]
fn an_open_key_outlives_its_service() {
    let (directory, place) = (key(), tempfile::tempdir().unwrap());
    let socket = place.path().join("s");
    let address = address(directory.path(), &socket);
    let running = Running::start(directory.path(), &socket, None);
    let remote = open(&address).unwrap();
    let signature = remote.sign(5, &A).unwrap();
    drop(running);
    let error = remote.sign(6, &A).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (FailureKind::Machine, Reason::Call));
    let running = Running::start(directory.path(), &socket, None);
    assert_eq!(remote.sign(5, &A).unwrap(), signature);
    assert_eq!(remote.sign(5, &B).unwrap_err().reason(), Reason::Spent);
    remote.sign(6, &A).unwrap();
    drop(running);
}

#[test]
fn a_service_is_asked_for_its_own_keys_and_with_its_token() {
    let (directory, place) = (key(), tempfile::tempdir().unwrap());
    let socket = place.path().join("s");
    let address = address(directory.path(), &socket);
    let token_file = place.path().join("token");
    let with_token = format!("{address}&token-file={}", token_file.display());
    let _running = Running::start(directory.path(), &socket, Token::parse(TOKEN));
    let refused = |address: &str| open(address).err().unwrap();
    assert!(refused(&address).to_string().contains("token-file=PATH"));
    std::fs::write(&token_file, "another token of someone").unwrap();
    assert_eq!(refused(&with_token).kind(), FailureKind::Usage);
    std::fs::write(&token_file, TOKEN).unwrap();
    open(&with_token).unwrap().sign(5, &A).unwrap();
    let (before, _) = with_token.split_once("key=0x").unwrap();
    let unknown = format!("{before}key=0x{}&token-file={}", "00".repeat(52), token_file.display());
    let error = refused(&unknown);
    assert_eq!(
        (error.kind(), error.reason()),
        (FailureKind::Directory, Reason::OtherKey)
    );
}
