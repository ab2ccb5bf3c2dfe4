//! The other side of the benchmarks of event loops, and their limit.
//!
//! `client` and `dial` load a server, `hold` gives it idle connections, `server` is what a loop can at best be (the
//! least system calls that answer), `spawn` the same for processes. Nothing is measured here but what the client itself
//! did: time of the process under test is read by who started it, between the line `started` and the line of figures.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod address;
#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod buffer;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod dial;
#[cfg(target_os = "linux")]
mod hold;
#[cfg(target_os = "linux")]
mod poll;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod window;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use arguments::{Arguments, Command};
    use clap::Parser;

    match Arguments::parse().command {
        Command::Client(load) => client::run(&load),
        Command::Dial(load) => dial::run(&load),
        Command::Hold(held) => hold::run(&held),
        Command::Server(served) => server::run(&served),
        Command::Spawn(spawned) => spawn::run(&spawned),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("treadle-load needs epoll");
    std::process::exit(2);
}
