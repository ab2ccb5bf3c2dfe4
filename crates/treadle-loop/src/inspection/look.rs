//! One task: the way down its coroutines to what it waits for, and what it has entered on the way.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use treadle_events::{Hold, Manner, PlaceId, Thing, Wait, Waiting};

use super::Desk;
use super::entered::{Handler, handlers};
use super::explicit;
use super::knowledge::{Class, Role};
use super::owners::{Found, Owners};
use crate::ffi::{FrameLayout, Object, Result, State, cell_content};
use crate::known::{known, names};
use crate::recorder::{Recorder, stamp};

/// Coroutines that are looked at on the way down.
const DEPTH: usize = 128;

/// Instances that are looked into for each frame.
const INSTANCES: usize = 8;

/// Codes whose tables of handlers are kept.
const KNOWN: usize = 4_096;

/// What is looked at beside the frames themselves.
#[derive(Clone, Copy)]
pub(super) struct Depth {
    /// The queues that are attributes of what frames refer to.
    pub(super) sees_queues: bool,
    /// By way of which objects frames come to things.
    pub(super) sees_owners: bool,
}

/// What is needed of a code object to see what its frames have entered.
pub(super) struct Entered {
    _code: Object,
    /// How many variables there are below the stack.
    variables: usize,
    /// How many places the stack has.
    stack: usize,
    table: Object,
    /// The handlers around places that were asked for: reading the table was a third of a look.
    handlers: FxHashMap<i32, Vec<Handler>>,
}

/// A function of asyncio's that the task stands in.
struct Station {
    role: Role,
    /// Its first three variables.
    first: [Option<Object>; 3],
}

/// Something on a stack that will be left.
struct Stacked {
    /// What is uppermost of it on the stack, by address.
    mark: usize,
    role: Role,
    receiver: Object,
    place: PlaceId,
}

/// What was gathered on the way down.
#[derive(Default)]
struct Way {
    chain: Vec<PlaceId>,
    stations: SmallVec<[Station; 4]>,
    /// For each frame, by its number in the chain.
    stacked: SmallVec<[(usize, Stacked); 4]>,
    /// What frames have taken themselves.
    taken: Vec<(Object, PlaceId)>,
    /// One of them waits for what it does not give back on each way out.
    leaks: bool,
    refers: SmallVec<[(u64, u32); 8]>,
    /// How many references there were to things when they were first met.
    references: SmallVec<[(u64, u32); 8]>,
    /// The last one waits for a future itself.
    ends_at_future: bool,
}

/// What one frame refers to. It is gathered while the frame shows its references, so nothing in here runs Python.
#[derive(Default)]
struct Met {
    /// Things, with how many references there are to them, where that is not counted elsewhere.
    refers: SmallVec<[(u64, Option<u32>); 8]>,
    /// Those that were not known.
    new: SmallVec<[(Object, Class); 4]>,
    stacked: SmallVec<[Stacked; 2]>,
    /// What is first of those that will be left, if the function was met and not yet what it is called with.
    leaves: Option<Role>,
    first: [Option<Object>; 3],
}

impl Met {
    fn thing(&mut self, desk: &Desk, referent: &Object, things: &FxHashMap<u64, Thing>) {
        // A cell that nobody else has is as good as a variable.
        let inner = if referent.reference_count() == 1 { cell_content(referent) } else { None };
        let (object, own) = inner.as_ref().map_or((referent, 0), |inner| (inner, 1));
        let Some(class) = desk.knowledge.class(object).filter(|class| class.is_thing()) else { return };
        let thing = object.address() as u64;
        if self.refers.iter().any(|(known, _)| *known == thing) {
            return;
        }
        if class == Class::Future {
            // Those to a future are counted where it is waited for.
            self.refers.push((thing, None));
            return;
        }
        self.refers.push((thing, u32::try_from(object.reference_count() - own).ok()));
        if !things.contains_key(&thing) {
            self.new.push((object.clone(), class));
        }
    }

    fn stacked(&mut self, desk: &Desk, referent: &Object) {
        let stacked = |role, receiver| Stacked { mark: referent.address(), role, receiver, place: PlaceId::UNKNOWN };
        if let Some(role) = self.leaves.take() {
            // A variable may refer to it too, which was counted already.
            self.refers.push((referent.address() as u64, None));
            self.stacked.push(stacked(role, referent.clone()));
            return;
        }
        let Some((role, receiver)) = desk.knowledge.leaver(referent) else { return };
        let Some(receiver) = receiver else {
            // From Python 3.14 on the function and what it will be called with stand side by side.
            self.leaves = Some(role);
            return;
        };
        // The bound method refers to it too, and is nobody else's.
        if referent.reference_count() == 1 {
            // It is kept from here on, so that it must be counted now; one of the references is ours.
            let count = u32::try_from(receiver.reference_count() - 1).ok();
            self.refers.push((receiver.address() as u64, count));
        }
        self.stacked.push(stacked(role, receiver));
    }
}

