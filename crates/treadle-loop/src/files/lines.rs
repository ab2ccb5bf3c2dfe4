//! Lines of a file that were read ahead, for `async for` without a coroutine for each line.
//!
//! [`Lines`] are what all who read one file share. [`EachLine`] iterates over them; where there are none left, or the loop should have its turn,
//! it gives a coroutine of Python's, which knows what to do. Else it gives a [`NextLine`], which is done at once. A line is taken when it
//! is awaited and not before, so none is lost with an awaitable that nobody awaits.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::coroutine::thrown;
use crate::ffi::{
    Args, Class, FreeList, Instance, Kind, Nothing, Object, Plain, Raised, Result, Shared, Slot, Spec, Step, Type,
    Visit,
};

/// After so many lines the clock is looked at.
const LINES: u32 = 64;

/// The classes. Made once, kept for ever.
struct Classes {
    lines: Type<Lines>,
    each: Type<EachLine>,
    next: Type<NextLine>,
    /// The name of what `StopIteration` carries.
    value: Object,
}

static CLASSES: Shared<Classes> = Shared::new();

fn classes() -> &'static Classes {
    #[expect(clippy::expect_used, reason = "the only way here leads through the class that `class` made")]
    CLASSES.get().expect("the classes are made before they are used")
}

/// The class `treadle._native.Lines`.
pub(crate) fn class() -> Result<Object> {
    if CLASSES.get().is_none() {
        CLASSES.set(Classes {
            lines: lines_class()?,
            each: each_class()?,
            next: next_class()?,
            value: Object::interned(c"value")?,
        });
    }
    Ok(classes().lines.object().clone())
}

/// A tuple of lines and how many of them were taken.
struct Lines {
    all: Slot,
    length: Cell<usize>,
    taken: Cell<usize>,
}

impl Class for Lines {
    type Head = Plain;
    type Tail = Nothing;

    fn new() -> Result<Self> {
        Ok(Self { all: Slot::default(), length: Cell::new(0), taken: Cell::new(0) })
    }

    fn traverse(&self, visit: &Visit<'_>) {
        self.all.traverse(visit);
    }

    fn clear(&self) {
        self.empty();
    }
}

impl Lines {
    fn left(&self) -> usize {
        self.length.get() - self.taken.get()
    }

    /// The next line, if there is one.
    #[inline]
    fn take(&self) -> Result<Option<Object>> {
        let index = self.taken.get();
        if index == self.length.get() {
            return Ok(None);
        }
        let line = self.all.load().unwrap_or_else(Object::none).item(index)?;
        self.taken.set(index + 1);
        Ok(Some(line))
    }

    fn empty(&self) {
        self.length.set(0);
        self.taken.set(0);
        self.all.store(None);
    }
}

fn lines_class() -> Result<Type<Lines>> {
    Spec::<Lines>::new(c"treadle._native.Lines", c"Lines that were read ahead.")
        .subclassable()
        .iterator(|this| this.take())
        .method(c"fill", |this, arguments| {
            let [lines] = arguments.exactly("fill")?;
            let Some(length) = lines.tuple_length() else {
                return Err(lines.unexpected("fill() takes a tuple"));
            };
            this.empty();
            this.all.store(Some(lines.clone()));
            this.length.set(length);
            Ok(Object::none())
        })
        .method(c"clear", |this, arguments| {
            arguments.exactly::<0>("clear")?;
            this.empty();
            Ok(Object::none())
        })
        .method(c"take", |this, arguments| {
            arguments.exactly::<0>("take")?;
            this.take().map(|line| line.unwrap_or_else(Object::none))
        })
        .method(c"each", each)
        .attribute(c"left", |this| Object::size(this.left()))
        .attribute(c"taken", |this| Object::size(this.taken.get()))
        .create(None)
}

/// An `async for` over lines.
struct EachLine {
    lines: Instance<Lines>,
    /// A coroutine function: the next line after a wait, or `StopAsyncIteration`.
    wait: Slot,
    /// The loop is not kept for longer, as far as is known from when it was not.
    slice: Duration,
    since: Cell<Instant>,
    given: Cell<u32>,
    /// What carries the lines to who awaits them.
    stop: Slot,
}

impl Class for EachLine {
    type Head = Plain;
    type Tail = Nothing;

    fn traverse(&self, visit: &Visit<'_>) {
        visit.object(self.lines.object());
        self.wait.traverse(visit);
        self.stop.traverse(visit);
    }

