//! The heart of a loop, which handles, transports and the loop's object share.
//!
//! Nothing in here is borrowed while Python code runs: queues are borrowed for one push or pop, and what is taken out of them is dropped
//! afterwards, because dropping an object may run anything. All access is by attached threads, so `Cell` and `RefCell` are enough also for
//! `call_soon_threadsafe`.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use treadle_events::Wake;
use treadle_reactor::{Events, Interest, Poll, RawFd, Registry, Timers, Token, Waker, now};

use crate::again::Again;
use crate::ffi::{Context, Instance, Kind, Object, Raised, Result, Slot, Visit, unpublish_all};
use crate::handle::Handle;
use crate::inspection::Inspector;
use crate::known::names;
use crate::read_buffer::ReadBuffer;
use crate::recorder::Recorder;
use crate::source::Source;
use crate::watch;

/// How many processes forked from each other lie between this one and the first: a loop belongs to the process that made it.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// As much as one read of a socket may bring, as in asyncio.
pub(crate) const READ_SIZE: usize = 256 * 1024;

/// The longest batch of events that one poll brings.
const EVENTS: usize = 1024;

/// What a closed loop has no more: its descriptors.
pub(crate) struct Descriptors {
    pub(crate) poll: Poll,
    pub(crate) waker: Waker,
}

/// The state of a loop.
pub(crate) struct Core {
    pub(crate) descriptors: RefCell<Option<Rc<Descriptors>>>,
    pub(crate) sources: RefCell<Registry<Source>>,
    pub(crate) events: Cell<Option<Events>>,
    pub(crate) ready: RefCell<VecDeque<Instance<Handle>>>,
    pub(crate) timers: RefCell<Timers<Instance<Handle>>>,
    /// Transports that have something to write at the end of the turn.
    pub(crate) unflushed: RefCell<VecDeque<Source>>,
    read_buffer: RefCell<ReadBuffer>,
    pub(crate) stopping: Cell<bool>,
    /// The loop itself calls transports: for events, or to flush them.
    pub(crate) is_outside: Cell<bool>,
    /// The next turn begins with a look at the system, also if callbacks are ready.
    pub(crate) is_poll_wanted: Cell<bool>,
    pub(crate) closed: Cell<bool>,
    /// The program has put a clock of its own in the place of `time`.
    pub(crate) has_own_clock: Cell<bool>,
    /// Where the clock stands of a loop whose clock jumps to the next timer when there is nothing else to do, in seconds, and how long it first waits
    /// for something to happen outside.
    pub(crate) virtual_time: Cell<f64>,
    pub(crate) jumps_after: Cell<Option<Duration>>,
    debug: Cell<bool>,
    /// Who writes down what happens, if somebody does.
    recorder: Cell<Option<&'static Recorder>>,
    /// What the doctor wants to know of this loop.
    pub(crate) inspector: Inspector,
    pub(crate) again: Again,
    /// The last number that was given, and what goes on in the loop that puts callbacks into the ready queue; unknown while nobody records it.
    numbers: Cell<u32>,
    wake: Cell<Wake>,
    /// The number that events of this loop carry.
    pub(crate) number: Cell<u8>,
    /// It runs, and said so to whoever recorded it when it began.
    pub(crate) is_in_turns: Cell<bool>,
    /// In debug mode, or recorded.
    is_watched: Cell<bool>,
    /// When the Python half of the doctor wants to look at something, by the system's clock; the highest number if it does not.
    pub(crate) inspection: Cell<u64>,
    /// In a poll that may block, or about to be.
    pub(crate) sleeping: Cell<bool>,
    /// The native thread identifier that Python gives the thread in which the loop runs.
    pub(crate) thread: Cell<Option<i64>>,
    /// The lock at which other threads wait for a callback to end; see `guard`.
    pub(crate) gate: Slot,
    /// The loop's object, weakly.
    event_loop: Slot,
    forks: u32,
}

