//! The processes under test: started, watched from outside, ended by their number.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use wait4::Wait4;

use super::stop::{END, Stop};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);
const NAP: Duration = Duration::from_millis(10);

/// What a program took that has ended.
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) wall: f64,
    /// User and system, its children included.
    pub(crate) cpu: f64,
    /// Bytes of the largest of its processes.
    pub(crate) memory: u64,
}

/// Runs a program to its end, and ends what it has left behind in its group.
pub(crate) fn run(mut command: Command, stop: &Stop) -> anyhow::Result<Ended> {
    let (mut out, mut complaints) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(complaints.try_clone()?);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| command.get_program().display().to_string())?;
    let group = Pid::from_child(&child);
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // As long as nobody has taken its status, the number is this program's, and no stranger can be hit by a signal.
    stop.while_running(group, || retry_on_intr(|| waitid(WaitId::Pid(group), ended)))?;
    let wall = begun.elapsed().as_secs_f64();
    let _ = kill_process_group(group, Signal::TERM);
    let used = child.wait4()?;
    if !used.status.success() {
        bail!("{}. Mend that first: only what runs can be measured", complaint(used.status, &mut complaints));
    }
    let mut text = Vec::new();
    out.rewind()?;
    out.read_to_end(&mut text)?;
    Ok(Ended {
        out: String::from_utf8_lossy(&text).into_owned(),
        wall,
        cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        memory: used.rusage.maxrss,
    })
}

/// A server and all processes that it starts, as long as they stay in its group.
pub(crate) struct Server {
    child: Child,
    group: Pid,
    complaints: File,
}

/// What the processes of a server have used until now.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: f64,
    pub(crate) memory: u64,
}

impl Server {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(mut command: Command, address: SocketAddr, stop: &Stop) -> anyhow::Result<Self> {
        if is_answered(address) {
            bail!("another program answers on {address} already. End it, or choose another port");
        }
        let complaints = tempfile::tempfile()?;
        // A group of its own is what can be ended as a whole.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints.try_clone()?);
        let child = command.spawn().with_context(|| command.get_program().display().to_string())?;
        let group = Pid::from_child(&child);
        let mut server = Self { child, group, complaints };
        let end = Instant::now() + START;
        while !is_answered(address) {
            if let Some(how) = server.ended()? {
                bail!("{how}");
            }
            if stop.is_asked() {
                bail!("stopped before the server answered");
            }
            if Instant::now() > end {
                bail!(
                    "the server does not answer on {address} after {} s. Name the port that it listens on with `--url`",
                    START.as_secs()
                );
            }
            std::thread::sleep(NAP);
        }
        Ok(server)
    }

    /// What its processes have used; nothing where the system does not say.
    pub(crate) fn usage(&self) -> Option<Usage> {
        usage_of_group(self.group)
    }

    /// Why it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<String>> {
        let status = self.child.try_wait()?;
        let how = |status| complaint(status, &mut self.complaints);
        Ok(status.map(how).map(|how| format!("{how}. Mend that first: a server has to run until it is ended")))
    }
}

/// Whether anybody listens there.
fn is_answered(address: SocketAddr) -> bool {
    // A port that is free can be taken for the near end of its own connection, and then it is we who answer.
    TcpStream::connect_timeout(&address, Duration::from_secs(1))
        .is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
}

impl Drop for Server {
    fn drop(&mut self) {
        // The group may be gone already, and then there is nothing to do.
        let _ = kill_process_group(self.group, Signal::TERM);
        let end = Instant::now() + END;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(NAP);
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// How a program ended, and the last it said.
fn complaint(status: ExitStatus, complaints: &mut File) -> String {
    let mut text = Vec::new();
    let _ = complaints.rewind();
    let _ = complaints.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let how = match status.code() {
        Some(code) => format!("the program ended with exit code {code}"),
        None => format!("the program was killed by signal {}", status.signal().unwrap_or_default()),
    };
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{how}: `{}`", line.trim()),
        None => format!("{how} and said nothing"),
    }
}

#[cfg(target_os = "linux")]
fn usage_of_group(group: Pid) -> Option<Usage> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut sum = Usage::default();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        let Some(stat) = is_process.then(|| std::fs::read_to_string(entry.path().join("stat")).ok()).flatten() else {
            continue;
        };
        // The name is in parentheses and may hold anything; after it come state, parent and group.
        let Some(fields) = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>()) else {
            continue;
        };
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
        if field(2) != i64::from(group.as_raw_nonzero().get()) {
            continue;
        }
        // User and system, of itself and of children that it has waited for.
        sum.cpu += (11..15).map(field).sum::<i64>() as f64 / ticks;
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        sum.memory += kilobytes.unwrap_or(0) * 1024;
    }
    Some(sum)
}

#[cfg(not(target_os = "linux"))]
fn usage_of_group(_: Pid) -> Option<Usage> {
    None
}
