//! A callback that waits for its turn, or for its time: what `call_soon` and `call_later` give.
//!
//! `isinstance(handle, asyncio.Handle)` holds by `__class__`: a true subclass would be tracked by the garbage collector and carry nine slots.
//! Cycles cannot outlive the callback, because a handle lets go of everything once it has run or is cancelled.
//! What `call_soon_threadsafe` gives has a [`Guard`] from Python 3.14 on.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use treadle_events::Wake;

use crate::core::Core;
use crate::ffi::{
    Args, Call, CallSlot, Class, Comparison, Context, FreeList, Instance, Kind, Object, Plain, Raised, Result, Slot,
    Spec, Type, Visit, Weak,
};
use crate::guard::Guard;
use crate::known::{known, names};
use crate::{again, watch};

/// What a handle is for, which its class says too.
enum Role {
    Plain,
    /// Due at this time of the loop, in seconds.
    Timer(Due),
    /// Other threads may cancel it.
    Shared(Guard),
}

/// How a handle is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Running lets go of the callback.
    Once,
    /// Again and again, as readers and writers are, so that what is called stays known.
    Repeating,
    /// Once, while other threads that cancel it wait.
    Guarded,
}

/// The state of a handle of any class.
pub(crate) struct Handle {
    call: CallSlot,
    context: Slot,
    cancelled: Cell<bool>,
    /// In the heap of timers.
    scheduled: Cell<bool>,
    manner: Cell<Manner>,
    /// The doctor knows of this timer, and is to know of its end.
    recorded: Cell<bool>,
    /// What has put it into the ready queue. Half a word, for which there is room beside the flags.
    wake: Cell<Wake>,
    role: Role,
    core: Rc<Core>,
    /// In debug mode only.
    debug: OnceCell<Box<Debug>>,
}

/// What the debug mode wants to know.
#[derive(Default)]
struct Debug {
    /// Where it was made.
    source_traceback: Slot,
    /// How it looked before it was cancelled.
    shown: Slot,
}

/// When a timer is due, in seconds of the loop's time. Who gave an integer gets one back, as from asyncio.
#[derive(Clone, Copy, Default)]
pub(crate) struct Due {
    pub(crate) seconds: f64,
    is_integer: bool,
}

impl Due {
    #[inline]
    pub(crate) fn given(when: &Object) -> Result<Self> {
        Ok(Self { seconds: when.to_float()?, is_integer: when.is_integer() })
    }

    fn object(self) -> Result<Object> {
        #[expect(clippy::cast_possible_truncation, reason = "it was an integer")]
        let whole = self.seconds as i64;
        if self.is_integer { Object::integer(whole) } else { Object::float(self.seconds) }
    }
}

impl From<f64> for Due {
    #[inline]
    fn from(seconds: f64) -> Self {
        Self { seconds, is_integer: false }
    }
}

impl Class for Handle {
    type Head = Plain;
    type Tail = Weak;
    const COLLECTED: bool = false;

    fn free_list() -> Option<&'static FreeList> {
        static FREE: FreeList = FreeList::new();
        Some(&FREE)
    }
}

impl Handle {
    /// Makes a handle of the class for timers if there is a time, else a plain one.
    #[inline]
    pub(crate) fn create(
        core: &Rc<Core>,
        callback: &Object,
        arguments: &[Object],
        context: Object,
        when: Option<Due>,
    ) -> Result<Instance<Self>> {
        match when {
            None => known().handle.instantiate_in_place(|| Self::new(core, callback, arguments, context, Role::Plain)),
            Some(when) => known()
                .timer_handle
                .instantiate_in_place(|| Self::new(core, callback, arguments, context, Role::Timer(when))),
        }
    }

    /// Makes a handle for `call_soon_threadsafe`: a plain one where asyncio makes a plain one.
    #[inline]
    pub(crate) fn create_shared(
        core: &Rc<Core>,
        callback: &Object,
        arguments: &[Object],
        context: Object,
    ) -> Result<Instance<Self>> {
        let Some(shared) = &known().shared_handle else {
            return Self::create(core, callback, arguments, context, None);
        };
        let role = Role::Shared(Guard::default());
        shared.class.instantiate_in_place(|| Self::new(core, callback, arguments, context, role))
    }

