//! A cure as text edits.

use std::borrow::Cow;

use crate::Span;

/// A cure: edits to one file that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the fix does, in the imperative: `await the coroutine`.
    pub title: String,
    /// Whether `--fix` may apply it without asking.
    pub applicability: Applicability,
    /// Edits to the file the finding's primary location names, none overlapping another.
    pub edits: Vec<Edit>,
    /// Modules the edited code needs, as dotted names to `import` (`asyncio`). Added once per file by whoever applies fixes.
    pub imports: Vec<Cow<'static, str>>,
}

/// Whether a fix keeps the program's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applicability {
    /// The program means what it was meant to mean; applied by `--fix`.
    Safe,
    /// May change behaviour; applied by `--fix --unsafe-fixes`.
    Unsafe,
}

/// Replace the bytes of `span` by `content`. An empty span inserts; empty content deletes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The bytes to replace.
    pub span: Span,
    /// The text to put there.
    pub content: String,
}

impl Fix {
    /// A fix that keeps the program's meaning.
    pub fn safe(title: impl Into<String>, edits: Vec<Edit>) -> Self {
        Self { title: title.into(), applicability: Applicability::Safe, edits, imports: Vec::new() }
    }

    /// A fix that a person should look at.
    pub fn unsafe_(title: impl Into<String>, edits: Vec<Edit>) -> Self {
        Self { applicability: Applicability::Unsafe, ..Self::safe(title, edits) }
    }

    /// The same fix, needing `module` to be imported.
    pub fn importing(mut self, module: &'static str) -> Self {
        self.imports.push(module.into());
        self
    }
}

impl Edit {
    /// Put `content` at byte `offset`.
    pub fn insert(offset: u32, content: impl Into<String>) -> Self {
        Self::replace(Span::new(offset, offset), content)
    }

    /// Put `content` where `span` was.
    pub fn replace(span: Span, content: impl Into<String>) -> Self {
        Self { span, content: content.into() }
    }

    /// Take `span` away.
    pub fn delete(span: Span) -> Self {
        Self::replace(span, "")
    }
}
