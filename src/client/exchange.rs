//! Requests to a service, each on a connection of its own: nothing is held between two calls that a fork or a restart of the
//! service could spoil.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{connect, recv, send, socket_with};
use zeroize::Zeroizing;

use super::address::Address;
use super::answer::{ANSWER_BYTES_MAX, Answer, NotAnAnswer, read_answer};
use super::error::{bad_token, call_failed, cut, long_path, not_a_service, refused, timed_out};
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::time::pause;

/// So long after a request that was not answered it is made again, once: a service that is started again takes about as long.
const AGAIN_AFTER_S: u64 = 1;
const TOKEN_BYTES_MAX: usize = 256;
const BLOCK_BYTES: usize = 8 << 10;

/// A service, and how it is asked.
pub(super) struct Endpoint {
    socket: PathBuf,
    /// The same, as the kernel takes it.
    address: SocketAddrUnix,
    token: Option<Zeroizing<String>>,
    timeout: Duration,
}

/// What is asked for.
pub(super) struct Request<'a> {
    /// The address, from its first slash.
    pub(super) target: &'a str,
    /// What is sent along, in JSON; nothing is sent with GET.
    pub(super) body: Option<&'a str>,
    /// The type of the answer.
    pub(super) accept: &'static str,
}

/// Why there is no answer.
enum Unanswered {
    Call(IoFailure),
    TimedOut,
    Not(NotAnAnswer),
}

impl From<IoFailure> for Unanswered {
    fn from(failure: IoFailure) -> Self {
        match Errno::from_io_error(&failure.source) {
            // So ends a call on a socket whose time is over.
            Some(Errno::AGAIN) => Self::TimedOut,
            _ => Self::Call(failure),
        }
    }
}

