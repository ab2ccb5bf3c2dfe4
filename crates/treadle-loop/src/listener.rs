//! Whoever wants to hear what the loop does. It knows nothing of what they make of it.
//!
//! Without a listener each callback, call of a transport, new task, new or lost transport and executor job costs one branch that is not taken: the
//! one that asks whether the loop is [watched](Core::is_watched), which the debug mode asks too. A listener has a method for each kind of event. It
//! cannot disturb the program: what it raises goes to `sys.unraisablehook`.

use crate::core::Core;
use crate::ffi::Object;
use crate::known::names;

/// What is told, with the object that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A handle is about to run.
    Callback,
    /// A task was made.
    Task,
    /// A transport begins.
    Transport,
    /// A transport's descriptor is ready, and it is about to be called.
    Ready,
    /// A transport has ended: `connection_lost` was called and the descriptor is closed.
    Lost,
    /// A function was handed to an executor.
    Job,
}

impl Core {
    /// Tells the listener, if there is one.
    #[cold]
    pub(crate) fn tell(&self, event: Event, subject: &Object) {
        let Some(listener) = self.listener.load() else { return };
        let name = match event {
            Event::Callback => &names().callback,
            Event::Task => &names().task,
            Event::Transport => &names().transport,
            Event::Ready => &names().ready,
            Event::Lost => &names().lost,
            Event::Job => &names().job,
        };
        if let Err(raised) = listener.method(name, [subject]) {
            raised.write_unraisable(&listener);
        }
    }
}
