//! The sockets of a service.

use std::io::{Error as IoError, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;

use super::options::Listen;
use super::tls::{TlsSource, load};
use crate::error::{Error, Reason, Result};
use crate::failure::attempt;

const SOCKET_MODE: u32 = 0o600;

/// A socket that is bound.
pub(super) enum Bound {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
    Tls(TcpListener, TlsSource),
}

/// The name of a socket, which is removed when the service ends.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that cannot be removed is found to be dead by the next service.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds the socket for signing.
pub(super) fn bind(listen: &Listen) -> Result<Bound> {
    match listen {
        Listen::Unix(path) => bind_unix(path),
        Listen::Loopback(address) if !address.ip().is_loopback() => Err(not_loopback(*address)),
        Listen::Loopback(address) => Ok(Bound::Tcp(bind_tcp(*address)?)),
        Listen::Tls { address, files } => {
            let source = TlsSource::new(load(files)?, files.clone());
            Ok(Bound::Tls(bind_tcp(*address)?, source))
        }
    }
}

/// Binds a port.
pub(super) fn bind_tcp(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let what = format!("cannot listen on {address}: {error}");
        match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied => Error::usage(what),
            _ => Error::machine(what),
        }
    })
}

fn bind_unix(path: &Path) -> Result<Bound> {
    remove_dead_socket(path)?;
    let listener = attempt("bind", path, || UnixListener::bind(path));
    let listener = listener.map_err(|failure| match failure.source.kind() {
        ErrorKind::AddrInUse => in_the_way(path, "something else has this name"),
        ErrorKind::InvalidInput => in_the_way(path, "the path of a socket has fewer than 108 bytes"),
        _ => Error::unreadable(failure),
    })?;
    let file = SocketFile(path.to_owned());
    attempt("chmod", path, || {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))
    })?;
    attempt("fcntl", path, || listener.set_nonblocking(true))?;
    Ok(Bound::Unix(listener, file))
}

/// A socket that a service left behind which was killed. One that a service listens at stays.
fn remove_dead_socket(path: &Path) -> Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(in_the_way(path, "another service listens there")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Ok(attempt("unlink", path, || std::fs::remove_file(path))?)
        }
        Err(_) => Ok(()),
    }
}

fn in_the_way(path: &Path, why: &str) -> Error {
    let what = format!("cannot listen at '{}': {why}", path.display());
    Error::usage(what).because(Reason::InTheWay).at(path)
}

fn not_loopback(address: SocketAddr) -> Error {
    Error::usage(format!(
        "{address} can be reached from other machines: without TLS a service listens on the loopback alone"
    ))
}

/// Whether the process on the other side of a Unix socket may use it: one of the same user, or of root.
pub(super) fn may_connect(stream: &tokio::net::UnixStream) -> Result<bool, IoError> {
    let peer = stream.peer_cred()?.uid();
    Ok(peer == 0 || peer == rustix::process::geteuid().as_raw())
}

/// Where connections come from.
pub(super) enum Source {
    Unix {
        listener: tokio::net::UnixListener,
        /// Removes its name when it is dropped.
        _file: SocketFile,
    },
    Tcp(tokio::net::TcpListener),
    Tls(tokio::net::TcpListener, TlsSource),
}

/// A connection before anything was read from it.
pub(super) enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
    Tls(tokio::net::TcpStream, Arc<ServerConfig>),
}

impl Source {
    /// Hands a bound socket to the runtime of the caller.
    pub(super) fn new(bound: Bound) -> Result<Self> {
        match bound {
            Bound::Tcp(listener) => Self::tcp(listener),
            Bound::Tls(listener, source) => {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| not_taken(&error))?;
                Ok(Self::Tls(listener, source))
            }
            Bound::Unix(listener, file) => {
                let listener = tokio::net::UnixListener::from_std(listener).map_err(|error| not_taken(&error))?;
                Ok(Self::Unix { listener, _file: file })
            }
        }
    }

    /// The same for a port without TLS.
    pub(super) fn tcp(listener: TcpListener) -> Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener);
        Ok(Self::Tcp(listener.map_err(|error| not_taken(&error))?))
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Result<Stream, IoError> {
        match self {
            Self::Unix { listener, .. } => Ok(Stream::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Ok(Stream::Tcp(at_once(listener.accept().await?.0)?)),
            Self::Tls(listener, source) => Ok(Stream::Tls(at_once(listener.accept().await?.0)?, source.config())),
        }
    }
}

/// Answers are small, and are sent without waiting for more.
fn at_once(stream: tokio::net::TcpStream) -> Result<tokio::net::TcpStream, IoError> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn not_taken(error: &IoError) -> Error {
    Error::machine(format!("the runtime does not take a socket: {error}"))
}
