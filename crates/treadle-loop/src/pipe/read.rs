//! The reading end. An exception of the protocol's goes to the exception handler, and reading goes on, as in asyncio.

use std::io;
use std::rc::Rc;

use treadle_reactor::{Interest, io_calls};

use crate::core::Core;
use crate::ffi::{Args, Instance, Object, Raised, Result, Spec, Type};
use crate::known::{known, names};
use crate::source::Source;
use crate::transport::{self, Endpoint, Transport, endpoint_class};

/// `EIO`: the other end of a terminal is closed.
const HUNG_UP: i32 = 5;

/// The value of a transport's object.
pub(crate) struct ReadPipe {
    endpoint: Endpoint,
}

endpoint_class!(ReadPipe);

impl Transport for ReadPipe {
    fn source(this: &Instance<Self>) -> Source {
        Source::ReadPipe(this.clone())
    }

    fn wanted_interest(&self) -> Interest {
        if self.is_reading() { Interest::READ } else { Interest::NONE }
    }

    fn describe(&self) -> String {
        (if self.is_reading() { " open reading" } else { " open not reading" }).to_owned()
    }
}

/// Handles an event of the pipe.
pub(crate) fn on_ready(this: &Instance<ReadPipe>) -> Result<()> {
    if !this.is_reading() {
        return Ok(());
    }
    match this.receive()? {
        Ok(Some(data)) => ReadPipe::notify(this, &names().data_received, [&data]),
        Ok(None) => on_eof(this),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => on_error(this, error),
    }
}

fn on_eof(this: &Instance<ReadPipe>) -> Result<()> {
    this.is_closing.set(true);
    this.core.call_soon(&this.protocol().attribute(&names().eof_received)?, &[], None)?;
    ReadPipe::lose(this, &Object::none())
}

fn on_error(this: &Instance<ReadPipe>, error: io::Error) -> Result<()> {
    let message = "Fatal read error on pipe transport";
    let is_ordinary = error.raw_os_error() == Some(HUNG_UP);
    let exception = Raised::from(error).take();
    if is_ordinary {
        return ReadPipe::fail(this, &exception, message);
    }
    ReadPipe::complain(this, Raised::restore(&exception), message)?;
    ReadPipe::abort(this, &exception)
}

impl ReadPipe {
    /// Reads what is there; nothing is the end.
    fn receive(&self) -> Result<io::Result<Option<Object>>> {
        let mut buffer = self.core.read_buffer();
        Ok(match io_calls::read(self.fd, &mut buffer) {
            Ok(0) => Ok(None),
            Ok(count) => Ok(Some(Object::bytes(&buffer[..count])?)),
            Err(error) => Err(error),
        })
    }
}

/// The class of transports that read from pipes, below `asyncio.ReadTransport`.
pub(crate) fn class(base: &Object) -> Result<Type<ReadPipe>> {
    let spec = Spec::new(c"treadle._native.ReadPipeTransport", c"The transport of a pipe's reading end.");
    transport::reading(super::methods(spec))
        .method(c"close", |this, arguments| {
            arguments.exactly::<0>("close")?;
            ReadPipe::abort(this, &Object::none()).map(|()| Object::none())
        })
        .create(Some(base))
}

/// `_open_read_pipe(...)` of the Python half: makes the transport and schedules its beginning.
pub(crate) fn open(core: &Rc<Core>, arguments: Args<'_>) -> Result<Object> {
    let [pipe, protocol, waiter, extra] = arguments.exactly("_open_read_pipe")?;
    core.check_open()?;
    let endpoint = Endpoint::new(core, pipe, protocol, extra)?;
    let this = known().read_pipe.instantiate(ReadPipe { endpoint })?;
    ReadPipe::open(&this, waiter)?;
    Ok(this.into_object())
}
