//! Who writes down what the loop does, if somebody wants to know.
//!
//! There is at most one recorder in a process; loops know it from when they are made or run next. Without one, everything here costs a branch that
//! the debug mode's stop watch needs anyway. A recorder holds no object of the program but code and classes, calls nothing of the program, and
//! raises nothing. What is made of its events, it does not know.

use std::cell::{Cell, RefCell};

use rustc_hash::FxHashMap;
use treadle_events::{Event, Kind, Outcome, Owner, Place, PlaceId, Writer, ticks};

use crate::core::Core;
use crate::ffi::{Frame, Object, Raised, Result, Shared, State, TaskLayout, code_of, line};
use crate::inspection::Desk;
use crate::known::names;

/// Frames that are looked at for a line of the program.
const DEPTH: usize = 16;

/// Code objects and classes that are kept at most, so that a program that makes functions all the time does not grow by us.
const KNOWN: usize = 16 * 1024;

/// The recorder of this process. Each one that was begun lives for ever: there is one, and one for each fork.
static CURRENT: Shared<Cell<Option<&'static Recorder>>> = Shared::new();

/// Writes events.
pub(crate) struct Recorder {
    writer: Writer,
    tasks: TaskLayout,
    libraries: Libraries,
    codes: RefCell<FxHashMap<usize, Code>>,
    places: RefCell<FxHashMap<(usize, i32), PlaceId>>,
    /// Of callables that are no functions, by their class, which is kept.
    classes: RefCell<FxHashMap<usize, (Object, PlaceId)>>,
    loops: Cell<u8>,
    /// Where the doctor asks what tasks wait for, if that can be seen.
    desk: Option<Desk>,
}

/// Where code comes from that is not the program's.
pub(crate) struct Libraries {
    /// The directory of Python's own modules.
    pub(crate) python: String,
    /// Directories whose code only passes on what others ask for: asyncio's and ours.
    pub(crate) inner: Vec<String>,
}

/// A code object that was met. It is kept, so that its address stays its own.
struct Code {
    _kept: Object,
    kin: Kin,
}

/// Whose code it is, from the nearest to the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kin {
    Program,
    Package,
    Python,
    Inner,
}

