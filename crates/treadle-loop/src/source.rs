//! Who gets the events of a descriptor.

use crate::ffi::{Instance, Visit};
use crate::handle::Handle;
use crate::stream::Stream;

/// The owner of a registration.
#[derive(Clone)]
pub(crate) enum Source {
    /// Other threads wake the loop by it.
    Waker,
    /// Python's signal handler writes the numbers of signals into its other end.
    Signals,
    /// `add_reader` and `add_writer`.
    Callbacks(Callbacks),
    Stream(Instance<Stream>),
}

/// The handles that a program wants run when a descriptor is ready.
#[derive(Clone, Default)]
pub(crate) struct Callbacks {
    pub(crate) reader: Option<Instance<Handle>>,
    pub(crate) writer: Option<Instance<Handle>>,
}

impl Source {
    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        match self {
            Self::Waker | Self::Signals => {}
            Self::Callbacks(callbacks) => {
                let handles = callbacks.reader.iter().chain(&callbacks.writer);
                handles.for_each(|handle| Handle::traverse_owned(handle, visit));
            }
            Self::Stream(stream) => visit.object(stream.object()),
        }
    }
}