    // Inlined, flags and number are a constant that is stored at once. Written one by one and read together, the processor had to wait for them:
    // 6 % of a callback, see benches/doctor.
    #[expect(clippy::inline_always, reason = "see above")]
    #[inline(always)]
    fn new(core: &Rc<Core>, callback: &Object, arguments: &[Object], context: Object, role: Role) -> Self {
        let manner = if matches!(role, Role::Shared(_)) { Manner::Guarded } else { Manner::Once };
        Self {
            call: CallSlot::new(Call::new(callback, arguments)),
            context: Slot::new(Some(context)),
            cancelled: Cell::new(false),
            scheduled: Cell::new(matches!(role, Role::Timer(_))),
            manner: Cell::new(manner),
            recorded: Cell::new(false),
            wake: Cell::new(Wake::UNKNOWN),
            role,
            core: Rc::clone(core),
            debug: OnceCell::new(),
        }
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    pub(crate) fn set_unscheduled(handle: &Instance<Self>) {
        handle.scheduled.set(false);
        Self::end_record(handle, false);
    }

    /// What has put it into the ready queue, if the loop was recorded then.
    #[inline]
    pub(crate) fn wake(&self) -> Wake {
        self.wake.get()
    }

    #[inline]
    pub(crate) fn set_wake(&self, wake: Wake) {
        self.wake.set(wake);
    }

    pub(crate) fn set_recorded(&self) {
        self.recorded.set(true);
    }

    /// Tells the doctor that a timer waits no more, if that knows of it.
    #[inline]
    fn end_record(handle: &Instance<Self>, is_cancelled: bool) {
        if handle.recorded.replace(false) {
            watch::timer_gone(&handle.core, handle.object(), is_cancelled);
        }
    }

    pub(crate) fn set_repeating(&self) {
        self.manner.set(Manner::Repeating);
    }

    pub(crate) fn set_source_traceback(&self, stack: Object) {
        self.debug.get_or_init(Box::default).source_traceback.store(Some(stack));
    }

    /// Shows the references of a handle that only its loop has to the collector.
    pub(crate) fn traverse_owned(handle: &Instance<Self>, visit: &Visit<'_>) {
        if handle.object().reference_count() != 1 {
            return;
        }
        handle.context.traverse(visit);
        let Some(call) = handle.call.take() else { return };
        call.traverse(visit);
        handle.call.set(call);
    }

    /// Calls the callback in its context and lets go of it. Only `SystemExit` and `KeyboardInterrupt` come out; other exceptions go to the loop's
    /// exception handler.
    #[inline]
    pub(crate) fn run(handle: &Instance<Self>) -> Result<()> {
        match handle.manner.get() {
            Manner::Once => Self::run_once(handle),
            Manner::Repeating => {
                // Readers and writers send and receive by themselves.
                handle.core.want_poll();
                let ran = Self::run_keeping(handle);
                if handle.core.is_watched() {
                    again::end(&handle.core, handle);
                }
                ran
            }
            Manner::Guarded => handle.guarded(|| Self::run_once(handle)),
        }
    }

    #[inline]
    fn run_once(handle: &Instance<Self>) -> Result<()> {
        let (Some(call), Some(context)) = (handle.call.take(), handle.context.take()) else {
            return Ok(());
        };
        match Context::run(&context, || call.run()) {
            Ok(_) => Ok(()),
            Err(raised) => {
                let exception = raised.take();
                handle.call.set(call);
                handle.context.store(Some(context));
                let reported = handle.core.report_failed_call(handle, &exception);
                drop((handle.call.take(), handle.context.take()));
                reported
            }
        }
    }

    /// `handle._run()`: as the loop does it, but what is called stays known.
    fn run_keeping(handle: &Instance<Self>) -> Result<()> {
        let (Some(call), Some(context)) = (handle.call(), handle.context.load()) else {
            return Ok(());
        };
        match Context::run(&context, || call.run()) {
            Ok(_) => Ok(()),
            Err(raised) => handle.core.report_failed_call(handle, &raised.take()),
        }
    }

    /// Runs what other threads must not cancel meanwhile.
    #[inline]
    fn guarded(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Role::Shared(guard) = &self.role { guard.run(&self.core, run) } else { run() }
    }

    /// Returns when no other thread runs this, where that makes a difference.
    fn wait(&self) -> Result<()> {
        if let Role::Shared(guard) = &self.role { guard.wait(&self.core) } else { Ok(()) }
    }

    /// Does nothing to a handle that has run.
    pub(crate) fn cancel(handle: &Instance<Self>) -> Result<()> {
        if handle.cancelled.replace(true) {
            return Ok(());
        }
        if handle.core.is_debug() {
            handle.debug.get_or_init(Box::default).shown.store(Some(Object::text(&handle.object().repr())?));
        }
        handle.forget_call();
        if handle.scheduled.get() {
            Self::end_record(handle, true);
            handle.core.note_cancelled_timer();
        }
        Ok(())
    }

    /// Lets go of what is to be called.
    pub(crate) fn forget_call(&self) {
        drop((self.call.take(), self.context.take()));
    }

    /// A copy of what is to be called.
    fn call(&self) -> Option<Call> {
        let call = self.call.take()?;
        self.call.set(call.clone());
        Some(call)
    }

    /// What is to be called.
    #[inline]
    pub(crate) fn callable(&self) -> Option<Object> {
        self.call.callable()
    }

    /// Looks at what is to be called. `look` must not run Python.
    #[inline]
    pub(crate) fn look_at_callable<T>(&self, look: impl FnOnce(&Object) -> T) -> Option<T> {
        self.call.look_at_callable(look)
    }

    /// The first argument of what is to be called.
    pub(crate) fn first_argument(&self) -> Option<Object> {
        self.call()?.arguments().map_err(Raised::forget).ok()?.item(0).map_err(Raised::forget).ok()
    }

    /// What the debug mode knows, or `None`.
    fn noted(&self, which: impl FnOnce(&Debug) -> &Slot) -> Object {
        self.debug.get().and_then(|debug| which(debug).load()).unwrap_or_else(Object::none)
    }

    fn asyncio_class(&self) -> &'static Object {
        match (&self.role, &known().shared_handle) {
            (Role::Timer(_), _) => &known().asyncio_timer_handle,
            (Role::Shared(_), Some(shared)) => &shared.asyncio,
            _ => &known().asyncio_handle,
        }
    }

