//! What is known of asyncio before anything is looked at: functions by their code, classes, and how suspended frames lie in memory.

use rustc_hash::FxHashMap;
use treadle_events::Manner;

use crate::ffi::{Example, FrameLayout, Object, Raised, Result, builtin_receiver, code_of, method};

/// What a function of asyncio's means when a task stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It waits for what its first argument grants.
    Wait(Manner),
    /// It pauses for a time.
    Sleep,
    /// It waits for its first argument, for so long as the second says.
    WaitFor,
    /// It waits for a set, its first argument, for so long as the second says, until what the third says.
    WaitSet,
    /// It waits for the tasks of a group, its first argument.
    Group,
    /// It enters its first argument.
    Enter,
    /// It leaves what it is bound to.
    Leave,
    /// It ends a timeout.
    LeaveTimeout,
    /// It drives its third variable step by step, without awaiting it.
    Drive,
}

/// What an object of a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Lock,
    Semaphore,
    /// A semaphore of the patterns.
    Permits,
    Condition,
    Event,
    Queue,
    /// A queue of the patterns.
    Heap,
    /// A limiter whose permits time gives back.
    Rate,
    /// What one enters to have locks of others.
    Holder,
    Barrier,
    Future,
    Task,
    Gathering,
    /// What `await` makes of a future.
    FutureIterator,
    /// What awaits a coroutine or an asynchronous generator for somebody.
    Wrapper,
}

impl Role {
    pub(super) fn leaves(self) -> bool {
        matches!(self, Self::Leave | Self::LeaveTimeout)
    }
}

impl Class {
    /// Whether tasks wait for such objects.
    pub(super) fn is_thing(self) -> bool {
        !matches!(self, Self::Task | Self::Gathering | Self::FutureIterator | Self::Wrapper | Self::Rate | Self::Holder)
    }
}

/// All that is known.
pub(crate) struct Knowledge {
    layouts: Vec<FrameLayout>,
    roles: FxHashMap<usize, Role>,
    classes: FxHashMap<usize, Class>,
    /// The names of those classes.
    class_names: FxHashMap<usize, String>,
    /// What gives a task's name, whatever its class makes of that.
    pub(super) task_name: Object,
    /// The weak references to all tasks, where asyncio has a set of them, else what gives the tasks of a loop.
    pub(super) registry: Registry,
    /// Has Python's half tell who puts things into queues, for a moment.
    pub(super) learn_puts: Object,
    /// Counts the weak references to an object.
    pub(super) weak_references: Object,
    /// Says what code has taken, by its own `await lock.acquire()`, at an instruction.
    pub(super) explicit: Object,
    /// Comes from a variable by attributes to what that is.
    pub(super) reach: Object,
    /// Classes whose instances are left by a native method.
    native_leavers: FxHashMap<usize, Role>,
    /// Says of a semaphore of the patterns whether one has to wait for it, and how many permits are given out.
    pub(super) permits: Object,
    /// The locks that one has by having entered something.
    pub(super) held_by: Object,
    /// Begins to read the statistics of the patterns' objects.
    pub(super) read_patterns: Object,
    /// Codes and classes that are compared by address.
    _kept: Vec<Object>,
}

/// Where tasks are listed.
pub(super) enum Registry {
    Weak(Object),
    Asked(Object),
}

impl Knowledge {
    /// From what Python's half has gathered: suspended examples `(object, code, offset, first argument)`, codes and classes with words for them,
    /// `Task.get_name`, the set of weak references to tasks or `None` with `asyncio.all_tasks`, what
    /// begins to tell of puts, what counts the weak references to an object, what says which locks code has taken and comes to them, what begins to
    /// read statistics, classes that are left by native methods, and what says what semaphores and managers of ours have given and have.
    pub(crate) fn new(given: &Object) -> Result<Self> {
        let [examples, functions, types, task_name, weak, all_tasks] =
            [given.item(0)?, given.item(1)?, given.item(2)?, given.item(3)?, given.item(4)?, given.item(5)?];
        let mut kept = Vec::new();
        let mut roles = FxHashMap::default();
        for pair in functions.iterate()? {
            let (code, word) = pair_of(&pair?)?;
            let role = role(&word.to_text()?);
            // The first three variables are looked at; where there are fewer, places of the stack follow. A native method has none.
            let is_leaver = role.is_some_and(Role::leaves);
            let room = if is_leaver { 3 } else { room(&code)? };
            if let Some(role) = role.filter(|_| room >= 3) {
                roles.insert(code.address(), role);
            }
            kept.push(code);
        }
        let (mut classes, mut class_names) = (FxHashMap::default(), FxHashMap::default());
        for pair in types.iterate()? {
            let (class, word) = pair_of(&pair?)?;
            if let Some(kind) = self::class(&word.to_text()?) {
                classes.insert(class.address(), kind);
                class_names.insert(class.address(), class.member(c"__name__")?.to_text()?);
            }
            kept.push(class);
        }
        let registry = if weak.is_none() { Registry::Asked(all_tasks) } else { Registry::Weak(weak) };
        let [learn_puts, weak_references, explicit, reach, read_patterns] =
            [given.item(6)?, given.item(7)?, given.item(8)?, given.item(9)?, given.item(10)?];
        let [leavers, permits, held_by] = [given.item(11)?, given.item(12)?, given.item(13)?];
        let mut native_leavers = FxHashMap::default();
        for pair in leavers.iterate()? {
            let (class, word) = pair_of(&pair?)?;
            native_leavers.extend(self::role(&word.to_text()?).map(|role| (class.address(), role)));
            kept.push(class);
        }
        Ok(Self {
            layouts: layouts(&examples)?,
            roles,
            classes,
            class_names,
            task_name,
            registry,
            learn_puts,
            weak_references,
            explicit,
            reach,
            native_leavers,
            permits,
            held_by,
            read_patterns,
            _kept: kept,
        })
    }

