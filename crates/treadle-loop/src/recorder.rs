//! Who writes down what the loop does, if somebody wants to know.
//!
//! There is at most one recorder in a process; loops know it from when they are made or run next. Without one, everything here costs a branch that
//! the debug mode's stop watch needs anyway. A recorder holds no object of the program but code and classes, calls nothing of the program, and
//! raises nothing. What is made of its events, it does not know.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::ControlFlow;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use treadle_events::{Event, Kind, Outcome, Owner, Place, PlaceId, Wake, Writer, ticks};
use treadle_reactor::processor_time;

use crate::core::Core;
use crate::ffi::{
    CancelCount, Frame, Instance, NativeTask, Object, OwnCalls, Raised, Result, Shared, State, TaskLayout, code_of,
    finally, is_builtin, line, loop_of_this_thread, system_thread,
};
use crate::handle::Handle;
use crate::inspection::Desk;
use crate::known::names;
use crate::libraries::{Kin, Libraries};
use crate::teller::Teller;

/// Frames that are looked at for a line of the program.
const DEPTH: usize = 16;

/// Frames of a package that only waits for who has called it: `anyio.sleep` has two.
const WAITING: usize = 2;

/// Code objects, and classes and functions without any, that are kept at most, so that a program that makes functions all the time does not grow by us.
const KNOWN: usize = 16 * 1024;

/// Places that are found without a hash, and what stands for the offset in code where a class is meant.
const RECENT: usize = 256;
const CLASS: i32 = i32::MIN;

/// Of so many steps of tasks one is looked at more closely, and of so many of these that were told again the place is looked for.
const SAMPLED: u32 = 16;
const PLACED: u32 = 16;

/// Collections of fewer ticks are not placed: about a millisecond.
const LONG: u64 = 1 << 20;

/// Timers that wait at once before anybody wants to know where further ones are set.
const MANY_TIMERS: usize = 1_000;

/// The recorder of this process. Each one that was begun lives for ever: there is one, and one for each fork.
static CURRENT: Shared<Cell<Option<&'static Recorder>>> = Shared::new();

/// Writes events.
pub(crate) struct Recorder {
    writer: Writer,
    tasks: TaskLayout,
    libraries: Libraries,
    /// What reads the calls of a thread at little cost, where that can be done.
    own_calls: Option<OwnCalls>,
    codes: RefCell<FxHashMap<usize, Code>>,
    places: RefCell<FxHashMap<(usize, i32), PlaceId>>,
    /// Those that were met lately, of what is kept.
    recent: [Cell<Recent>; RECENT],
    /// Of callables without code, by their class, and of functions that are not written in Python: what has the address is kept.
    named: RefCell<FxHashMap<usize, (Object, PlaceId)>>,
    loops: Cell<u8>,
    process: u32,
    /// When the garbage collector began, for the one collection that can be at a time; 0 if it is not at work.
    collecting: Cell<u64>,
    /// How long the thread had had a processor then, in nanoseconds.
    collecting_ran: Cell<u64>,
    /// Steps of tasks, and those of them that were looked at and had the task go on by itself.
    steps: Cell<u32>,
    self_wakes: Cell<u32>,
    teller: OnceCell<Teller>,
    /// Where the doctor asks what tasks wait for, if that can be seen.
    desk: Option<Desk>,
}

/// A code object that was met. It is kept, so that its address stays its own.
struct Code {
    _kept: Object,
    kin: Kin,
}

/// A place that was met lately.
#[derive(Clone, Copy)]
struct Recent {
    /// The address of a code object or a class; 0 for none.
    owner: usize,
    offset: i32,
    place: PlaceId,
    /// Places of code that is `Inner` or an `Entry` are not looked for.
    kin: Kin,
}

impl Recent {
    const NONE: Self = Self { owner: 0, offset: 0, place: PlaceId::UNKNOWN, kin: Kin::Inner };
}

