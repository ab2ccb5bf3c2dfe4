//! The doctor: reads what a process leaves behind, keeps the tables, asks the pitfalls, and says what they find.
//!
//! An [`Examination`] is all of that without a thread; the [`Doctor`] goes through one fifty times a second, in a thread that never
//! touches Python. Whatever goes wrong in here stays in here: the program does not hear of it.
#![forbid(unsafe_code)]
#![expect(clippy::cast_precision_loss, reason = "what is divided has fewer digits than any number here")]

mod allowed;
mod blame;
#[cfg(unix)]
mod blockage;
#[cfg(unix)]
mod consultation;
#[cfg(unix)]
mod doctor;
mod examination;
#[cfg(unix)]
mod metrics;
#[cfg(unix)]
mod pace;
#[cfg(unix)]
mod recording;
#[cfg(unix)]
mod reply;
mod settings;
mod source;
#[cfg(unix)]
mod still;
#[cfg(unix)]
mod thread;
mod witness;

#[cfg(unix)]
mod agent;

#[cfg(unix)]
pub use agent::{inquire, watched};
pub use allowed::{Allowed, write_baseline};
#[cfg(unix)]
pub use doctor::Doctor;
pub use examination::Examination;
#[cfg(unix)]
pub use metrics::check_address;
#[cfg(unix)]
pub use recording::{
    Child, SIZE, SIZES, Unreadable, begin_tape, children_of, complete_recording, create_beside, create_recording,
    names_beside, read_recording, recorded_in,
};
pub use settings::{Output, Record, Settings, To};
pub use witness::Witness;
