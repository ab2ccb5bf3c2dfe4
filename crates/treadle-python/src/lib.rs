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

    use pyo3::prelude::*;

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

    #[pymodule_export]
    use crate::watch::{
        capture, events, finish, forget, found, listen, next_to_log, settings, shown, snapshot, tell, unawaited,
        vitals, watch, write_baseline,
    };

    /// The version of this build.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
