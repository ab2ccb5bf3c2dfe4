//! Reading small files whose names and content the kernel has in memory, without ever waiting for a disk or a server.
//!
//! A path is looked up among the names that the kernel has (`RESOLVE_CACHED`), first without opening the file, for to open one on FUSE is
//! a request to its server. The file system must be one that [`learn`] has found to be local. Only then the file is opened, and read with
//! `RWF_NOWAIT`. A kernel or a sandbox that knows no such call says so once, and is not asked again. Elsewhere than on Linux nothing
//! is known without waiting.

use crate::RawFd;

/// The content of the file at `path`, if it has at most `most` bytes and all of it is in memory; `None` if that is
/// not so, or not known.
#[must_use]
pub fn read(path: &[u8], most: usize) -> Option<Vec<u8>> {
    kernel::read(path, most)
}

/// Finds out whether the file system that `fd` is on is a local one. This may wait.
pub fn learn(fd: RawFd) {
    kernel::learn(fd);
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::ffi::CString;
    use std::io::IoSliceMut;
    use std::sync::RwLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fd::{BorrowedFd, OwnedFd};
    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
    use rustix::io::{Errno, ReadWriteFlags};

    use crate::RawFd;
    use crate::sys::Descriptor;

    /// File systems whose files are read from a disk of this machine or from memory: ext, XFS, Btrfs, tmpfs, F2FS, ZFS, and bcachefs.
    ///
    /// Overlay is not one of them: what lies below may be anything.
    const LOCAL: [u64; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E];
    /// More devices than this are not remembered.
    const MOST_DEVICES: usize = 64;
    const ASKED: StatxFlags = StatxFlags::TYPE.union(StatxFlags::SIZE);

    /// Devices that [`learn`] has seen, and whether they are local.
    static DEVICES: RwLock<Vec<(u64, bool)>> = RwLock::new(Vec::new());
    /// The kernel knows no such call, or a sandbox does not allow it.
    static IS_REFUSED: AtomicBool = AtomicBool::new(false);

    pub(super) fn read(path: &[u8], most: usize) -> Option<Vec<u8>> {
        if IS_REFUSED.load(Ordering::Relaxed) {
            return None;
        }
        let path = CString::new(path).ok()?;
        let seen = look(&open(&path, OFlags::PATH)?)?;
        if !is_local(device(&seen)) || seen.stx_size > most as u64 {
            return None;
        }
        // Something else may have taken its place. What does not have as many bytes is not taken, what cannot be read without waiting
        // says so, and to open a FIFO does not wait for its other end.
        let file = open(&path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        read_all(&file, usize::try_from(seen.stx_size).ok()?)
    }

    pub(super) fn learn(fd: RawFd) {
        let Ok(descriptor) = Descriptor::new(fd) else { return };
        let descriptor: BorrowedFd<'_> = rustix::fd::AsFd::as_fd(&descriptor);
        let Some(seen) = look(&descriptor) else { return };
        let Ok(system) = rustix::fs::fstatfs(descriptor) else { return };
        #[expect(clippy::cast_sign_loss, reason = "a magic number, whose type differs between systems")]
        let kind = system.f_type as u64 & 0xFFFF_FFFF;
        let Ok(mut devices) = DEVICES.write() else { return };
        let (device, is_local) = (device(&seen), LOCAL.contains(&kind));
        devices.retain(|known| known.0 != device);
        if devices.len() < MOST_DEVICES {
            devices.push((device, is_local));
        }
    }

    fn open(path: &CString, flags: OFlags) -> Option<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(CWD, path.as_c_str(), flags, Mode::empty(), ResolveFlags::CACHED) {
            Ok(file) => Some(file),
            Err(error) => {
                note(error);
                None
            }
        }
    }

    /// A look at a regular file, as the kernel knows it without asking a server.
    fn look(file: &impl rustix::fd::AsFd) -> Option<Statx> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let seen = rustix::fs::statx(file, c"", flags, ASKED).map_err(note).ok()?;
        let kind = FileType::from_raw_mode(u32::from(seen.stx_mode));
        (kind == FileType::RegularFile).then_some(seen)
    }

    /// All of a file that had `size` bytes; one more is asked for, which shows the end.
    fn read_all(file: &OwnedFd, size: usize) -> Option<Vec<u8>> {
        // Files of `proc` have no size and much content; they are not local, but who knows.
        if size == 0 {
            return None;
        }
        let mut content = vec![0; size + 1];
        let mut buffers = [IoSliceMut::new(&mut content)];
        let count = rustix::io::preadv2(file, &mut buffers, 0, ReadWriteFlags::NOWAIT).map_err(note).ok()?;
        if count != size {
            return None;
        }
        content.truncate(size);
        Some(content)
    }

    fn device(seen: &Statx) -> u64 {
        rustix::fs::makedev(seen.stx_dev_major, seen.stx_dev_minor)
    }

    fn is_local(device: u64) -> bool {
        DEVICES.read().is_ok_and(|devices| devices.contains(&(device, true)))
    }

    fn note(error: Errno) {
        if matches!(error, Errno::NOSYS | Errno::PERM) {
            IS_REFUSED.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use crate::RawFd;

    pub(super) fn read(_path: &[u8], _most: usize) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn learn(_fd: RawFd) {}
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use super::*;

    /// A file with content, in a directory of its own.
    fn file(name: &str, content: &[u8]) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("treadle-cached-files-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn learnt(path: &PathBuf) {
        learn(fs::File::open(path).unwrap().as_raw_fd());
    }

    #[test]
    fn what_is_read_is_the_content_or_nothing() {
        let path = file("content", b"hello");
        learnt(&path);
        assert!(matches!(read(path.as_os_str().as_bytes(), 100).as_deref(), None | Some(b"hello")));
    }

    #[test]
    fn big_and_empty_and_missing_files_are_for_a_thread() {
        let (big, empty) = (file("big", &[1; 100]), file("empty", b""));
        learnt(&big);
        assert_eq!(read(big.as_os_str().as_bytes(), 99), None);
        assert_eq!(read(empty.as_os_str().as_bytes(), 99), None);
        assert_eq!(read(b"/no/such/file", 99), None);
        assert_eq!(read(b"with\0zero", 99), None);
    }

    #[test]
    fn what_is_no_regular_file_is_for_a_thread() {
        let directory = std::env::temp_dir();
        learnt(&directory);
        assert_eq!(read(directory.as_os_str().as_bytes(), 1 << 20), None);
        assert_eq!(read(b"/dev/zero", 1 << 20), None);
        assert_eq!(read(b"/proc/self/status", 1 << 20), None);
    }

    #[test]
    fn numbers_that_name_nothing_teach_nothing() {
        learn(-1);
        learn(RawFd::MAX);
    }
}
