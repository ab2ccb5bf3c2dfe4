//! What a running program leaves behind for those who watch it.
//!
//! The loop writes small [events](Event) of fixed size into a [ring](Tape) in shared memory: nobody waits for anybody, and
//! what was written survives the process. Whoever reads makes sense of them elsewhere. What has no fixed size, a name or a
//! picture of the waits, comes as a [`Note`], in the process only. Nothing here knows Python.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ticks and nanoseconds of a process's life fit into the 53 bits of a float"
)]

mod event;
mod exchange;
mod note;
mod picture;
mod place;
#[expect(unsafe_code, reason = "shared memory and the processor's clock")]
mod ring;
mod stack;
mod wake;

pub use event::{Event, Kind, Outcome, Record};
pub use exchange::{Exchange, Request};
pub use note::{Note, What};
pub use picture::{Figure, Figures, Hold, Manner, Pattern, Picture, Surroundings, Thing, Wait, Waiting};
pub use place::{Owner, Place, PlaceId};
pub use ring::{Copyist, Reader, Scale, Tape, Writer, ticks};
pub use stack::{Frame, Span, Stack};
pub use wake::Wake;
