//! The native base of `treadle.loop.EventLoop`: scheduling, futures, tasks, readers and writers. The rest of it is Python.

use std::rc::Rc;
use std::time::Duration;

use smallvec::SmallVec;
use treadle_reactor::Interest;

use crate::core::Core;
use crate::ffi::{Args, Class, Instance, Kind, Nothing, Object, Plain, Raised, Result, Slot, Spec, Type, Visit};
use crate::handle::{self, Due, Handle};
use crate::known::{known, names};
use crate::source::Source;
use crate::{datagram, jobs, pipe, readiness, sock, stream, turn, watch};

/// The value of a loop's object.
pub(crate) struct Loop {
    pub(crate) core: Rc<Core>,
    task_factory: Slot,
    /// `{"loop": self}`, with which futures are made.
    own_keywords: Slot,
}

impl Class for Loop {
    type Head = Plain;
    type Tail = Nothing;
    const SUBCLASSED: bool = true;

    fn new() -> Result<Self> {
        Ok(Self { core: Core::new()?, task_factory: Slot::default(), own_keywords: Slot::default() })
    }

    fn traverse(&self, visit: &Visit<'_>) {
        self.task_factory.traverse(visit);
        self.own_keywords.traverse(visit);
        self.core.traverse(visit);
    }

    fn clear(&self) {
        self.task_factory.store(None);
        self.own_keywords.store(None);
        self.core.close();
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.core.close();
    }
}

/// The class `treadle._native.Loop`.
pub(crate) fn class() -> Result<Type<Loop>> {
    let spec = Spec::new(c"treadle._native.Loop", c"The native half of treadle's event loop.").subclassable();
    let spec = scheduling(spec);
    let spec = attributes(internals(state(spec)));
    jobs::methods(sock::methods(readiness::methods(spec))).create(None)
}

fn scheduling(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"call_soon", |this, arguments| {
        let (callback, rest, context) = handle::parse(arguments, "call_soon", 0)?;
        this.core.check_open()?;
        let handle = Handle::create(&this.core, &callback[0], rest, context, None)?;
        if this.core.is_watched() {
            watch::check_thread(&this.core);
        }
        this.enqueue(handle, &callback[0], "call_soon").map(Instance::into_object)
    })
    .method(c"call_soon_threadsafe", |this, arguments| {
        let (callback, rest, context) = handle::parse(arguments, "call_soon_threadsafe", 0)?;
        this.core.check_open()?;
        let handle = Handle::create_shared(&this.core, &callback[0], rest, context)?;
        let handle = this.enqueue(handle, &callback[0], "call_soon_threadsafe")?;
        if this.core.is_watched() {
            watch::handed(&this.core, &handle);
        }
        this.core.wake();
        Ok(handle.into_object())
    })
    .method(c"call_later", |this, arguments| {
        let (first, rest, context) = handle::parse(arguments, "call_later", 1)?;
        if first[0].is_none() {
            return Err(Kind::TypeError.raise_static(c"delay must not be None"));
        }
        let delay = first[0].to_float()?;
        if delay <= turn::SOON {
            this.core.want_poll();
        }
        let when = this.core.clock_seconds()? + delay;
        this.call_at(when.into(), &first[1], rest, context, "call_later")
    })
    .method(c"call_at", |this, arguments| {
        let (first, rest, context) = handle::parse(arguments, "call_at", 1)?;
        if first[0].is_none() {
            return Err(Kind::TypeError.raise_static(c"when cannot be None"));
        }
        let when = Due::given(&first[0])?;
        if when.seconds <= Core::time() + turn::SOON {
            this.core.want_poll();
        }
        this.call_at(when, &first[1], rest, context, "call_at")
    })
    .method(c"create_future", |this, arguments| {
        arguments.exactly::<0>("create_future")?;
        create_future(this)
    })
    .method(c"create_task", create_task)
}

fn state(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"time", |_this, arguments| {
        arguments.exactly::<0>("time")?;
        Object::float(Core::time())
    })
    .method(c"get_debug", |this, arguments| {
        arguments.exactly::<0>("get_debug")?;
        Ok(Object::bool(this.core.is_debug()))
    })
    .method(c"is_running", |this, arguments| {
        arguments.exactly::<0>("is_running")?;
        Ok(Object::bool(this.core.is_running()))
    })
    .method(c"is_closed", |this, arguments| {
        arguments.exactly::<0>("is_closed")?;
        Ok(Object::bool(this.core.closed.get()))
    })
    .method(c"stop", |this, arguments| {
        arguments.exactly::<0>("stop")?;
        this.core.stopping.set(true);
        Ok(Object::none())
    })
}

