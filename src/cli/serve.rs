//! `keymill serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use keymill::service::{ClientsFile, Listen, Service, ServiceEnd, ServiceHandle, ServiceOptions, TlsFiles, Token};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::failure::Failure;
use super::input::{private_text, warn_if_exposed};
use super::messages::{self, say, warn};
use super::output::print_lines;
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use super::request::MachineArguments;
use crate::config::{Settings, parse_count};

/// Exit code of a program that a second signal ends at once.
const INTERRUPTED: i32 = 130;

/// Flags of serve.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Serve two keys at a socket that the same user alone can use, until SIGTERM:
    keymill serve key leanvm-key --listen unix:keymill.sock
  Give figures for Prometheus too, and a page at http://127.0.0.1:9001/:
    keymill serve key --listen unix:keymill.sock --metrics-listen 127.0.0.1:9001

docs/SERVICE.md says what clients ask, and how to serve a port with certificates.")]
pub struct ServeArguments {
    /// The key directories, and the directories of sets that have a ledger ('keymill ledger move', 'keymill generate --keys-only').
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Where clients ask for signatures: unix:PATH, a socket of mode 0600 for processes of the same user and of root; or
    /// tcp:ADDRESS:PORT, with TLS.
    #[arg(long, value_name = "PLACE", default_value = "unix:/run/keymill.sock", value_parser = parse_place)]
    listen: Place,
    /// The certificate of the service and those between it and its authority, in PEM; for tcp.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "clients"])]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The authorities whose clients may sign, in PEM. A client without a certificate of theirs is refused.
    #[arg(long, value_name = "FILE", requires = "tls_cert", group = "clients")]
    client_ca: Option<PathBuf>,
    /// In the place of --client-ca, the clients that may sign: the SHA-256 fingerprints of their certificates, one a line, with or
    /// without colons. A name may stand before each, as in the file of known clients of Web3Signer.
    #[arg(long, value_name = "FILE", requires = "tls_cert", group = "clients")]
    client_fingerprints: Option<PathBuf>,
    /// Listen on a port of the loopback without TLS: every user and every program of this machine can sign, unless
    /// --token-file is given.
    #[arg(long, conflicts_with = "tls_cert")]
    anyone_on_this_machine_may_sign: bool,
    /// Refuse requests without the header "Authorization: Bearer TOKEN"; this file holds the token, and is readable by its
    /// owner alone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Serve requests to this name too, at --metrics-listen and at a port without TLS; may be repeated. Addresses and localhost
    /// are served there, and no other names: with one of its own, a page in a browser could ask.
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
    /// Give figures for Prometheus at http://ADDRESS:PORT/metrics, and a page for people at http://ADDRESS:PORT/, to everybody who
    /// reaches it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Requests that may wait at a time; more are refused with 429.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = parse_count)]
    max_waiting: u64,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    #[command(flatten)]
    machine: MachineArguments,
    /// Write a JSON object a line on standard error, as --progress json does.
    #[arg(long)]
    json_log: bool,
}

/// Where to listen, as it was typed.
#[derive(Clone, Debug)]
enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

fn parse_place(text: &str) -> Result<Place, String> {
    match text.split_once(':') {
        Some(("unix", path)) if !path.is_empty() => Ok(Place::Unix(PathBuf::from(path))),
        Some(("tcp", address)) => address
            .parse()
            .map(Place::Tcp)
            .map_err(|_| "behind tcp: stand an IP address and a port, as in tcp:127.0.0.1:9000".to_owned()),
        _ => Err("it is unix:PATH or tcp:ADDRESS:PORT".to_owned()),
    }
}