    fn clear(&self) {
        self.wait.clear();
        self.stop.clear();
    }
}

impl EachLine {
    /// Whether a line can be given at once.
    #[inline]
    fn is_ready(&self) -> bool {
        self.lines.left() > 0 && !self.is_overdue()
    }

    /// Whether it is time for others.
    #[inline]
    fn is_overdue(&self) -> bool {
        let given = self.given.get() + 1;
        self.given.set(given % LINES);
        given == LINES && self.since.get().elapsed() > self.slice
    }

    /// The coroutine that waits.
    fn wait(&self) -> Result<Object> {
        let waiting = self.wait.load().unwrap_or_else(Object::none).call([])?;
        self.given.set(0);
        self.since.set(Instant::now());
        Ok(waiting)
    }
}

/// `each(wait, slice)`: an asynchronous iterator.
fn each(this: &Instance<Lines>, arguments: Args<'_>) -> Result<Object> {
    let [wait, slice] = arguments.exactly("each")?;
    let slice = Duration::try_from_secs_f64(slice.to_float()?).unwrap_or(Duration::MAX);
    let (since, given) = (Cell::new(Instant::now()), Cell::new(0));
    let (wait, stop) = (Slot::new(Some(wait.clone())), Slot::default());
    let each = EachLine { lines: this.clone(), wait, slice, since, given, stop };
    classes().each.instantiate(each).map(Instance::into_object)
}

fn each_class() -> Result<Type<EachLine>> {
    Spec::<EachLine>::new(c"treadle._native.EachLine", c"Gives the lines of a file one by one.")
        .asynchronous_iterator(|this| {
            if !this.is_ready() {
                return this.wait();
            }
            let next = || NextLine { each: this.clone(), waiting: Slot::default(), is_over: Cell::new(false) };
            classes().next.instantiate_in_place(next).map(Instance::into_object)
        })
        .create(None)
}

/// What `__anext__` gives while there are lines.
struct NextLine {
    each: Instance<EachLine>,
    /// The coroutine that waits, if somebody else has taken all lines before this one was awaited.
    waiting: Slot,
    is_over: Cell<bool>,
}

impl Class for NextLine {
    type Head = Plain;
    type Tail = Nothing;
    const COLLECTED: bool = false;

    fn free_list() -> Option<&'static FreeList> {
        static FREE: FreeList = FreeList::new();
        Some(&FREE)
    }
}

fn next_class() -> Result<Type<NextLine>> {
    Spec::<NextLine>::new(c"treadle._native.NextLine", c"Awaiting it gives the next line of a file.")
        .awaitable_by(|this| Ok(this.object().clone()), send, next)
        .method(c"send", |this, arguments| {
            let [value] = arguments.exactly("send")?;
            step(this, value)
        })
        .method(c"throw", |this, arguments| {
            let exception = thrown(arguments)?;
            if let Some(waiting) = this.waiting.load() {
                return waiting.member(c"throw")?.call([&exception]);
            }
            this.is_over.set(true);
            Err(Raised::restore(&exception))
        })
        .method(c"close", |this, arguments| {
            arguments.exactly::<0>("close")?;
            this.is_over.set(true);
            match this.waiting.take() {
                Some(waiting) => waiting.member(c"close")?.call([]),
                None => Ok(Object::none()),
            }
        })
        .create(None)
}

fn next(this: &Instance<NextLine>) -> Result<Object> {
    step(this, &Object::none())
}

#[inline]
fn step(this: &Instance<NextLine>, value: &Object) -> Result<Object> {
    match send(this, value)? {
        Step::Yield(object) => Ok(object),
        Step::Return(line) => Err(Raised::stop_iteration_again(&this.each.stop, &classes().value, &line)),
    }
}

#[inline]
fn send(this: &Instance<NextLine>, value: &Object) -> Result<Step> {
    if let Some(waiting) = this.waiting.load() {
        return waiting.send(value);
    }
    if this.is_over.replace(true) {
        return Err(Kind::RuntimeError.raise_static(c"cannot reuse already awaited __anext__()"));
    }
    if let Some(line) = this.each.lines.take()? {
        return Ok(Step::Return(line));
    }
    let waiting = this.each.wait()?;
    this.waiting.store(Some(waiting.clone()));
    waiting.send(value)
}