    /// Whether suspended frames can be looked into.
    pub(crate) fn is_usable(&self) -> bool {
        self.layouts.len() == 3
    }

    /// How a coroutine or generator lies in memory; nothing for anything else.
    #[inline]
    pub(crate) fn layout(&self, object: &Object) -> Option<&FrameLayout> {
        self.layouts.iter().find(|layout| layout.fits(object))
    }

    /// The number of a layout: those of coroutines, generators and asynchronous generators are given in this order.
    #[inline]
    pub(super) fn index(&self, layout: &FrameLayout) -> usize {
        self.layouts.iter().position(|known| std::ptr::eq(known, layout)).unwrap_or(0)
    }

    #[inline]
    pub(super) fn role(&self, code: &Object) -> Option<Role> {
        self.roles.get(&code.address()).copied()
    }

    /// What a thing on a stack does that will leave something, with what it leaves if it is bound to that.
    #[inline]
    pub(super) fn leaver(&self, object: &Object) -> Option<(Role, Option<Object>)> {
        if let Some(code) = code_of(object) {
            let role = self.role(&code).filter(|role| role.leaves())?;
            return Some((role, method(object).map(|(_, receiver)| receiver)));
        }
        if let Some(receiver) = builtin_receiver(object) {
            let role = *self.native_leavers.get(&receiver.class_address())?;
            return is_exit(object).then_some((role, Some(receiver)));
        }
        // A native method stands beside what it will be called with.
        Some((self.role(object).filter(|role| role.leaves())?, None))
    }

    pub(super) fn class_name(&self, object: &Object) -> String {
        self.class_names.get(&object.class_address()).cloned().unwrap_or_else(|| object.type_name())
    }

    #[inline]
    pub(super) fn class(&self, object: &Object) -> Option<Class> {
        self.classes.get(&object.class_address()).copied()
    }
}

/// Whether a native method is the one that `async with` ends with.
fn is_exit(method: &Object) -> bool {
    method
        .member(c"__name__")
        .and_then(|name| name.to_text())
        .map_err(Raised::forget)
        .is_ok_and(|name| name == "__aexit__")
}

/// How suspended coroutines and generators lie in memory, from examples of each.
fn layouts(examples: &Object) -> Result<Vec<FrameLayout>> {
    let mut groups: Vec<Vec<Example>> = Vec::new();
    for example in examples.iterate()? {
        let example = example?;
        let [suspended, code, first] = [example.item(0)?, example.item(1)?, example.item(3)?];
        let offset = usize::try_from(example.item(2)?.to_integer()?).unwrap_or(0);
        let example = Example { suspended, code, offset, first };
        match groups.iter_mut().find(|group| group[0].suspended.class().is(&example.suspended.class())) {
            Some(group) => group.push(example),
            None => groups.push(vec![example]),
        }
    }
    let mut layouts = Vec::new();
    for group in &groups {
        layouts.extend(FrameLayout::discover(group)?);
    }
    Ok(layouts)
}

/// How many variables and places of the stack a code object has.
fn room(code: &Object) -> Result<i64> {
    Ok(code.member(c"co_nlocals")?.to_integer()? + code.member(c"co_stacksize")?.to_integer()?)
}

fn pair_of(pair: &Object) -> Result<(Object, Object)> {
    Ok((pair.item(0)?, pair.item(1)?))
}

fn role(word: &str) -> Option<Role> {
    Some(match word {
        "sleep" => Role::Sleep,
        "wait-for" => Role::WaitFor,
        "wait-set" => Role::WaitSet,
        "group" => Role::Group,
        "enter" => Role::Enter,
        "leave" => Role::Leave,
        "leave-timeout" => Role::LeaveTimeout,
        "drive" => Role::Drive,
        _ => Role::Wait(Manner::from_word(word)?),
    })
}

fn class(word: &str) -> Option<Class> {
    Some(match word {
        "lock" => Class::Lock,
        "semaphore" => Class::Semaphore,
        "permits" => Class::Permits,
        "condition" => Class::Condition,
        "event" => Class::Event,
        "queue" => Class::Queue,
        "heap" => Class::Heap,
        "rate" => Class::Rate,
        "holder" => Class::Holder,
        "barrier" => Class::Barrier,
        "future" => Class::Future,
        "task" => Class::Task,
        "gathering" => Class::Gathering,
        "future-iterator" => Class::FutureIterator,
        "wrapper" => Class::Wrapper,
        _ => return None,
    })
}