/// What the Python half calls.
fn internals(spec: Spec<Loop>) -> Spec<Loop> {
    spec.method(c"_attach", |this, arguments| {
        arguments.exactly::<0>("_attach")?;
        this.core.set_event_loop(this.object()).map(|()| Object::none())
    })
    .method(c"_run_turns", |this, arguments| {
        arguments.exactly::<0>("_run_turns")?;
        this.core.check_open()?;
        this.core.look_for_recorder();
        turn::run(&this.core).map(|()| Object::none())
    })
    .method(c"_release", |this, arguments| {
        arguments.exactly::<0>("_release")?;
        this.own_keywords.store(None);
        this.core.close();
        Ok(Object::none())
    })
    .method(c"_check_server", |_this, arguments| {
        let [server] = arguments.exactly("_check_server")?;
        stream::check_open(server).map(|()| Object::none())
    })
    .method(c"_accept_streams", stream::accept)
    .method(c"_open_stream", |this, arguments| stream::open(&this.core, arguments))
    .method(c"_open_datagram", |this, arguments| datagram::open(&this.core, arguments))
    .method(c"_open_read_pipe", |this, arguments| pipe::open_read(&this.core, arguments))
    .method(c"_open_write_pipe", |this, arguments| pipe::open_write(&this.core, arguments))
    .method(c"_poll_signals", |this, arguments| {
        let [fd] = arguments.exactly("_poll_signals")?;
        this.core.register(descriptor(fd)?, Interest::READ, Source::Signals).map(|_| Object::none())
    })
    .method(c"_create_repeating", |this, arguments| {
        let (callback, rest, context) = handle::parse(arguments, "_create_repeating", 0)?;
        let handle = Handle::create(&this.core, &callback[0], rest, context, None)?;
        handle.set_repeating();
        Ok(handle.into_object())
    })
    .method(c"_count_sources", |this, arguments| {
        arguments.exactly::<0>("_count_sources")?;
        Object::size(this.core.sources.borrow().iter().count())
    })
    .method(c"_look_for_recorder", |this, arguments| {
        arguments.exactly::<0>("_look_for_recorder")?;
        this.core.look_for_recorder();
        Ok(Object::none())
    })
    .method(c"_push_ready", |this, arguments| {
        let [handle] = arguments.exactly("_push_ready")?;
        let Some(handle) = known().handle.cast(handle) else {
            return Err(handle.unexpected("a handle of this loop is needed"));
        };
        this.core.push_ready(handle);
        Ok(Object::none())
    })
}

/// Attributes that asyncio's base class sets and reads.
fn attributes(spec: Spec<Loop>) -> Spec<Loop> {
    spec.attribute(c"_debug", |this| Ok(Object::bool(this.core.is_debug())))
        .settable(|this, value| {
            this.core.set_debug(value.is_true()?);
            Ok(())
        })
        .attribute(c"_stopping", |this| Ok(Object::bool(this.core.stopping.get())))
        .settable(|this, value| {
            this.core.stopping.set(value.is_true()?);
            Ok(())
        })
        .attribute(c"_closed", |this| Ok(Object::bool(this.core.closed.get())))
        .settable(|_this, _value| Ok(()))
        .attribute(c"_thread_id", |this| this.core.thread.get().map_or_else(|| Ok(Object::none()), Object::integer))
        .settable(|this, value| {
            this.core.thread.set(if value.is_none() { None } else { Some(value.to_integer()?) });
            Ok(())
        })
        .attribute(c"_has_own_clock", |this| Ok(Object::bool(this.core.has_own_clock.get())))
        .settable(|this, value| {
            this.core.has_own_clock.set(value.is_true()?);
            this.core.want_poll();
            Ok(())
        })
        .attribute(c"_virtual_time", |this| Object::float(this.core.virtual_time.get()))
        .settable(|this, value| {
            this.core.virtual_time.set(value.to_float()?);
            Ok(())
        })
        .attribute(c"_jumps_after", |this| {
            this.core.jumps_after.get().map_or_else(|| Ok(Object::none()), |wait| Object::float(wait.as_secs_f64()))
        })
        .settable(|this, value| {
            let wait = if value.is_none() { None } else { Some(value.to_float()?) };
            this.core.jumps_after.set(wait.map(|wait| Duration::try_from_secs_f64(wait).unwrap_or_default()));
            Ok(())
        })
        .attribute(c"_task_factory", |this| Ok(this.task_factory.load().unwrap_or_else(Object::none)))
        .settable(|this, value| {
            this.task_factory.store((!value.is_none()).then(|| value.clone()));
            Ok(())
        })
}

impl Instance<Loop> {
    #[inline]
    fn enqueue(&self, handle: Instance<Handle>, callback: &Object, function: &str) -> Result<Instance<Handle>> {
        if self.core.is_debug() {
            self.check_in_debug_mode(&handle, callback, function)?;
        }
        self.core.push_ready(handle.clone());
        Ok(handle)
    }