impl Endpoint {
    /// The service of an address. A relative path stays the one that it is now.
    pub(super) fn of(address: &Address) -> Result<Self> {
        let socket = attempt("getcwd", &address.socket, || std::path::absolute(&address.socket))?;
        Ok(Self {
            address: SocketAddrUnix::new(&socket).map_err(|_| long_path(&socket))?,
            socket,
            token: address.token_file.as_deref().map(read_token).transpose()?,
            timeout: address.timeout,
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The body that a request is answered with. One that may have been lost is made again: the same request gives the same
    /// signature.
    pub(super) fn ask(&self, request: &Request<'_>) -> Result<Vec<u8>> {
        let text = self.text(request);
        let deadline = Instant::now() + self.timeout;
        let mut outcome = self.exchange(text.as_bytes(), deadline);
        if let Some(wait_s) = again_after_s(&outcome) {
            let left = deadline.saturating_duration_since(Instant::now());
            if Duration::from_secs(wait_s) < left {
                pause(wait_s * 1000);
                outcome = self.exchange(text.as_bytes(), deadline);
            }
        }
        match outcome {
            Ok(Answer { status: 200, body, .. }) => Ok(body),
            Ok(answer) => Err(refused(&answer, &self.socket, self.token.is_some())),
            Err(why) => Err(self.unanswered(why)),
        }
    }

    fn unanswered(&self, why: Unanswered) -> Error {
        match why {
            Unanswered::Call(failure) => call_failed(failure),
            Unanswered::TimedOut => timed_out(&self.socket, self.timeout),
            Unanswered::Not(NotAnAnswer::Cut) => cut(&self.socket),
            Unanswered::Not(NotAnAnswer::Garbage(why)) => not_a_service(&self.socket, why),
        }
    }

    fn text(&self, request: &Request<'_>) -> Zeroizing<String> {
        let method = if request.body.is_some() { "POST" } else { "GET" };
        let body = request.body.unwrap_or_default();
        let mut text = Zeroizing::new(format!(
            "{method} {} HTTP/1.1\r\nHost: keymill\r\nConnection: close\r\nAccept: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            request.target,
            request.accept,
            body.len()
        ));
        if let Some(token) = &self.token {
            // In room of its own, so that no copy is left behind by growing.
            let room = text.len() + token.len() + body.len() + 64;
            let mut with_token = Zeroizing::new(String::with_capacity(room));
            with_token.push_str(&text);
            with_token.push_str("Authorization: Bearer ");
            with_token.push_str(token);
            with_token.push_str("\r\n");
            text = with_token;
        }
        text.push_str("\r\n");
        text.push_str(body);
        text
    }

    /// Asks once, and reads no further than to the end of the answer.
    fn exchange(&self, request: &[u8], deadline: Instant) -> Result<Answer, Unanswered> {
        let path = &self.socket;
        let socket = attempt("socket", path, || {
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        })?;
        // The time for sending is that for connecting too: a service that takes no connections lets it wait.
        self.before(&socket, Timeout::Send, deadline, "connect", || {
            connect(&socket, &self.address)
        })?;
        let mut rest = request;
        while !rest.is_empty() {
            // The process that called may not know of SIGPIPE.
            let sent = self.before(&socket, Timeout::Send, deadline, "send", || {
                send(&socket, rest, SendFlags::NOSIGNAL)
            });
            match sent {
                Ok(sent) => rest = &rest[sent.min(rest.len())..],
                // Perhaps there is an answer that says why.
                Err(why) if is_hung_up(&why) => break,
                Err(why) => return Err(why),
            }
        }
        let (mut bytes, mut block) = (Vec::new(), [0; BLOCK_BYTES]);
        loop {
            let received = self.before(&socket, Timeout::Recv, deadline, "recv", || {
                recv(&socket, &mut block[..], RecvFlags::empty())
            });
            let is_ended = match received {
                Ok((_, count)) => {
                    bytes.extend_from_slice(&block[..count.min(BLOCK_BYTES)]);
                    count == 0
                }
                Err(why) if is_hung_up(&why) => true,
                Err(why) => return Err(why),
            };
            bytes.truncate(ANSWER_BYTES_MAX);
            if let Some(answer) = read_answer(&bytes, is_ended).map_err(Unanswered::Not)? {
                return Ok(answer);
            }
        }
    }

    /// Makes a call that ends before the deadline, again if a signal came in between.
    fn before<T>(
        &self,
        socket: &OwnedFd,
        direction: Timeout,
        deadline: Instant,
        name: &'static str,
        mut call: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Unanswered> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unanswered::TimedOut);
            }
            attempt("setsockopt", &self.socket, || {
                set_socket_timeout(socket, direction, Some(left))
            })?;
            match attempt(name, &self.socket, &mut call) {
                Err(failure) if failure.source.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => return Ok(outcome?),
            }
        }
    }
}

/// After how many seconds a request is made again, if that is of use.
fn again_after_s(outcome: &Result<Answer, Unanswered>) -> Option<u64> {
    match outcome {
        Ok(answer) if matches!(answer.status, 429 | 503) => Some(answer.retry_after_s.unwrap_or(AGAIN_AFTER_S)),
        Err(Unanswered::Not(NotAnAnswer::Cut)) => Some(AGAIN_AFTER_S),
        Err(Unanswered::Call(failure)) => {
            use std::io::ErrorKind::{ConnectionRefused, NotFound};
            [ConnectionRefused, NotFound]
                .contains(&failure.source.kind())
                .then_some(AGAIN_AFTER_S)
        }
        _ => None,
    }
}

/// Whether the other side has closed the connection.
fn is_hung_up(why: &Unanswered) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let Unanswered::Call(failure) = why else {
        return false;
    };
    [BrokenPipe, ConnectionReset].contains(&failure.source.kind())
}

/// The token in a file, which may end with a line's end.
fn read_token(file: &Path) -> Result<Zeroizing<String>> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX + 2));
    let read = attempt("read", file, || {
        let file = File::open(file)?;
        file.take(TOKEN_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)
    });
    read.map_err(Error::unreadable)?;
    let token = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let is_good = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    let token = std::str::from_utf8(token).ok().filter(|_| is_good);
    token
        .map(|token| Zeroizing::new(token.to_owned()))
        .ok_or_else(|| bad_token(file))
}
