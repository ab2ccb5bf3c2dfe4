//! This process's memory, read as a stranger would: an address that is not there is an error and no crash.
//!
//! What is read may change meanwhile or be long gone. It is bytes, from which whoever reads decides whether they make sense.

use std::fs::File;

/// There is no such memory, or it does not make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault;

/// How memory is read.
#[derive(Debug)]
pub(crate) enum Memory {
    /// By `process_vm_readv`.
    Call,
    /// Where that is forbidden, through `/proc/self/mem`.
    File(File),
}

impl Memory {
    /// The way that works here, if there is one.
    pub(crate) fn open() -> Option<Self> {
        let example = 0x0074_7265_6164_6c65_u64;
        let mut read = [0; 8];
        let works = |memory: &Self, read: &mut [u8; 8]| {
            memory.read(&raw const example as u64, read).is_ok() && *read == example.to_le_bytes()
        };
        if works(&Self::Call, &mut read) {
            return Some(Self::Call);
        }
        read = [0; 8];
        let file = Self::File(File::open("/proc/self/mem").ok()?);
        works(&file, &mut read).then_some(file)
    }

    /// Fills `bytes` from an address on.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Call => by_call(address, bytes),
            Self::File(file) => by_file(file, address, bytes),
        }
    }

    /// Eight bytes.
    pub(crate) fn word(&self, address: u64) -> Result<u64, Fault> {
        let mut word = [0; 8];
        self.read(address, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

#[cfg(target_os = "linux")]
fn by_call(address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // A process that was forked reads its own memory, so the number is asked for each time.
    // SAFETY: needs nothing.
    let process = unsafe { libc::getpid() };
    // SAFETY: `local` is memory that is ours to write to; at `remote` the kernel looks itself, and says so if there is nothing (S1).
    let count = unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    if usize::try_from(count) == Ok(bytes.len()) { Ok(()) } else { Err(Fault) }
}

#[cfg(not(target_os = "linux"))]
fn by_call(_address: u64, _bytes: &mut [u8]) -> Result<(), Fault> {
    Err(Fault)
}

fn by_file(file: &File, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, address).map_err(|_| Fault)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_what_is_there_and_refuse_what_is_not() {
        let there = [1_u8, 2, 3, 4, 5, 6, 7, 8];
        let file = File::open("/proc/self/mem").unwrap_or_else(|error| panic!("{error}"));
        for memory in [Memory::Call, Memory::File(file)] {
            let mut read = [0; 8];
            assert_eq!(memory.read(there.as_ptr() as u64, &mut read), Ok(()));
            assert_eq!(read, there);
            for nowhere in [0, 8, 1 << 46, u64::MAX - 64] {
                assert_eq!(memory.read(nowhere, &mut read), Err(Fault));
            }
        }
    }
}
