//! The least work that answers: one wait, one read, one write. What a loop reaches of this is what it can reach at all.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, recvfrom, send, sendto};

use crate::address::Address;
use crate::arguments::{Answer, Serve};
use crate::buffer::Buffer;
use crate::poll::Poll;

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/// Serves until standard input ends.
pub(crate) fn run(serve: &Serve) -> anyhow::Result<()> {
    let (socket, address) = serve.address.listen()?;
    let mut out = io::stdout().lock();
    writeln!(out, r#"{{"address": "{address}"}}"#)?;
    out.flush()?;
    std::thread::spawn(|| {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    if let Address::Udp(_) = address { datagrams(&socket) } else { Server::new(socket, address, serve.answer)?.run() }
}

fn datagrams(socket: &OwnedFd) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    poll.add(socket, 0)?;
    let mut buffer = Buffer::new(1 << 16);
    loop {
        poll.wait(None)?.for_each(drop);
        loop {
            match recvfrom(socket, buffer.as_mut(), RecvFlags::empty()) {
                Ok((count, _, Some(from))) => drop(sendto(socket, buffer.first(count), SendFlags::empty(), &from)),
                Ok((_, _, None)) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct Connection {
    socket: OwnedFd,
    /// Echoed bytes for which there was no room; nothing is read while there are some.
    pending: Vec<u8>,
}

struct Server {
    poll: Poll,
    listener: OwnedFd,
    address: Address,
    answer: Answer,
    /// By descriptor, which is the token too.
    connections: HashMap<usize, Connection>,
    buffer: Buffer,
}

impl Server {
    fn new(listener: OwnedFd, address: Address, answer: Answer) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        poll.add(&listener, token_of(&listener))?;
        Ok(Self { poll, listener, address, answer, connections: HashMap::new(), buffer: Buffer::new(1 << 18) })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        loop {
            ready.clear();
            ready.extend(self.poll.wait(None)?);
            for &token in &ready {
                if token == token_of(&self.listener) {
                    self.accept()?;
                } else if !self.advance(token) {
                    self.connections.remove(&token);
                }
            }
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(_) if self.answer == Answer::Close => {}
                Ok(socket) => {
                    self.address.accepted(&socket)?;
                    let token = token_of(&socket);
                    self.poll.add(&socket, token)?;
                    self.connections.insert(token, Connection { socket, pending: Vec::new() });
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the connection lives on.
    fn advance(&mut self, token: usize) -> bool {
        let Some(connection) = self.connections.get_mut(&token) else { return true };
        if !connection.pending.is_empty() {
            return connection.flush(&self.poll, token);
        }
        match recv(&connection.socket, self.buffer.as_mut(), RecvFlags::empty()) {
            Ok((0, _)) => false,
            Ok((count, _)) if self.answer == Answer::Http => {
                !self.buffer.first(count).ends_with(b"\r\n\r\n") || connection.write(&self.poll, token, PAGE)
            }
            Ok((count, _)) => connection.write(&self.poll, token, self.buffer.first(count)),
            Err(error) => matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}

impl Connection {
    /// Whether the connection lives on.
    fn write(&mut self, poll: &Poll, token: usize, bytes: &[u8]) -> bool {
        let written = match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return false,
        };
        if written == bytes.len() {
            return true;
        }
        self.pending.extend_from_slice(&bytes[written..]);
        poll.interest(&self.socket, token, EventFlags::OUT).is_ok()
    }

    fn flush(&mut self, poll: &Poll, token: usize) -> bool {
        match send(&self.socket, &self.pending, SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) => return matches!(error, Errno::AGAIN | Errno::INTR),
        }
        !self.pending.is_empty() || poll.interest(&self.socket, token, EventFlags::IN).is_ok()
    }
}

fn token_of(socket: &OwnedFd) -> usize {
    // Open descriptors are never negative.
    socket.as_raw_fd().cast_unsigned() as usize
}
