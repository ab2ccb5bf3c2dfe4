//! Flow control: a protocol whose transport holds too much is told to pause, and to resume when most of that is gone.

use std::cell::Cell;

use crate::ffi::{Instance, Kind, Object, Result, Spec};
use crate::known::names;
use crate::transport::Transport;

/// asyncio's high-water mark: more bytes than this waiting to be written pause the protocol.
const HIGH_WATER: u32 = 64 * 1024;

/// The marks, and whether the protocol has been told to pause.
pub(crate) struct Flow {
    low_water: Cell<usize>,
    high_water: Cell<usize>,
    is_paused: Cell<bool>,
}

impl Default for Flow {
    fn default() -> Self {
        let high = HIGH_WATER as usize;
        Self { low_water: Cell::new(high / 4), high_water: Cell::new(high), is_paused: Cell::new(false) }
    }
}

impl Flow {
    pub(crate) fn high_water(&self) -> usize {
        self.high_water.get()
    }

    fn set_limits(&self, high: Option<i64>, low: Option<i64>) -> Result<()> {
        let high = high.unwrap_or_else(|| low.map_or(i64::from(HIGH_WATER), |low| low.saturating_mul(4)));
        let low = low.unwrap_or(high / 4);
        if !(high >= low && low >= 0) {
            return Err(Kind::ValueError.raise(&format!("high ({high}) must be >= low ({low}) must be >= 0")));
        }
        self.high_water.set(high.unsigned_abs() as usize);
        self.low_water.set(low.unsigned_abs() as usize);
        Ok(())
    }
}

/// A transport that holds what could not be written yet.
pub(crate) trait Flows: Transport {
    fn flow(&self) -> &Flow;

    /// How many bytes it holds.
    fn unsent(&self) -> usize;

    /// Sends what is only held until the turn ends.
    fn send_gathered(_this: &Instance<Self>) -> Result<()> {
        Ok(())
    }
}

/// After something was added.
pub(crate) fn pause_if_full<T: Flows>(this: &Instance<T>) -> Result<()> {
    let flow = this.flow();
    if this.unsent() <= flow.high_water.get() || flow.is_paused.replace(true) {
        return Ok(());
    }
    let paused = this.protocol().method(&names().pause_writing, []);
    paused.map_or_else(|raised| T::complain(this, raised, "protocol.pause_writing() failed"), |_| Ok(()))
}

/// After something has gone out.
pub(crate) fn resume_if_drained<T: Flows>(this: &Instance<T>) -> Result<()> {
    let flow = this.flow();
    if this.unsent() > flow.low_water.get() || !flow.is_paused.replace(false) {
        return Ok(());
    }
    let resumed = T::call(this, &names().resume_writing, []);
    resumed.map_or_else(|raised| T::complain(this, raised, "protocol.resume_writing() failed"), |_| Ok(()))
}

pub(crate) fn methods<T: Flows>(spec: Spec<T>) -> Spec<T> {
    spec.method(c"get_write_buffer_size", |this, arguments| {
        arguments.exactly::<0>("get_write_buffer_size")?;
        Object::size(this.unsent())
    })
    .method(c"get_write_buffer_limits", |this, arguments| {
        arguments.exactly::<0>("get_write_buffer_limits")?;
        let flow = this.flow();
        let [low, high] = [&flow.low_water, &flow.high_water].map(|mark| Object::size(mark.get()));
        Object::tuple([low?, high?])
    })
    .method(c"set_write_buffer_limits", |this, arguments| {
        T::send_gathered(this)?;
        let [high, low] = arguments.named("set_write_buffer_limits", ["high", "low"], 0)?;
        let given = |mark: Option<&Object>| mark.filter(|mark| !mark.is_none()).map(Object::to_integer).transpose();
        this.flow().set_limits(given(high)?, given(low)?)?;
        pause_if_full(this)?;
        Ok(Object::none())
    })
    .attribute(c"_protocol_paused", |this| Ok(Object::bool(this.flow().is_paused.get())))
}
