//! Answers as their bytes arrive, and bytes that are none.

use super::answer::{ANSWER_BYTES_MAX, Answer, NotAnAnswer, read_answer};

const LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx: y\r\n\r\nabcd";
const CHUNKS: &[u8] =
    b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n";
const TO_THE_END: &[u8] = b"HTTP/1.0 404 None\nretry-after: tomorrow\n\nabcd";

fn answer(status: u16, retry_after_s: Option<u64>) -> Answer {
    let body = b"abcd".to_vec();
    Answer {
        status,
        retry_after_s,
        body,
    }
}

#[test]
fn an_answer_is_the_same_however_its_bytes_arrive() {
    for (bytes, expected) in [(LENGTH, answer(200, None)), (CHUNKS, answer(429, Some(7)))] {
        for length in 0..bytes.len() {
            let part = &bytes[..length];
            assert_eq!(read_answer(part, false), Ok(None), "{}", part.escape_ascii());
            assert_eq!(
                read_answer(part, true),
                Err(NotAnAnswer::Cut),
                "{}",
                part.escape_ascii()
            );
        }
        for behind in [&b""[..], b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"] {
            let bytes = [bytes, behind].concat();
            assert_eq!(read_answer(&bytes, false), Ok(Some(expected.clone())));
            assert_eq!(read_answer(&bytes, true), Ok(Some(expected.clone())));
        }
    }
    assert_eq!(read_answer(TO_THE_END, false), Ok(None));
    assert_eq!(read_answer(TO_THE_END, true), Ok(Some(answer(404, None))));
}

#[test]
fn bytes_that_are_not_an_answer_are_refused_and_not_read_for_ever() {
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes();
    let garbage = [
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"HTTP/2 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        b"HTTP/1.1 999 ?\r\n\r\n".to_vec(),
        head("content-length: 1\r\ncontent-length: 2\r\n"),
        head("content-length: 2\r\ntransfer-encoding: chunked\r\n"),
        head("transfer-encoding: gzip\r\n"),
        head("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        head("content-length: -1\r\n"),
        head("content-length: +1\r\n"),
        head("content-length: 65536\r\n"),
        head("content-length: 99999999999999999999\r\n"),
        [head("transfer-encoding: chunked\r\n"), b"g\r\n".to_vec()].concat(),
        [head("transfer-encoding: chunked\r\n"), b"ffffffffffffffff\r\n".to_vec()].concat(),
        [head("transfer-encoding: chunked\r\n"), b"1\r\nab\r\n".to_vec()].concat(),
        head(&"x: y\r\n".repeat(65)),
    ];
    for bytes in garbage {
        for is_ended in [false, true] {
            let read = read_answer(&bytes, is_ended);
            assert!(
                matches!(read, Err(NotAnAnswer::Garbage(_))),
                "{}: {read:?}",
                bytes.escape_ascii()
            );
        }
    }
    let endless = [b"HTTP/1.1 200 ".to_vec(), vec![b'a'; ANSWER_BYTES_MAX]].concat();
    assert_eq!(read_answer(&endless[..ANSWER_BYTES_MAX - 1], false), Ok(None));
    assert!(matches!(read_answer(&endless, false), Err(NotAnAnswer::Garbage(_))));
}
