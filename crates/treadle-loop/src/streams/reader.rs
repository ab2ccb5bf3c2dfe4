//! The value of a reader: what its attributes show, and what the transport feeds.

use std::cell::Cell;

use crate::ffi::{Class, Instance, Kind, Nothing, Object, Plain, Raised, Readable, Result, Slot, Spec, Type, Visit};
use crate::known::{known, names};

/// The stock reader's default.
const LIMIT: i64 = 64 * 1024;

/// A chunk from which reads take, until somebody wants the `bytearray`.
pub(super) struct Fresh {
    chunk: Object,
    start: usize,
}

/// A reader's state. The names are those of the stock attributes.
pub(crate) struct Reader {
    /// What was fed lies in this `bytearray`, or, while that is empty and nobody else has it, in `fresh`.
    pub(super) buffer: Slot,
    pub(super) fresh: Cell<Option<Fresh>>,
    pub(super) ended: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) limit: Cell<i64>,
    pub(super) waiter: Slot,
    pub(super) exception: Slot,
    pub(super) transport: Slot,
    pub(super) event_loop: Slot,
    /// What the program has set that does not fit above: only the stock methods know what to do with it.
    pub(super) odd_limit: Slot,
    pub(super) odd: Cell<bool>,
}

impl Class for Reader {
    type Head = Plain;
    type Tail = Nothing;

    fn traverse(&self, visit: &Visit<'_>) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visit));
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(|slot| slot.store(None));
        drop(self.fresh.take());
    }
}

pub(super) fn class() -> Result<Type<Reader>> {
    Spec::new(c"treadle._native.ReaderState", c"What a native reader holds.").create(None)
}

impl Reader {
    fn slots(&self) -> [&Slot; 6] {
        let Self { buffer, waiter, exception, transport, event_loop, odd_limit, .. } = self;
        [buffer, waiter, exception, transport, event_loop, odd_limit]
    }

    fn create() -> Result<Instance<Self>> {
        known().streams.reader.instantiate(Self {
            buffer: Slot::default(),
            fresh: Cell::default(),
            ended: Cell::new(false),
            paused: Cell::new(false),
            limit: Cell::new(LIMIT),
            waiter: Slot::default(),
            exception: Slot::default(),
            transport: Slot::default(),
            event_loop: Slot::default(),
            odd_limit: Slot::default(),
            // Until `_buffer` is set.
            odd: Cell::new(true),
        })
    }

    /// The value of a reader's object, made if it has none: a program may instantiate the class, too.
    #[inline]
    pub(super) fn of(reader: &Object) -> Result<Instance<Self>> {
        let attributes = reader.attributes()?;
        if let Some(value) = attributes.entry(&names()._native_state)? {
            return known().streams.reader.cast(&value).ok_or_else(|| value.unexpected("a reader's state is needed"));
        }
        let value = Self::create()?;
        attributes.set_item(&names()._native_state, value.object())?;
        Ok(value)
    }

    /// Whether the stock methods are needed.
    pub(super) fn is_odd(&self) -> bool {
        self.odd.get()
    }

    /// `_eof`.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// `_limit`, where that is not odd.
    pub(super) fn limit(&self) -> usize {
        self.limit.get().unsigned_abs() as usize
    }

    pub(super) fn has_exception(&self) -> bool {
        self.exception.is_some()
    }

    /// Does something while the exception, which came during a wait, is out of sight.
    pub(super) fn without_exception<R>(&self, function: impl FnOnce() -> R) -> R {
        let exception = self.exception.take();
        let result = function();
        if exception.is_some() {
            self.exception.store(exception);
        }
        result
    }

    /// `len(self._buffer)`.
    #[inline]
    pub(super) fn length(&self) -> usize {
        let fresh = self.fresh.take();
        let length = match &fresh {
            Some(Fresh { chunk, start }) => chunk.as_bytes().map_or(0, |bytes| bytes.len() - start),
            None => self.buffer.load().and_then(|buffer| buffer.bytearray_length()).unwrap_or(0),
        };
        self.fresh.set(fresh);
        length
    }

    /// Where something is in what was fed.
    pub(super) fn find<R>(&self, search: impl FnOnce(&[u8]) -> R) -> Result<R> {
        if let Some(fresh) = self.fresh.take() {
            let found = search(&fresh.chunk.as_bytes().unwrap_or_default()[fresh.start..]);
            self.fresh.set(Some(fresh));
            return Ok(found);
        }
        let Some(buffer) = self.buffer.load() else { return Ok(search(&[])) };
        let readable = Readable::of(&buffer)?;
        Ok(search(readable.as_ref()))
    }

    /// Takes at most so many bytes, as `bytes`, and lets the transport go on if there are few left.
    pub(super) fn take(&self, count: usize) -> Result<Object> {
        let taken = match self.fresh.take() {
            Some(fresh) => self.take_fresh(fresh, count)?,
            None => self.take_buffered(count)?,
        };
        if self.paused.get() && self.length() <= self.limit() {
            self.resume()?;
        }
        Ok(taken)
    }

