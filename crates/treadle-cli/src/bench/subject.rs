//! What is measured: a program that ends, a server that is loaded, or one of the package's own loads.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::load::{Load, Message};
use super::process::{self, Server};
use super::stop::Stop;
use crate::arguments::Bench;
use crate::run;

/// The part of the time in which nothing is counted yet.
const WARM: f64 = 0.2;
/// Bytes of a message that is sent back.
const ECHO: usize = 1024;

/// The loads that the package brings, `python/treadle/workloads`.
const SERVERS: [&str; 3] = ["echo", "streams", "http"];
const CALLS: [&str; 5] = ["call-soon", "timers", "sleep", "tasks", "queue"];

/// A thing to measure.
pub(crate) struct Subject {
    pub(crate) title: String,
    /// What the interpreter is given.
    arguments: Vec<OsString>,
    work: Work,
}

enum Work {
    /// A program that ends by itself.
    Ends,
    /// One that prints its own figures.
    Calls,
    /// A server, and what loads it.
    Served(Load),
}

/// What the figures are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole runs: time is what counts, and less is better.
    Runs,
    /// Operations: how many in a second, and what one takes.
    Operations,
}

/// Which loop, on which interpreter.
pub(crate) struct Target<'a> {
    pub(crate) python: &'a Path,
    pub(crate) name: String,
    /// The file that appears with the first loop of this kind.
    pub(crate) witness: &'a Path,
}

/// What one run gave. Seconds and bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Runs or operations in a second.
    pub(crate) rate: f64,
    /// What one took, where there were many.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Processor time of one.
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<u64>,
    pub(crate) errors: u64,
    /// What the first error was.
    pub(crate) complaint: Option<String>,
}

impl Subject {
    /// What the command line asks for.
    pub(crate) fn all(options: &Bench, python: &Path) -> anyhow::Result<Vec<Self>> {
        if options.command.is_empty() {
            return options.workload.iter().map(|name| Self::built_in(name, options)).collect();
        }
        let title = title(&options.command);
        let work = match &options.url {
            None => Work::Ends,
            Some(url) => {
                let (address, request) = target_of(url)?;
                Work::Served(loaded(options, address, Message::Http(request)))
            }
        };
        Ok(vec![Self { title, arguments: run::arguments("treadle bench", &options.command, python)?, work }])
    }

    fn built_in(name: &str, options: &Bench) -> anyhow::Result<Self> {
        let seconds = options.seconds.as_secs_f64().to_string();
        let mut arguments = vec!["-m", "treadle.workloads", name];
        let (port, work);
        if CALLS.contains(&name) {
            arguments.extend(["--seconds", &seconds]);
            work = Work::Calls;
        } else if SERVERS.contains(&name) {
            // Somebody else may take it until the server starts; then that is what the error says.
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let message = if name == "http" { Message::Http(request("localhost", "/")) } else { Message::Echo(ECHO) };
            port = address.port().to_string();
            arguments.extend(["--port", &port]);
            work = Work::Served(loaded(options, address, message));
        } else {
            let known: Vec<&str> = CALLS.iter().chain(&SERVERS).copied().collect();
            bail!("there is no workload `{name}`. Name some of `{}`", known.join("`, `"));
        }
        let arguments = arguments.into_iter().map(OsString::from).collect();
        Ok(Self { title: name.to_owned(), arguments, work })
    }

    pub(crate) fn kind(&self) -> Kind {
        if matches!(self.work, Work::Ends) { Kind::Runs } else { Kind::Operations }
    }

    /// Measures once, in a process of its own.
    pub(crate) fn measure(&self, target: &Target, stop: &Stop) -> anyhow::Result<Sample> {
        let command = self.command(target)?;
        match &self.work {
            Work::Ends => {
                let ended = process::run(command, stop)?;
                Ok(Sample {
                    rate: 1.0 / ended.wall,
                    cpu: Some(ended.cpu),
                    memory: Some(ended.memory),
                    ..Sample::default()
                })
            }
            Work::Calls => own_figures(&process::run(command, stop)?),
            Work::Served(load) => served(load, command, stop),
        }
    }

