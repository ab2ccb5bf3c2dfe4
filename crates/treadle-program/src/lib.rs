//! The book of what the source says: bytes in, questions answered.
//!
//! One road: [`source`] turns bytes into text, [`lower`] parses it and walks the tree once into [`facts`], drops the tree,
//! and [`Program`] links the facts of all files and answers what rules ask. Only this crate names the parser's crates.
#![forbid(unsafe_code)]

pub mod facts;
pub mod ids;
mod infer;
pub mod knowledge;
pub mod lower;
pub mod program;
pub mod source;
#[cfg(test)]
mod testing;
pub mod ty;

pub use infer::Types;
pub use program::{Facts, Options, Program, SourceFile};
