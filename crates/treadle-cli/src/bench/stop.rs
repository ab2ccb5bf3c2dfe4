//! Ctrl-C, `SIGTERM` and `SIGHUP`: what is being measured is ended first.
//!
//! Programs and servers are in process groups of their own, which no signal reaches that a terminal sends to ours. A
//! thread waits for signals, so that nobody who measures has to look up from it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long programs and servers may take to end when they are asked to.
pub(crate) const END: Duration = Duration::from_secs(5);

/// Whether the user wants it to end.
#[derive(Default)]
pub(crate) struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    /// The program that somebody waits for, who does not ask.
    group: Option<Pid>,
}

impl Stop {
    /// Begins to listen for signals; that goes on until the process ends.
    pub(crate) fn on_signals() -> io::Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        let (mut signals, theirs) = (Signals::new([SIGINT, SIGTERM, SIGHUP])?, Arc::clone(&stop));
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                theirs.ask(Signal::from_named_raw(number).unwrap_or(Signal::TERM));
            }
        })?;
        Ok(stop)
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.state().is_asked
    }

    /// Sleeps, but not on when it is asked to stop.
    pub(crate) fn sleep_until(&self, end: Instant) {
        let left = end.saturating_duration_since(Instant::now());
        // The lock may only be lost with this thread.
        drop(self.changed.wait_timeout_while(self.state(), left, |state| !state.is_asked));
    }

    /// Waits for a program with the function given, and ends its group if it is asked to stop meanwhile. The number has to
    /// stay the group's until the function returns.
    pub(crate) fn while_running<T>(&self, group: Pid, wait: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        state.group = Some(group);
        if state.is_asked {
            // The signal came before there was anything to end, and nobody comes back for this.
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(state);
        let done = wait();
        self.state().group = None;
        self.changed.notify_all();
        done
    }

    /// Hands the signal on, and sees to it that it has an effect.
    fn ask(&self, signal: Signal) {
        let mut state = self.state();
        state.is_asked = true;
        self.changed.notify_all();
        let Some(group) = state.group else { return };
        // It may have gone already, and then there is nothing to do.
        let _ = kill_process_group(group, signal);
        let waited = self.changed.wait_timeout_while(state, END, |state| state.group.is_some());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = state.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_sleeps_wakes_when_it_is_asked_to_stop() {
        let (stop, begun) = (Stop::default(), Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| stop.sleep_until(begun + Duration::from_mins(1)));
            stop.ask(Signal::INT);
        });
        assert!(stop.is_asked());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
