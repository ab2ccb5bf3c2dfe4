//! Bytes to text, as Python reads source files.
//!
//! UTF-8 unless a byte-order mark or a coding comment in the first two lines says otherwise. Line ends stay as they are, so
//! that offsets in the text mean the same to everybody.

use std::fmt;

/// Files larger than this many bytes are not read: no person wrote them.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// Why a file's bytes are not Python text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError(String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}

/// The text of a source file.
///
/// # Errors
///
/// The file is too large, names an encoding nobody knows, holds bytes its encoding does not allow, or a NUL character.
pub fn decode(bytes: &[u8]) -> Result<String, SourceError> {
    if bytes.len() > LARGEST {
        let megabytes = LARGEST / 1024 / 1024;
        return Err(SourceError(format!("the file is larger than {megabytes} MiB")));
    }
    let (bytes, marked) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let text = match coding(bytes) {
        Some(name) if !marked && !is_utf8(&name) => decode_as(bytes, &name)?,
        _ => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            SourceError(format!("line {line} is not UTF-8, and no coding comment names another encoding"))
        })?,
    };
    match text.find('\0') {
        Some(at) => {
            let line = text[..at].matches('\n').count() + 1;
            Err(SourceError(format!("line {line} holds a NUL character")))
        }
        None => Ok(text),
    }
}

fn is_utf8(name: &str) -> bool {
    matches!(
        name.to_ascii_lowercase().replace('_', "-").as_str(),
        "utf-8" | "utf8" | "utf-8-sig" | "ascii" | "us-ascii"
    )
}

fn decode_as(bytes: &[u8], name: &str) -> Result<String, SourceError> {
    let label = name.to_ascii_lowercase().replace('_', "-");
    if matches!(label.as_str(), "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "l1") {
        // The WHATWG table maps this name to windows-1252; Python means the first 256 code points.
        return Ok(bytes.iter().map(|byte| char::from(*byte)).collect());
    }
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())
        .ok_or_else(|| SourceError(format!("the coding comment names `{name}`, an encoding treadle does not know")))?;
    let (text, wrong) = encoding.decode_without_bom_handling(bytes);
    if wrong { Err(SourceError(format!("the file holds bytes that are not `{name}`"))) } else { Ok(text.into_owned()) }
}

/// The encoding a comment in the first two lines names (PEP 263).
fn coding(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|byte| *byte == b'\n').take(2) {
        let line = line.trim_ascii();
        let comment = match line.first() {
            Some(b'#') => line,
            None => continue,
            Some(_) => return None,
        };
        let Some(at) = comment.windows(6).position(|window| window == b"coding") else { continue };
        let Some((b':' | b'=', rest)) = comment[at + 6..].split_first() else { continue };
        let name: Vec<u8> = rest
            .trim_ascii_start()
            .iter()
            .copied()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            .collect();
        return String::from_utf8(name).ok().filter(|name| !name.is_empty());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn check(bytes: &[u8], expected: &str) {
        let found = decode(bytes).unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn byte_order_mark_is_taken_off() {
        check(b"\xef\xbb\xbfx = 1", "x = 1");
    }

    #[test]
    fn coding_comment_decides_the_encoding() {
        check(b"# -*- coding: latin-1 -*-\nx = '\xe9'", "# -*- coding: latin-1 -*-\nx = '\u{e9}'");
        check(
            b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'",
            "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'\u{20ac}'",
        );
    }

    #[test]
    fn coding_in_the_third_line_or_after_code_counts_for_nothing() {
        check(
            b"x = 1\n# coding: latin-1\n'\xe9'",
            "error: line 3 is not UTF-8, and no coding comment names another encoding",
        );
    }

    #[test]
    fn unreadable_bytes_are_an_error_that_names_the_line() {
        check(b"a\nb\xff", "error: line 2 is not UTF-8, and no coding comment names another encoding");
        check(b"a\n\0", "error: line 2 holds a NUL character");
        check(b"# coding: klingon\n", "error: the coding comment names `klingon`, an encoding treadle does not know");
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        check(b"a\r\nb\rc", "a\r\nb\rc");
    }
}