impl Recorder {
    /// Begins to record in this process.
    pub(crate) fn begin(
        writer: Writer,
        tasks: TaskLayout,
        libraries: Libraries,
        own_calls: Option<OwnCalls>,
        desk: Option<Desk>,
    ) {
        let recorder = Self {
            writer,
            tasks,
            libraries,
            own_calls,
            codes: RefCell::default(),
            places: RefCell::default(),
            recent: [const { Cell::new(Recent::NONE) }; RECENT],
            named: RefCell::default(),
            loops: Cell::new(0),
            process: std::process::id(),
            collecting: Cell::new(0),
            collecting_ran: Cell::new(0),
            steps: Cell::new(0),
            self_wakes: Cell::new(0),
            teller: OnceCell::new(),
            desk,
        };
        CURRENT.set(Cell::new(None));
        if let Some(current) = CURRENT.get() {
            current.set(Some(Box::leak(Box::new(recorder))));
        }
    }

    /// Ends it, for loops that are made from now on and in those that ask.
    pub(crate) fn end() {
        if let Some(current) = CURRENT.get() {
            current.set(None);
        }
    }

    /// Ends one that belongs to the process which this one was forked from: its tape is still written to there.
    pub(crate) fn end_if_inherited() {
        if Self::current().is_some_and(|recorder| recorder.process != std::process::id()) {
            Self::end();
        }
    }

