//! The service over HTTP: one table of routes, from which router, OpenAPI and docs/SERVICE.md come.

mod answers;
mod api;
mod body;
mod call;
mod health;
mod hosts;
mod keys;
mod list;
mod looked_up;
mod metrics;
mod openapi;
mod page;
mod refusal;
mod reload;
mod routes;
mod sign;
mod state;
mod text_format;

pub(crate) use api::{Api, router};
pub(crate) use hosts::Hosts;
pub(crate) use metrics::Figures;
pub use openapi::openapi;
pub(crate) use page::{Live, keep_up_to_date};
pub(crate) use reload::Reloads;
pub use routes::Listener;
pub(crate) use state::State;
