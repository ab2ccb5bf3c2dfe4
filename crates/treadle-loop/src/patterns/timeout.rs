//! Blocks that end in time: what `treadle.timeout` and `treadle.move_on_after` give. They behave as `asyncio.Timeout` does.
//!
//! Which deadlines stand around the code that runs is kept in a context variable, so that tasks know those of the task that has started them. It is
//! set when a block begins and not when it ends: one that has ended is skipped by whoever looks, and hangs on to those around it only.
//!
//! `__aenter__` is Python's: until Python 3.13 a native awaitable gives a value by way of an exception, which takes longer than a coroutine's frame.

use std::cell::{Cell, RefCell};

use super::deadlines::Deadlines;
use super::{facts, names};
use crate::ffi::{
    Args, Class, FreeList, Instance, Kind, Nothing, Object, Plain, Raised, Result, Slot, Spec, Type, Visit,
};

pub(super) const OF_TIMEOUT: &std::ffi::CStr =
    c"A block that has to end in time; what :func:`timeout` returns. It behaves as :class:`asyncio.Timeout` does.";
pub(super) const OF_MOVE_ON_AFTER: &std::ffi::CStr =
    c"A block that is left when its time is over; what :func:`move_on_after` returns.";
pub(super) const ON_TIMEOUT: &std::ffi::CStr = c"timeout(delay)
--

Give a block so much time: ``async with treadle.timeout(5): …``.

The same as :func:`asyncio.timeout`, with ``when()``, ``reschedule()`` and ``expired()``, and known to
:func:`remaining`.

Args:
    delay: seconds from now; None for no deadline, 0 or less to cancel at the first ``await`` that waits.

Raises:
    TimeoutError: from the end of the block, if it has been cancelled because its time was over.
    RuntimeError: no loop or task runs, or the object is used twice.
";
pub(super) const ON_MOVE_ON_AFTER: &std::ffi::CStr = c"move_on_after(delay)
--

Give a block so much time, and go on behind it when that is over: ``expired()`` says which it was.

Args:
    delay: seconds from now; None for no deadline.

Raises:
    RuntimeError: no loop or task runs, or the object is used twice.
";
pub(super) const ON_REMAINING: &std::ffi::CStr = c"remaining()
--

Return the seconds until the tightest deadline around this code: 0 if it has passed, None without one.

It sees :func:`timeout`, :func:`move_on_after` and :class:`treadle.Policy`, in this task and in the tasks that have
started it; not :func:`asyncio.timeout`. Give it to libraries that take a ``timeout=``.
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Entered,
    /// The deadline has passed, and the task was cancelled.
    Expiring,
    /// The block has ended because of that.
    Expired,
    Exited,
}

impl State {
    /// As asyncio's says it.
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Entered => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Exited => "finished",
        }
    }

    fn is_inside(self) -> bool {
        matches!(self, Self::Entered | Self::Expiring)
    }
}

/// One block.
pub(super) struct Timeout {
    state: Cell<State>,
    moves_on: bool,
    when: Cell<Option<f64>>,
    /// The entry among the deadlines that counts.
    number: Cell<u64>,
    /// How often the task had been cancelled when the block began.
    cancelling: Cell<i64>,
    task: Slot,
    /// The block around this one.
    outer: Slot,
    /// A timer of its own, if it has one.
    timer: Slot,
    /// Until the end of the block.
    deadlines: RefCell<Option<Instance<Deadlines>>>,
}

impl Class for Timeout {
    type Head = Plain;
    type Tail = Nothing;

    fn free_list() -> Option<&'static FreeList> {
        static FREE: FreeList = FreeList::new();
        Some(&FREE)
    }

    fn traverse(&self, visit: &Visit<'_>) {
        for slot in [&self.task, &self.outer, &self.timer] {
            slot.traverse(visit);
        }
        if let Ok(Some(deadlines)) = self.deadlines.try_borrow().as_deref() {
            visit.object(deadlines.object());
        }
    }

    fn clear(&self) {
        for slot in [&self.task, &self.outer, &self.timer] {
            slot.clear();
        }
        drop(self.deadlines.take());
    }
}

impl Drop for Timeout {
    /// Lets go of the blocks around this one, one after the other: tasks that wait for each other may have made thousands.
    fn drop(&mut self) {
        let mut next = self.outer.take();
        while let Some(outer) = next {
            let is_last = outer.reference_count() == 1;
            next = Self::of(&outer).filter(|_| is_last).and_then(|scope| scope.outer.take());
        }
    }
}

