//! The attributes of a native reader: what the stock class keeps in `__dict__`, and programs look at and change.

use super::Reader;
use crate::ffi::{Addition, Object, Result, Slot};

/// Adds the attributes to the class of readers.
pub(super) fn add_to(class: Addition<'_>) -> Result<Addition<'_>> {
    class
        .attribute(
            c"_buffer",
            |reader| {
                let value = Reader::of(reader)?;
                value.settle()?;
                Ok(shown(&value.buffer))
            },
            |reader, buffer| Reader::of(reader).map(|value| value.set_buffer(buffer)),
        )?
        .attribute(
            c"_limit",
            |reader| {
                let value = Reader::of(reader)?;
                value.odd_limit.load().map_or_else(|| Object::integer(value.limit.get()), Ok)
            },
            |reader, limit| Reader::of(reader).map(|value| value.set_limit(limit)),
        )?
        .attribute(
            c"_eof",
            |reader| Reader::of(reader).map(|value| Object::bool(value.ended.get())),
            |reader, ended| Reader::of(reader)?.ended_as(ended),
        )?
        .attribute(
            c"_paused",
            |reader| Reader::of(reader).map(|value| Object::bool(value.paused.get())),
            |reader, paused| {
                Reader::of(reader)?.paused.set(paused.is_true()?);
                Ok(())
            },
        )?
        .attribute(
            c"_exception",
            |reader| Reader::of(reader).map(|value| shown(&value.exception)),
            |reader, exception| Reader::of(reader).map(|value| value.set_exception(exception)),
        )?
        .attribute(
            c"_waiter",
            |reader| Reader::of(reader).map(|value| shown(&value.waiter)),
            |reader, waiter| Reader::of(reader).map(|value| put(&value.waiter, waiter)),
        )?
        .attribute(
            c"_transport",
            |reader| Reader::of(reader).map(|value| shown(&value.transport)),
            |reader, transport| Reader::of(reader).map(|value| put(&value.transport, transport)),
        )?
        .attribute(
            c"_loop",
            |reader| Reader::of(reader).map(|value| shown(&value.event_loop)),
            |reader, event_loop| Reader::of(reader).map(|value| put(&value.event_loop, event_loop)),
        )
}

impl Reader {
    fn set_buffer(&self, value: &Object) {
        drop(self.fresh.take());
        self.odd.set(value.bytearray_length().is_none() || self.odd_limit.is_some());
        self.buffer.store(Some(value.clone()));
    }

    fn set_limit(&self, value: &Object) {
        let number = if value.is_exactly_integer() { value.to_integer() } else { Ok(-1) };
        let number = number.unwrap_or_else(|raised| {
            raised.forget();
            -1
        });
        if number > 0 {
            self.limit.set(number);
        } else {
            self.odd_limit.store(Some(value.clone()));
            self.odd.set(true);
        }
    }

    fn set_exception(&self, value: &Object) {
        // A class may be raised as well as an instance.
        if !value.is_none() && !value.is_exception() {
            self.odd.set(true);
        }
        self.exception.store((!value.is_none()).then(|| value.clone()));
    }

    fn ended_as(&self, value: &Object) -> Result<()> {
        self.ended.set(value.is_true()?);
        Ok(())
    }
}

fn shown(slot: &Slot) -> Object {
    slot.load().unwrap_or_else(Object::none)
}

fn put(slot: &Slot, value: &Object) {
    slot.store((!value.is_none()).then(|| value.clone()));
}
