//! What can be asked for on the command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::address::Address;

/// A client and a server on bare epoll, to measure event loops with.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send messages on many connections and count the replies, one under way for each connection.
    Client(Load),
    /// Connect, wait until the server closes, close, again.
    Dial(Dial),
    /// Exchange one message on each connection, print `held`, and keep them until standard input ends.
    Hold(Hold),
    /// Answer every message, until standard input ends.
    Server(Serve),
    /// Start a program and wait for it, again and again.
    Spawn(Spawn),
}

#[derive(Args)]
pub(crate) struct Load {
    /// `tcp:HOST:PORT`, `udp:HOST:PORT` or `unix:PATH`.
    pub(crate) address: Address,
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Bytes of a message; the reply has as many.
    #[arg(long, default_value_t = 1024)]
    pub(crate) size: usize,
    /// Ask with `GET / HTTP/1.1` instead; the reply is as long as the first.
    #[arg(long)]
    pub(crate) http: bool,
    /// The connections are shared out among so many threads.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    #[command(flatten)]
    pub(crate) time: Time,
}

#[derive(Args)]
pub(crate) struct Dial {
    /// Close at once instead.
    #[arg(long)]
    pub(crate) leave: bool,
    pub(crate) address: Address,
    /// How many connections are under way at once.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    #[command(flatten)]
    pub(crate) time: Time,
}

#[derive(Args)]
pub(crate) struct Hold {
    pub(crate) address: Address,
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    #[arg(long, default_value_t = 1024)]
    pub(crate) size: usize,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Port 0 takes any that is free; the line that is printed names it.
    pub(crate) address: Address,
    #[arg(long, value_enum, default_value_t = Answer::Echo)]
    pub(crate) answer: Answer,
}

/// What a server does with a connection.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Answer {
    /// Every byte goes back.
    Echo,
    /// Each request gets the same short page.
    Http,
    /// The connection is closed at once.
    Close,
}

#[derive(Args)]
pub(crate) struct Spawn {
    pub(crate) program: String,
    #[command(flatten)]
    pub(crate) time: Time,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Time {
    /// What is not counted, at the beginning.
    #[arg(long, value_parser = seconds, default_value = "0.1")]
    pub(crate) warm: Duration,
    #[arg(long, value_parser = seconds, default_value = "0.5")]
    pub(crate) seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(number).map_err(|error| format!("{error}"))
}