impl Recorder {
    /// Begins to record in this process.
    pub(crate) fn begin(writer: Writer, tasks: TaskLayout, libraries: Libraries, desk: Option<Desk>) {
        let recorder = Self {
            writer,
            tasks,
            libraries,
            codes: RefCell::default(),
            places: RefCell::default(),
            classes: RefCell::default(),
            loops: Cell::new(0),
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

    /// The recorder of this process, if there is one.
    pub(crate) fn current() -> Option<&'static Self> {
        CURRENT.get()?.get()
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
        handle: &Object,
        callback: Option<Object>,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let task = callback.as_ref().and_then(|callback| self.tasks.task_of(callback));
        let Some(task) = task else {
            let place = callback.map_or(PlaceId::UNKNOWN, |callback| self.place_of(&callback));
            let subject = handle.address() as u64;
            self.write(core, Kind::Call, |event| Event { subject, place, ..event });
            return run();
        };
        let subject = task.address() as u64;
        self.write(core, Kind::Step, |event| Event { subject, ..event });
        let ran = run();
        if self.tasks.state(&task) != Some(State::Pending) {
            self.task_ran(core, &task);
        }
        ran
    }

    /// Writes down a new task, which may have ended already.
    pub(crate) fn task_born(&self, core: &Core, task: &Object, coroutine: Option<&Object>) {
        let place = self.here();
        let value = coroutine.map_or(0, |coroutine| u64::from(self.place_of_coroutine(coroutine).0));
        let subject = task.address() as u64;
        self.write(core, Kind::TaskBorn, |event| Event { subject, place, value, ..event });
        if self.tasks.state(task) != Some(State::Pending) {
            self.task_ran(core, task);
        }
    }

    /// Writes down that a task has ended, if it has.
    #[cold]
    fn task_ran(&self, core: &Core, task: &Object) {
        if let Some(outcome) = outcome(task).unwrap_or_else(|raised| {
            raised.forget();
            None
        }) {
            let subject = task.address() as u64;
            self.write(core, Kind::TaskDone, |event| Event { subject, small: outcome.number(), ..event });
        }
    }

    /// The line of the program that is executed: the innermost one of its own code, else of a package's, else of Python's.
    pub(crate) fn here(&self) -> PlaceId {
        let mut found: Option<(Kin, Object, i32)> = None;
        let mut next = Frame::current();
        for _ in 0..DEPTH {
            let Some(frame) = next else { break };
            let Ok(code) = frame.code().map_err(Raised::forget) else { break };
            let kin = self.kin(&code);
            if kin == Kin::Program {
                return self.place(&code, frame.offset());
            }
            if found.as_ref().is_none_or(|(nearest, ..)| kin < *nearest) {
                found = Some((kin, code, frame.offset()));
            }
            next = frame.caller();
        }
        found
            .filter(|(kin, ..)| *kin != Kin::Inner)
            .map_or(PlaceId::UNKNOWN, |(_, code, offset)| self.place(&code, offset))
    }

    /// The place of the code that a callable runs.
    #[inline]
    pub(crate) fn place_of(&self, callable: &Object) -> PlaceId {
        match code_of(callable) {
            Some(code) => self.place(&code, -1),
            None => self.place_of_class(&callable.class(), None),
        }
    }

    /// The place of the function that a protocol's class gets its bytes by.
    #[inline]
    pub(crate) fn place_of_protocol(&self, protocol: &Object) -> PlaceId {
        self.place_of_class(&protocol.class(), Some(protocol))
    }

    fn place_of_class(&self, class: &Object, protocol: Option<&Object>) -> PlaceId {
        if let Some((_, place)) = self.classes.borrow().get(&class.address()) {
            return *place;
        }
        let place = self.new_place_of_class(class, protocol);
        if self.classes.borrow().len() < KNOWN {
            self.classes.borrow_mut().insert(class.address(), (class.clone(), place));
        }
        place
    }

    #[cold]
    fn new_place_of_class(&self, class: &Object, protocol: Option<&Object>) -> PlaceId {
        let names = protocol.map_or(&[] as &[_], |_| &[c"data_received", c"buffer_updated", c"datagram_received"]);
        let methods = names.iter().filter_map(|name| class.member(name).map_err(Raised::forget).ok());
        if let Some(code) = methods.filter_map(|method| code_of(&method)).next() {
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
        let code = coroutine.attribute(&names().cr_code).map_err(Raised::forget);
        code.map_or_else(|()| self.place_of_class(&coroutine.class(), None), |code| self.place(&code, -1))
    }

    /// The number of an offset in some code.
    #[inline]
    pub(crate) fn place(&self, code: &Object, offset: i32) -> PlaceId {
        let known = self.places.borrow().get(&(code.address(), offset)).copied();
        known.unwrap_or_else(|| self.new_place(code, offset))
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
        let owner = match kin {
            Kin::Program => Owner::Program,
            Kin::Package => Owner::Package(package(&file).unwrap_or_default().to_owned()),
            Kin::Python | Kin::Inner => Owner::Python,
        };
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
        if self.codes.borrow().len() < KNOWN {
            self.codes.borrow_mut().insert(code.address(), Code { _kept: code.clone(), kin });
        }
        kin
    }
}

impl Libraries {
    fn kin(&self, file: &str) -> Kin {
        if self.inner.iter().any(|directory| is_inside(file, directory)) {
            return Kin::Inner;
        }
        if package(file).is_some() {
            return Kin::Package;
        }
        if file.starts_with("<frozen ") || is_inside(file, &self.python) {
            return Kin::Python;
        }
        Kin::Program
    }
}

fn is_inside(file: &str, directory: &str) -> bool {
    !directory.is_empty() && file.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The installed package that a file belongs to.
fn package(file: &str) -> Option<&str> {
    let (_, rest) = file.rsplit_once("/site-packages/").or_else(|| file.rsplit_once("/dist-packages/"))?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".py").unwrap_or(first))
}

/// How a task has ended; nothing if it has not.
fn outcome(task: &Object) -> Result<Option<Outcome>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_apart_by_where_its_file_is() {
        let libraries = Libraries {
            python: "/usr/lib/python3.13".to_owned(),
            inner: vec!["/usr/lib/python3.13/asyncio".to_owned(), "/env/site-packages/treadle".to_owned()],
        };
        for (file, kin) in [
            ("/srv/app/main.py", Kin::Program),
            ("<string>", Kin::Program),
            ("/usr/lib/python3.13/json/decoder.py", Kin::Python),
            ("/usr/lib/python3.13/asyncio/tasks.py", Kin::Inner),
            ("/usr/lib/python3.13/asyncio_tools.py", Kin::Python),
            ("/env/site-packages/treadle/loop/base.py", Kin::Inner),
            ("/env/site-packages/treadle_extras/base.py", Kin::Package),
            ("/usr/lib/python3.13/site-packages/six.py", Kin::Package),
            ("<frozen importlib._bootstrap>", Kin::Python),
        ] {
            assert!(libraries.kin(file) == kin, "{file}");
        }
        assert_eq!(package("/env/site-packages/aiohttp/web.py"), Some("aiohttp"));
        assert_eq!(package("/usr/lib/python3/dist-packages/six.py"), Some("six"));
    }
}