pub(super) fn class(name: &'static std::ffi::CStr, doc: &'static std::ffi::CStr) -> Result<Type<Timeout>> {
    Spec::<Timeout>::new(name, doc)
        .method(c"when", |this, arguments| {
            arguments.exactly::<0>("when")?;
            this.when.get().map_or_else(|| Ok(Object::none()), Object::float)
        })
        .documented(c"when($self, /)\n--\n\nReturn the deadline on the loop's clock, or None.")
        .method(c"expired", |this, arguments| {
            arguments.exactly::<0>("expired")?;
            Ok(Object::bool(matches!(this.state.get(), State::Expiring | State::Expired)))
        })
        .documented(c"expired($self, /)\n--\n\nReturn whether the deadline has passed before the block has ended.")
        .method(c"reschedule", reschedule)
        .documented(
            c"reschedule($self, /, when)\n--\n\nSet another deadline on the loop's clock, or none.\n\nRaises:\n    RuntimeError: the block has not begun, has ended, or has expired.",
        )
        .method(c"__aexit__", |this, arguments| {
            let [kind, error, _traceback] = arguments.exactly("__aexit__")?;
            Ok(facts().ready.with(Timeout::end(this, kind, error)?))
        })
        .documented(
            c"__aexit__($self, kind, error, traceback, /)\n--\n\nEnd the block.\n\nRaises:\n    TimeoutError: the deadline has passed.",
        )
        .method(c"_begin", |this, arguments| {
            arguments.exactly::<0>("_begin")?;
            Timeout::begin(this).map(|()| Object::none())
        })
        .documented(c"_begin($self, /)\n--\n\nDo what ``__aenter__`` does, at once.")
        .method(c"_end", |this, arguments| {
            let [kind, error] = arguments.exactly("_end")?;
            Ok(Timeout::end(this, kind, error)?.map_or_else(Object::none, Object::bool))
        })
        .documented(c"_end($self, kind, error, /)\n--\n\nDo what ``__aexit__`` does, at once.")
        .repr(|this| {
            let class = this.object().class().member(c"__name__")?.to_text()?;
            let when = this.when.get().map_or_else(String::new, |when| format!(" when={when:.3}"));
            Object::text(&format!("<{class} [{}]{when}>", this.state.get().name()))
        })
        .create(None)
}

pub(super) fn timeout(_module: &Object, arguments: Args<'_>) -> Result<Object> {
    create(arguments, "timeout", false)
}

pub(super) fn move_on_after(_module: &Object, arguments: Args<'_>) -> Result<Object> {
    create(arguments, "move_on_after", true)
}

#[inline]
fn create(arguments: Args<'_>, function: &str, moves_on: bool) -> Result<Object> {
    let [delay] = match arguments.positional() {
        [delay] if !arguments.has_keywords() => [Some(delay)],
        _ => arguments.named(function, ["delay"], 1)?,
    };
    let deadlines = Deadlines::of_running_loop()?;
    let when = match delay {
        Some(delay) if !delay.is_none() => Some(deadlines.now()? + delay.to_float()?),
        _ => None,
    };
    let class = if moves_on { &facts().move_on_after } else { &facts().timeout };
    let timeout = Timeout {
        state: Cell::new(State::Created),
        moves_on,
        when: Cell::new(when),
        number: Cell::new(0),
        cancelling: Cell::new(0),
        task: Slot::default(),
        outer: Slot::default(),
        timer: Slot::default(),
        deadlines: RefCell::new(Some(deadlines)),
    };
    class.instantiate(timeout).map(Instance::into_object)
}

pub(super) fn remaining(_module: &Object, arguments: Args<'_>) -> Result<Object> {
    arguments.exactly::<0>("remaining")?;
    let mut tightest: Option<f64> = None;
    let mut next = facts().scope.load()?.as_ref().and_then(Timeout::of);
    while let Some(scope) = next {
        if let (true, Some(when), Some(deadlines)) =
            (scope.state.get().is_inside(), scope.when.get(), scope.deadlines())
        {
            let left = (when - deadlines.now()?).max(0.0);
            tightest = Some(tightest.map_or(left, |tightest| tightest.min(left)));
        }
        next = scope.outer();
    }
    tightest.map_or_else(|| Ok(Object::none()), Object::float)
}

impl Timeout {
    fn of(object: &Object) -> Option<Instance<Self>> {
        facts().timeout.cast(object).or_else(|| facts().move_on_after.cast(object))
    }

    fn deadlines(&self) -> Option<Instance<Deadlines>> {
        self.deadlines.borrow().clone()
    }

    fn outer(&self) -> Option<Instance<Self>> {
        self.outer.load().as_ref().and_then(Self::of)
    }

    pub(super) fn set_number(&self, number: u64) {
        self.number.set(number);
    }

    pub(super) fn set_timer(&self, timer: Object) {
        self.timer.store(Some(timer));
    }

    /// Whether this is still the deadline.
    #[inline]
    pub(super) fn waits_for(&self, number: u64) -> bool {
        self.state.get() == State::Entered && self.number.get() == number
    }