    /// The recorder of this process, if there is one.
    pub(crate) fn current() -> Option<&'static Self> {
        CURRENT.get()?.get()
    }

    /// Tells somebody in Python of what is rare. `gathered` is the code that a `gather` runs when one of its tasks has ended.
    pub(crate) fn listen(&self, ear: Object, cancels: Option<CancelCount>, gathered: &Object) {
        let teller = Teller::new(ear, cancels, self.place(gathered, -1));
        // Who listened first goes on.
        let _ = self.teller.set(teller);
    }

    /// Who tells of what is rare.
    #[inline]
    pub(crate) fn teller(&self) -> Option<&Teller> {
        self.teller.get()
    }

    /// The number of another loop. The two hundred and fifty-sixth and those after it share one.
    pub(crate) fn number_loop(&self) -> u8 {
        self.loops.set(self.loops.get().saturating_add(1));
        self.loops.get()
    }

    /// Where the doctor asks what tasks wait for.
    #[inline]
    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// What tasks look like.
    pub(crate) fn tasks(&self) -> &TaskLayout {
        &self.tasks
    }

    /// Writes something down.
    #[inline]
    pub(crate) fn write(&self, core: &Core, kind: Kind, fill: impl FnOnce(Event) -> Event) {
        self.writer.write(fill(Event::new(kind, core.number.get())));
    }

    /// Writes down that a callback begins, runs it, and writes down if a task has ended in it.
    #[inline]
    pub(crate) fn callback(
        &self,
        core: &Core,
        handle: &Instance<Handle>,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(task) = handle.look_at_callable(|callback| self.tasks.task_of(callback)).flatten() else {
            self.write_call(core, handle)?;
            return run();
        };
        let subject = task.address() as u64;
        let value = handle.wake().with_number(core.next_wake());
        self.write(core, Kind::Step, |event| Event { subject, value, ..event });
        let teller = self.teller();
        if let Some(teller) = teller
            && teller.is_cancelled(&task)
        {
            teller.cancel_coming(&task)?;
        }
        let ran = run();
        let is_cancelled = teller.is_some_and(|teller| teller.is_cancelled(&task));
        if ran.is_err() || is_cancelled {
            return self.has_stepped(core, &task, ran);
        }
        match self.tasks.native_state(&task) {
            Some(State::Pending) if self.is_to_be_looked_at() => self.look_at_wake(core, &task),
            Some(State::Pending) => {}
            state => return self.task_ran(core, &task, state),
        }
        Ok(())
    }

    /// Writes down that a callback begins that is no step of a task.
    fn write_call(&self, core: &Core, handle: &Instance<Handle>) -> Result<()> {
        let known = handle.look_at_callable(|callback| self.recent_place_of(callback)).flatten();
        let look = || handle.callable().map_or(PlaceId::UNKNOWN, |callback| self.place_of(&callback));
        let place = known.unwrap_or_else(look);
        let subject = handle.object().address() as u64;
        let value = handle.wake().with_number(core.next_wake());
        self.write(core, Kind::Call, |event| Event { subject, place, value, ..event });
        match self.teller().filter(|teller| teller.is_gathered(place)) {
            Some(teller) => teller.gathered(handle),
            None => Ok(()),
        }
    }

    /// What there is to do after a step of a task that was told to end, or one that went wrong.
    #[cold]
    fn has_stepped(&self, core: &Core, task: &NativeTask, ran: Result<()>) -> Result<()> {
        // What ends the program is set while the task is asked how it has ended, which nothing may be.
        finally(ran, || {
            let state = self.tasks.native_state(task);
            if state != Some(State::Pending) {
                return self.task_ran(core, task, state);
            }
            if self.is_to_be_looked_at() {
                self.look_at_wake(core, task);
            }
            let teller = self.teller().filter(|teller| teller.is_cancelled(task));
            teller.map_or(Ok(()), |teller| teller.cancel_stayed(core, task))
        })
    }

    /// Whether it is the turn of this step, of each [`SAMPLED`] one, to be looked at more closely.
    #[inline]
    fn is_to_be_looked_at(&self) -> bool {
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        steps.is_multiple_of(SAMPLED)
    }

    /// Writes down if a task has, in its step, seen to it that it goes on in the next turn.
    #[cold]
    fn look_at_wake(&self, core: &Core, task: &Object) {
        let is_it = |callback: &Object| self.tasks.task_of(callback).is_some_and(|next| next.is(task));
        if core.ready.borrow().back().is_none_or(|handle| handle.look_at_callable(is_it) != Some(true)) {
            return;
        }
        let wakes = self.self_wakes.get().wrapping_add(1);
        self.self_wakes.set(wakes);
        // Looking for the place takes as long as ten steps.
        let place = if wakes.is_multiple_of(PLACED) { self.place_of_wait(task) } else { PlaceId::UNKNOWN };
        let subject = task.address() as u64;
        self.write(core, Kind::SelfWoken, |event| Event { subject, place, value: u64::from(SAMPLED), ..event });
    }

    /// Where a task waits: the innermost line of the program's own code, unless that has called a package which does more than wait for it; then,
    /// or if there is none, the innermost of the package's.
    fn place_of_wait(&self, task: &Object) -> PlaceId {
        let mut found: Option<(Object, i32)> = None;
        let mut below: SmallVec<[(Object, i32); 8]> = SmallVec::new();
        let mut next = task.attribute(&names()._coro).map_err(Raised::forget).ok();
        let Some(class) = next.as_ref().map(Object::class) else { return PlaceId::UNKNOWN };
        for _ in 0..DEPTH {
            // What else a coroutine waits for has no such attributes, and an exception takes longer than all the rest.
            let Some(coroutine) = next.filter(|next| next.has_type(&class)) else { break };
            let frame = coroutine.attribute(&names().cr_frame).map_err(Raised::forget).ok();
            let Some(frame) = frame.as_ref().and_then(Frame::of) else { break };
            let Ok(code) = frame.code().map_err(Raised::forget) else { break };
            let kin = self.kin(&code);
            match kin {
                Kin::Program => {
                    found = Some((code, frame.offset()));
                    below.clear();
                }
                Kin::Package => below.push((code, frame.offset())),
                _ => {}
            }
            next = coroutine.attribute(&names().cr_await).map_err(Raised::forget).ok();
        }
        if below.len() > WAITING || found.is_none() {
            found = below.pop();
        }
        found.map_or(PlaceId::UNKNOWN, |(code, offset)| self.place(&code, offset))
    }

    /// Whether the garbage collector is at work: what it throws away is not thrown away by the line that runs.
    pub(crate) fn is_collecting(&self) -> bool {
        self.collecting.get() != 0
    }

    /// Writes down that the garbage collector begins, by itself or because it was asked to.
    pub(crate) fn collection_starts(&self, generation: u16, is_asked_for: bool) {
        self.collecting.set(stamp());
        self.collecting_ran.set(processor_time());
        let event = Event::new(Kind::GcStarted, loop_of_this_thread());
        let (value, subject) = (system_thread(), u64::from(is_asked_for));
        self.writer.write(Event { small: generation, value, subject, ..event });
    }

    /// Writes down that it has ended.
    pub(crate) fn collection_ends(&self, generation: u16) {
        let (number, subject) = (loop_of_this_thread(), system_thread());
        // Most collections are not worth a look at the stack.
        let is_long = stamp().wrapping_sub(self.collecting.replace(0)) > LONG;
        let place = if is_long { self.here() } else { PlaceId::UNKNOWN };
        let value = if is_long { processor_time().saturating_sub(self.collecting_ran.get()) } else { 0 };
        let event = Event::new(Kind::GcEnded, number);
        self.writer.write(Event { small: generation, subject, value, place, ..event });
    }

    /// Writes down a new task, which may have ended already.
    pub(crate) fn task_born(&self, core: &Core, task: &Object, coroutine: Option<&Object>) -> Result<()> {
        let place = self.here();
        let value = coroutine.map_or(0, |coroutine| u64::from(self.place_of_coroutine(coroutine).0));
        let subject = task.address() as u64;
        self.write(core, Kind::TaskBorn, |event| Event { subject, place, value, ..event });
        match self.tasks.state(task) {
            Some(State::Pending) => Ok(()),
            state => self.born_ended(core, task, state),
        }
    }

    /// Writes down that a new task has ended already, if it has.
    #[cold]
    fn born_ended(&self, core: &Core, task: &Object, state: Option<State>) -> Result<()> {
        match self.tasks.native(task) {
            Some(task) => self.task_ran(core, &task, state),
            None => self.write_outcome(core, task, outcome(task)),
        }
    }

    /// Writes down that another thread has handed a callback to the loop: what runs there at that time has not brought it about.
    pub(crate) fn handed(&self, core: &Core, handle: &Instance<Handle>) {
        let number = core.next_number();
        handle.set_wake(Wake::by(number));
        let (subject, small) = (handle.object().address() as u64, u16::from(loop_of_this_thread()));
        self.write(core, Kind::Handed, |event| Event { subject, small, value: u64::from(number), ..event });
    }

    /// Writes down that somebody uses the loop from another thread.
    #[cold]
    pub(crate) fn cross(&self, core: &Core) {
        let (place, value) = (self.here(), system_thread());
        self.write(core, Kind::CrossThread, |event| Event { place, value, ..event });
    }

    /// Writes down that a timer was set, once there are many; nothing is known of those that only wake a task.
    pub(crate) fn timer_set(&self, core: &Core, handle: &Instance<Handle>, callback: &Object, when: f64) {
        if core.timers.borrow().len() < MANY_TIMERS
            || code_of(callback).is_some_and(|code| self.kin(&code) == Kin::Inner)
        {
            return;
        }
        let (subject, place) = (handle.object().address() as u64, self.here());
        let value = ((when - Core::time()).max(0.0) * 1e9) as u64;
        handle.set_recorded();
        self.write(core, Kind::TimerSet, |event| Event { subject, place, value, ..event });
    }

    /// Writes down that a task has ended, if it has. Of `state` it is known that it is not pending, if anything.
    fn task_ran(&self, core: &Core, task: &NativeTask, state: Option<State>) -> Result<()> {
        let seen = match state {
            Some(State::Cancelled) => Some(Outcome::Cancelled),
            Some(State::Finished) => {
                let of_result = |has_result| if has_result { Outcome::Returned } else { Outcome::Raised };
                self.tasks.has_result(task).map(of_result)
            }
            _ => None,
        };
        let ended = seen.or_else(|| outcome(task));
        self.write_outcome(core, task, ended)?;
        match self.teller() {
            Some(teller) if ended == Some(Outcome::Returned) && teller.is_cancelled(task) => {
                teller.cancel_answered(task)
            }
            _ => Ok(()),
        }
    }

    /// Writes down how a task has ended, if it has.
    fn write_outcome(&self, core: &Core, task: &Object, outcome: Option<Outcome>) -> Result<()> {
        let Some(outcome) = outcome else { return Ok(()) };
        let subject = task.address() as u64;
        self.write(core, Kind::TaskDone, |event| Event { subject, small: outcome.number(), ..event });
        match self.teller().filter(|_| outcome == Outcome::Raised) {
            Some(teller) => teller.task_failed(core, task),
            None => Ok(()),
        }
    }

    /// The line of the program that is executed: the innermost one of its own code, else of a package's, else of Python's.
    pub(crate) fn here(&self) -> PlaceId {
        let mut nearest = Nearest::default();
        match &self.own_calls {
            Some(calls) => calls.visit(DEPTH, |code, offset| nearest.meet(self, code, offset)),
            None => nearest.meet_all(self),
        }
        nearest.place
    }

    /// The place of the code that a callable runs.
    #[inline]
    pub(crate) fn place_of(&self, callable: &Object) -> PlaceId {
        match code_of(callable) {
            Some(code) => self.place(&code, -1),
            None => self.place_of_class(&callable.class()),
        }
    }

    /// As [`place_of`](Self::place_of), but a module's function that is not written in Python has the place of its own name.
    pub(crate) fn place_of_function(&self, function: &Object) -> PlaceId {
        if !is_builtin(function) {
            return self.place_of(function);
        }
        if let Some(recent) = self.recent(function.address(), CLASS) {
            return recent.place;
        }
        let text = |name| function.member(name).and_then(|text| text.to_text()).map_err(Raised::forget);
        // Methods have no module, and are made anew each time.
        let (Ok(module), Ok(name)) = (text(c"__module__"), text(c"__qualname__")) else {
            return self.place_of(function);
        };
        self.look_up_named(function, || {
            let function = if module == "builtins" { name } else { format!("{module}.{name}") };
            self.writer.enter(&Place { file: String::new(), line: 0, function, owner: Owner::Python })
        })
    }

    /// As [`place_of`](Self::place_of), if it was met lately. Runs no Python.
    #[inline]
    fn recent_place_of(&self, callable: &Object) -> Option<PlaceId> {
        let recent = match code_of(callable) {
            Some(code) => self.recent(code.address(), -1).filter(|recent| recent.kin < Kin::Inner)?,
            None => self.recent(callable.class_address(), CLASS)?,
        };
        Some(recent.place)
    }

    /// The place of the function that a protocol's class gets its bytes by.
    #[inline]
    pub(crate) fn place_of_protocol(&self, protocol: &Object) -> PlaceId {
        let recent = self.recent(protocol.class_address(), CLASS);
        recent.map_or_else(|| self.look_up_class(&protocol.class(), Some(protocol)), |recent| recent.place)
    }

    fn place_of_class(&self, class: &Object) -> PlaceId {
        let recent = self.recent(class.address(), CLASS);
        recent.map_or_else(|| self.look_up_class(class, None), |recent| recent.place)
    }

    #[cold]
    fn look_up_class(&self, class: &Object, protocol: Option<&Object>) -> PlaceId {
        self.look_up_named(class, || self.new_place_of_class(class, protocol))
    }

    /// The place of what has a name and no code.
    fn look_up_named(&self, named: &Object, new: impl FnOnce() -> PlaceId) -> PlaceId {
        let known = self.named.borrow().get(&named.address()).map(|(_, place)| *place);
        let place = known.unwrap_or_else(new);
        let is_kept = known.is_some() || self.named.borrow().len() < KNOWN;
        if is_kept {
            self.named.borrow_mut().entry(named.address()).or_insert_with(|| (named.clone(), place));
            self.remember(Recent { owner: named.address(), offset: CLASS, place, kin: Kin::Program });
        }
        place
    }

    #[cold]
    fn new_place_of_class(&self, class: &Object, protocol: Option<&Object>) -> PlaceId {
        let names = protocol.map_or(&[] as &[_], |_| &[c"data_received", c"buffer_updated", c"datagram_received"]);
        let mut methods = names.iter().filter_map(|name| class.member(name).map_err(Raised::forget).ok());
        if let Some(code) = methods.find_map(|method| code_of(&method)) {
            return self.place(&code, -1);
        }
        let name = class.member(c"__name__").and_then(|name| name.to_text());
        let function = name.unwrap_or_else(|raised| {
            raised.forget();
            String::new()
        });
        self.writer.enter(&Place { file: String::new(), line: 0, function, owner: Owner::Python })
    }

    fn place_of_coroutine(&self, coroutine: &Object) -> PlaceId {
        if let Some(layout) = self.desk.as_ref().and_then(|desk| desk.knowledge.layout(coroutine)) {
            return self.place(&layout.code_alone(coroutine), -1);
        }
        let code = coroutine.attribute(&names().cr_code).map_err(Raised::forget);
        code.map_or_else(|()| self.place_of_class(&coroutine.class()), |code| self.place(&code, -1))
    }

    /// The number of an offset in some code.
    #[inline]
    pub(crate) fn place(&self, code: &Object, offset: i32) -> PlaceId {
        match self.recent(code.address(), offset) {
            Some(Recent { place, kin: Kin::Program | Kin::Package | Kin::Python, .. }) => place,
            Some(_) => self.look_up_place(code, offset),
            None => match self.look_up(code, offset) {
                (Kin::Inner | Kin::Entry, _) => self.look_up_place(code, offset),
                (_, place) => place,
            },
        }
    }

    #[cold]
    fn look_up_place(&self, code: &Object, offset: i32) -> PlaceId {
        let known = self.places.borrow().get(&(code.address(), offset)).copied();
        known.unwrap_or_else(|| self.new_place(code, offset))
    }

    /// What was met lately, if this was.
    #[inline]
    fn recent(&self, owner: usize, offset: i32) -> Option<Recent> {
        let recent = self.recent[Self::slot(owner, offset)].get();
        (recent.owner == owner && recent.offset == offset).then_some(recent)
    }

    fn remember(&self, recent: Recent) {
        self.recent[Self::slot(recent.owner, recent.offset)].set(recent);
    }

    #[inline]
    fn slot(owner: usize, offset: i32) -> usize {
        (owner >> 4 ^ owner >> 12 ^ (offset >> 1) as usize) % RECENT
    }

    /// Whose some code is, and the number of an offset in it unless the code is inner.
    #[cold]
    fn look_up(&self, code: &Object, offset: i32) -> (Kin, PlaceId) {
        let kin = self.kin(code);
        let place = if kin >= Kin::Inner { PlaceId::UNKNOWN } else { self.look_up_place(code, offset) };
        if self.codes.borrow().contains_key(&code.address()) {
            self.remember(Recent { owner: code.address(), offset, place, kin });
        }
        (kin, place)
    }

    #[cold]
    fn new_place(&self, code: &Object, offset: i32) -> PlaceId {
        let kin = self.kin(code);
        let is_kept = self.codes.borrow().contains_key(&code.address());
        if !is_kept || self.places.borrow().len() >= 4 * KNOWN {
            return PlaceId::UNKNOWN;
        }
        let text = |name| code.member(name).and_then(|text| text.to_text());
        let (file, function) = match (text(c"co_filename"), text(c"co_qualname")) {
            (Ok(file), Ok(function)) => (file, function),
            (file, function) => {
                [file, function].into_iter().filter_map(Result::err).for_each(Raised::forget);
                return PlaceId::UNKNOWN;
            }
        };
        let owner = kin.owner(&file);
        let place = self.writer.enter(&Place { line: line(code, offset).unwrap_or(0), file, function, owner });
        self.places.borrow_mut().insert((code.address(), offset), place);
        place
    }

    /// Whose code it is.
    #[inline]
    fn kin(&self, code: &Object) -> Kin {
        if let Some(known) = self.codes.borrow().get(&code.address()) {
            return known.kin;
        }
        self.meet(code)
    }

    #[cold]
    fn meet(&self, code: &Object) -> Kin {
        let file = code.member(c"co_filename").and_then(|file| file.to_text());
        let kin = file.map_or_else(
            |raised| {
                raised.forget();
                Kin::Python
            },
            |file| self.libraries.kin(&file),
        );
        let kin = if kin == Kin::Inner && is_entry(code) { Kin::Entry } else { kin };
        if self.codes.borrow().len() < KNOWN {
            self.codes.borrow_mut().insert(code.address(), Code { _kept: code.clone(), kin });
        }
        kin
    }
}

