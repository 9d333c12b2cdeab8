//! A connection whose answers have to be taken in time.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::limits::{LINGER_BYTES_MAX, Limits};
use super::places::Place;

/// A stream that fails when what is written waits for its reader too long. The time is that of all that is written until the next
/// flush, so a reader that takes a byte now and then gains nothing.
pub(super) struct Timed<S> {
    stream: S,
    answer_max: Duration,
    /// Runs from the first write that had to wait, until everything is written.
    waits: Option<Pin<Box<Sleep>>>,
    place: Arc<Place>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    pub(super) fn new(stream: S, limits: &Limits, place: Arc<Place>) -> Self {
        Self {
            stream,
            answer_max: limits.answer_max,
            waits: None,
            place,
        }
    }

    /// Ends what is written, and reads and drops what the client still sends: a connection that is closed with bytes that nobody
    /// has read loses the answer that is on its way (RFC 9112, section 9.6).
    pub(super) async fn linger(mut self, linger_max: Duration) {
        let drain = async {
            self.stream.shutdown().await?;
            let (mut buffer, mut left) = (vec![0; 16 << 10], LINGER_BYTES_MAX);
            while left > 0 {
                match self.stream.read(&mut buffer).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Result::Ok(())
        };
        // Who is not done then has lost the answer.
        let _ = timeout(linger_max, drain).await;
    }

    fn in_time<T>(&mut self, context: &mut Context<'_>, polled: Poll<Result<T>>) -> Poll<Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let answer_max = self.answer_max;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(answer_max)));
        ready!(waits.as_mut().poll(context));
        Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.waits = None;
            self.place.note_written();
        }
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, shut)
    }
}
