//! `keymill serve`, as its clients see it.

mod answers;
mod client;
mod deployed;
mod described;
mod hostile;
mod killed;
mod lifetime;
mod page;
mod sets;
mod tls;