    /// The loop's time at which a timer is due.
    fn when(&self) -> Due {
        if let Role::Timer(when) = self.role { when } else { Due::default() }
    }
}

/// What all classes have.
fn spec(name: &'static std::ffi::CStr, doc: &'static std::ffi::CStr) -> Spec<Handle> {
    Spec::new(name, doc)
        .method(c"cancel", |this, arguments| {
            arguments.exactly::<0>("cancel")?;
            Handle::wait(this)?;
            Handle::cancel(this).map(|()| Object::none())
        })
        .method(c"cancelled", |this, arguments| {
            arguments.exactly::<0>("cancelled")?;
            Handle::wait(this)?;
            Ok(Object::bool(this.cancelled.get()))
        })
        .method(c"get_context", |this, arguments| {
            arguments.exactly::<0>("get_context")?;
            Ok(this.context.load().unwrap_or_else(Object::none))
        })
        .method(c"_run", |this, arguments| {
            arguments.exactly::<0>("_run")?;
            Handle::guarded(this, || Handle::run_keeping(this)).map(|()| Object::none())
        })
        .method(c"_repr_info", |this, arguments| {
            arguments.exactly::<0>("_repr_info")?;
            this.asyncio_class().member(c"_repr_info")?.call([this.object()])
        })
        .attribute(c"__class__", |this| Ok(this.asyncio_class().clone()))
        .attribute(c"_callback", |this| Ok(this.call().map_or_else(Object::none, |call| call.callable().clone())))
        .attribute(c"_args", |this| this.call().map_or_else(|| Ok(Object::none()), |call| call.arguments()))
        .attribute(c"_context", |this| Ok(this.context.load().unwrap_or_else(Object::none)))
        .attribute(c"_cancelled", |this| Ok(Object::bool(this.cancelled.get())))
        .attribute(c"_loop", |this| Ok(this.core.event_loop().unwrap_or_else(Object::none)))
        .attribute(c"_repr", |this| Ok(this.noted(|debug| &debug.shown)))
        .attribute(c"_source_traceback", |this| Ok(this.noted(|debug| &debug.source_traceback)))
        .settable(|this, value| {
            this.debug.get_or_init(Box::default).source_traceback.store((!value.is_none()).then(|| value.clone()));
            Ok(())
        })
        .repr(|this| this.asyncio_class().member(c"__repr__")?.call([this.object()]))
}

