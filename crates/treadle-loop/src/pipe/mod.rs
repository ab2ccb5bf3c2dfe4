//! The transports of pipes, of one direction each: pipes, FIFOs, sockets and character devices such as terminals.

mod read;
mod write;

pub(crate) use read::{ReadPipe, class as read_class, on_ready as on_read_ready, open as open_read};
pub(crate) use write::{WritePipe, class as write_class, on_ready as on_write_ready, open as open_write};

use crate::ffi::{Object, Spec};
use crate::transport::{self, Transport};

/// What both have.
fn methods<T: Transport>(spec: Spec<T>) -> Spec<T> {
    transport::methods(spec)
        .attribute(c"_pipe", |this| Ok(this.file.load().unwrap_or_else(Object::none)))
        // Programs take the file away from the transport of a loop that is closed.
        .settable(|this, value| {
            this.file.store((!value.is_none()).then(|| value.clone()));
            Ok(())
        })
        .attribute(c"_fileno", |this| Object::integer(i64::from(this.fd)))
}
