//! What bounds a service: sizes, numbers and times. docs/SERVICE.md has all of them in one table.

use std::time::Duration;

/// Bytes of the body of a request for one signature. It has some 150; other signers of Ethereum are sent a few kilobytes of context.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of the body of a list.
pub(crate) const LIST_BODY_BYTES_MAX: usize = 4 << 20;
/// Entries of a list.
pub(crate) const LIST_MAX: usize = 1024;
/// Paths of one answer: about a megabyte of digits.
pub(crate) const PATHS_MAX: u64 = 512;
/// Bytes of a request's head. The least that hyper takes is 8192.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
pub(crate) const HEADERS_MAX: usize = 64;
/// Bytes of a body that are read and dropped before the request is refused, so that its connection can go on.
pub(crate) const DISCARDED_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read and dropped behind the last answer of a connection, before it is closed.
pub(crate) const LINGER_BYTES_MAX: usize = 8 << 20;

/// Numbers and times that tests choose as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections of the signing listener.
    pub(crate) connections_max: usize,
    /// Those among them that have not sent a whole request yet.
    pub(crate) new_connections_max: usize,
    /// Connections of the metrics listener.
    pub(crate) metrics_connections_max: usize,
    /// Those among them that bring a page up to date. Each has its place for as long as it is open, so that there have to be fewer.
    pub(crate) live_pages_max: usize,
    /// From the beginning of a connection, through the handshake of TLS, to the head of its first request.
    pub(crate) first_head_max: Duration,
    /// From one answer to the head of the next request.
    pub(crate) next_head_max: Duration,
    /// From the head of a request to the end of its body.
    pub(crate) body_max: Duration,
    /// From the head of a request to the beginning of its answer.
    pub(crate) request_max: Duration,
    /// Until the client has taken an answer.
    pub(crate) answer_max: Duration,
    /// For what a client still sends when its request is refused, before that is answered.
    pub(crate) discard_max: Duration,
    /// The same behind the last answer of a connection.
    pub(crate) linger_max: Duration,
    /// For requests that are under way when the service is asked to end.
    pub(crate) drain_max: Duration,
    /// For threads of the service behind that.
    pub(crate) threads_end_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            new_connections_max: 128,
            metrics_connections_max: 64,
            live_pages_max: 16,
            first_head_max: Duration::from_secs(5),
            next_head_max: Duration::from_secs(30),
            body_max: Duration::from_secs(10),
            request_max: Duration::from_secs(20),
            answer_max: Duration::from_secs(10),
            discard_max: Duration::from_secs(1),
            linger_max: Duration::from_secs(5),
            drain_max: Duration::from_millis(1500),
            threads_end_max: Duration::from_millis(200),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        BODY_BYTES_MAX, DISCARDED_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LINGER_BYTES_MAX, LIST_BODY_BYTES_MAX,
        LIST_MAX, Limits, PATHS_MAX,
    };

    fn grouped(number: usize) -> String {
        match number / 1000 {
            0 => number.to_string(),
            thousands => format!("{thousands},{:03}", number % 1000),
        }
    }

    fn seconds(time: Duration) -> String {
        format!("{} s", time.as_secs_f64())
    }

    #[test]
    fn the_document_has_every_limit_as_it_is() {
        let document = include_str!("../../docs/SERVICE.md");
        let (kib, mib) = (
            |bytes: usize| format!("{} KiB", bytes >> 10),
            |bytes: usize| format!("{} MiB", bytes >> 20),
        );
        let limits = Limits::default();
        for (what, limit) in [
            ("body of a request for one signature", kib(BODY_BYTES_MAX)),
            ("body of a list", mib(LIST_BODY_BYTES_MAX)),
            ("entries of a list", grouped(LIST_MAX)),
            ("slots of one request for paths", PATHS_MAX.to_string()),
            (
                "head of a request",
                format!("{}, {HEADERS_MAX} headers", kib(HEAD_BYTES_MAX)),
            ),
            ("connections for signing", grouped(limits.connections_max)),
            (
                "those of them that have not sent a whole request",
                grouped(limits.new_connections_max),
            ),
            (
                "connections of the metrics listener",
                grouped(limits.metrics_connections_max),
            ),
            ("live pages among them", grouped(limits.live_pages_max)),
            (
                "from connecting to the head of the first request, with the handshake of TLS",
                seconds(limits.first_head_max),
            ),
            (
                "from an answer to the head of the next request",
                seconds(limits.next_head_max),
            ),
            ("from a head to the end of its body", seconds(limits.body_max)),
            ("from a head to the answer", seconds(limits.request_max)),
            ("until an answer is taken", seconds(limits.answer_max)),
            (
                "body of a refused request that is still read",
                format!("{} in {}", mib(DISCARDED_BYTES_MAX), seconds(limits.discard_max)),
            ),
            (
                "what is still read behind the last answer of a connection",
                format!("{} in {}", mib(LINGER_BYTES_MAX), seconds(limits.linger_max)),
            ),
        ] {
            let row = format!("| {what} | {limit} | ");
            assert!(document.contains(&row), "{row}");
        }
    }
}
