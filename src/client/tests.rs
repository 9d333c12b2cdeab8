//! Services that do what they like, and what the client makes of it.

mod fake;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Address;
use crate::error::{Error, Reason, Result};
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use fake::{Act, Fake, SCHEME, answer, facts, open, public_key, refusal};

const MESSAGE: [u8; 32] = [7; 32];
/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn refused<T>(outcome: Result<T>, kind: FailureKind, reason: Reason, words: &str) -> Error {
    let error = outcome.err().unwrap();
    let text = error.advised();
    assert!(
        (error.kind(), error.reason()) == (kind, reason) && text.contains(words),
        "{:?}, {:?}: {text}",
        error.kind(),
        error.reason()
    );
    error
}

#[test]
fn an_address_names_a_socket_and_a_key_and_what_else_it_can_name_is_known() {
    let good = [
        ("unix:/run/k.sock?key=0x00Ff", "/run/k.sock"),
        ("unix:///run/k.sock?key=00ff", "///run/k.sock"),
        ("unix:k%20%3f%25%2e?key=0x00ff&", "k ?%."),
        ("unix:k+k?timeout-ms=600000&type=BLOCK&key=0x00ff&token-file=%74", "k+k"),
    ];
    for (text, socket) in good {
        let address = Address::parse(text).unwrap().unwrap();
        assert_eq!(address.socket, Path::new(socket), "{text}");
        assert_eq!(address.public_key, [0, 0xff], "{text}");
        assert_eq!(Address::parse(&address.escaped()).unwrap().unwrap(), address);
    }
    for path in ["", "key", "./unix:k?key=0x00", "UNIX:k?key=0x00", "tcp:k?key=0x00"] {
        assert!(Address::parse(path).is_none(), "{path}");
    }
    let wrong = [
        ("unix:k", "does not name a public key"),
        ("unix:?key=0x00", "empty"),
        ("unix:k%00?key=0x00", "zero byte"),
        ("unix:k%2?key=0x00", "two hex digits"),
        ("unix:k%+1?key=0x00", "two hex digits"),
        ("unix:k%\u{e9}1?key=0x00", "two hex digits"),
        ("unix:k?key=0x", "not a public key"),
        ("unix:k?key=0x0", "not a public key"),
        ("unix:k?key=0x00&key=0x00", "key stands in it twice"),
        ("unix:k?key=0x00&token-file=", "empty"),
        ("unix:k?key=0x00&type=block", "ATTESTATION, BLOCK, GENERIC"),
        ("unix:k?key=0x00&timeout-ms=0", "from 1 to 600000"),
        ("unix:k?key=0x00&timeout-ms=+1", "from 1 to 600000"),
        ("unix:k?key=0x00&timeout-ms=600001", "from 1 to 600000"),
        ("unix:k?key=0x00&tokenfile=t", "'tokenfile' cannot stand in it"),
    ];
    for (text, words) in wrong {
        let read = Address::parse(text).unwrap();
        refused(read, FailureKind::Usage, Reason::Other, words);
    }
}

#[test]
fn what_does_not_verify_is_not_given_out() {
    let zeros = vec![0; keymill_xmss::Scheme::by_id(SCHEME).unwrap().signature_bytes()];
    for (body, words) in [
        (&zeros[..], "was withheld"),
        (&zeros[1..], "malformed"),
        (b"", "malformed"),
    ] {
        let fake = Fake::new(vec![facts(), answer(200, body)]);
        let signed = fake.open("").unwrap().sign(17, &MESSAGE);
        refused(signed, FailureKind::Directory, Reason::Damaged, words);
        fake.end();
    }
    let digest = |byte: &str| format!("0x{}", byte.repeat(32));
    let path = |slot: &str, leaf: &str, siblings: usize| {
        let siblings = vec![digest("00"); siblings];
        serde_json::json!({ "slot": slot, "leaf": leaf, "siblings": siblings })
    };
    let right = path("17", &digest("00"), 8);
    for paths in [
        vec![],
        vec![right.clone()],
        vec![right.clone(), right],
        vec![path("18", &digest("00"), 8)],
        vec![path("17", &digest("00"), 7)],
        vec![path("17", &digest("ff"), 8)],
        vec![path("17", &digest("00")[2..], 8)],
        vec![path("17", "0x00", 8)],
    ] {
        let body = serde_json::json!({ "paths": paths }).to_string();
        let fake = Fake::new(vec![facts(), answer(200, body.as_bytes())]);
        let path = fake.open("").unwrap().path(17);
        refused(
            path,
            FailureKind::Directory,
            Reason::Damaged,
            "withheld: it leads to another root",
        );
        fake.end();
    }
}

