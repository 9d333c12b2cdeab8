//! The compute crate against a second implementation, written for reading, and against the known answers of three
//! independent libraries. They need neither files nor a database, so every CPU's build can run them.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod as_text;
mod known_answers;
mod reference_is_right;
mod signatures;
