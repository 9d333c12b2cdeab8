//! The connections of a listener, from their coming to their end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::limits::{HEAD_BYTES_MAX, HEADERS_MAX, Limits};
use super::listen::{Source, Stream, may_connect};
use super::places::{Place, Places};
use super::timed::Timed;

/// After an accept that failed, as when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a running service is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) end: bool,
    pub(super) reloads: u64,
}

pub(super) type Asking = watch::Receiver<Asked>;

/// Waits until the service is asked to end.
pub(super) async fn asked_to_end(asked: &mut Asking) {
    let _ = asked.wait_for(|asked| asked.end).await;
}

/// Takes connections until the service is asked to end, and then lets those that are open come to theirs.
pub(super) async fn accept_all(source: Source, router: Router, places: Arc<Places>, limits: Limits, asked: Asking) {
    let mut open = JoinSet::new();
    let mut end = asked.clone();
    loop {
        let next = async {
            places.room().await;
            source.accept().await
        };
        tokio::select! {
            () = asked_to_end(&mut end) => break,
            accepted = next => match accepted {
                Ok(stream) => {
                    let connection = Connection { place: places.enter(), router: router.clone(), limits, asked: asked.clone() };
                    drop(open.spawn(connection.serve(stream)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(source);
    let all = async { while open.join_next().await.is_some() {} };
    // What is still under way then is cut off: its epochs are spent, and the same request gives the signature again.
    let _ = timeout(limits.drain_max, all).await;
}

struct Connection {
    place: Arc<Place>,
    router: Router,
    limits: Limits,
    asked: Asking,
}

impl Connection {
    /// Serves it until either side ends it, or its place is taken.
    async fn serve(self, stream: Stream) {
        let place = Arc::clone(&self.place);
        tokio::select! {
            () = place.lost(self.limits.first_head_max) => {}
            () = self.serve_stream(stream) => {}
        }
    }

    async fn serve_stream(&self, stream: Stream) {
        match stream {
            Stream::Unix(stream) => {
                if may_connect(&stream).unwrap_or(false) {
                    self.serve_http(stream).await;
                }
            }
            Stream::Tcp(stream) => self.serve_http(stream).await,
            Stream::Tls(stream, config) => {
                // A client without a good certificate is told so by TLS itself.
                if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                    self.serve_http(stream).await;
                }
            }
        }
    }

    /// Answers the requests of one connection.
    async fn serve_http(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = Timed::new(stream, &self.limits, Arc::clone(&self.place));
        let served = self.answer_all(&mut stream).await;
        let is_refused = served.is_err_and(|error| error.is_parse());
        // A service that ends waits for nobody who is refused.
        if (is_refused || self.place.has_unread()) && !self.asked.borrow().end {
            stream.linger(self.limits.linger_max).await;
        }
    }

    async fn answer_all(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> hyper::Result<()> {
        let router = TowerToHyperService::new(self.router.clone());
        let answer = |mut request: hyper::Request<Incoming>| {
            self.place.note_head();
            request.extensions_mut().insert(Arc::clone(&self.place));
            self.noted(router.call(request))
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.next_head_max)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        let mut connection = pin!(connection);
        let mut asked = self.asked.clone();
        tokio::select! {
            served = connection.as_mut() => return served,
            () = asked_to_end(&mut asked) => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn noted<A>(&self, answer: impl Future<Output = A>) -> A {
        let answer = answer.await;
        self.place.note_answer();
        answer
    }
}
