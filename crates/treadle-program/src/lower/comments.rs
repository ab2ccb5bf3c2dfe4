//! `# treadle:` comments.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::Ranged;
use treadle_finding::Span;

use super::span;
use crate::facts::{Directive, DirectiveKind, FileFacts};

/// The directives of a file, in source order.
pub(super) fn directives(text: &str, tokens: &Tokens, facts: &FileFacts) -> Vec<Directive> {
    // Most files have none; looking at the text is cheaper than looking at every token.
    if !text.contains("treadle:") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut line_start = 0;
    let mut own_line = true;
    for token in tokens {
        match token.kind() {
            TokenKind::Comment => {
                let here = span(token.range());
                let comment = &text[here.range()];
                if let Some(at) = directive_start(comment) {
                    let start = here.start + at as u32;
                    let whole = Span::new(start, here.end);
                    let covers = if own_line {
                        next_statement(text, facts, here.end)
                    } else {
                        Some(logical_line(text, facts, line_start, here.end))
                    };
                    found.push(Directive { span: whole, kind: kind(&text[whole.range()], start, covers) });
                }
            }
            TokenKind::Newline => {
                own_line = true;
                line_start = token.end().to_u32();
            }
            TokenKind::NonLogicalNewline | TokenKind::Indent | TokenKind::Dedent => {
                if own_line {
                    line_start = token.end().to_u32();
                }
            }
            _ => own_line = false,
        }
    }
    found
}

/// Where `# treadle:` starts within a comment: at its beginning, or at a later `#`.
fn directive_start(comment: &str) -> Option<usize> {
    comment
        .char_indices()
        .filter(|(_, c)| *c == '#')
        .map(|(at, _)| at)
        .find(|at| comment[at + 1..].trim_start().starts_with("treadle:"))
}

fn logical_line(text: &str, facts: &FileFacts, start: u32, end: u32) -> Span {
    // A statement or its header may go on after the comment's line.
    let first = facts.statements.partition_point(|statement| statement.start < start);
    let mut covers = Span::new(start, end);
    for statement in facts.statements[first..].iter().take_while(|statement| statement.start < end) {
        covers.end = covers.end.max(header_end(text, facts, *statement));
    }
    covers
}

fn next_statement(text: &str, facts: &FileFacts, after: u32) -> Option<Span> {
    let next = facts.statements.partition_point(|statement| statement.start < after);
    let following = *facts.statements.get(next)?;
    let around = facts.statements[..next].last().filter(|statement| statement.contains(following));
    let between = &text[after as usize..following.start as usize];
    let is_header = |line: &str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    // Between a decorator and its function the comment stands in the header of what it is before.
    let statement = around.copied().filter(|_| between.lines().any(is_header)).unwrap_or(following);
    Some(Span::new(statement.start, header_end(text, facts, statement)))
}

/// Where a statement's own line ends: before the first statement within it, if there is one.
fn header_end(text: &str, facts: &FileFacts, statement: Span) -> u32 {
    let next = facts.statements.partition_point(|other| other.start <= statement.start);
    match facts.statements.get(next) {
        // The header ends before the blanks, or the first byte of the body would touch it.
        Some(inner) if inner.start < statement.end => text[..inner.start as usize].trim_end().len() as u32,
        _ => statement.end,
    }
}

fn kind(text: &str, start: u32, covers: Option<Span>) -> DirectiveKind {
    let after = text.find("treadle:").map_or(text.len(), |at| at + "treadle:".len());
    let rest = &text[after..];
    let words = rest.trim_start();
    let offset = start + (text.len() - words.len()) as u32;
    let (word, tail) = words.split_at(words.find(|c: char| !(c.is_alphanumeric() || c == '-')).unwrap_or(words.len()));
    let names = || names(tail, offset + word.len() as u32);
    match word {
        "ignore" => match (names(), covers) {
            (Some(names), Some(covers)) => DirectiveKind::Ignore { names, covers },
            (Some(names), None) => DirectiveKind::Ignore { names, covers: Span::new(start, start) },
            (None, _) => DirectiveKind::Ignore { names: Vec::new(), covers: Span::new(start, start) },
        },
        "ignore-file" if !tail.trim_start().starts_with('[') => DirectiveKind::IgnoreFile { names: Vec::new() },
        "ignore-file" => match names() {
            Some(names) if !names.is_empty() => DirectiveKind::IgnoreFile { names },
            // What was meant to silence something must not silence everything.
            _ => DirectiveKind::Unknown(words.trim_end().into()),
        },
        _ => DirectiveKind::Unknown(words.trim_end().into()),
    }
}

/// `[a, b]` at the start of `tail`, each name with its bytes.
fn names(tail: &str, offset: u32) -> Option<Vec<(Box<str>, Span)>> {
    let open = tail.strip_prefix('[')?;
    let inside = &open[..open.find(']')?];
    let mut names = Vec::new();
    let mut at = offset + 1;
    for part in inside.split(',') {
        let name = part.trim();
        if !name.is_empty() {
            let start = at + (part.len() - part.trim_start().len()) as u32;
            names.push((name.into(), Span::new(start, start + name.len() as u32)));
        }
        at += part.len() as u32 + 1;
    }
    Some(names)
}