#[test]
fn what_a_service_says_of_a_key_has_to_be_possible() {
    let said = |scheme: &str, first: &str, last: &str| {
        let body = serde_json::json!({ "scheme": scheme, "first_slot": first, "last_slot": last });
        answer(200, body.to_string().as_bytes())
    };
    for (act, words) in [
        (said("rsa", "0", "255"), "unknown scheme 'rsa'"),
        (said("leanvm-blake2s-l32-ts-v42-w8", "0", "255"), "it is 52 bytes"),
        (said(SCHEME, "0", "256"), "no such slots"),
        (said(SCHEME, "9", "8"), "no such slots"),
        (said(SCHEME, "-1", "8"), "no such slots"),
        (answer(200, b"{}"), "missing field"),
        (answer(200, b"<html>"), "expected value"),
    ] {
        let fake = Fake::new(vec![act]);
        refused(fake.open(""), FailureKind::Directory, Reason::Other, words);
        fake.end();
    }
    // What it says of the slots is kept, and others are not asked for.
    let fake = Fake::new(vec![said(SCHEME, "16", "31")]);
    let key = fake.open("").unwrap();
    assert_eq!((key.stored().start, key.stored().end), (16, 32));
    for epoch in [15, 32, u64::MAX] {
        let words = format!("epoch {epoch} is outside this key");
        refused(
            key.sign(epoch, &MESSAGE),
            FailureKind::Usage,
            Reason::OutsideKey,
            &words,
        );
        refused(key.path(epoch), FailureKind::Usage, Reason::OutsideKey, &words);
    }
    assert_eq!(fake.end().len(), 1);
}

#[test]
fn a_request_that_was_not_answered_is_made_again_once() {
    let busy = || refusal(503, "memory");
    let again: [fn() -> Act; 3] = [|| Act::Close, || refusal(429, "queue_full"), || refusal(503, "ending")];
    for act in again {
        let fake = Fake::new(vec![act(), facts()]);
        fake.open("").unwrap();
        assert_eq!(fake.end().len(), 2);
    }
    let fake = Fake::new(vec![Act::Close, Act::Close]);
    refused(
        fake.open(""),
        FailureKind::Machine,
        Reason::Other,
        "before it had answered",
    );
    assert_eq!(fake.end().len(), 2);
    let fake = Fake::new(vec![busy(), busy()]);
    let said = "refused: because of memory; try again";
    refused(fake.open(""), FailureKind::Machine, Reason::OutOfMemory, said);
    assert_eq!(fake.end().len(), 2);
    // No second time where that would be of no use, or too late.
    for act in [
        refusal(500, "failed"),
        refusal(412, "spent"),
        Act::Say(b"SSH-2.0\r\n\r\n".to_vec()),
    ] {
        let fake = Fake::new(vec![act]);
        assert!(fake.open("").is_err());
        assert_eq!(fake.end().len(), 1);
    }
    let fake = Fake::new(vec![busy()]);
    refused(
        fake.open("&timeout-ms=900"),
        FailureKind::Machine,
        Reason::OutOfMemory,
        said,
    );
    assert_eq!(fake.end().len(), 1);
}

#[test]
fn a_refusal_has_the_kind_that_the_same_refusal_of_a_directory_has() {
    use FailureKind::{Directory, Machine, No, Usage};
    for (status, reason, kind, expected, words) in [
        (400, "form", Usage, Reason::Other, "because of form"),
        (400, "outside_key", Usage, Reason::OutsideKey, "because of outside_key"),
        (401, "unauthorized", Usage, Reason::Other, "token-file=PATH"),
        (403, "browser", Directory, Reason::Other, "its status is 403"),
        (
            404,
            "unknown_key",
            Directory,
            Reason::OtherKey,
            "start it with the directory",
        ),
        (404, "unknown_path", Directory, Reason::Other, "its status is 404"),
        (405, "method", Directory, Reason::Other, "its status is 405"),
        (408, "slow", Machine, Reason::Other, "try again"),
        (504, "stalled", Machine, Reason::Other, "try again"),
        (412, "spent", No, Reason::Spent, "because of spent"),
        (412, "no_history", Directory, Reason::NoHistory, "begin the ledger"),
        (
            412,
            "before_history",
            Directory,
            Reason::BeforeHistory,
            "because of before_history",
        ),
        (412, "used_up", Directory, Reason::UsedUp, "because of used_up"),
        (412, "of_tomorrow", Directory, Reason::Other, "its status is 412"),
        (500, "failed", Machine, Reason::Other, "because of failed"),
        (301, "", Directory, Reason::Other, "its status is 301"),
    ] {
        let fake = Fake::new(vec![facts(), refusal(status, reason)]);
        let signed = fake.open("").unwrap().sign(17, &MESSAGE);
        refused(signed, kind, expected, words);
        fake.end();
    }
    let fake = Fake::new(vec![facts(), refusal(503, "ledger"), refusal(503, "ledger")]);
    let signed = fake.open("").unwrap().sign(17, &MESSAGE);
    refused(signed, Machine, Reason::Unknown, "reload it");
    fake.end();
}

