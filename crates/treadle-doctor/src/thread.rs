//! What the system says of a thread: whether it runs, what it waits for, how long it was kept waiting for a processor.
//!
//! All of it is read from files of `/proc/self/task`; where there are none, nothing is known.

use std::fs::File;
use std::os::unix::fs::FileExt;

use treadle_run::Cause;

/// How much a thread has run, in nanoseconds, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time {
    /// On a processor.
    pub(crate) ran: u64,
    /// Ready to run while the processors were busy with others.
    pub(crate) delayed: u64,
}

/// The files of a thread.
pub(crate) struct Thread {
    number: u64,
    times: Option<File>,
    call: Option<File>,
}

impl Thread {
    /// Those of the thread that has a number of the system's.
    pub(crate) fn open(number: u64) -> Self {
        let open = |name: &str| File::open(format!("/proc/self/task/{number}/{name}")).ok();
        Self { number, times: open("schedstat"), call: open("syscall") }
    }

    /// The number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How much it has run up to now.
    pub(crate) fn time(&self) -> Option<Time> {
        let text = read(self.times.as_ref()?)?;
        let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
        Some(Time { ran: numbers.next()?, delayed: numbers.next()? })
    }

    /// What it does now. `is_interpreter` says of an address whether who waits there waits for the interpreter.
    pub(crate) fn doing(&self, is_interpreter: impl Fn(u64) -> bool) -> Cause {
        let Some(text) = self.call.as_ref().and_then(read) else { return self.state() };
        let mut words = text.split_whitespace();
        let Some(number) = words.next().and_then(|word| word.parse::<i64>().ok()) else { return Cause::Processor };
        let mut arguments = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(0));
        let first = arguments.next().unwrap_or(0);
        if number == libc::SYS_futex {
            return if is_interpreter(first) { Cause::Interpreter } else { Cause::Lock };
        }
        waiting(number).unwrap_or_else(|| descriptor(first))
    }

    /// Whether it waits for the interpreter, as far as that is known.
    pub(crate) fn waits_for_interpreter(&self, is_interpreter: impl Fn(u64) -> bool) -> bool {
        let Some(text) = self.call.as_ref().and_then(read) else { return false };
        let mut words = text.split_whitespace();
        let is_futex = words.next().and_then(|word| word.parse().ok()) == Some(libc::SYS_futex);
        let address = words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        is_futex && address.is_some_and(is_interpreter)
    }

    /// The letter that the system gives its state, where it says no more.
    fn state(&self) -> Cause {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.number)).unwrap_or_default();
        // The name, which may be anything, ends with the last parenthesis.
        match stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next()) {
            Some('R') => Cause::Processor,
            Some('D') => Cause::File,
            Some('S') => Cause::System,
            _ => Cause::Unknown,
        }
    }
}

/// What a system call waits for by its nature; nothing if its first argument is a descriptor that says so.
#[cfg(target_os = "linux")]
fn waiting(number: i64) -> Option<Cause> {
    #[cfg(target_arch = "x86_64")]
    match number {
        libc::SYS_select | libc::SYS_poll | libc::SYS_epoll_wait => return Some(Cause::Network),
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat => return Some(Cause::File),
        _ => {}
    }
    Some(match number {
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => Cause::Sleep,
        libc::SYS_ppoll | libc::SYS_pselect6 | libc::SYS_epoll_pwait => Cause::Network,
        libc::SYS_wait4 | libc::SYS_waitid => Cause::Child,
        libc::SYS_openat | libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_flock | libc::SYS_statx => Cause::File,
        // A fault of a page is no call.
        -1 => Cause::Processor,
        _ => return None,
    })
}

#[cfg(not(target_os = "linux"))]
fn waiting(_number: i64) -> Option<Cause> {
    Some(Cause::Unknown)
}

/// What waiting for a descriptor is waiting for.
fn descriptor(number: u64) -> Cause {
    let target = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    let target = target.to_string_lossy();
    match () {
        () if target.starts_with("socket:") => Cause::Network,
        () if target.starts_with("pipe:") => Cause::Pipe,
        () if target.starts_with('/') => Cause::File,
        () => Cause::System,
    }
}

/// What is in a file now.
fn read(file: &File) -> Option<String> {
    let mut bytes = [0; 256];
    let count = file.read_at(&mut bytes, 0).ok().filter(|count| *count > 0)?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::mpsc::channel;

    /// What is said of a thread that does something for ever.
    fn doing(action: impl FnOnce() + Send + 'static, wanted: Cause) {
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            let number = link.file_name().and_then(|name| name.to_string_lossy().parse().ok());
            let _ = tell.send(number.unwrap_or(0));
            action();
        });
        let thread = Thread::open(told.recv().unwrap_or(0));
        while thread.doing(|_| false) != wanted {
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_is_seen_what_a_thread_waits_for() {
        doing(|| std::thread::sleep(std::time::Duration::from_secs(1_000)), Cause::Sleep);
        doing(std::thread::park, Cause::Lock);
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap_or_else(|error| panic!("{error}"));
        doing(move || drop(ours.read(&mut [0])), Cause::Network);
        drop(theirs);
    }
}
