//! The command line as a user types it: output, messages, exit codes.
