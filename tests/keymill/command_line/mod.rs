//! The command line as a user types it: output, messages, exit codes.

mod fixtures;
mod program;

mod life_of_a_key;
mod outputs;
mod secrecy;
