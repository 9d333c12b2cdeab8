//! What a service is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::limits::Limits;
use super::token::Token;
use crate::keystore::Passphrase;
use crate::plan::MemoryRequest;

/// Where a service listens for requests to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket in the file system, of mode 0600. The other side has to run as the same user, or as root.
    Unix(PathBuf),
    /// A port, with TLS: a client has to show a certificate.
    Tls {
        /// Where.
        address: SocketAddr,
        /// The certificate of the service, and those of its clients.
        files: TlsFiles,
    },
    /// A port of the loopback, without TLS: **every user and every program of the machine can sign**, unless a token is asked
    /// for.
    Loopback(SocketAddr),
}

/// What TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the service, and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Which clients may sign.
    pub clients: ClientsFile,
}

/// A file that says which clients may sign. A certificate that is not valid today is refused, whichever file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientsFile {
    /// The authorities that sign the certificates of clients, in PEM.
    Authorities(PathBuf),
    /// The SHA-256 fingerprints of the certificates themselves, one a line, as hex digits with or without colons; a name may stand
    /// before each.
    Fingerprints(PathBuf),
}

/// What a service is started with.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceOptions {
    pub(super) listen: Listen,
    pub(super) metrics_listen: Option<SocketAddr>,
    pub(super) host_names: Vec<String>,
    pub(super) token: Option<Token>,
    pub(super) passphrase: Option<Passphrase>,
    pub(super) threads: usize,
    pub(super) waiting_max: usize,
    pub(super) memory: MemoryRequest,
    /// Others in tests alone.
    pub(super) limits: Limits,
}

impl ServiceOptions {
    /// A service that listens there.
    pub fn new(listen: Listen) -> Self {
        Self {
            listen,
            metrics_listen: None,
            host_names: Vec::new(),
            token: None,
            passphrase: None,
            threads: 0,
            waiting_max: 4096,
            memory: MemoryRequest::Auto,
            limits: Limits::default(),
        }
    }

    /// Give figures to everybody who reaches this address.
    pub fn metrics_listen(mut self, address: SocketAddr) -> Self {
        self.metrics_listen = Some(address);
        self
    }

    /// Serve requests to these names too, where a listener can be reached from a browser: at a port without TLS. Addresses and
    /// `localhost` are always served there.
    pub fn host_names(mut self, names: Vec<String>) -> Self {
        self.host_names = names;
        self
    }

    /// Refuse whoever does not show this token.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Open secrets that are under a passphrase with this one.
    pub fn passphrase(mut self, passphrase: Option<Passphrase>) -> Self {
        self.passphrase = passphrase;
        self
    }

    /// Threads that compute; 0 for one per core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Requests that may wait; more are refused.
    pub fn waiting_max(mut self, requests: usize) -> Self {
        self.waiting_max = requests;
        self
    }

    /// Refuse requests while more than 85 % of this is held.
    pub fn memory(mut self, memory: MemoryRequest) -> Self {
        self.memory = memory;
        self
    }
}