#[test]
fn nobody_waits_longer_than_the_address_says() {
    let begun = Instant::now();
    for act in [Act::Wait, Act::Drip(b'\n')] {
        let fake = Fake::new(vec![act]);
        refused(
            fake.open("&timeout-ms=150"),
            FailureKind::Machine,
            Reason::Other,
            "within 150 ms",
        );
        fake.end();
    }
    // One that takes no connections.
    let directory = tempfile::tempdir().unwrap();
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    let path = directory.path().join("s");
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    refused(
        open(directory.path(), "&timeout-ms=150"),
        FailureKind::Machine,
        Reason::Other,
        "within 150 ms",
    );
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn where_no_service_is_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let missing = || {
        refused(
            open(directory.path(), ""),
            FailureKind::Machine,
            Reason::Call,
            "start it and try again",
        )
    };
    missing();
    drop(UnixListener::bind(directory.path().join("s")).unwrap());
    missing();
    std::fs::remove_file(directory.path().join("s")).unwrap();
    std::fs::write(directory.path().join("s"), b"").unwrap();
    missing();
    let deep = directory.path().join("d".repeat(108));
    refused(
        open(&deep, ""),
        FailureKind::Usage,
        Reason::Other,
        "fewer than 108 bytes",
    );
}

#[test]
fn a_token_is_shown_and_a_file_that_holds_none_is_named() {
    let fake = Fake::new(vec![facts(), refusal(401, "unauthorized")]);
    let file = fake.directory.path().join("token");
    let more = format!("&type=BLOCK&token-file={}", file.display());
    for wrong in [&b""[..], b"\n", b"a b", b"a\r\n", b"a\n\n", &[b'a'; 257]] {
        std::fs::write(&file, wrong).unwrap();
        refused(fake.open(&more), FailureKind::Usage, Reason::Other, "holds no token");
    }
    std::fs::remove_file(&file).unwrap();
    refused(fake.open(&more), FailureKind::Usage, Reason::Call, "token' failed");
    std::fs::write(&file, b"0123456789abcdef\n").unwrap();
    let key = fake.open(&more).unwrap();
    let signed = key.sign(17, &MESSAGE);
    let error = refused(signed, FailureKind::Usage, Reason::Other, "the file of another token");
    assert!(!error.to_string().contains("0123456789abcdef"), "{error}");
    let requests = fake.end();
    for request in &requests {
        assert!(
            request.contains("\r\nAuthorization: Bearer 0123456789abcdef\r\n"),
            "{request}"
        );
        assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
    }
    assert!(requests[0].starts_with(&format!("GET /api/v1/lean/keys/{} HTTP/1.1\r\n", public_key())));
    assert!(requests[1].starts_with(&format!("POST /api/v1/lean/sign/{} HTTP/1.1\r\n", public_key())));
    let body: serde_json::Value = serde_json::from_str(requests[1].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let root = format!("0x{}", hex::encode(MESSAGE));
    assert_eq!(
        body,
        serde_json::json!({ "type": "BLOCK", "slot": "17", "signing_root": root })
    );
}

#[test]
fn whatever_call_fails_is_named_and_a_signal_in_between_is_not_a_failure() {
    let calls: Vec<_> = {
        let fake = Fake::new(vec![facts()]);
        let faults = Faults::below(fake.directory.path(), |_, _| Fate::Pass);
        fake.open("").unwrap();
        faults.seen().iter().map(|seen| seen.call).collect()
    };
    assert!(
        ["socket", "connect", "send", "recv"]
            .iter()
            .all(|call| calls.contains(call)),
        "{calls:?}"
    );
    for (number, call) in calls.iter().enumerate() {
        let at = |errno: Errno| {
            let mut count = 0;
            move |_: &'static str, _: &Path| {
                count += 1;
                if count == number + 1 {
                    Fate::Fail(errno.raw_os_error())
                } else {
                    Fate::Pass
                }
            }
        };
        let fake = Fake::new(vec![facts()]);
        let faults = Faults::below(fake.directory.path(), at(Errno::IO));
        refused(
            fake.open(""),
            FailureKind::Machine,
            Reason::Call,
            &format!("{call} on '"),
        );
        drop(faults);
        if ["connect", "send", "recv"].contains(call) {
            let fake = Fake::new(vec![facts()]);
            let _faults = Faults::below(fake.directory.path(), at(Errno::INTR));
            fake.open("").unwrap();
        }
    }
}
