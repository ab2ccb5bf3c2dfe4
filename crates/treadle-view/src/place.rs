//! Bytes to lines and columns.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use treadle_finding::{Location, Span};

use crate::Sources;

/// Lines and columns of a span, from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

/// A file's text with its lines found once.
pub(crate) struct Text {
    pub(crate) text: Arc<str>,
    starts: Vec<usize>,
}

/// The texts a view has asked for so far.
pub(crate) struct Texts<'s> {
    sources: &'s dyn Sources,
    known: HashMap<Arc<Path>, Option<Text>>,
}

impl<'s> Texts<'s> {
    pub(crate) fn new(sources: &'s dyn Sources) -> Self {
        Self { sources, known: HashMap::new() }
    }

    pub(crate) fn get(&mut self, path: &Arc<Path>) -> Option<&Text> {
        let sources = self.sources;
        self.known.entry(Arc::clone(path)).or_insert_with(|| sources.text(path).map(Text::new)).as_ref()
    }

    /// Where a location is; line 0 when the file is gone.
    pub(crate) fn place(&mut self, location: &Location) -> Place {
        self.get(&location.path).map(|text| text.place(location.span)).unwrap_or_default()
    }
}

impl Text {
    fn new(text: Arc<str>) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                starts.push(at + 1);
            }
        }
        Self { text, starts }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let (line, column) = self.point(span.start as usize);
        let (end_line, end_column) = self.point(span.end as usize);
        Place { line, column, end_line, end_column }
    }

    fn point(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The bytes from the first line of `spans` to the last one, and that first line's number.
    pub(crate) fn excerpt(&self, spans: &[Span]) -> (std::ops::Range<usize>, usize) {
        let first = spans.iter().map(|span| span.start).min().unwrap_or_default() as usize;
        let last = spans.iter().map(|span| span.end).max().unwrap_or_default() as usize;
        let (line, _) = self.point(first);
        let (end_line, _) = self.point(last);
        let end = self.starts.get(end_line).copied().unwrap_or(self.text.len());
        (self.starts[line - 1]..end, line)
    }
}
