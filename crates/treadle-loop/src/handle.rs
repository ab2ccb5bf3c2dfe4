//! A callback that waits for its turn, or for its time: what `call_soon` and `call_later` give.
//!
//! `isinstance(handle, asyncio.Handle)` holds by `__class__`: a true subclass would be tracked by the garbage collector and carry nine slots.
//! Cycles cannot outlive the callback, because a handle lets go of everything once it has run or is cancelled.

use std::cell::Cell;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::core::Core;
use crate::ffi::{
    Args, Class, Comparison, Context, FreeList, Instance, Kind, Object, Plain, Result, Slot, Spec, Type, Visit, Weak,
};
use crate::known::{known, names};

/// Arguments beyond these are kept on the heap.
const INLINE_ARGUMENTS: usize = 3;

/// What is to be called.
struct Call {
    callback: Object,
    arguments: SmallVec<[Object; INLINE_ARGUMENTS]>,
}

/// The state of a handle of either class.
pub(crate) struct Handle {
    call: Cell<Option<Call>>,
    context: Slot,
    cancelled: Cell<bool>,
    /// In the heap of timers.
    scheduled: Cell<bool>,
    /// Runs again and again, as readers and writers do, so running does not let go of the callback.
    repeats: Cell<bool>,
    /// The loop's time at which it is due, in seconds; only timers have one.
    when: Option<f64>,
    core: Rc<Core>,
    /// Where it was made, and how it looked before it was cancelled; in debug mode only.
    source_traceback: Slot,
    shown: Slot,
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
        when: Option<f64>,
    ) -> Result<Instance<Self>> {
        let mut owned = SmallVec::new();
        owned.reserve_exact(arguments.len());
        for argument in arguments {
            owned.push(argument.clone());
        }
        let call = Call { callback: callback.clone(), arguments: owned };
        let class = if when.is_some() { &known().timer_handle } else { &known().handle };
        class.instantiate(Self {
            call: Cell::new(Some(call)),
            context: Slot::new(Some(context)),
            cancelled: Cell::new(false),
            scheduled: Cell::new(when.is_some()),
            repeats: Cell::new(false),
            when,
            core: Rc::clone(core),
            source_traceback: Slot::default(),
            shown: Slot::default(),
        })
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    pub(crate) fn set_unscheduled(&self) {
        self.scheduled.set(false);
    }

    pub(crate) fn set_repeating(&self) {
        self.repeats.set(true);
    }

    pub(crate) fn set_source_traceback(&self, stack: Object) {
        self.source_traceback.store(Some(stack));
    }

    /// Shows the references of a handle that only its loop has to the collector.
    pub(crate) fn traverse_owned(handle: &Instance<Self>, visit: &Visit<'_>) {
        if handle.object().reference_count() != 1 {
            return;
        }
        handle.context.traverse(visit);
        let Some(call) = handle.call.take() else { return };
        visit.object(&call.callback);
        call.arguments.iter().for_each(|argument| visit.object(argument));
        handle.call.set(Some(call));
    }

    /// Calls the callback in its context and lets go of it. Only `SystemExit` and `KeyboardInterrupt` come out; other exceptions go to the loop's
    /// exception handler.
    #[inline]
    pub(crate) fn run(handle: &Instance<Self>) -> Result<()> {
        if handle.repeats.get() {
            return Self::run_keeping(handle);
        }
        let (Some(call), Some(context)) = (handle.call.take(), handle.context.take()) else {
            return Ok(());
        };
        match Context::run(&context, || call.callback.call_with(&call.arguments)) {
            Ok(_) => Ok(()),
            Err(raised) => {
                let exception = raised.take();
                handle.call.set(Some(call));
                handle.context.store(Some(context));
                let reported = handle.core.report_failed_call(handle, &exception);
                drop((handle.call.take(), handle.context.take()));
                reported
            }
        }
    }

    /// `handle._run()`: as the loop does it, but what is called stays known.
    fn run_keeping(handle: &Instance<Self>) -> Result<()> {
        let (Some(call), Some(context)) = (handle.call.take(), handle.context.load()) else {
            return Ok(());
        };
        let (callback, arguments) = (call.callback.clone(), call.arguments.clone());
        handle.call.set(Some(call));
        match Context::run(&context, || callback.call_with(&arguments)) {
            Ok(_) => Ok(()),
            Err(raised) => handle.core.report_failed_call(handle, &raised.take()),
        }
    }

    /// Does nothing to a handle that has run.
    pub(crate) fn cancel(handle: &Instance<Self>) -> Result<()> {
        if handle.cancelled.replace(true) {
            return Ok(());
        }
        if handle.core.is_debug() {
            handle.shown.store(Some(Object::text(&handle.object().repr())?));
        }
        handle.forget_call();
        if handle.scheduled.get() {
            handle.core.note_cancelled_timer();
        }
        Ok(())
    }

    /// Lets go of what is to be called.
    pub(crate) fn forget_call(&self) {
        drop((self.call.take(), self.context.take()));
    }

    fn callback(&self) -> Object {
        let call = self.call.take();
        let callback = call.as_ref().map_or_else(Object::none, |call| call.callback.clone());
        self.call.set(call);
        callback
    }

    fn arguments(&self) -> Result<Object> {
        let call = self.call.take();
        let arguments = call.as_ref().map_or_else(|| Ok(Object::none()), |call| Object::tuple_of(&call.arguments));
        self.call.set(call);
        arguments
    }

    fn asyncio_class(&self) -> &'static Object {
        if self.when.is_some() { &known().asyncio_timer_handle } else { &known().asyncio_handle }
    }
}