/// Serves until a signal ends it.
pub fn run(arguments: &ServeArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    if arguments.json_log {
        messages::write_json();
    }
    let options = options(arguments, settings)?;
    let service = Service::open(&arguments.directories, options)?;
    obey_signals(service.handle()).map_err(|error| Failure::machine(format!("signals cannot be caught: {error}")))?;
    print_lines(places(arguments, &service))?;
    let count = service.keys();
    say(format_args!(
        "ready; {count} {}; SIGTERM ends it, SIGHUP reloads",
        if count == 1 { "key" } else { "keys" }
    ));
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    if service.run()? == ServiceEnd::Early {
        warn("the disk, or a computation, did not come to an end in time; what was not answered may be spent");
        // A thread that is still in RocksDB must not meet the destructors of an ordinary end.
        signal_hook::low_level::exit(0);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it listens now, a line each.
fn places(arguments: &ServeArguments, service: &Service) -> Vec<String> {
    let mut places = vec![match (&arguments.listen, service.port()) {
        (Place::Tcp(address), Some(port)) => format!("listening tcp:{}", SocketAddr::new(address.ip(), port)),
        (Place::Tcp(address), None) => format!("listening tcp:{address}"),
        (Place::Unix(path), _) => format!("listening unix:{}", path.display()),
    }];
    if let (Some(address), Some(port)) = (arguments.metrics_listen, service.metrics_port()) {
        places.push(format!(
            "metrics http://{}/metrics",
            SocketAddr::new(address.ip(), port)
        ));
    }
    places
}

fn options(arguments: &ServeArguments, settings: &Settings) -> Result<ServiceOptions, Failure> {
    let waiting_max = usize::try_from(arguments.max_waiting).ok().filter(|&most| most > 0);
    let waiting_max = waiting_max.ok_or_else(|| Failure::usage("--max-waiting has to be 1 or more"))?;
    let (threads, memory) = arguments.machine.threads_and_memory(settings)?;
    let mut options = ServiceOptions::new(listen(arguments)?)
        .passphrase(arguments.passphrase.read()?)
        .threads(threads)
        .memory(memory)
        .waiting_max(waiting_max)
        .host_names(arguments.host_name.clone());
    if let Some(address) = arguments.metrics_listen {
        options = options.metrics_listen(address);
    }
    if let Some(path) = &arguments.token_file {
        options = options.token(token(path)?);
    }
    Ok(options)
}

fn listen(arguments: &ServeArguments) -> Result<Listen, Failure> {
    let address = match &arguments.listen {
        Place::Unix(path) if arguments.tls_cert.is_none() && !arguments.anyone_on_this_machine_may_sign => {
            return Ok(Listen::Unix(path.clone()));
        }
        Place::Unix(_) => return Err(Failure::usage("TLS and the loopback are for --listen tcp:ADDRESS:PORT")),
        Place::Tcp(address) => *address,
    };
    let clients = match (&arguments.client_ca, &arguments.client_fingerprints) {
        (Some(path), _) => Some(ClientsFile::Authorities(path.clone())),
        (None, Some(path)) => Some(ClientsFile::Fingerprints(path.clone())),
        (None, None) => None,
    };
    if let (Some(certificate), Some(key), Some(clients)) = (&arguments.tls_cert, &arguments.tls_key, clients) {
        warn_if_exposed("--tls-key", key, "can pass for this service");
        let files = TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            clients,
        };
        return Ok(Listen::Tls { address, files });
    }
    if !arguments.anyone_on_this_machine_may_sign {
        return Err(Failure::usage(
            "a port needs --tls-cert, --tls-key, and --client-ca or --client-fingerprints; on the loopback, \
             --anyone-on-this-machine-may-sign does without them",
        ));
    }
    if arguments.token_file.is_none() {
        warn("every user and every program of this machine can sign with these keys");
    }
    Ok(Listen::Loopback(address))
}

fn token(path: &Path) -> Result<Token, Failure> {
    let text = private_text("--token-file", path)?;
    Token::parse(&text).ok_or_else(|| {
        Failure::usage(format!(
            "--token-file '{}': a token is 16 to 256 characters that can stand in a header, without spaces",
            path.display()
        ))
    })
}

/// The first SIGTERM or SIGINT ends the service in order, a second one at once; SIGHUP reloads.
fn obey_signals(handle: ServiceHandle) -> std::io::Result<()> {
    let is_signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, passes, and sets it.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&is_signalled))?;
        signal_hook::flag::register(signal, Arc::clone(&is_signalled))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new()
        .name("keymill-signals".to_owned())
        .spawn(move || {
            for signal in &mut signals {
                if signal == SIGHUP {
                    handle.reload();
                } else {
                    let _ = sd_notify::notify(&[NotifyState::Stopping]);
                    handle.end();
                }
            }
        })?;
    Ok(())
}
