//! A program started and awaited with nothing around it.

use std::process::Command;

use crate::arguments::Spawn;
use crate::window::Window;

/// Runs until the time is over and prints how often the program ran.
pub(crate) fn run(spawn: &Spawn) -> anyhow::Result<()> {
    let window = Window::new(spawn.time);
    let mut command = Command::new(&spawn.program);
    let spawning = std::thread::spawn(move || -> anyhow::Result<u64> {
        let (mut ran, mut begun) = (0, false);
        while window.left().is_some() {
            if !begun && window.has_begun() {
                (ran, begun) = (0, true);
            }
            command.status()?;
            ran += 1;
        }
        Ok(ran)
    });
    window.announce(|| spawning.join().map_err(|_| anyhow::anyhow!("the spawning thread panicked"))?)
}
