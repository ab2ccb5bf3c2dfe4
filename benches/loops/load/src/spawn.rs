//! A program started and awaited with nothing around it.

use std::process::Command;
use std::thread;

use crate::arguments::Spawn;
use crate::window::{Window, total};

/// Runs until the time is over and prints how often the program ran.
pub(crate) fn run(spawn: &Spawn) -> anyhow::Result<()> {
    let window = Window::new(spawn.time);
    thread::scope(|scope| {
        let spawning = scope.spawn(|| ran(&spawn.program, window));
        window.announce(|| total(vec![spawning]))
    })
}

/// How often the program ran within the window.
fn ran(program: &str, window: Window) -> anyhow::Result<u64> {
    let mut command = Command::new(program);
    let (mut ran, mut begun) = (0, false);
    while window.left().is_some() {
        if !begun && window.has_begun() {
            (ran, begun) = (0, true);
        }
        command.status()?;
        ran += 1;
    }
    Ok(ran)
}