/// Looks at a task. What it has to do with goes to `things`.
pub(super) fn look(
    recorder: &Recorder,
    desk: &Desk,
    task: &Object,
    things: &mut FxHashMap<u64, Thing>,
    depth: Depth,
) -> Result<Waiting> {
    let mut waiting = Waiting { task: task.address() as u64, stamp: stamp(), ..Waiting::default() };
    waiting.name = desk.knowledge.task_name.call([task])?.to_text()?;
    let is_waiting = !task.attribute(&names()._fut_waiter)?.is_none();
    let way = walk(recorder, desk, task.attribute(&names()._coro)?, things, depth)?;
    if is_waiting {
        waiting.wait = wait(recorder, desk, &way, task, things)?;
        waiting.is_timed = is_timed(&way)?;
        waiting.holds = holds(desk, &way, things)?;
        waiting.leaks = way.leaks;
    }
    for (address, count) in &way.references {
        if let Some(thing) = things.get_mut(address) {
            thing.references = *count;
        }
    }
    (waiting.chain, waiting.refers) = (way.chain, way.refers.into_vec());
    Ok(waiting)
}

fn walk(
    recorder: &Recorder,
    desk: &Desk,
    coroutine: Object,
    things: &mut FxHashMap<u64, Thing>,
    depth: Depth,
) -> Result<Way> {
    let mut way = Way::default();
    let mut next = coroutine;
    for _ in 0..DEPTH {
        let Some(layout) = desk.knowledge.layout(&next) else {
            match desk.knowledge.class(&next) {
                Some(Class::Wrapper) => {
                    let mut inner = None;
                    next.each_referent(|referent| {
                        if inner.is_none() && desk.knowledge.layout(referent).is_some() {
                            inner = Some(referent.clone());
                        }
                    });
                    let Some(inner) = inner else { break };
                    next = inner;
                    continue;
                }
                class => way.ends_at_future = class == Some(Class::FutureIterator),
            }
            break;
        };
        // Only who is suspended at an `await` answers.
        let mut awaited = next.attribute(awaited_name(layout, desk))?;
        if awaited.is_none() {
            let Some(driven) = driven(desk, layout, &next)? else { break };
            awaited = driven;
        }
        if depth.sees_owners {
            own(desk, &next, &mut way, things)?;
        }
        pass(recorder, desk, layout, &next, &mut way, things)?;
        if depth.sees_queues {
            look_into(desk, &next, things)?;
        }
        next = awaited;
    }
    Ok(way)
}

/// What a suspended generator of ours drives, if it is one that does.
fn driven(desk: &Desk, layout: &FrameLayout, generator: &Object) -> Result<Option<Object>> {
    let is_driver = desk.knowledge.role(&layout.code_alone(generator)) == Some(Role::Drive);
    if !is_driver || !generator.attribute(&names().gi_suspended)?.is_true()? {
        return Ok(None);
    }
    let slot = layout.slot(generator, 2);
    let mut driven = None;
    generator.each_referent(|referent| {
        if driven.is_none() && referent.address() == slot {
            driven = Some(referent.clone());
        }
    });
    Ok(driven)
}

fn awaited_name(layout: &FrameLayout, desk: &Desk) -> &'static Object {
    match desk.knowledge.index(layout) {
        0 => &names().cr_await,
        1 => &names().gi_yieldfrom,
        _ => &names().ag_await,
    }
}