    /// The time is over.
    pub(super) fn expire(this: &Instance<Self>) -> Result<()> {
        this.state.set(State::Expiring);
        match this.task.load() {
            Some(task) => task.method(&names().cancel, []).map(drop),
            None => Ok(()),
        }
    }

    /// What stands at the beginning of the block.
    #[inline]
    pub(super) fn begin(this: &Instance<Self>) -> Result<()> {
        if this.state.get() != State::Created {
            return Err(Kind::RuntimeError.raise_static(c"a timeout is for one block; make another"));
        }
        let task = facts().current_task.call([])?;
        if task.is_none() {
            return Err(Kind::RuntimeError.raise_static(c"a timeout needs a task to run in"));
        }
        let cancelling = if task.has_type(&facts().task) {
            facts().cancelling.call([&task])?
        } else {
            task.method(&names().cancelling, [])?
        };
        this.cancelling.set(cancelling.to_integer()?);
        this.outer.store(Self::innermost()?.map(Instance::into_object));
        facts().scope.store(this.object())?;
        this.task.store(Some(task));
        this.state.set(State::Entered);
        match (this.when.get(), this.deadlines()) {
            (Some(when), Some(deadlines)) => Deadlines::add(&deadlines, when, this),
            _ => Ok(()),
        }
    }

    /// The innermost block of the code that runs. What has ended is not held on to by those that have not.
    #[inline]
    fn innermost() -> Result<Option<Instance<Self>>> {
        let mut innermost = facts().scope.load()?.as_ref().and_then(Self::of);
        while let Some(scope) = &innermost
            && !scope.state.get().is_inside()
        {
            innermost = scope.outer();
        }
        if let Some(scope) = &innermost {
            let mut outer = scope.outer();
            if outer.as_ref().is_some_and(|outer| !outer.state.get().is_inside()) {
                while let Some(ended) = &outer
                    && !ended.state.get().is_inside()
                {
                    outer = ended.outer();
                }
                scope.outer.store(outer.map(Instance::into_object));
            }
        }
        Ok(innermost)
    }

    /// What stands at the end of the block, with the class of its exception and the exception, or twice None.
    #[inline]
    pub(super) fn end(this: &Instance<Self>, kind: &Object, error: &Object) -> Result<Option<bool>> {
        let state = this.state.get();
        if !state.is_inside() {
            return Err(Kind::RuntimeError.raise(&format!("the timeout is {}: it cannot end", state.name())));
        }
        this.disarm();
        // Its entry may lie around for some time, and is to keep nothing.
        let (task, deadlines) = (this.task.take(), this.deadlines.take());
        drop(deadlines);
        if state == State::Entered {
            this.state.set(State::Exited);
            return Ok(None);
        }
        this.state.set(State::Expired);
        let Some(task) = task else { return Ok(None) };
        // Whoever else has cancelled the task wants it to end: then the cancellation goes on.
        if task.method(&names().uncancel, [])?.to_integer()? > this.cancelling.get() || kind.is_none() {
            return Ok(None);
        }
        this.is_over(kind, error)
    }

    /// What becomes of the exception by which the block has ended.
    #[cold]
    fn is_over(&self, kind: &Object, error: &Object) -> Result<Option<bool>> {
        let answer =
            Object::import(super::MODULE)?.member(c"over")?.call([&Object::bool(self.moves_on), kind, error])?;
        if answer.is_none() { Ok(None) } else { answer.is_true().map(Some) }
    }

    /// Gives the deadline up.
    #[inline]
    fn disarm(&self) {
        if self.when.get().is_some()
            && let Some(deadlines) = self.deadlines.borrow().as_ref()
        {
            deadlines.remove(self.number.get());
        }
        if let Some(timer) = self.timer.take() {
            // A timer that cannot be cancelled finds that it is not waited for.
            let _ = timer.method(&names().cancel, []).map_err(Raised::forget);
        }
    }
}

fn reschedule(this: &Instance<Timeout>, arguments: Args<'_>) -> Result<Object> {
    let [when] = arguments.named("reschedule", ["when"], 1)?;
    let state = this.state.get();
    if state != State::Entered {
        let what =
            if state == State::Created { "has not been entered".to_owned() } else { format!("is {}", state.name()) };
        return Err(Kind::RuntimeError.raise(&format!("the deadline cannot be changed: the timeout {what}")));
    }
    let when = when.filter(|when| !when.is_none()).map(Object::to_float).transpose()?;
    this.disarm();
    this.when.set(when);
    // An entry that is left of the deadline before is not the one that counts.
    this.set_number(0);
    match (when, this.deadlines()) {
        (Some(when), Some(deadlines)) => Deadlines::add(&deadlines, when, this).map(|()| Object::none()),
        _ => Ok(Object::none()),
    }
}
