//! The checker's engine: from paths to findings.
//!
//! [`check`] discovers files, loads them through the cache, links the program, asks the pitfalls and takes away what
//! directives silence. It prints nothing and writes nothing but its cache; [`fix`] and [`add_ignore`] change files.
#![forbid(unsafe_code)]

pub mod add_ignore;
pub mod cache;
pub mod configuration;
pub mod discover;
pub mod engine;
pub mod environment;
pub mod fix;
pub mod load;
pub mod pack;
pub mod snapshot;
mod stored;
pub mod suppress;

pub use configuration::{Configuration, ConfigurationError};
pub use engine::{Outcome, Request, check};
