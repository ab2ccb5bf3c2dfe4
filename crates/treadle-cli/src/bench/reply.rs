//! Where a reply ends: HTTP/1.1 as servers write it, or an echo of known length.
//!
//! One request is under way on a connection, so what follows the end of a reply is an error. Bodies are not kept.

use anyhow::{Context, bail};

/// A reply that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The status is below 400.
    pub(crate) is_fine: bool,
    /// The server keeps the connection.
    pub(crate) is_kept: bool,
}

/// Takes what comes on one connection.
pub(crate) struct Reply {
    held: Vec<u8>,
    state: State,
    status: u16,
    is_kept: bool,
    /// The same as at the beginning, for the next reply.
    first: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes are still to come.
    Body(usize),
    /// A line with the size of the next chunk.
    Size,
    /// So many bytes of a chunk, its line end included.
    Chunk(usize),
    /// The lines after the last chunk.
    Trailer,
    /// The end of the connection is the end of the reply.
    UntilClosed,
}

impl Reply {
    pub(crate) fn http() -> Self {
        Self { held: Vec::new(), state: State::Head, status: 0, is_kept: true, first: State::Head }
    }

    /// A reply is so many bytes.
    pub(crate) fn echo(size: usize) -> Self {
        let state = State::Body(size);
        Self { held: Vec::new(), state, status: 200, is_kept: true, first: state }
    }

    /// Takes bytes, and says whether the reply is complete with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Option<Done>> {
        self.held.extend_from_slice(bytes);
        loop {
            match self.state {
                State::Head => {
                    let Some(end) = find(&self.held, b"\r\n\r\n") else { return Ok(None) };
                    self.head(end)?;
                    self.held.drain(..end + 4);
                }
                State::Body(left) => {
                    let left = left - self.drop_up_to(left);
                    self.state = State::Body(left);
                    return if left == 0 { self.finish().map(Some) } else { Ok(None) };
                }
                State::Size => {
                    let Some(end) = find(&self.held, b"\r\n") else { return Ok(None) };
                    let line = String::from_utf8_lossy(&self.held[..end]).into_owned();
                    let digits = line.split(';').next().unwrap_or_default().trim();
                    let size = usize::from_str_radix(digits, 16).context("the size of a chunk is no number")?;
                    self.held.drain(..end + 2);
                    self.state = if size == 0 { State::Trailer } else { State::Chunk(size + 2) };
                }
                State::Chunk(left) => {
                    let left = left - self.drop_up_to(left);
                    self.state = State::Chunk(left);
                    if left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Size;
                }
                State::Trailer => {
                    let Some(end) = find(&self.held, b"\r\n") else { return Ok(None) };
                    self.held.drain(..end + 2);
                    if end == 0 {
                        return self.finish().map(Some);
                    }
                }
                State::UntilClosed => {
                    self.held.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// The server has closed: that is the end of some replies, and the loss of others.
    pub(crate) fn closed(&mut self) -> anyhow::Result<Done> {
        if self.state == State::UntilClosed {
            return self.finish();
        }
        bail!("the server closed a connection before its reply had an end")
    }

    fn finish(&mut self) -> anyhow::Result<Done> {
        if !self.held.is_empty() {
            bail!("the server sent more than a reply");
        }
        self.state = self.first;
        Ok(Done { is_fine: self.status < 400, is_kept: self.is_kept })
    }

    fn drop_up_to(&mut self, count: usize) -> usize {
        let count = count.min(self.held.len());
        self.held.drain(..count);
        count
    }

    /// Reads what the head says of the body.
    fn head(&mut self, end: usize) -> anyhow::Result<()> {
        let text = String::from_utf8_lossy(&self.held[..end]).to_ascii_lowercase();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let version = words.next().filter(|word| word.starts_with("http/1."));
        let status = words.next().and_then(|word| word.parse().ok());
        let (Some(version), Some(status)) = (version, status) else { bail!("`{first}` is no reply of HTTP/1.1") };
        let (mut length, mut chunked) = (None, false);
        self.status = status;
        self.is_kept = version != "http/1.0";
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match (name, value.trim()) {
                ("content-length", value) => length = Some(value.parse().context("`Content-Length` is no number")?),
                ("transfer-encoding", value) => chunked = value.contains("chunked"),
                ("connection", value) => {
                    self.is_kept = !value.contains("close") && (self.is_kept || value == "keep-alive");
                }
                _ => {}
            }
        }
        self.state = match (status, length) {
            // Not yet the reply.
            (100..200, _) => State::Head,
            (204 | 304, _) => State::Body(0),
            _ if chunked => State::Size,
            (_, Some(length)) => State::Body(length),
            (_, None) => {
                self.is_kept = false;
                State::UntilClosed
            }
        };
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each reply of a text came to, whatever the pieces it comes in.
    fn check(text: &str, wanted: Done) {
        for size in [1, 3, 7, text.len()] {
            let mut reply = Reply::http();
            for _ in 0..2 {
                let mut pieces = text.as_bytes().chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    let done = reply.take(piece).unwrap();
                    assert_eq!(done.is_some(), pieces.peek().is_none(), "{text}");
                    assert!(done.is_none_or(|done| done == wanted), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_reply_ends_where_its_head_says() {
        let kept = || Done { is_fine: true, is_kept: true };
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", kept());
        check("HTTP/1.1 204 No Content\r\n\r\n", kept());
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", kept());
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
            kept(),
        );
        check(
            "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
            Done { is_fine: false, is_kept: false },
        );
    }

    #[test]
    fn the_end_of_a_connection_ends_a_reply_without_a_length() {
        let mut reply = Reply::http();
        assert_eq!(reply.take(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap(), None);
        assert_eq!(reply.closed().unwrap(), Done { is_fine: true, is_kept: false });
        assert!(reply.closed().is_err());
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        assert!(Reply::http().take(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(Reply::http().take(b"HTTP/1.1 204 No Content\r\n\r\nmore").is_err());
        assert!(Reply::echo(2).take(b"abc").is_err());
    }
}