/// Takes one coroutine in.
fn pass(
    recorder: &Recorder,
    desk: &Desk,
    layout: &FrameLayout,
    suspended: &Object,
    way: &mut Way,
    things: &mut FxHashMap<u64, Thing>,
) -> Result<()> {
    let (code, offset) = layout.code(suspended);
    let role = desk.knowledge.role(&code);
    let slots = if role.is_some() { [0, 1, 2].map(|place| layout.slot(suspended, place)) } else { [0; 3] };
    let mut met = Met::default();
    suspended.each_referent(|referent| {
        met.thing(desk, referent, things);
        met.stacked(desk, referent);
        for (place, slot) in slots.iter().enumerate() {
            if *slot == referent.address() && met.first[place].is_none() {
                met.first[place] = Some(referent.clone());
            }
        }
    });
    let Met { refers, new, mut stacked, first, .. } = met;
    for (address, count) in refers {
        match way.refers.iter_mut().find(|(known, _)| *known == address) {
            Some((_, times)) => *times += 1,
            None => way.refers.push((address, 1)),
        }
        if let Some(count) = count
            && !way.references.iter().any(|(known, _)| *known == address)
        {
            way.references.push((address, count));
        }
    }
    for (object, class) in new {
        things.insert(object.address() as u64, describe(desk, &object, Some(class))?);
    }
    if !stacked.is_empty() {
        find_lines(recorder, desk, layout, suspended, &code, offset, &mut stacked)?;
    }
    let (taken, leaks) = explicit::taken(recorder, desk, layout, suspended, (&code, offset))?;
    way.taken.extend(taken);
    way.leaks = leaks || way.leaks && role.is_some();
    let frame = way.chain.len();
    way.stacked.extend(stacked.into_iter().map(|stacked| (frame, stacked)));
    // The frame after this one may be that which only enters.
    way.chain.push(recorder.place(&code, offset));
    if let Some(role) = role {
        // What is entered natively waits without such a frame.
        if matches!(role, Role::Enter | Role::Wait(Manner::Permit))
            && let Some(at) = way.stacked.iter().rposition(|(above, stacked)| {
                *above + 1 == frame && first[0].as_ref().is_some_and(|entered| entered.is(&stacked.receiver))
            })
        {
            way.stacked.remove(at);
        }
        way.stations.push(Station { role, first });
    }
    Ok(())
}

/// Takes in by way of which objects one comes to things. It is done first: what is kept later is counted too.
fn own(desk: &Desk, suspended: &Object, way: &mut Way, things: &mut FxHashMap<u64, Thing>) -> Result<()> {
    let mut owners = Owners::of(desk, suspended, things);
    for root in &owners.roots {
        match way.refers.iter_mut().find(|(known, _)| known == root) {
            Some((_, times)) => *times += 1,
            None => way.refers.push((*root, 1)),
        }
    }
    for Found { object, class, references } in owners.found.drain(..) {
        let address = object.address() as u64;
        if !way.references.iter().any(|(known, _)| *known == address) {
            way.references.push((address, references));
        }
        if let Entry::Vacant(free) = things.entry(address) {
            free.insert(describe(desk, &object, Some(class))?);
        }
    }
    owners.tell(desk, things)
}

/// Finds the queues that are attributes of what a frame refers to: of instances of the program's classes.
fn look_into(desk: &Desk, suspended: &Object, things: &mut FxHashMap<u64, Thing>) -> Result<()> {
    let mut instances: SmallVec<[Object; 8]> = SmallVec::new();
    suspended.each_referent(|referent| {
        if instances.len() < INSTANCES && desk.knowledge.class(referent).is_none() && referent.is_plain_instance() {
            instances.push(referent.clone());
        }
    });
    let mut queues: SmallVec<[Object; 4]> = SmallVec::new();
    for instance in instances.iter().filter(|instance| !instance.is_of(known().event_loop.object())) {
        let mut note = |object: &Object| {
            if desk.knowledge.class(object) == Some(Class::Queue) {
                queues.push(object.clone());
            }
        };
        instance.each_referent(|referent| {
            if referent.is_dict() {
                referent.each_referent(&mut note);
            } else {
                note(referent);
            }
        });
    }
    for queue in queues {
        let address = queue.address() as u64;
        if let Entry::Vacant(free) = things.entry(address) {
            free.insert(describe(desk, &queue, Some(Class::Queue))?);
        }
    }
    Ok(())
}

/// Finds the lines of the `with` statements that have put something on a stack.
fn find_lines(
    recorder: &Recorder,
    desk: &Desk,
    layout: &FrameLayout,
    suspended: &Object,
    code: &Object,
    offset: i32,
    stacked: &mut [Stacked],
) -> Result<()> {
    let mut known = desk.entered.borrow_mut();
    if !known.contains_key(&code.address()) && known.len() < KNOWN {
        known.insert(code.address(), Entered::of(code)?);
    }
    let Some(Entered { variables, stack, table, handlers: around, .. }) = known.get_mut(&code.address()) else {
        return Ok(());
    };
    let around = around
        .entry(offset)
        .or_insert_with(|| handlers(table.as_bytes().unwrap_or_default(), usize::try_from(offset).unwrap_or(0)));
    let mut used = 0;
    for one in stacked {
        // From the outermost; of those as deep as each other the outermost is that of the `with` itself.
        let found = around.iter().rev().find(|handler| {
            (used + 1..=*stack).contains(&handler.depth)
                && layout.slot(suspended, *variables + handler.depth - 1) == one.mark
        });
        if let Some(handler) = found {
            used = handler.depth;
            one.place = recorder.place(code, i32::try_from(handler.target).unwrap_or(-1));
        }
    }
    Ok(())
}

