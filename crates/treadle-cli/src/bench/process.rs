//! The processes under test: started, watched from outside, ended by their number.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use wait4::Wait4;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end when it is asked to.
const END: Duration = Duration::from_secs(5);
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

/// Runs a program to its end.
pub(crate) fn run(mut command: Command) -> anyhow::Result<Ended> {
    let (mut out, mut complaints) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(complaints.try_clone()?);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| command.get_program().display().to_string())?;
    let used = child.wait4()?;
    let wall = begun.elapsed().as_secs_f64();
    if !used.status.success() {
        bail!("{}", complaint(used.status, &mut complaints));
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
    pub(crate) fn start(mut command: Command, address: SocketAddr, stopped: &AtomicBool) -> anyhow::Result<Self> {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            bail!("another program answers on {address} already. End it, or choose another port");
        }
        let complaints = tempfile::tempfile()?;
        // A group of its own is what can be ended as a whole.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints.try_clone()?);
        let child = command.spawn().with_context(|| command.get_program().display().to_string())?;
        let group = Pid::from_child(&child);
        let mut server = Self { child, group, complaints };
        let end = Instant::now() + START;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{}", complaint(status, &mut server.complaints));
            }
            if Instant::now() > end || stopped.load(Ordering::Relaxed) {
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
        Ok(self.child.try_wait()?.map(|status| complaint(status, &mut self.complaints)))
    }
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
        Some(line) => format!("{how}: `{}`. Mend that first: only what runs can be measured", line.trim()),
        None => format!("{how} and said nothing. Mend that first: only what runs can be measured"),
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
