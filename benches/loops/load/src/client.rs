//! Messages on many connections, one under way for each: what loads the server under test.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use anyhow::{Context, bail};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::arguments::Load;
use crate::buffer::Buffer;
use crate::poll::Poll;
use crate::window::{Window, total};

/// Runs until the time is over and prints how many replies came.
pub(crate) fn run(load: &Load) -> anyhow::Result<()> {
    let message = if load.http { Message::http(load)? } else { Message { request: line(load.size), reply: load.size } };
    let mut shares = Vec::new();
    for thread in 0..load.threads.min(load.connections) {
        let here = (thread..load.connections).step_by(load.threads);
        shares.push(here.map(|_| load.address.connect()).collect::<io::Result<Vec<_>>>()?);
    }
    let window = Window::new(load.time);
    let message = &message;
    thread::scope(|scope| {
        let threads =
            shares.into_iter().map(|sockets| scope.spawn(move || Client::new(sockets, message)?.run(window))).collect();
        window.announce(|| total(threads))
    })
}

/// A line of this many bytes, its end included.
pub(crate) fn line(size: usize) -> Vec<u8> {
    let mut bytes = vec![b'x'; size];
    bytes.last_mut().into_iter().for_each(|last| *last = b'\n');
    bytes
}

struct Message {
    request: Vec<u8>,
    /// How many bytes answer it.
    reply: usize,
}

impl Message {
    /// Asks once, to see how long a reply is; all are as long, since dates are.
    fn http(load: &Load) -> anyhow::Result<Self> {
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".to_vec();
        let socket = load.address.connect()?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        send(&socket, &request, SendFlags::NOSIGNAL)?;
        let mut seen = Vec::new();
        let mut chunk = vec![0; 65536];
        loop {
            let (count, _) = recv(&socket, chunk.as_mut_slice(), RecvFlags::empty())?;
            if count == 0 {
                bail!("the server closed before its reply had an end");
            }
            seen.extend_from_slice(&chunk[..count]);
            if let Some(reply) = length_of_reply(&seen)?
                && seen.len() >= reply
            {
                return Ok(Self { request, reply });
            }
        }
    }
}

/// Head and body together, once the head is complete.
fn length_of_reply(seen: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&seen[..head])?.to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        bail!("the server answered `{}`", text.lines().next().unwrap_or_default());
    }
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:")).context("no Content-Length")?;
    Ok(Some(head + 4 + body.trim().parse::<usize>()?))
}

struct Connection {
    socket: OwnedFd,
    sent: usize,
    received: usize,
    /// It waits for room to send.
    blocked: bool,
}

/// The connections of one thread.
struct Client<'a> {
    poll: Poll,
    connections: Vec<Connection>,
    message: &'a Message,
    buffer: Buffer,
}

impl<'a> Client<'a> {
    fn new(sockets: Vec<OwnedFd>, message: &'a Message) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for (token, socket) in sockets.into_iter().enumerate() {
            poll.add(&socket, token)?;
            connections.push(Connection { socket, sent: 0, received: 0, blocked: false });
        }
        Ok(Self { poll, connections, message, buffer: Buffer::new(1 << 18) })
    }

    /// The replies that came within the window.
    fn run(mut self, window: Window) -> anyhow::Result<u64> {
        for token in 0..self.connections.len() {
            self.send(token)?;
        }
        let (mut replies, mut begun) = (0, false);
        let mut ready = Vec::new();
        while let Some(left) = window.left() {
            if !begun && window.has_begun() {
                (replies, begun) = (0, true);
            }
            ready.clear();
            ready.extend(self.poll.wait(Some(left))?);
            for &token in &ready {
                replies += u64::from(self.advance(token)?);
            }
        }
        Ok(replies)
    }

    /// Takes what has come; a complete reply is followed by the next request.
    fn advance(&mut self, token: usize) -> anyhow::Result<bool> {
        if self.connections[token].blocked {
            self.send(token)?;
        }
        let connection = &mut self.connections[token];
        match recv(&connection.socket, self.buffer.as_mut(), RecvFlags::empty()) {
            Ok((0, _)) => bail!("the server closed a connection"),
            Ok((count, _)) => connection.received += count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if connection.received < self.message.reply {
            return Ok(false);
        }
        if connection.received > self.message.reply {
            bail!("a reply of {} bytes where {} were due", connection.received, self.message.reply);
        }
        (connection.sent, connection.received) = (0, 0);
        self.send(token)?;
        Ok(true)
    }

    /// Sends what is left of the request, as far as there is room, and asks for room while some is left.
    fn send(&mut self, token: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[token];
        match send(&connection.socket, &self.message.request[connection.sent..], SendFlags::NOSIGNAL) {
            Ok(count) => connection.sent += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let blocked = connection.sent < self.message.request.len();
        if blocked != connection.blocked {
            connection.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            self.poll.interest(&connection.socket, token, flags)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_its_head_and_its_body() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(length_of_reply(&reply[..20]).unwrap(), None);
        assert_eq!(length_of_reply(reply).unwrap(), Some(reply.len()));
        assert!(length_of_reply(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }
}