impl Entered {
    fn of(code: &Object) -> Result<Self> {
        let [names, cells, free] =
            [code.member(c"co_varnames")?, code.member(c"co_cellvars")?, code.member(c"co_freevars")?];
        let mut variables = names.tuple_length().unwrap_or(0) + free.tuple_length().unwrap_or(0);
        for cell in cells.iterate()? {
            let cell = cell?.to_text()?;
            let mut is_argument = false;
            for name in names.iterate()? {
                is_argument |= name?.to_text()? == cell;
            }
            variables += usize::from(!is_argument);
        }
        let stack = usize::try_from(code.member(c"co_stacksize")?.to_integer()?).unwrap_or(0);
        Ok(Self {
            _code: code.clone(),
            variables,
            stack,
            table: code.member(c"co_exceptiontable")?,
            handlers: FxHashMap::default(),
        })
    }
}

/// What it all comes down to.
fn wait(
    recorder: &Recorder,
    desk: &Desk,
    way: &Way,
    task: &Object,
    things: &mut FxHashMap<u64, Thing>,
) -> Result<Wait> {
    let last = way.stations.last();
    let is_lock = last.is_some_and(|station| station.role == Role::Wait(Manner::Lock));
    let outermost = way.stations.iter().find(|station| matches!(station.role, Role::Wait(_)));
    if let Some(station) = if is_lock { last } else { outermost }
        && let (Role::Wait(manner), Some(object)) = (station.role, &station.first[0])
    {
        return thing(desk, object, manner, things);
    }
    match last {
        Some(Station { role: Role::Sleep, .. }) => return Ok(Wait::Sleep),
        Some(Station { role: Role::Group, first: [Some(group), ..] }) => {
            return Ok(Wait::All(pending(recorder, &group.attribute(&names()._tasks)?)?));
        }
        Some(Station { role: Role::WaitSet, first: [Some(set), _, until] }) => {
            let tasks = pending(recorder, set)?;
            let until = until.as_ref().map(|until| cell_content(until).unwrap_or_else(|| until.clone()));
            let waits_for_all =
                until.is_some_and(|until| until.is_text() && until.to_text().is_ok_and(|text| text == "ALL_COMPLETED"));
            return Ok(if tasks.is_empty() {
                Wait::Outside
            } else if waits_for_all {
                Wait::All(tasks)
            } else {
                Wait::Any(tasks)
            });
        }
        Some(Station { role: Role::WaitFor, first: [Some(awaited), ..] }) if recorder.tasks().is_task(awaited) => {
            return Ok(Wait::All(vec![awaited.address() as u64]));
        }
        _ => {}
    }
    let future = task.attribute(&names()._fut_waiter)?;
    if recorder.tasks().is_task(&future) {
        return Ok(Wait::All(vec![future.address() as u64]));
    }
    match desk.knowledge.class(&future) {
        Some(Class::Gathering) => Ok(Wait::All(pending(recorder, &future.attribute(&names()._children)?)?)),
        Some(Class::Future) if way.ends_at_future => {
            let address = future.address() as u64;
            // Mine, the task's, and that of what `await` has made of it.
            let references = u32::try_from(future.reference_count() - 3).unwrap_or(0);
            things.insert(address, Thing { address, references, class: "Future".to_owned(), ..Thing::default() });
            Ok(Wait::Thing(Manner::Result, address))
        }
        _ => Ok(Wait::Outside),
    }
}

/// The tasks among some futures that have not ended. Nothing if there are others too: they may be waited for as well.
fn pending(recorder: &Recorder, futures: &Object) -> Result<Vec<u64>> {
    let list = futures.list()?;
    let mut tasks = Vec::new();
    let mut next = 0;
    while let Some(future) = list.list_item(next) {
        next += 1;
        match recorder.tasks().state(&future) {
            Some(State::Pending) => tasks.push(future.address() as u64),
            Some(_) => {}
            None => return Ok(Vec::new()),
        }
    }
    Ok(tasks)
}