    /// Takes all there is, and leaves the transport as it is.
    pub(super) fn take_all(&self) -> Result<Object> {
        match self.fresh.take() {
            Some(fresh) => self.take_fresh(fresh, usize::MAX),
            None => self.take_buffered(usize::MAX),
        }
    }

    fn take_fresh(&self, fresh: Fresh, count: usize) -> Result<Object> {
        let Fresh { chunk, start } = fresh;
        let rest = &chunk.as_bytes().unwrap_or_default()[start..];
        if count < rest.len() {
            let taken = Object::bytes(&rest[..count]);
            self.fresh.set(Some(Fresh { chunk, start: start + count }));
            return taken;
        }
        if start == 0 { Ok(chunk) } else { Object::bytes(rest) }
    }

    fn take_buffered(&self, count: usize) -> Result<Object> {
        let Some(buffer) = self.buffer.load() else { return Object::bytes(&[]) };
        let readable = Readable::of(&buffer)?;
        let bytes = readable.as_ref();
        let count = count.min(bytes.len());
        let taken = Object::bytes(&bytes[..count])?;
        // A `bytearray` that is looked at cannot be changed.
        drop(readable);
        if count > 0 {
            buffer.delete_front(count)?;
        }
        Ok(taken)
    }

    /// Moves what is fresh into the `bytearray`, for everybody to see.
    pub(super) fn settle(&self) -> Result<()> {
        let (Some(Fresh { chunk, start }), Some(buffer)) = (self.fresh.take(), self.buffer.load()) else {
            return Ok(());
        };
        if start == 0 {
            return buffer.method(&names().extend, [&chunk]).map(drop);
        }
        let rest = Object::bytes(&chunk.as_bytes().unwrap_or_default()[start..])?;
        buffer.method(&names().extend, [&rest]).map(drop)
    }

    /// `feed_data` before the end, with a stock state.
    pub(super) fn feed(&self, data: &Object) -> Result<()> {
        if data.is_exactly_bytes() && self.takes_fresh() {
            if data.as_bytes().is_some_and(<[u8]>::is_empty) {
                return Ok(());
            }
            self.fresh.set(Some(Fresh { chunk: data.clone(), start: 0 }));
        } else {
            if !data.is_true()? {
                return Ok(());
            }
            self.settle()?;
            if let Some(buffer) = self.buffer.load() {
                buffer.method(&names().extend, [data])?;
            }
        }
        self.wake()?;
        self.pause_if_full()
    }

    /// Whether a chunk may stay as it is: nothing is there yet, and nobody else could look into the `bytearray`.
    #[inline]
    fn takes_fresh(&self) -> bool {
        let fresh = self.fresh.take();
        if fresh.is_some() {
            self.fresh.set(fresh);
            return false;
        }
        // One reference is the slot's, the other is the one just loaded.
        self.buffer.load().is_some_and(|buffer| buffer.reference_count() == 2 && buffer.bytearray_length() == Some(0))
    }

    /// `_wakeup_waiter`.
    fn wake(&self) -> Result<()> {
        let Some(waiter) = self.waiter.take() else { return Ok(()) };
        if !waiter.method(&names().cancelled, [])?.is_exactly(true) {
            waiter.method(&names().set_result, [&Object::none()])?;
        }
        Ok(())
    }

    fn pause_if_full(&self) -> Result<()> {
        if self.paused.get() || self.length() <= self.limit().saturating_mul(2) {
            return Ok(());
        }
        let Some(transport) = self.transport.load() else { return Ok(()) };
        match transport.method(&names().pause_reading, []) {
            Ok(_) => self.paused.set(true),
            Err(raised) => {
                let exception = raised.take();
                if !Kind::NotImplementedError.matches(&exception) {
                    return Err(Raised::restore(&exception));
                }
                // As the stock reader does: one that cannot be paused is not asked again.
                self.transport.store(None);
            }
        }
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        self.paused.set(false);
        let transport = self.transport.load().unwrap_or_else(Object::none);
        transport.method(&names().resume_reading, []).map(drop)
    }

    /// `_wait_for_data` up to its `await`: the future to wait for, or none if somebody waits already.
    pub(super) fn begin_to_wait(&self) -> Result<Option<Object>> {
        if self.waiter.is_some() {
            return Ok(None);
        }
        if self.paused.get() {
            self.resume()?;
        }
        let event_loop = self.event_loop.load().unwrap_or_else(Object::none);
        let future = event_loop.method(&names().create_future, [])?;
        self.waiter.store(Some(future.clone()));
        Ok(Some(future))
    }

    /// Its `finally`.
    pub(super) fn end_to_wait(&self) {
        self.waiter.store(None);
    }
}
