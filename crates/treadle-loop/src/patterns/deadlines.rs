//! The deadlines of a loop, under one timer of the loop's, which is set for the first of them.
//!
//! Nearly all blocks end in time, so a deadline costs a place in a heap, and leaving the block costs nothing: its entry is taken back if it lies at the
//! end, and else stays until its time has come or until there are too many. Where a timer that is left over would be seen, because the clock jumps
//! to it, each deadline has a timer of its own, which goes with the block.
//!
//! The heap is not borrowed while Python runs, nor while an entry is dropped.

use std::cell::{Cell, RefCell};

use super::clock::Clock;
use super::heap::{Entry, Heap};
use super::timeout::Timeout;
use super::{facts, names};
use crate::ffi::{Class, Instance, Kind, Object, Plain, Raised, Result, Slot, Spec, Type, Visit, Weak, finally};

/// So many entries of blocks that have ended may lie among the others, or as many as those that run.
const LEFT_OVER: usize = 256;

pub(super) struct Deadlines {
    event_loop: Slot,
    clock: Clock,
    /// Each deadline has a timer of its own: a virtual clock jumps to every timer that is left.
    is_apart: bool,
    heap: RefCell<Heap<Instance<Timeout>>>,
    count: Cell<u64>,
    /// When the timer fires; after all times if there is none.
    armed: Cell<f64>,
    timer: Slot,
    /// Blocks with a deadline that have not ended.
    running: Cell<usize>,
}

impl Class for Deadlines {
    type Head = Plain;
    type Tail = Weak;

    fn traverse(&self, visit: &Visit<'_>) {
        self.event_loop.traverse(visit);
        visit.object(self.clock.callable());
        self.timer.traverse(visit);
        if let Ok(heap) = self.heap.try_borrow() {
            for entry in heap.entries() {
                visit.object(entry.value.object());
            }
        }
    }

    fn clear(&self) {
        self.event_loop.clear();
        self.timer.clear();
        drop(self.heap.take());
    }
}

pub(super) fn class() -> Result<Type<Deadlines>> {
    Spec::<Deadlines>::new(c"treadle._native.Deadlines", c"The deadlines of a loop.")
        .method(c"_ring", |this, arguments| {
            arguments.exactly::<0>("_ring")?;
            Deadlines::ring(this).map(|()| Object::none())
        })
        .method(c"_expire", |_this, arguments| {
            let [scope, number] = arguments.exactly("_expire")?;
            let scope = facts().timeout.cast(scope).or_else(|| facts().move_on_after.cast(scope));
            let number = number.to_integer()? as u64;
            match scope {
                Some(scope) if scope.waits_for(number) => Timeout::expire(&scope).map(|()| Object::none()),
                _ => Ok(Object::none()),
            }
        })
        .create(None)
}

impl Deadlines {
    /// Those of the loop that runs.
    #[inline]
    pub(super) fn of_running_loop() -> Result<Instance<Self>> {
        let event_loop = facts().running_loop.call([])?;
        let last = facts().last.load().and_then(|last| last.referent());
        if let Some(last) = last.and_then(|last| facts().deadlines.cast(&last))
            && last.event_loop.holds(&event_loop)
        {
            return Ok(last);
        }
        let deadlines = Self::of(&event_loop)?;
        facts().last.store(Some(deadlines.object().weak()?));
        Ok(deadlines)
    }

    fn of(event_loop: &Object) -> Result<Instance<Self>> {
        match event_loop.attribute(&names()._treadle_deadlines) {
            Ok(found) => match facts().deadlines.cast(&found) {
                Some(deadlines) => Ok(deadlines),
                None => Self::create(event_loop),
            },
            Err(raised) => {
                raised.forget();
                Self::create(event_loop)
            }
        }
    }