    fn command(&self, target: &Target) -> anyhow::Result<Command> {
        let words = format!("loop={}\nwitness={}", target.name, target.witness.display());
        let mut command = run::launched(target.python, &words)?;
        command.args(&self.arguments);
        Ok(command)
    }
}

/// What a load of the package's says of itself.
fn own_figures(ended: &process::Ended) -> anyhow::Result<Sample> {
    // Whatever a `sitecustomize` of the environment prints comes before.
    let line = ended.out.lines().next_back().unwrap_or_default();
    let figures: serde_json::Value = serde_json::from_str(line).with_context(|| format!("`{line}` is no figures"))?;
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("no `{name}` among its figures"));
    Ok(Sample {
        rate: figure("operations")? / figure("seconds")?,
        p50: Some(figure("p50")?),
        p99: Some(figure("p99")?),
        cpu: Some(figure("cpu")? / figure("operations")?),
        memory: Some(ended.memory),
        ..Sample::default()
    })
}

/// Starts a server, loads it and ends it.
fn served(load: &Load, command: Command, stop: &Stop) -> anyhow::Result<Sample> {
    let mut server = Server::start(command, load.address, stop)?;
    let (figures, before, after) = load.run(stop, || server.usage())?;
    if let Some(how) = server.ended()? {
        bail!("{how}");
    }
    let replies = figures.latencies.len();
    if replies == 0 {
        let complaint = figures.complaint.as_deref().unwrap_or("nothing came");
        bail!("the server gave no good reply: {complaint}. See with `curl` whether it answers where `--url` says");
    }
    Ok(Sample {
        rate: replies as f64 / load.seconds.as_secs_f64(),
        p50: figures.latencies.quantile(50),
        p99: figures.latencies.quantile(99),
        cpu: before.zip(after).map(|(before, after)| (after.cpu - before.cpu) / replies as f64),
        memory: after.map(|usage| usage.memory),
        errors: figures.errors,
        complaint: figures.complaint,
    })
}

/// The command line as a table shows it: one line, and not too long for that.
fn title(command: &[OsString]) -> String {
    const WIDTH: usize = 80;
    let text = command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if shown.chars().count() > WIDTH {
        shown = shown.chars().take(WIDTH - 1).chain(['…']).collect();
    }
    shown
}

fn loaded(options: &Bench, address: SocketAddr, message: Message) -> Load {
    let seconds = options.seconds;
    let warm = seconds.mul_f64(WARM).min(Duration::from_secs(1));
    Load { address, message, connections: options.connections.max(1), warm, seconds }
}

/// Where a URL leads, and what is asked there.
fn target_of(url: &str) -> anyhow::Result<(SocketAddr, Vec<u8>)> {
    let Some(rest) = url.strip_prefix("http://") else {
        bail!("`{url}` is no URL that can be loaded. Name one that begins with `http://`");
    };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = place.to_socket_addrs().ok().and_then(|mut found| found.next());
    let address =
        address.with_context(|| format!("`{url}` has no host that is known. Write `http://127.0.0.1:8000/`"))?;
    Ok((address, request(host, path)))
}

fn request(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nUser-Agent: treadle\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line() {
        let command = ["-c", "import asyncio\n\nasyncio.run(main())"].map(OsString::from);
        assert_eq!(title(&command), "-c import asyncio asyncio.run(main())");
        assert_eq!(title(&["ä".repeat(90).into()]), "ä".repeat(79) + "…");
    }

    #[test]
    fn a_url_is_an_address_and_a_request() {
        let (address, request) = target_of("http://127.0.0.1:8000/a?b=c").unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:8000");
        assert!(String::from_utf8(request).unwrap().starts_with("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"));
        assert_eq!(target_of("http://[::1]").unwrap().0.to_string(), "[::1]:80");
        assert!(target_of("https://127.0.0.1/").is_err());
        assert!(target_of("http://:x/").is_err());
    }
}
