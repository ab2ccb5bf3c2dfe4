//! What the extension module exports of this crate.

use pyo3::prelude::*;

use crate::core::Core;
use crate::ffi::Object;
use crate::{known, streams};

/// Adds the native classes of the loop to a module. They are made here, which imports `asyncio`.
///
/// # Errors
/// `ImportError` if `asyncio` cannot be imported, `SystemError` if its classes are not as expected.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let known = known::load().map_err(|raised| PyErr::from_value(raised.take().into_bound(module.py())))?;
    let classes: [(&str, &Object); 8] = [
        ("Loop", known.event_loop.object()),
        ("Handle", known.handle.object()),
        ("TimerHandle", known.timer_handle.object()),
        ("StreamTransport", known.stream.object()),
        ("DatagramTransport", known.datagram.object()),
        ("ReadPipeTransport", known.read_pipe.object()),
        ("WritePipeTransport", known.write_pipe.object()),
        ("Tls", known.tls.object()),
    ];
    for (name, class) in classes {
        module.add(name, class.clone().into_bound(module.py()))?;
    }
    module.add_function(wrap_pyfunction!(complete_streams, module)?)?;
    module.add_function(wrap_pyfunction!(forked, module)?)
}

/// Gives the classes of native readers and writers their methods.
#[pyfunction]
fn complete_streams(reader: &Bound<'_, PyAny>, writer: &Bound<'_, PyAny>) -> PyResult<()> {
    let completed = streams::complete(&Object::of(reader), &Object::of(writer));
    completed.map_err(|raised| PyErr::from_value(raised.take().into_bound(reader.py())))
}

/// Tells all loops that this process was forked from theirs.
#[pyfunction]
fn forked() {
    Core::forked();
}