    #[cold]
    fn create(event_loop: &Object) -> Result<Instance<Self>> {
        let module = event_loop.class().member(c"__module__")?;
        let deadlines = Self {
            clock: Clock::new(event_loop.attribute(&names().time)?),
            is_apart: module.is_text() && module.to_text()?.starts_with("treadle.testing"),
            event_loop: Slot::new(Some(event_loop.clone())),
            heap: RefCell::default(),
            count: Cell::new(0),
            armed: Cell::new(f64::INFINITY),
            timer: Slot::default(),
            running: Cell::new(0),
        };
        let deadlines = facts().deadlines.instantiate(deadlines)?;
        if let Err(raised) = event_loop.set_attribute(&names()._treadle_deadlines, deadlines.object()) {
            // A loop without a dictionary gets new ones every time, which is right and slow.
            let exception = raised.take();
            if !Kind::AttributeError.matches(&exception) {
                return Err(Raised::restore(&exception));
            }
        }
        Ok(deadlines)
    }

    #[inline]
    pub(super) fn now(&self) -> Result<f64> {
        self.clock.now()
    }

    /// Has the scope expire when it is time, unless its deadline is another by then.
    #[inline]
    pub(super) fn add(this: &Instance<Self>, when: f64, scope: &Instance<Timeout>) -> Result<()> {
        this.running.set(this.running.get() + 1);
        let number = this.count.get() + 1;
        this.count.set(number);
        scope.set_number(number);
        if this.is_apart {
            return Self::add_apart(this, when, scope, number);
        }
        let length = {
            let mut heap = this.heap.borrow_mut();
            heap.push(Entry { when, number, value: scope.clone() });
            heap.len()
        };
        if when < this.armed.get() {
            return Self::arm(this, when);
        }
        if length > LEFT_OVER && length > 2 * this.running.get() {
            let gone = this.heap.borrow_mut().sift(|entry| entry.value.waits_for(entry.number));
            drop(gone);
        }
        Ok(())
    }

    fn add_apart(this: &Instance<Self>, when: f64, scope: &Instance<Timeout>, number: u64) -> Result<()> {
        let expire = this.object().attribute(&names()._expire)?;
        let number = Object::integer(i64::try_from(number).unwrap_or(i64::MAX))?;
        let timer =
            this.event_loop()?.method(&names().call_at, [&Object::float(when)?, &expire, scope.object(), &number])?;
        scope.set_timer(timer);
        Ok(())
    }

    /// A block with a deadline has ended, or has none any more.
    #[inline]
    pub(super) fn remove(&self, number: u64) {
        self.running.set(self.running.get().saturating_sub(1));
        let entry = self.heap.borrow_mut().take_back(number);
        drop(entry);
    }

    fn event_loop(&self) -> Result<Object> {
        let cleared = || Kind::RuntimeError.raise_static(c"the event loop of this deadline is gone");
        self.event_loop.load().ok_or_else(cleared)
    }

    #[cold]
    fn arm(this: &Instance<Self>, when: f64) -> Result<()> {
        if let Some(timer) = this.timer.take() {
            timer.method(&names().cancel, [])?;
        }
        let ring = this.object().attribute(&names()._ring)?;
        let timer = this.event_loop()?.method(&names().call_at, [&Object::float(when)?, &ring])?;
        this.timer.store(Some(timer));
        this.armed.set(when);
        Ok(())
    }

    /// The timer has fired.
    fn ring(this: &Instance<Self>) -> Result<()> {
        // A timer may be a little early.
        let now = this.now()?.max(this.armed.get());
        this.armed.set(f64::INFINITY);
        this.timer.clear();
        let mut expired = Ok(());
        while let Some(entry) = this.next_due(now) {
            if entry.value.waits_for(entry.number) {
                expired = finally(expired, || Timeout::expire(&entry.value));
            }
        }
        let next = this.heap.borrow().first().map(|entry| entry.when);
        finally(expired, || match next {
            // Somebody may have set it for a sooner one meanwhile.
            Some(when) if when < this.armed.get() => Self::arm(this, when),
            _ => Ok(()),
        })
    }

    /// Takes out the first entry if it is due, or of a block that has ended.
    fn next_due(&self, now: f64) -> Option<Entry<Instance<Timeout>>> {
        let mut heap = self.heap.borrow_mut();
        let first = heap.first()?;
        if first.when <= now || !first.value.waits_for(first.number) { heap.pop() } else { None }
    }
}