fn thing(desk: &Desk, object: &Object, manner: Manner, things: &mut FxHashMap<u64, Thing>) -> Result<Wait> {
    let address = object.address() as u64;
    if !things.contains_key(&address) || matches!(manner, Manner::Lock | Manner::Permit) {
        let references = things.get(&address).map_or(u32::MAX, |known| known.references);
        things.insert(address, Thing { references, ..describe(desk, object, desk.knowledge.class(object))? });
    }
    Ok(Wait::Thing(manner, address))
}

fn describe(desk: &Desk, object: &Object, class: Option<Class>) -> Result<Thing> {
    let mut thing = Thing {
        address: object.address() as u64,
        class: desk.knowledge.class_name(object),
        references: u32::MAX,
        ..Thing::default()
    };
    let number =
        |name: &Object| -> Result<u64> { Ok(u64::try_from(object.attribute(name)?.to_integer()?).unwrap_or(0)) };
    match class {
        Some(Class::Lock) => thing.is_taken = object.attribute(&names()._locked)?.is_true()?,
        Some(Class::Semaphore) => {
            thing.is_taken = number(&names()._value)? == 0;
            if object.has_attribute(&names()._bound_value) {
                thing.bound = number(&names()._bound_value)?;
            }
        }
        Some(Class::Permits) => {
            let known = desk.knowledge.permits.call([object])?;
            thing.is_taken = known.item(0)?.is_true()?;
            // So many hold it, if each holds one.
            thing.bound = u64::try_from(known.item(1)?.to_integer()?).unwrap_or(0);
        }
        Some(Class::Event) => thing.is_taken = !object.attribute(&names()._value)?.is_true()?,
        Some(class @ (Class::Queue | Class::Heap)) => {
            let items = if class == Class::Queue { &names()._queue } else { &names()._heap };
            thing.bound = number(&names()._maxsize)?;
            thing.size = object.attribute(items)?.length()? as u64;
        }
        _ => {}
    }
    Ok(thing)
}

/// Whether a timeout ends the wait.
fn is_timed(way: &Way) -> Result<bool> {
    let is_set = |limit: &Option<Object>| limit.as_ref().is_some_and(|limit| !limit.is_none());
    if way.stations.iter().any(|one| matches!(one.role, Role::WaitFor | Role::WaitSet) && is_set(&one.first[1])) {
        return Ok(true);
    }
    for (_, one) in way.stacked.iter().filter(|(_, one)| one.role == Role::LeaveTimeout) {
        if !one.receiver.method(&names().when, [])?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What it holds. Who waits for a notice has left the condition meanwhile.
fn holds(desk: &Desk, way: &Way, things: &mut FxHashMap<u64, Thing>) -> Result<Vec<Hold>> {
    let noticed = way.stations.iter().filter(|one| one.role == Role::Wait(Manner::Notice));
    let mut left = Vec::new();
    for condition in noticed.filter_map(|one| one.first[0].as_ref()) {
        left.push(lock_of(desk, condition)?.address());
    }
    let mut holds = Vec::new();
    let entered =
        way.stacked.iter().filter(|(_, one)| one.role == Role::Leave).map(|(_, one)| (&one.receiver, one.place));
    let taken = way.taken.iter().map(|(object, place)| (object, *place));
    let mut locks: Vec<(Object, PlaceId)> = Vec::new();
    for (object, place) in entered.chain(taken) {
        if desk.knowledge.class(object) != Some(Class::Holder) {
            locks.push((lock_of(desk, object)?, place));
            continue;
        }
        for lock in desk.knowledge.held_by.call([object])?.iterate()? {
            locks.push((lock_of(desk, &lock?)?, place));
        }
    }
    for (lock, place) in locks {
        if left.contains(&lock.address()) {
            continue;
        }
        let class = desk.knowledge.class(&lock);
        if matches!(class, Some(Class::Lock | Class::Semaphore | Class::Permits)) {
            let thing = lock.address() as u64;
            if let Entry::Vacant(free) = things.entry(thing) {
                free.insert(describe(desk, &lock, class)?);
            }
            holds.push(Hold { thing, place });
        }
    }
    Ok(holds)
}

/// A condition's lock, or the lock itself.
fn lock_of(desk: &Desk, object: &Object) -> Result<Object> {
    if desk.knowledge.class(object) == Some(Class::Condition) {
        object.attribute(&names()._lock)
    } else {
        Ok(object.clone())
    }
}
