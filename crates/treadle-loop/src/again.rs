//! Callbacks of descriptors that neither read nor write: the descriptor stays ready, and they are called again at once.
//!
//! Of many calls one is looked at, while a recorder is there: how much there is to be read, or unsent, just before and just after.

use std::cell::Cell;

use treadle_events::{Event, Kind};
use treadle_reactor::{Interest, Mark, RawFd};

use crate::core::Core;
use crate::ffi::Instance;
use crate::handle::Handle;

/// Of so many calls one is looked at. It is odd: what two callbacks do in turns must not look like one of them.
const SAMPLED: u32 = 61;

/// The call that is being looked at.
#[derive(Default)]
pub(crate) struct Again {
    calls: Cell<u32>,
    look: Cell<Option<Look>>,
}

#[derive(Clone, Copy)]
struct Look {
    mark: Mark,
    subject: u64,
    /// The handle, by its address.
    handle: usize,
}

/// A callback is about to be called because its descriptor is ready.
#[inline]
pub(crate) fn begin(core: &Core, fd: RawFd, interest: Interest, handle: &Instance<Handle>) {
    let calls = core.again.calls.get().wrapping_add(1);
    core.again.calls.set(calls);
    if calls.is_multiple_of(SAMPLED) && core.recorder().is_some() {
        let look = |mark| {
            let subject = (fd as u64) << 1 | u64::from(interest.contains(Interest::WRITE));
            Look { mark, subject, handle: handle.object().address() }
        };
        core.again.look.set(Mark::of(fd, interest).map(look));
    }
}

/// It was called.
#[inline]
pub(crate) fn end(core: &Core, handle: &Instance<Handle>) {
    if let Some(look) = core.again.look.get()
        && look.handle == handle.object().address()
    {
        write(core, handle, look);
    }
}

#[cold]
fn write(core: &Core, handle: &Instance<Handle>, look: Look) {
    core.again.look.set(None);
    let (Some(recorder), Some(callback)) = (core.recorder(), handle.callable()) else { return };
    let small = u16::from(handle.is_cancelled() || !look.mark.stands());
    let (place, subject) = (recorder.place_of(&callback), look.subject);
    recorder.write(core, Kind::CalledAgain, |event| Event {
        subject,
        place,
        small,
        value: u64::from(SAMPLED),
        ..event
    });
}
