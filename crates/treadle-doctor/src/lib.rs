//! The doctor: reads what a process leaves behind, keeps the tables, asks the pitfalls, and says what they find.
//!
//! An [`Examination`] is all of that without a thread; the [`Doctor`] goes through one a hundred times a second, in a thread that never
//! touches Python. Whatever goes wrong in here stays in here: the program does not hear of it.
#![forbid(unsafe_code)]

mod consultation;
mod doctor;
mod examination;

pub use doctor::{Doctor, Options, Output};
pub use examination::Examination;
