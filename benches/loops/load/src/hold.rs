//! Connections that have seen one message and then rest, for the memory that each takes.

use std::io::{self, Read, Write};

use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::arguments::Hold;
use crate::client::line;

/// Prints `held` when all rest, and holds them until standard input ends.
pub(crate) fn run(hold: &Hold) -> anyhow::Result<()> {
    let message = line(hold.size);
    let mut reply = vec![0; hold.size];
    let mut held = Vec::new();
    for _ in 0..hold.connections {
        let socket = hold.address.connect()?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        send(&socket, &message, SendFlags::NOSIGNAL)?;
        recv(&socket, reply.as_mut_slice(), RecvFlags::WAITALL)?;
        held.push(socket);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "held")?;
    out.flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}
