//! Who gets the events of a descriptor.

use crate::datagram::Datagram;
use crate::ffi::{Instance, Object, Visit};
use crate::flow::Flows;
use crate::handle::Handle;
use crate::pipe::{ReadPipe, WritePipe};
use crate::stream::Stream;
use crate::transport::Endpoint;

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
            _ => self.transport().into_iter().for_each(|transport| visit.object(transport)),
        }
    }

    pub(crate) fn is_transport(&self) -> bool {
        self.endpoint().is_some()
    }

    pub(crate) fn transport(&self) -> Option<&Object> {
        self.endpoint().map(|(transport, _)| transport)
    }

    /// The transport that has the descriptor for itself, until it is closed.
    pub(crate) fn open_transport(&self) -> Option<&Object> {
        self.endpoint().filter(|(_, endpoint)| !endpoint.is_closing.get()).map(|(transport, _)| transport)
    }

    /// What its transport has still to send, in bytes.
    pub(crate) fn unsent(&self) -> usize {
        match self {
            Self::Waker | Self::Signals | Self::Callbacks(_) | Self::ReadPipe(_) => 0,
            Self::Stream(stream) => stream.unsent(),
            Self::Datagram(datagram) => datagram.unsent(),
            Self::WritePipe(pipe) => pipe.unsent(),
        }
    }

    pub(crate) fn endpoint(&self) -> Option<(&Object, &Endpoint)> {
        match self {
            Self::Waker | Self::Signals | Self::Callbacks(_) => None,
            Self::Stream(stream) => Some((stream.object(), stream)),
            Self::Datagram(datagram) => Some((datagram.object(), datagram)),
            Self::ReadPipe(pipe) => Some((pipe.object(), pipe)),
            Self::WritePipe(pipe) => Some((pipe.object(), pipe)),
        }
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