    #[inline]
    fn call_at(
        &self,
        when: Due,
        callback: &Object,
        arguments: &[Object],
        context: Object,
        function: &str,
    ) -> Result<Object> {
        self.core.check_open()?;
        let handle = Handle::create(&self.core, callback, arguments, context, Some(when))?;
        if self.core.is_debug() {
            self.check_in_debug_mode(&handle, callback, function)?;
        }
        self.core.schedule(handle.clone(), when.seconds);
        if let Some(recorder) = self.core.recorder() {
            watch::check_thread(&self.core);
            recorder.timer_set(&self.core, &handle, callback, when.seconds);
        }
        Ok(handle.into_object())
    }

    /// What the debug mode checks and remembers of a new handle.
    #[cold]
    fn check_in_debug_mode(&self, handle: &Instance<Handle>, callback: &Object, function: &str) -> Result<()> {
        self.object().method(&names()._check_call, [callback, &Object::text(function)?])?;
        let stack = self.object().method(&names()._creation_stack, [])?;
        handle.set_source_traceback(stack);
        Ok(())
    }
}

fn create_future(this: &Instance<Loop>) -> Result<Object> {
    known().future.load()?.call_by_keywords([], &own_keywords(this)?)
}

/// `{"loop": self}`. Futures and tasks take a dict of keywords; one that is made once saves a tenth of each, see benches/loops.
fn own_keywords(this: &Instance<Loop>) -> Result<Object> {
    if let Some(keywords) = this.own_keywords.load() {
        return Ok(keywords);
    }
    let keywords = Object::dict()?;
    keywords.set_item(&known().loop_name.item(0)?, this.object())?;
    this.own_keywords.store(Some(keywords.clone()));
    Ok(keywords)
}

/// `create_task`: natively if there is no factory and no debug mode, else as asyncio does it.
fn create_task(this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let task = new_task(this, arguments)?;
    if let Some(recorder) = this.core.recorder() {
        recorder.task_born(&this.core, &task, arguments.positional().first())?;
    }
    Ok(task)
}

#[inline]
fn new_task(this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    let is_plain = !this.task_factory.is_some() && !this.core.is_debug() && !this.core.closed.get();
    let ([coroutine], true) = (arguments.positional(), is_plain) else {
        return slow_task(this, arguments);
    };
    let Some(names) = arguments.names().filter(|names| !is_unnamed(names, arguments.values())) else {
        return known().task.load()?.call_by_keywords([coroutine], &own_keywords(this)?);
    };
    let all: SmallVec<[Object; 5]> =
        [coroutine, this.object()].into_iter().chain(arguments.values()).cloned().collect();
    known().task.load()?.call_with_names(&all, &task_names(names)?, 1)
}

/// Whether all that is said is that there is no name, as `asyncio.create_task` says it.
fn is_unnamed(given: &Object, values: &[Object]) -> bool {
    values.len() == 1 && values[0].is_none() && given.item(0).is_ok_and(|given| given.is(&names().name))
}

/// The names of `Task(coroutine, loop=…, **keywords)`. Callers hand over the same tuple each time, so the last is remembered.
fn task_names(names: &Object) -> Result<Object> {
    if known().keyword_names.holds(names)
        && let Some(remembered) = known().task_names.load()
    {
        return Ok(remembered);
    }
    let mut all = vec![known().loop_name.item(0)?];
    for index in 0..names.tuple_length().unwrap_or(0) {
        all.push(names.item(index)?);
    }
    let all = Object::tuple_of(&all)?;
    known().keyword_names.store(Some(names.clone()));
    known().task_names.store(Some(all.clone()));
    Ok(all)
}

#[cold]
fn slow_task(this: &Instance<Loop>, arguments: Args<'_>) -> Result<Object> {
    this.object().attribute(&names()._create_task)?.forward(arguments)
}

/// The descriptor that an argument names: a number, or an object with `fileno()`.
pub(crate) fn descriptor(object: &Object) -> Result<treadle_reactor::RawFd> {
    let number = if object.is_integer() {
        object.to_integer()?
    } else {
        let found = object.attribute(&names().fileno).and_then(|fileno| fileno.call([])).and_then(|fd| fd.to_integer());
        found.map_err(|raised| {
            let exception = raised.take();
            if Core::let_through(&exception).is_err() {
                return Raised::restore(&exception);
            }
            Kind::ValueError.raise(&format!("Invalid file object: {}", object.repr()))
        })?
    };
    match treadle_reactor::RawFd::try_from(number) {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(Kind::ValueError.raise(&format!("Invalid file descriptor: {number}"))),
    }
}
