//! Text to facts: one parse, one walk.
//!
//! A scope is walked after the scope it stands in, so that each function's entries in every table are one run. Names are
//! resolved while walking, from the names each scope binds, which a first glance over its statements collects. The flow
//! graph grows with the statements; the tree is dropped at the end.

mod builder;
mod comments;
mod compound;
mod definition;
mod expression;
mod jumps;
mod names;
mod statement;
#[cfg(test)]
mod tests;
mod validate;

use ruff_python_ast::PySourceType;
use ruff_python_parser::parse_unchecked_source;
use treadle_finding::Span;

pub use validate::validate;

use crate::facts::{FileFacts, SyntaxError};
use builder::Builder;

/// What a file says. Broken text gives the facts of what could be read, and `syntax_errors`.
pub fn file(text: &str) -> FileFacts {
    let parsed = parse_unchecked_source(text, PySourceType::Python);
    let mut builder = Builder::new(text);
    builder.module(&parsed.syntax().body);
    let too_deep = builder.too_deep;
    let mut facts = builder.finish();
    facts.directives = comments::directives(text, parsed.tokens(), &facts);
    facts.syntax_errors = parsed
        .errors()
        .iter()
        .map(|error| SyntaxError { span: span(error.location), message: error.error.to_string().into() })
        .collect();
    if too_deep {
        facts.syntax_errors.push(SyntaxError {
            span: Span::new(0, 0),
            message: "expressions are nested too deeply to be understood".into(),
        });
        // Dropping such a tree recurses as deep as it is nested and would overflow the stack; a leak is bounded by the file's size.
        std::mem::forget(parsed);
    }
    facts.shrink_to_fit();
    facts
}

fn span(range: ruff_text_size::TextRange) -> Span {
    Span::new(range.start().to_u32(), range.end().to_u32())
}
