//! Writing: the methods of writers, the end of what is sent, and who waits until all is.

use std::io;

use treadle_reactor::Kind as Descriptor;
use treadle_reactor::io_calls;

use super::Stream;
use crate::ffi::{Context, Instance, Kind, Object, Result, Spec};
use crate::known::names;
use crate::outbox::{self, Outbox, Writes};
use crate::tls;
use crate::transport::Transport;

impl Writes for Stream {
    const KIND: Descriptor = Descriptor::Socket;
    const LOST: &str = "socket.send() raised exception.";
    const FAILED: &str = "Fatal write error on socket transport";

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn before_flush(this: &Instance<Self>) -> Result<()> {
        this.tls().map_or(Ok(()), |tls| Context::run(&this.context, || tls::flush(&tls)))
    }

    fn on_empty(this: &Instance<Self>) -> Result<()> {
        if let Some(waiter) = this.drained.load()
            && !waiter.method(&names().done, [])?.is_true()?
        {
            waiter.method(&names().set_result, [&Object::none()])?;
        }
        if this.eof_written.get() {
            this.shut_down()?;
        }
        if this.is_closing.get() { Self::lose(this, &Object::none()) } else { Ok(()) }
    }

    fn on_refused(this: &Instance<Self>, exception: &Object) -> Result<()> {
        this.drained.load().map_or(Ok(()), |waiter| fail_drained(&waiter, exception))
    }
}

pub(super) fn methods(spec: Spec<Stream>) -> Spec<Stream> {
    outbox::methods(spec)
        .method(c"write", |this, arguments| {
            let [data] = arguments.exactly("write")?;
            write(this, data).map(|()| Object::none())
        })
        .method(c"writelines", |this, arguments| {
            let [list] = arguments.exactly("writelines")?;
            for data in list.iterate()? {
                write(this, &data?)?;
            }
            Ok(Object::none())
        })
        .method(c"write_eof", |this, arguments| {
            arguments.exactly::<0>("write_eof")?;
            write_eof(this).map(|()| Object::none())
        })
        // For sending files, which must come after what was written.
        .method(c"_make_empty_waiter", |this, arguments| {
            arguments.exactly::<0>("_make_empty_waiter")?;
            make_drained(this)
        })
        .method(c"_reset_empty_waiter", |this, arguments| {
            arguments.exactly::<0>("_reset_empty_waiter")?;
            this.drained.store(None);
            Ok(Object::none())
        })
}

pub(crate) fn write(this: &Instance<Stream>, data: &Object) -> Result<()> {
    if let Some(reason) = this.refuses_writes() {
        if data.as_bytes().is_none() {
            outbox::readable(data)?;
        }
        return Err(Kind::RuntimeError.raise_static(reason));
    }
    outbox::write(this, data)
}

/// Has the loop flush this at the end of the turn, when the TLS layer above is asked for data. `false` if the loop does not run.
pub(crate) fn flush_later(this: &Instance<Stream>) -> bool {
    let will_be = this.core.is_running() && this.is_tls.get();
    if will_be {
        outbox::enlist(this);
    }
    will_be
}

fn write_eof(this: &Instance<Stream>) -> Result<()> {
    if this.is_closing.get() || this.eof_written.replace(true) {
        return Ok(());
    }
    if this.outbox.is_empty() {
        return if this.lost.get() == 0 { this.shut_down() } else { Ok(()) };
    }
    outbox::flush_gathered(this)
}

fn make_drained(this: &Instance<Stream>) -> Result<Object> {
    if this.drained.is_some() {
        return Err(Kind::RuntimeError.raise_static(c"Empty waiter is already set"));
    }
    outbox::flush_gathered(this)?;
    let event_loop = this.core.event_loop().unwrap_or_else(Object::none);
    let waiter = event_loop.method(&names().create_future, [])?;
    this.drained.store(Some(waiter.clone()));
    if this.outbox.is_empty() {
        waiter.method(&names().set_result, [&Object::none()])?;
    }
    Ok(waiter)
}

/// Tells who waits to send a file that the connection is gone.
pub(super) fn fail_drained(waiter: &Object, exception: &Object) -> Result<()> {
    if !waiter.method(&names().done, [])?.is_true()? {
        waiter.method(&names().set_exception, [exception])?;
    }
    Ok(())
}

impl Stream {
    fn refuses_writes(&self) -> Option<&'static std::ffi::CStr> {
        if self.eof_written.get() {
            return Some(c"Cannot call write() after write_eof()");
        }
        self.drained.is_some().then_some(c"unable to write; sendfile is in progress")
    }

    fn shut_down(&self) -> Result<()> {
        self.core.want_poll();
        match io_calls::shutdown_write(self.fd) {
            // The peer may be gone already; reading will say so.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        }
    }
}
