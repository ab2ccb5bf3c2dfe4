//! Who gets the events of a descriptor.

use crate::datagram::Datagram;
use crate::ffi::{Instance, Object, Visit};
use crate::handle::Handle;
use crate::pipe::{ReadPipe, WritePipe};
use crate::stream::Stream;

/// The owner of a registration.
#[derive(Clone)]
pub(crate) enum Source {
    /// Other threads wake the loop by it.
    Waker,
    /// Python's signal handler writes the numbers of signals into its other end.
    Signals,
    /// `add_reader`, `add_writer` and the `sock_*` operations.
    Callbacks(Callbacks),
    Stream(Instance<Stream>),
    Datagram(Instance<Datagram>),
    ReadPipe(Instance<ReadPipe>),
    WritePipe(Instance<WritePipe>),
}

/// Who is told when a descriptor is ready.
#[derive(Clone, Default)]
pub(crate) struct Callbacks {
    pub(crate) reader: Option<Watcher>,
    pub(crate) writer: Option<Watcher>,
    /// Weakly, the socket whose operations keep this registration while none of them waits. The program may close it at any time.
    pub(crate) socket: Option<Object>,
    /// What the program named the descriptor by, if not by its number: once that is closed, it can still be removed by it.
    pub(crate) file: Option<Object>,
}

/// One of those.
#[derive(Clone)]
pub(crate) enum Watcher {
    /// The program's callback, run each time.
    Handle(Instance<Handle>),
    /// What an operation waits by, done once.
    Future(Object),
}

impl Source {
    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        match self {
            Self::Waker | Self::Signals => {}
            Self::Callbacks(callbacks) => {
                callbacks.reader.iter().chain(&callbacks.writer).for_each(|watcher| watcher.traverse(visit));
                callbacks.socket.iter().chain(&callbacks.file).for_each(|object| visit.object(object));
            }
            Self::Stream(stream) => visit.object(stream.object()),
            Self::Datagram(datagram) => visit.object(datagram.object()),
            Self::ReadPipe(pipe) => visit.object(pipe.object()),
            Self::WritePipe(pipe) => visit.object(pipe.object()),
        }
    }

    pub(crate) fn is_transport(&self) -> bool {
        !matches!(self, Self::Waker | Self::Signals | Self::Callbacks(_))
    }

    /// The transport that has the descriptor for itself, until it is closed.
    pub(crate) fn open_transport(&self) -> Option<&Object> {
        let (transport, is_closing) = match self {
            Self::Waker | Self::Signals | Self::Callbacks(_) => return None,
            Self::Stream(stream) => (stream.object(), stream.is_closing.get()),
            Self::Datagram(datagram) => (datagram.object(), datagram.is_closing.get()),
            Self::ReadPipe(pipe) => (pipe.object(), pipe.is_closing.get()),
            Self::WritePipe(pipe) => (pipe.object(), pipe.is_closing.get()),
        };
        (!is_closing).then_some(transport)
    }
}

impl Watcher {
    fn traverse(&self, visit: &Visit<'_>) {
        match self {
            Self::Handle(handle) => Handle::traverse_owned(handle, visit),
            Self::Future(future) => visit.object(future),
        }
    }
}
