//! `keymill serve`, as its clients see it.

mod answers;
pub(in crate::command_line) mod client;
mod deployed;
mod described;
mod health;
mod hostile;
mod killed;
mod killed_set;
mod lifetime;
mod lists;
mod page;
mod python;
mod set_refused;
mod sets;
mod tls;
