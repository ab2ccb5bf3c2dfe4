//! Files that can be read without waiting. What cannot is read by a thread; Python decides, in `treadle.files`.

mod lines;

use pyo3::prelude::*;
use treadle_reactor::{RawFd, cached_files};

/// The content of the file at `path`, if it has at most `most` bytes and all of it is in memory.
///
/// `None` says that nobody knows without waiting, whatever the reason is: a thread then gives the content or the error.
#[must_use]
pub fn read_cached(path: &[u8], most: usize) -> Option<Vec<u8>> {
    cached_files::read(path, most)
}

/// The class of lines that were read ahead.
///
/// # Errors
/// Whatever making a class raises.
pub fn lines_class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    lines::class().map(|class| class.into_bound(py)).map_err(|raised| PyErr::from_value(raised.take().into_bound(py)))
}

/// Finds out whether files of the file system that `fd` is on may be read without a thread. This may wait.
pub fn learn_file_system(fd: RawFd) {
    cached_files::learn(fd);
}