/// The class of handles without a time.
pub(crate) fn plain_class() -> Result<Type<Handle>> {
    spec(c"treadle._native.Handle", c"A callback that waits for its turn; `asyncio.Handle` describes it.").create(None)
}

/// The class of handles that other threads may cancel, and which of asyncio's they say they are.
pub(crate) struct SharedHandle {
    class: Type<Handle>,
    asyncio: Object,
}

impl SharedHandle {
    /// `None` where asyncio has no such class, before Python 3.14.
    pub(crate) fn new() -> Result<Option<Self>> {
        let events = Object::import(c"asyncio.events")?;
        let Ok(asyncio) = events.member(c"_ThreadSafeHandle").map_err(Raised::forget) else {
            return Ok(None);
        };
        let doc = c"A callback that waits for its turn; other threads that cancel it wait while it runs.";
        Ok(Some(Self { class: spec(c"treadle._native.ThreadSafeHandle", doc).create(None)?, asyncio }))
    }
}

/// The class of handles with a time.
pub(crate) fn timer_class() -> Result<Type<Handle>> {
    spec(c"treadle._native.TimerHandle", c"A callback that waits for its time; `asyncio.TimerHandle` describes it.")
        .method(c"when", |this, arguments| {
            arguments.exactly::<0>("when")?;
            this.when().object()
        })
        .attribute(c"_when", |this| this.when().object())
        .attribute(c"_scheduled", |this| Ok(Object::bool(this.scheduled.get())))
        .compare(compare)
        .create(None)
}

/// Timers are ordered by their time, as asyncio's.
#[expect(clippy::unnecessary_wraps, reason = "what a comparison returns")]
fn compare(this: &Instance<Handle>, other: &Object, comparison: Comparison) -> Result<Option<bool>> {
    let Some(other) = known().timer_handle.cast(other) else { return Ok(None) };
    let (mine, theirs) = (this.when().seconds, other.when().seconds);
    let same = this.is(&other);
    Ok(Some(match comparison {
        Comparison::Less => mine < theirs,
        Comparison::LessOrEqual => mine < theirs || same,
        Comparison::Equal => same,
        Comparison::NotEqual => !same,
        Comparison::Greater => mine > theirs,
        Comparison::GreaterOrEqual => mine > theirs || same,
    }))
}

/// Reads what `call_soon` and the like are called with: the callback, its arguments, and the context, copied if none is given.
#[inline]
pub(crate) fn parse<'a>(
    arguments: Args<'a>,
    function: &str,
    before: usize,
) -> Result<(&'a [Object], &'a [Object], Object)> {
    let context = match arguments.only_keyword(&names().context, &known().context_names, function)? {
        Some(context) if !context.is_none() => context.clone(),
        _ => Context::copy_current()?,
    };
    let positional = arguments.positional();
    if positional.len() <= before {
        let message = format!("{function}() missing {} required positional arguments", before + 1 - positional.len());
        return Err(Kind::TypeError.raise(&message));
    }
    let (first, rest) = positional.split_at(before + 1);
    Ok((first, rest, context))
}
