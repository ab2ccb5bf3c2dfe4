//! What lowering makes of small texts.

mod calls;
mod comments;
mod flow;
mod jumps;
mod scopes;

use crate::facts::FileFacts;

/// The facts of a text, which hold together.
fn lowered(text: &str) -> FileFacts {
    let facts = super::file(text);
    assert_eq!(super::validate(&facts), Ok(()), "{text}");
    facts
}
