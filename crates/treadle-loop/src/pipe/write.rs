//! The writing end. Pipes and sockets are watched for their reader's going away.

use std::io;
use std::rc::Rc;

use treadle_reactor::{Interest, Kind as Descriptor};

use crate::core::Core;
use crate::ffi::{Args, Instance, Object, Raised, Result, Spec, Type};
use crate::known::known;
use crate::outbox::{self, Outbox, Writes};
use crate::source::Source;
use crate::transport::{Endpoint, Transport, endpoint_class};

/// `EPIPE`: nobody reads any more.
const NO_READER: i32 = 32;

/// The value of a transport's object.
pub(crate) struct WritePipe {
    endpoint: Endpoint,
    outbox: Outbox,
    /// The descriptor becomes readable when nobody reads any more. Terminals become so for other reasons.
    shows_loss: bool,
}

endpoint_class!(WritePipe);

impl Transport for WritePipe {
    fn source(this: &Instance<Self>) -> Source {
        Source::WritePipe(this.clone())
    }

    fn wanted_interest(&self) -> Interest {
        let reading = if self.shows_loss { Interest::READ } else { Interest::NONE };
        if self.outbox.is_blocked() { reading | Interest::WRITE } else { reading }
    }

    fn discard_unsent(&self) {
        self.outbox.give_up(self);
    }

    fn describe(&self) -> String {
        format!(" open write buffer={}", self.outbox.len())
    }
}

impl Writes for WritePipe {
    const KIND: Descriptor = Descriptor::Pipe;
    const LOST: &str = "pipe closed by peer or os.write(pipe, data) raised exception.";
    const FAILED: &str = "Fatal write error on pipe transport";

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn takes_writes(&self) -> bool {
        self.lost.get() == 0 && !self.is_closing.get()
    }

    fn on_empty(this: &Instance<Self>) -> Result<()> {
        if this.is_closing.get() { Self::lose(this, &Object::none()) } else { Ok(()) }
    }
}

/// Handles an event of the pipe.
pub(crate) fn on_ready(this: &Instance<WritePipe>, is_readable: bool, is_writable: bool) -> Result<()> {
    if is_readable && this.shows_loss {
        return on_loss(this);
    }
    if is_writable && this.outbox.is_blocked() { outbox::flush(this) } else { Ok(()) }
}

/// Nobody reads any more. What was written and not sent makes that an error.
fn on_loss(this: &Instance<WritePipe>) -> Result<()> {
    outbox::flush(this)?;
    if this.outbox.is_empty() {
        return WritePipe::abort(this, &Object::none());
    }
    let exception = Raised::from(io::Error::from_raw_os_error(NO_READER)).take();
    WritePipe::abort(this, &exception)
}

/// The class of transports that write to pipes, below `asyncio.Transport`: asyncio's own can be asked to read, and refuses.
pub(crate) fn class(base: &Object) -> Result<Type<WritePipe>> {
    let spec = Spec::new(c"treadle._native.WritePipeTransport", c"The transport of a pipe's writing end.");
    outbox::methods(super::methods(spec))
        .method(c"write", |this, arguments| {
            let [data] = arguments.exactly("write")?;
            outbox::write(this, data).map(|()| Object::none())
        })
        // Closing is the only end of file that a pipe knows.
        .method(c"write_eof", |this, arguments| {
            arguments.exactly::<0>("write_eof")?;
            outbox::close(this).map(|()| Object::none())
        })
        .create(Some(base))
}

/// `_open_write_pipe(...)` of the Python half: makes the transport and schedules its beginning.
pub(crate) fn open(core: &Rc<Core>, arguments: Args<'_>) -> Result<Object> {
    let [pipe, protocol, waiter, extra, shows_loss] = arguments.exactly("_open_write_pipe")?;
    core.check_open()?;
    let this = known().write_pipe.instantiate(WritePipe {
        endpoint: Endpoint::new(core, pipe, protocol, extra)?,
        outbox: Outbox::default(),
        shows_loss: shows_loss.is_true()?,
    })?;
    WritePipe::open(&this, waiter)?;
    Ok(this.into_object())
}
