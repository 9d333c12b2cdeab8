//! The sockets of a service.

use std::io::{Error as IoError, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
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
    /// In this order: the name is gone before nobody listens any more.
    Unix(SocketFile, UnixListener),
    Tcp(TcpListener),
    Tls(TcpListener, TlsSource),
}

/// The name of a socket, which is removed when the service ends, while it still listens: the name of a socket at which nobody
/// listens can be taken by another service.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode. None if they could not be asked for.
    is: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is: identity(path),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it, and another service have taken its name.
        if self.is.is_some() && self.is == identity(&self.path) {
            // One that cannot be removed is found to be dead by the next service.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
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
    let file = SocketFile::new(path);
    attempt("chmod", path, || {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))
    })?;
    attempt("fcntl", path, || listener.set_nonblocking(true))?;
    Ok(Bound::Unix(file, listener))
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
        /// Removes its name when it is dropped, which is before the socket is closed.
        _file: SocketFile,
        listener: tokio::net::UnixListener,
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
            Bound::Unix(file, listener) => {
                let listener = tokio::net::UnixListener::from_std(listener).map_err(|error| not_taken(&error))?;
                Ok(Self::Unix { _file: file, listener })
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::{Bound, Listen, Source, bind};

    #[test]
    fn the_name_of_a_socket_goes_before_the_socket_and_one_that_is_anothers_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap();
        let _inside = runtime.enter();
        let bound = bind(&Listen::Unix(path.clone())).unwrap();
        let Bound::Unix(file, listener) = bound else {
            unreachable!("it is a Unix socket");
        };
        let still_listens = listener.try_clone().unwrap();
        drop(Source::new(Bound::Unix(file, listener)).unwrap());
        assert!(!path.exists());
        drop(still_listens);
        // Another service has the name now.
        let source = Source::new(bind(&Listen::Unix(path.clone())).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(source);
        assert!(UnixStream::connect(&path).is_ok());
        drop(other);
    }

    #[test]
    fn while_the_name_is_there_somebody_listens() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        for _ in 0..200 {
            let bound = bind(&Listen::Unix(path.clone())).unwrap();
            let begins = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let ended = scope.spawn(|| {
                    begins.wait();
                    drop(bound);
                });
                begins.wait();
                while path.exists() && !ended.is_finished() {
                    let refused = UnixStream::connect(&path).is_err_and(|error| error.raw_os_error() == Some(111));
                    // The name may go between the two looks.
                    assert!(!refused || !path.exists(), "nobody listens there");
                }
            });
        }
    }
}
