pub mod hash;
pub mod plan;
pub mod scheme;
mod text;