/// The call nearest to the program's own code, of those from the innermost on.
struct Nearest {
    kin: Kin,
    /// Unknown if it is inner.
    place: PlaceId,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { kin: Kin::Entry, place: PlaceId::UNKNOWN }
    }
}

impl Nearest {
    #[inline]
    fn meet(&mut self, recorder: &Recorder, code: &Object, offset: i32) -> ControlFlow<()> {
        let recent = recorder.recent[Recorder::slot(code.address(), offset)].get();
        let (kin, place) = if recent.owner == code.address() && recent.offset == offset {
            (recent.kin, recent.place)
        } else {
            self.look_up(recorder, code, offset)
        };
        if kin < self.kin {
            (self.kin, self.place) = (kin, place);
        }
        if matches!(kin, Kin::Program | Kin::Entry) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What is not shown gets no number.
    #[cold]
    fn look_up(&self, recorder: &Recorder, code: &Object, offset: i32) -> (Kin, PlaceId) {
        let kin = recorder.kin(code);
        if kin < self.kin || kin >= Kin::Inner { recorder.look_up(code, offset) } else { (kin, PlaceId::UNKNOWN) }
    }

    fn meet_all(&mut self, recorder: &Recorder) {
        let mut next = Frame::current();
        for _ in 0..DEPTH {
            let Some(frame) = next else { break };
            let Ok(code) = frame.code().map_err(Raised::forget) else { break };
            if self.meet(recorder, &code, frame.offset()).is_break() {
                break;
            }
            next = frame.caller();
        }
    }
}

/// Whether code of asyncio or ours is that of a loop that runs.
fn is_entry(code: &Object) -> bool {
    let name = code.member(c"co_name").and_then(|name| name.to_text()).map_err(Raised::forget);
    name.is_ok_and(|name| name == "run_forever")
}

/// How a task has ended, by its own words; nothing if it has not.
#[cold]
fn outcome(task: &Object) -> Option<Outcome> {
    ask_for_outcome(task).map_err(Raised::forget).ok().flatten()
}

fn ask_for_outcome(task: &Object) -> Result<Option<Outcome>> {
    if !task.method(&names().done, [])?.is_true()? {
        return Ok(None);
    }
    if task.method(&names().cancelled, [])?.is_true()? {
        return Ok(Some(Outcome::Cancelled));
    }
    // Asking by `exception()` would count as having looked at it.
    let exception = task.attribute(&names()._exception)?;
    Ok(Some(if exception.is_none() { Outcome::Returned } else { Outcome::Raised }))
}

/// Ticks of the clock that events are stamped by.
#[inline]
pub(crate) fn stamp() -> u64 {
    ticks()
}
