//! The extension module `treadle._native`: exports only, no behaviour of its own.
//!
//! Everything here is a thin way from Python into the crates below. A panic in them becomes a Python exception.
#![forbid(unsafe_code)]

use pyo3::pymodule;

mod watch;

/// What `import treadle._native` gives.
#[pymodule(gil_used = true)]
mod _native {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    /// Runs the command line `treadle` in this process and returns its exit code.
    ///
    /// `arguments` are `sys.argv` as the shell would give them, the program's name first.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
        py.detach(|| treadle_cli::status(arguments))
    }

    /// Adds the native classes of the event loop to a module; this imports `asyncio`.
    #[pyfunction]
    fn add_loop(module: &Bound<'_, PyModule>) -> PyResult<()> {
        treadle_loop::add_to(module)
    }

    /// Adds the native parts of the patterns to a module, which work on any event loop; this imports `asyncio`.
    #[pyfunction]
    fn add_patterns(module: &Bound<'_, PyModule>) -> PyResult<()> {
        treadle_loop::add_patterns_to(module)
    }

    /// The content of a small file if that takes no waiting, or `None`; never raises.
    #[pyfunction]
    fn read_cached<'py>(path: &Bound<'py, PyAny>, most: usize) -> Option<Bound<'py, PyBytes>> {
        let content = match path.cast::<PyBytes>() {
            Ok(path) => treadle_loop::read_cached(path.as_bytes(), most),
            // What is no path a thread says better.
            Err(_) => treadle_loop::read_cached(path.extract::<PathBuf>().ok()?.as_os_str().as_bytes(), most),
        };
        content.map(|content| PyBytes::new(path.py(), &content))
    }

    /// Looks at the file system of an open file, which may wait, so that [`read_cached`] knows it.
    #[pyfunction]
    fn learn_file_system(py: Python<'_>, fd: i32) {
        py.detach(|| treadle_loop::learn_file_system(fd));
    }

    #[pymodule_export]
    use crate::watch::{
        capture, events, finish, forget, found, listen, next_to_log, settings, show_patterns, shown, snapshot, tell,
        unawaited, vitals, watch, write_baseline,
    };

    /// The version of this build.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("Lines", treadle_loop::lines_class(module.py())?)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
