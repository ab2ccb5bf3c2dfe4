//! Connections that last no longer than one of the two sides wants.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};

use crate::address::Address;
use crate::arguments::Dial;
use crate::poll::Poll;
use crate::window::{Window, total};

/// Runs until the time is over and prints how many connections there were.
pub(crate) fn run(dial: &Dial) -> anyhow::Result<()> {
    let window = Window::new(dial.time);
    let slots = dial.connections.div_ceil(dial.threads);
    thread::scope(|scope| {
        let run = || if dial.leave { left(&dial.address, window) } else { closed(&dial.address, slots, window) };
        let threads = (0..dial.threads).map(|_| scope.spawn(run)).collect();
        window.announce(|| total(threads))
    })
}

/// The connections that the server closed within the window.
fn closed(address: &Address, slots: usize, window: Window) -> anyhow::Result<u64> {
    let mut poll = Poll::new()?;
    let mut sockets = (0..slots).map(|slot| connect(address, &poll, slot)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut closed, mut begun) = (0, false);
    let mut ready = Vec::new();
    while let Some(left) = window.left() {
        if !begun && window.has_begun() {
            (closed, begun) = (0, true);
        }
        ready.clear();
        ready.extend(poll.wait(Some(left))?);
        for &slot in &ready {
            match recv(&sockets[slot], &mut [0_u8; 16], RecvFlags::empty()) {
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Ok(_) | Err(_) => closed += 1,
            }
            sockets[slot] = connect(address, &poll, slot)?;
        }
    }
    Ok(closed)
}

/// The connections that were made within the window and left at once.
fn left(address: &Address, window: Window) -> anyhow::Result<u64> {
    let (mut left, mut begun) = (0, false);
    while window.left().is_some() {
        if !begun && window.has_begun() {
            (left, begun) = (0, true);
        }
        drop(resetting(address)?);
        left += 1;
    }
    Ok(left)
}

fn connect(address: &Address, poll: &Poll, slot: usize) -> anyhow::Result<OwnedFd> {
    let socket = resetting(address)?;
    poll.add(&socket, slot)?;
    Ok(socket)
}

/// A connection that is reset when it is closed, so that no port waits for stragglers when it is over.
fn resetting(address: &Address) -> anyhow::Result<OwnedFd> {
    let socket = address.connect()?;
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    Ok(socket)
}
