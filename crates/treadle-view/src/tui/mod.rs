//! `treadle top`, but for the terminal: what was asked and answered, what a person has chosen, and the frame that both make.
//!
//! Everything is a function of a [`State`], which keys change, and [`Data`], which answers change. Nothing here reads or writes anything. A meaning
//! is never in a colour alone: without colours the same signs and words are there.

mod choice;
mod data;
mod details;
mod findings;
mod frame;
mod header;
mod help;
mod history;
mod ink;
mod patterns;
mod press;
mod sheet;
mod state;
mod tasks;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod traffic;
mod waits;
mod work;

pub use choice::choices;
pub use data::{Data, Process};
pub use frame::{HEIGHT, WIDTH, draw, frame_text};
pub use history::History;
pub use patterns::PatternSort;
pub use press::Press;
pub use state::{State, Tab};