/// What both classes have.
fn spec(name: &'static std::ffi::CStr, doc: &'static std::ffi::CStr) -> Spec<Handle> {
    Spec::new(name, doc)
        .method(c"cancel", |this, arguments| {
            arguments.exactly::<0>("cancel")?;
            Handle::cancel(this).map(|()| Object::none())
        })
        .method(c"cancelled", |this, arguments| {
            arguments.exactly::<0>("cancelled")?;
            Ok(Object::bool(this.cancelled.get()))
        })
        .method(c"get_context", |this, arguments| {
            arguments.exactly::<0>("get_context")?;
            Ok(this.context.load().unwrap_or_else(Object::none))
        })
        .method(c"_run", |this, arguments| {
            arguments.exactly::<0>("_run")?;
            Handle::run_keeping(this).map(|()| Object::none())
        })
        .method(c"_repr_info", |this, arguments| {
            arguments.exactly::<0>("_repr_info")?;
            this.asyncio_class().attribute(&Object::interned(c"_repr_info")?)?.call([this.object()])
        })
        .attribute(c"__class__", |this| Ok(this.asyncio_class().clone()))
        .attribute(c"_callback", |this| Ok(this.callback()))
        .attribute(c"_args", |this| this.arguments())
        .attribute(c"_context", |this| Ok(this.context.load().unwrap_or_else(Object::none)))
        .attribute(c"_cancelled", |this| Ok(Object::bool(this.cancelled.get())))
        .attribute(c"_loop", |this| Ok(this.core.event_loop().unwrap_or_else(Object::none)))
        .attribute(c"_repr", |this| Ok(this.shown.load().unwrap_or_else(Object::none)))
        .attribute(c"_source_traceback", |this| Ok(this.source_traceback.load().unwrap_or_else(Object::none)))
        .settable(|this, value| {
            this.source_traceback.store((!value.is_none()).then(|| value.clone()));
            Ok(())
        })
        .repr(|this| this.asyncio_class().attribute(&Object::interned(c"__repr__")?)?.call([this.object()]))
}

/// The class of handles without a time.
pub(crate) fn plain_class() -> Result<Type<Handle>> {
    spec(c"treadle._native.Handle", c"A callback that waits for its turn; `asyncio.Handle` describes it.").create(None)
}

/// The class of handles with a time.
pub(crate) fn timer_class() -> Result<Type<Handle>> {
    spec(c"treadle._native.TimerHandle", c"A callback that waits for its time; `asyncio.TimerHandle` describes it.")
        .method(c"when", |this, arguments| {
            arguments.exactly::<0>("when")?;
            Object::float(this.when.unwrap_or_default())
        })
        .attribute(c"_when", |this| Object::float(this.when.unwrap_or_default()))
        .attribute(c"_scheduled", |this| Ok(Object::bool(this.scheduled.get())))
        .compare(compare)
        .create(None)
}

/// Timers are ordered by their time, as asyncio's.
#[expect(clippy::unnecessary_wraps, reason = "what a comparison returns")]
fn compare(this: &Instance<Handle>, other: &Object, comparison: Comparison) -> Result<Option<bool>> {
    let Some(other) = known().timer_handle.cast(other) else { return Ok(None) };
    let (mine, theirs) = (this.when.unwrap_or_default(), other.when.unwrap_or_default());
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
