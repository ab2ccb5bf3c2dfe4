//! What Python code sees of transports of every kind.

use super::Transport;
use crate::ffi::{Args, Instance, Object, Result, Spec};
use crate::known::names;
use crate::watch;

/// What every transport has. The names with an underscore are asyncio's where its standard library looks for them.
pub(crate) fn methods<T: Transport>(spec: Spec<T>) -> Spec<T> {
    spec.method(c"get_extra_info", |this, arguments| {
        let [name, default] = arguments.named("get_extra_info", ["name", "default"], 1)?;
        let none = Object::none();
        extra(this)?.method(&names().get, [name.unwrap_or(&none), default.unwrap_or(&none)])
    })
    .method(c"set_protocol", |this, arguments| {
        let [protocol] = arguments.exactly("set_protocol")?;
        T::set_protocol(this, protocol).map(|()| Object::none())
    })
    .method(c"get_protocol", |this, arguments| {
        arguments.exactly::<0>("get_protocol")?;
        Ok(this.protocol())
    })
    .method(c"is_closing", |this, arguments| {
        arguments.exactly::<0>("is_closing")?;
        Ok(Object::bool(this.is_closing.get()))
    })
    .method(c"_begin", |this, arguments| {
        let [waiter] = arguments.exactly("_begin")?;
        T::begin(this, waiter).map(|()| Object::none())
    })
    .method(c"_call_connection_lost", |this, arguments| {
        let [exception] = arguments.exactly("_call_connection_lost")?;
        T::finish(this, exception).map(|()| Object::none())
    })
    .attribute(c"_loop", |this| Ok(this.core.event_loop().unwrap_or_else(Object::none)))
    .attribute(c"_protocol", |this| Ok(this.protocol()))
    .attribute(c"_extra", extra)
    .settable(|_this, _value| Ok(()))
    .attribute(c"_closing", |this| Ok(Object::bool(this.is_closing.get())))
    .attribute(c"_conn_lost", |this| Object::integer(i64::from(this.lost.get())))
    .repr(|this| Object::text(&show(this)))
    .finalize(|this| match this.core.event_loop().filter(|_| this.is_open()) {
        Some(event_loop) => {
            watch::left(&this.core, this.object());
            event_loop.method(&names()._unclosed_transport, [this.object(), &file(this)?]).map(drop)
        }
        None => Ok(()),
    })
}

/// What `get_extra_info` knows.
fn extra<T: Transport>(this: &Instance<T>) -> Result<Object> {
    T::materialize(this)?;
    Ok(this.extra.load().unwrap_or_else(Object::none))
}

/// The socket or file, or `None` if it is closed.
pub(crate) fn file<T: Transport>(this: &Instance<T>) -> Result<Object> {
    T::materialize(this)?;
    Ok(this.file.load().unwrap_or_else(Object::none))
}

/// What transports that read have.
pub(crate) fn reading<T: Transport>(spec: Spec<T>) -> Spec<T> {
    spec.method(c"is_reading", |this, arguments| {
        arguments.exactly::<0>("is_reading")?;
        Ok(Object::bool(this.is_reading()))
    })
    .method(c"pause_reading", |this, arguments| {
        arguments.exactly::<0>("pause_reading")?;
        pause_reading(this, true)
    })
    .method(c"resume_reading", |this, arguments| {
        arguments.exactly::<0>("resume_reading")?;
        pause_reading(this, false)
    })
    .attribute(c"_paused", |this| Ok(Object::bool(this.is_reading_paused.get())))
}

/// `abort()`, for those that have it.
pub(crate) fn abort<T: Transport>(this: &Instance<T>, arguments: Args<'_>) -> Result<Object> {
    arguments.exactly::<0>("abort")?;
    T::abort(this, &Object::none()).map(|()| Object::none())
}

fn pause_reading<T: Transport>(this: &Instance<T>, pause: bool) -> Result<Object> {
    if !this.is_closing.get() && this.is_reading_paused.replace(pause) != pause {
        this.update_interest()?;
    }
    Ok(Object::none())
}

fn show<T: Transport>(this: &Instance<T>) -> String {
    let class = this.object().type_name();
    let is_open = this.is_open();
    let state = if is_open { if this.is_closing.get() { " closing" } else { "" } } else { " closed" };
    let rest = if is_open { this.describe() } else { String::new() };
    format!("<{class}{state} fd={}{rest}>", this.fd)
}