impl Core {
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        let poll = Poll::new()?;
        let waker = Waker::new()?;
        let mut sources = Registry::new();
        sources.register(&poll, waker.fd(), Interest::READ, Source::Waker)?;
        let core = Rc::new(Self {
            descriptors: RefCell::new(Some(Rc::new(Descriptors { poll, waker }))),
            sources: RefCell::new(sources),
            events: Cell::new(Some(Events::with_capacity(EVENTS))),
            ready: RefCell::default(),
            timers: RefCell::new(Timers::new()),
            unflushed: RefCell::default(),
            read_buffer: RefCell::default(),
            stopping: Cell::new(false),
            is_outside: Cell::new(false),
            is_poll_wanted: Cell::new(false),
            closed: Cell::new(false),
            has_own_clock: Cell::new(false),
            virtual_time: Cell::new(0.0),
            jumps_after: Cell::new(None),
            debug: Cell::new(false),
            recorder: Cell::new(None),
            inspector: Inspector::default(),
            again: Again::default(),
            numbers: Cell::new(0),
            wake: Cell::new(Wake::UNKNOWN),
            number: Cell::new(0),
            is_in_turns: Cell::new(false),
            is_watched: Cell::new(false),
            inspection: Cell::new(u64::MAX),
            sleeping: Cell::new(false),
            thread: Cell::new(None),
            gate: Slot::default(),
            event_loop: Slot::default(),
            forks: FORKS.load(Ordering::Relaxed),
        });
        core.look_for_recorder();
        Ok(core)
    }

    /// Tells all loops that this process is a new one.
    pub(crate) fn forked() {
        Recorder::end_if_inherited();
        unpublish_all();
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn belongs_to_another_process(&self) -> bool {
        self.forks != FORKS.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.debug.get()
    }

    pub(crate) fn set_debug(&self, debug: bool) {
        self.debug.set(debug);
        self.is_watched.set(debug || self.recorder.get().is_some());
    }

    /// Whether the slower ways are taken, on which somebody looks or listens.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.get()
    }

    /// Who writes down what happens.
    #[inline]
    pub(crate) fn recorder(&self) -> Option<&'static Recorder> {
        self.recorder.get()
    }

    /// Goes by what the process wants now: asked whenever the loop begins to run.
    pub(crate) fn look_for_recorder(&self) {
        let recorder = Recorder::current();
        if let Some(recorder) = recorder
            && self.recorder.get().is_none_or(|known| !std::ptr::eq(known, recorder))
        {
            self.number.set(recorder.number_loop());
            self.recorder.set(Some(recorder));
            if let (Some(desk), Some(descriptors)) = (recorder.desk(), &*self.descriptors.borrow())
                && let Ok(bell) = descriptors.waker.duplicate()
            {
                desk.exchange.connect(self.number.get(), bell);
            }
            if self.is_in_turns.get() {
                watch::start(self);
            }
        }
        self.recorder.set(recorder);
        self.is_watched.set(self.is_debug() || recorder.is_some());
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.thread.get().is_some()
    }

    /// The loop's time: seconds of the monotonic clock.
    #[inline]
    pub(crate) fn time() -> f64 {
        seconds(now())
    }

    /// The time that timers go by, in nanoseconds.
    #[inline]
    pub(crate) fn clock(&self) -> Result<u64> {
        if self.has_own_clock.get() { self.own_time().map(deadline) } else { Ok(now()) }
    }

    /// The same in seconds.
    #[inline]
    pub(crate) fn clock_seconds(&self) -> Result<f64> {
        if self.has_own_clock.get() { self.own_time() } else { Ok(Self::time()) }
    }

    /// What the program says the time is, as asyncio asks it.
    #[cold]
    fn own_time(&self) -> Result<f64> {
        let Some(event_loop) = self.event_loop() else { return Ok(Self::time()) };
        event_loop.method(&names().time, [])?.to_float()
    }

    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.get() { Err(Kind::RuntimeError.raise_static(c"Event loop is closed")) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.belongs_to_another_process() {
            return Err(Kind::RuntimeError.raise_static(
                c"this event loop belongs to the parent process; make a new one in the child, for instance with asyncio.run()",
            ));
        }
        Ok(())
    }

    pub(crate) fn descriptors(&self) -> Result<Rc<Descriptors>> {
        self.check_process()?;
        self.descriptors.borrow().clone().ok_or_else(|| Kind::RuntimeError.raise_static(c"Event loop is closed"))
    }

    /// The loop's object, while it lives.
    pub(crate) fn event_loop(&self) -> Option<Object> {
        self.event_loop.load().and_then(|weak| weak.referent())
    }

    pub(crate) fn set_event_loop(&self, event_loop: &Object) -> Result<()> {
        self.event_loop.store(Some(event_loop.weak()?));
        Ok(())
    }

    /// Puts a callback behind those that wait already.
    #[inline]
    pub(crate) fn push_ready(&self, handle: Instance<Handle>) {
        if self.is_watched() {
            handle.set_wake(self.wake.get());
        }
        self.ready.borrow_mut().push_back(handle);
    }

    /// Puts the callback of a timer that is due there.
    #[inline]
    pub(crate) fn push_timer(&self, handle: Instance<Handle>) {
        handle.set_wake(self.wake.get().of_timer());
        self.ready.borrow_mut().push_back(handle);
    }

    /// The number of something that is written down.
    #[inline]
    pub(crate) fn next_number(&self) -> u32 {
        let number = Wake::next_number(self.numbers.get());
        self.numbers.set(number);
        number
    }

    /// As [`next_number`](Self::next_number), of what puts callbacks into the ready queue from now on.
    #[inline]
    pub(crate) fn next_wake(&self) -> u32 {
        let number = self.next_number();
        self.wake.set(Wake::by(number));
        number
    }

    /// What went on has ended.
    #[inline]
    pub(crate) fn end_wake(&self) {
        self.wake.set(Wake::UNKNOWN);
    }

    /// `call_soon` for native code, by default in a copy of the current context.
    pub(crate) fn call_soon(
        self: &Rc<Self>,
        callback: &Object,
        arguments: &[Object],
        context: Option<Object>,
    ) -> Result<()> {
        let context = context.map_or_else(Context::copy_current, Ok)?;
        self.push_ready(Handle::create(self, callback, arguments, context, None)?);
        Ok(())
    }

    /// Where everything that arrives is read to, so that no big block is allocated and shrunk: glibc's threshold for mapped memory makes that two
    /// to four times slower on a fresh heap. No Python runs while it is borrowed.
    pub(crate) fn read_buffer(&self) -> RefMut<'_, ReadBuffer> {
        let mut buffer = self.read_buffer.borrow_mut();
        if buffer.is_empty() {
            *buffer = ReadBuffer::with_size(READ_SIZE);
        }
        buffer
    }

    /// Ends a poll that another thread sits in.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.sleeping.get()
            && let Some(descriptors) = &*self.descriptors.borrow()
        {
            descriptors.waker.wake();
        }
    }

    /// Has the next turn ask the system and the clock, also if callbacks are ready: what was done just now may have made something ready, a peer
    /// in this very loop or a timer that is due already, and programs count the turns until they hear of it.
    #[inline]
    pub(crate) fn want_poll(&self) {
        self.is_poll_wanted.set(true);
    }

    /// Puts a timer into the heap.
    pub(crate) fn schedule(&self, handle: Instance<Handle>, when: f64) {
        self.timers.borrow_mut().push(deadline(when), handle);
    }

    pub(crate) fn note_cancelled_timer(&self) {
        let mut timers = self.timers.borrow_mut();
        timers.note_cancelled();
        let removed = timers.compact(|handle| handle.is_cancelled());
        drop(timers);
        for handle in removed {
            Handle::set_unscheduled(&handle);
        }
    }

    /// Whether a descriptor has a registration.
    pub(crate) fn is_registered(&self, fd: RawFd) -> bool {
        self.sources.borrow().token_of(fd).is_some()
    }

    /// Registers a descriptor that no transport has; callbacks and kept registrations of the number end.
    pub(crate) fn register(&self, fd: RawFd, interest: Interest, source: Source) -> Result<Token> {
        let descriptors = self.descriptors()?;
        crate::readiness::make_room(self, fd)?;
        Ok(self.sources.borrow_mut().register(&descriptors.poll, fd, interest, source)?)
    }

    /// Sets the interest anew, whether or not it changes: the number may have been closed and used again.
    pub(crate) fn renew(&self, token: Token, interest: Interest) -> Result<()> {
        let descriptors = self.descriptors()?;
        Ok(self.sources.borrow_mut().renew(&descriptors.poll, token, interest)?)
    }

    pub(crate) fn set_interest(&self, token: Token, interest: Interest) -> Result<()> {
        let descriptors = self.descriptors()?;
        Ok(self.sources.borrow_mut().set_interest(&descriptors.poll, token, interest)?)
    }

    /// Ends a registration. In a child process the parent's set is left alone.
    pub(crate) fn deregister(&self, token: Token) {
        if self.belongs_to_another_process() {
            return;
        }
        let Some(descriptors) = self.descriptors.borrow().clone() else { return };
        let source = self.sources.borrow_mut().deregister(&descriptors.poll, token);
        drop(source);
    }

    /// Hands an exception of a callback to the loop's exception handler; those that end programs come back.
    #[cold]
    pub(crate) fn report_failed_call(&self, handle: &Instance<Handle>, exception: &Object) -> Result<()> {
        Self::let_through(exception)?;
        if let Some(event_loop) = self.event_loop() {
            return event_loop.method(&names()._call_failed, [handle.object(), exception]).map(drop);
        }
        Raised::restore(exception).write_unraisable(handle.object());
        Ok(())
    }

    /// `Err` for the exceptions that no exception handler gets.
    pub(crate) fn let_through(exception: &Object) -> Result<()> {
        if Kind::SystemExit.matches(exception) || Kind::KeyboardInterrupt.matches(exception) {
            return Err(Raised::restore(exception));
        }
        Ok(())
    }

    /// Gives up all that waits, and the descriptors.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            watch::close(self);
            if let Some(desk) = self.recorder().and_then(Recorder::desk) {
                desk.exchange.disconnect(self.number.get());
            }
        }
        let ready = self.ready.take();
        let timers = self.timers.borrow_mut().drain();
        // Who keeps the handle of what never runs may be kept by it, which the collector cannot see.
        ready.iter().chain(&timers).for_each(|handle| handle.forget_call());
        let unflushed = self.unflushed.take();
        let descriptors = self.descriptors.take();
        let mut sources = self.sources.replace(Registry::new());
        drop((ready, timers, unflushed));
        // The kernel's set is the parent's too, and that goes on using it.
        if let Some(descriptors) = descriptors.filter(|_| !self.belongs_to_another_process()) {
            drop(sources.clear(&descriptors.poll));
        }
    }

    pub(crate) fn traverse(&self, visit: &Visit<'_>) {
        if let Ok(ready) = self.ready.try_borrow() {
            ready.iter().for_each(|handle| Handle::traverse_owned(handle, visit));
        }
        if let Ok(timers) = self.timers.try_borrow() {
            timers.iter().for_each(|(_, handle)| Handle::traverse_owned(handle, visit));
        }
        if let Ok(unflushed) = self.unflushed.try_borrow() {
            unflushed.iter().for_each(|source| source.traverse(visit));
        }
        if let Ok(sources) = self.sources.try_borrow() {
            sources.iter().for_each(|(_, source)| source.traverse(visit));
        }
    }
}

/// Nanoseconds as the seconds that `time.monotonic()` gives for them.
#[inline]
pub(crate) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A nanosecond at which the loop's time is not before `when`, and about the first, so that no timer is early by rounding.
pub(crate) fn deadline(when: f64) -> u64 {
    let mut nanoseconds = (when * 1e9).ceil() as u64;
    while nanoseconds < u64::MAX && seconds(nanoseconds) < when {
        nanoseconds += 1;
    }
    nanoseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_never_early_and_hardly_late() {
        // Moments of the first hundred days of a machine.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..5_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let when = (random >> 11) as f64 / 1e9 / f64::from(1_u32 << (random & 31));
            let first = deadline(when);
            assert!(seconds(first) >= when, "{when} is after {first}");
            assert!(first as f64 - when * 1e9 < 3.0, "{when} is long before {first}");
        }
        assert_eq!([deadline(-1.0), deadline(0.0), deadline(f64::INFINITY)], [0, 0, u64::MAX]);
    }
}
