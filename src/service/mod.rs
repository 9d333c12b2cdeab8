//! A service: signatures and paths for many keys, over HTTP.
//!
//! A request goes through four stages. Workers *prepare* it: the path and the codeword, all that reveals nothing. A committer
//! *spends* the epochs of everything that is prepared and has one ledger, in one write of that. Workers *reveal* the chain values and
//! verify the signature. Only then is it *answered*. No signature leaves whose epoch is not on disk (docs/DURABILITY.md).

mod beside;
#[cfg(test)]
mod commit_tests;
mod connection;
mod descriptors;
mod engine;
#[cfg(test)]
mod engine_tests;
mod figures;
mod fingerprints;
mod http;
mod keys;
mod known_clients;
mod ledgers;
mod limits;
#[cfg(test)]
mod limits_tests;
mod listen;
mod mappings;
#[cfg(test)]
mod mappings_tests;
mod memory;
mod options;
mod order;
mod places;
#[cfg(test)]
mod reload_tests;
mod run;
mod stages;
mod timed;
mod tls;
#[cfg(test)]
mod tls_tests;
mod token;
mod work;

pub use http::{Listener, openapi};
#[cfg(any(test, fuzzing))]
pub(crate) use known_clients::KnownClients;
pub use options::{ClientsFile, Listen, ServiceOptions, TlsFiles};
pub use run::{Service, ServiceEnd, ServiceHandle};
pub use token::Token;
