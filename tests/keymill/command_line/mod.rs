//! The command line as a user types it: output, messages, exit codes.

mod fixtures;
mod program;

mod backup;
mod bad_requests;
mod bad_secrets;
mod damage;
mod disk_room;
mod governed;
mod guidance;
mod injected;
mod interrupted;
mod ledger;
mod ledger_exchange;
mod ledger_rollback;
mod life_of_a_key;
mod lookup;
mod memory_trace;
mod outputs;
mod privacy;
mod repairing;
mod reporting;
mod secrecy;
mod settings;
mod signals;
mod streams;
mod trimming;
mod two_processes;
mod unready_directories;
mod verifying;
