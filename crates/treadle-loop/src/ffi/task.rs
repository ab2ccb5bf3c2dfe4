//! What can be seen of asyncio's own tasks without asking them.
//!
//! A task that is asked a question answers by a method call, which would be a tenth of its step. Where in a task and in its first callback the
//! few words lie that are needed is found out on objects made for that, and used only if it is beyond doubt; else the task is asked.

use pyo3::ffi;

use super::error::Result;
use super::object::Object;

/// Where things are in asyncio's tasks of the Python that runs.
pub(crate) struct TaskLayout {
    /// The class of asyncio's native tasks.
    task: Object,
    /// The class of what a new task schedules; its first word is the task.
    first_step: Option<Object>,
    /// Where a future's state is, a number of four bytes.
    state: Option<usize>,
    /// Where its result is, or null.
    result: Option<usize>,
}

/// What a future is, by the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Cancelled,
    Finished,
}

/// One of asyncio's native tasks, or of a class made of that: nobody who has one needs to look at its class again.
pub(crate) struct NativeTask(Object);

impl std::ops::Deref for NativeTask {
    type Target = Object;

    #[inline]
    fn deref(&self) -> &Object {
        &self.0
    }
}

/// Right behind an object's head.
const FIRST_WORD: usize = size_of::<ffi::PyObject>();

impl TaskLayout {
    /// Finds out from examples: futures that are pending, cancelled and finished with `None`, and a task with the callback that it has scheduled.
    pub(crate) fn discover(futures: [&Object; 3], task: &Object, first_step: &Object) -> Result<Self> {
        let class = task.class();
        let size = |object: &Object| object.class().member(c"__basicsize__")?.to_integer();
        let is_first_word = size(first_step)? >= (FIRST_WORD + size_of::<usize>()) as i64
            && word(first_step, FIRST_WORD) == task.address();
        let smallest = futures.iter().map(|future| size(future)).collect::<Result<Vec<_>>>()?.into_iter().min();
        let end = smallest.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let places: Vec<usize> = (FIRST_WORD..end.saturating_sub(3))
            .step_by(4)
            .filter(|place| futures.map(|future| number(future, *place)) == [0, 1, 2])
            .collect();
        let state = if let [only] = places.as_slice() { Some(*only) } else { None };
        let none = Object::none().address();
        let results: Vec<usize> = (FIRST_WORD..end.saturating_sub(size_of::<usize>() - 1))
            .step_by(size_of::<usize>())
            .filter(|place| futures.map(|future| word(future, *place)) == [0, 0, none])
            .collect();
        let result = if let [only] = results.as_slice() { Some(*only) } else { None };
        Ok(Self { task: class, first_step: is_first_word.then(|| first_step.class()), state, result })
    }

    /// The task whose step a callback is. Runs no Python.
    #[inline]
    pub(crate) fn task_of(&self, callback: &Object) -> Option<NativeTask> {
        if self.first_step.as_ref().is_some_and(|class| callback.has_type(class)) {
            let task = word(callback, FIRST_WORD) as *mut ffi::PyObject;
            // SAFETY: the callback, which is alive (L1), keeps the task that its first word points to, as was seen on an example.
            return (!task.is_null()).then(|| NativeTask(unsafe { Object::from_borrowed(task) }));
        }
        let receiver = builtin_receiver(callback)?;
        self.is_task(&receiver).then_some(NativeTask(receiver))
    }

    /// The task, if it is one of asyncio's native ones.
    #[inline]
    pub(crate) fn native(&self, task: &Object) -> Option<NativeTask> {
        self.is_task(task).then(|| NativeTask(task.clone()))
    }

    /// Whether this is one of asyncio's native tasks, or of a class made of that.
    #[inline]
    pub(crate) fn is_task(&self, object: &Object) -> bool {
        object.has_type(&self.task) || object.is_of(&self.task)
    }

    /// Whether a task that has finished has a result, and not an exception; nothing if that cannot be seen.
    #[inline]
    pub(crate) fn has_result(&self, task: &NativeTask) -> Option<bool> {
        self.result.map(|place| word(task, place) != 0)
    }

    /// Whether a task is pending, without asking it; nothing if that cannot be seen.
    #[inline]
    pub(crate) fn state(&self, task: &Object) -> Option<State> {
        if self.is_task(task) { self.state_at(task) } else { None }
    }

    /// As [`state`](Self::state), of a task that is known to be one.
    #[inline]
    pub(crate) fn native_state(&self, task: &NativeTask) -> Option<State> {
        self.state_at(task)
    }

    #[inline]
    fn state_at(&self, task: &Object) -> Option<State> {
        match number(task, self.state?) {
            0 => Some(State::Pending),
            1 => Some(State::Cancelled),
            2 => Some(State::Finished),
            _ => None,
        }
    }
}

/// Where tasks count how often they were cancelled.
pub(crate) struct CancelCount {
    /// Where the number is, of four bytes.
    place: usize,
}

impl CancelCount {
    /// Finds out from tasks that were never cancelled, once and twice, and have not taken a step; nothing if it is not beyond doubt.
    pub(crate) fn discover(tasks: [&Object; 3]) -> Result<Option<Self>> {
        let class = tasks[0].class();
        if !tasks.iter().all(|task| task.has_type(&class)) {
            return Ok(None);
        }
        let size = usize::try_from(class.member(c"__basicsize__")?.to_integer()?).unwrap_or(0);
        let places: Vec<usize> = (FIRST_WORD..size.saturating_sub(3))
            .step_by(4)
            .filter(|place| tasks.map(|task| number(task, *place)) == [0, 1, 2])
            .collect();
        Ok(if let [place] = *places.as_slice() { Some(Self { place }) } else { None })
    }

    /// How often a task was cancelled, less how often it has said that it goes on.
    #[inline]
    pub(crate) fn of(&self, task: &NativeTask) -> u32 {
        number(task, self.place)
    }
}

/// `self` of a method of a native class.
#[inline]
pub(crate) fn builtin_receiver(callback: &Object) -> Option<Object> {
    let class = &raw mut ffi::PyCFunction_Type;
    if callback.class_pointer() != class.cast() {
        return None;
    }
    // SAFETY: such a method, as just seen, that is alive (L1); what comes is borrowed from it.
    let receiver = unsafe { ffi::PyCFunction_GetSelf(callback.pointer()) };
    // SAFETY: alive while the method is.
    (!receiver.is_null()).then(|| unsafe { Object::from_borrowed(receiver) })
}

/// Eight bytes of an object, within its size.
#[inline]
fn word(object: &Object, place: usize) -> usize {
    // SAFETY: within the object, as the callers have seen, which is alive (L1).
    let word = unsafe { object.pointer().byte_add(place) };
    // SAFETY: as above.
    unsafe { word.cast::<usize>().read_unaligned() }
}

/// Four bytes of an object, within its size.
#[inline]
fn number(object: &Object, place: usize) -> u32 {
    // SAFETY: within the object, as the callers have seen, which is alive (L1).
    let number = unsafe { object.pointer().byte_add(place) };
    // SAFETY: as above.
    unsafe { number.cast::<u32>().read_unaligned() }
}
