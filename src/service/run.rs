//! A service from its sockets to its end.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::engine::{Engine, EngineOptions};
use super::http::{Api, Figures, Listener, Live, State, keep_up_to_date, router};
use super::keys::Keys;
use super::listen::{Bound, Source, Stream, bind, bind_tcp, may_connect};
use super::memory::MemoryWatch;
use super::options::ServiceOptions;
use crate::error::{Error, Result};

/// Connections of a listener at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// A request's head has this time to arrive, and a connection that asks for nothing is closed after it.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);
const TLS_WAIT_MAX: Duration = Duration::from_secs(5);
const HEADERS_MAX: usize = 64;
/// The least that hyper takes is 8192.
const BUFFER_BYTES_MAX: usize = 16 << 10;
/// Requests that are under way when the service is asked to end have this time.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// After an accept that failed, as when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a running service is asked to do, from any thread.
#[derive(Clone, Debug)]
pub struct ServiceHandle {
    asked: watch::Sender<Asked>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    end: bool,
    reloads: u64,
}

type Asking = watch::Receiver<Asked>;

impl ServiceHandle {
    /// Asks it to end: it takes nothing new, answers what it has taken, and is gone within about two seconds.
    pub fn end(&self) {
        self.asked.send_modify(|asked| asked.end = true);
    }

    /// Asks it to open ledgers again that could not be written, and to read certificates again.
    pub fn reload(&self) {
        self.asked.send_modify(|asked| asked.reloads += 1);
    }
}

/// A service whose keys are open and whose sockets are bound.
pub struct Service {
    api: Api,
    signing: Bound,
    metrics: Option<std::net::TcpListener>,
    asked: watch::Sender<Asked>,
}

impl Service {
    /// Opens the sealed keys in these directories, those of sets that have a ledger among them, and binds the sockets. From here on no other process can sign with them.
    ///
    /// # Errors
    /// [`Error`](crate::Error) of the first key or socket that cannot be opened, or if two directories hold the same key.
    pub fn open(directories: &[PathBuf], options: ServiceOptions) -> Result<Self> {
        // What was typed wrong is found before a key is locked.
        let signing = bind(&options.listen)?;
        let metrics = options.metrics_listen.map(bind_tcp).transpose()?;
        let keys = Keys::open(directories, options.passphrase.as_ref())?;
        let figures = Figures::default();
        let workers = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let waiting_max = options.waiting_max;
        let engine = Engine::start(keys, EngineOptions { workers, waiting_max }, figures.engine.clone())?;
        let reload: Box<dyn Fn() -> Result<()> + Send + Sync> = match &signing {
            Bound::Tls(_, source) => {
                let source = source.clone();
                Box::new(move || source.reload())
            }
            Bound::Unix(..) | Bound::Tcp(_) => Box::new(|| Ok(())),
        };
        Ok(Self {
            metrics,
            api: Arc::new(State {
                engine,
                memory: MemoryWatch::new(options.memory),
                figures,
                live: Live::default(),
                token: options.token,
                is_reloading: AtomicBool::new(false),
                reload,
            }),
            signing,
            asked: watch::Sender::new(Asked::default()),
        })
    }

    /// What ends it.
    pub fn handle(&self) -> ServiceHandle {
        let asked = self.asked.clone();
        ServiceHandle { asked }
    }

    /// How many keys it holds.
    pub fn keys(&self) -> usize {
        self.api.engine.keys().iter().len()
    }

    /// The port of the signing listener, if it has one: where port 0 was asked for, the system has chosen.
    pub fn port(&self) -> Option<u16> {
        match &self.signing {
            Bound::Unix(..) => None,
            Bound::Tcp(listener) | Bound::Tls(listener, _) => Some(listener.local_addr().ok()?.port()),
        }
    }

    /// The port of the metrics listener, if there is one.
    pub fn metrics_port(&self) -> Option<u16> {
        Some(self.metrics.as_ref()?.local_addr().ok()?.port())
    }

    /// Serves until it is asked to end.
    ///
    /// # Errors
    /// If the machine does not give what it needs.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::machine(format!("a runtime cannot be started: {error}")))?;
        let drained = runtime.block_on(self.serve());
        // Readings and reloads that hang do not keep the process.
        runtime.shutdown_timeout(DRAIN_MAX);
        drained
    }

    async fn serve(self) -> Result<()> {
        let (api, asked) = (self.api, self.asked);
        let mut listeners = JoinSet::new();
        if let Some(listener) = self.metrics {
            let (source, router) = (Source::tcp(listener)?, router(&api, Listener::Metrics));
            listeners.spawn(accept_all(source, router, asked.subscribe()));
            let mut end = asked.subscribe();
            let end = async move { asked_to_end(&mut end).await };
            listeners.spawn(keep_up_to_date(Arc::clone(&api), end));
        }
        let (source, router) = (Source::new(self.signing)?, router(&api, Listener::Signing));
        listeners.spawn(accept_all(source, router, asked.subscribe()));
        let reloads = tokio::spawn(reload_when_asked(api, asked.subscribe()));
        while listeners.join_next().await.is_some() {}
        reloads.abort();
        Ok(())
    }
}

/// Takes connections until the service is asked to end, and then lets those that are open come to theirs.
async fn accept_all(source: Source, router: Router, asked: Asking) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    let mut end = asked.clone();
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (source.accept().await, place)
        };
        tokio::select! {
            () = asked_to_end(&mut end) => break,
            (accepted, place) = next => match accepted {
                Ok(stream) => drop(open.spawn(serve_stream(stream, router.clone(), asked.clone(), place))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(source);
    let all = async { while open.join_next().await.is_some() {} };
    // What is still under way then is cut off: its epochs are spent, and the same request gives the signature again.
    let _ = timeout(DRAIN_MAX, all).await;
}

async fn serve_stream(stream: Stream, router: Router, asked: Asking, _place: Option<OwnedSemaphorePermit>) {
    match stream {
        Stream::Unix(stream) => {
            if may_connect(&stream).unwrap_or(false) {
                serve_http(stream, router, asked).await;
            }
        }
        Stream::Tcp(stream) => serve_http(stream, router, asked).await,
        Stream::Tls(stream, config) => {
            // A client without a good certificate is told so by TLS itself.
            if let Ok(Ok(stream)) = timeout(TLS_WAIT_MAX, TlsAcceptor::from(config).accept(stream)).await {
                serve_http(stream, router, asked).await;
            }
        }
    }
}

/// Answers the requests of one connection.
async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, mut asked: Asking) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        // A connection that breaks is the client's loss.
        _ = connection.as_mut() => return,
        () = asked_to_end(&mut asked) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn reload_when_asked(api: Api, mut asked: Asking) {
    let mut done = 0;
    while asked.wait_for(|asked| asked.reloads > done).await.is_ok() {
        done = asked.borrow().reloads;
        // One that is running already does what is asked for.
        let _ = api.begin_reload();
    }
}

async fn asked_to_end(asked: &mut Asking) {
    let _ = asked.wait_for(|asked| asked.end).await;
}
