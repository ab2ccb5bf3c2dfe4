//! The generator: requests on many connections that are kept, one under way on each, from one or two threads.
//!
//! It takes a connection that breaks or is refused as an error, counts it, and connects anew after a moment.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::latencies::Latencies;
use super::reply::{Done, Reply};
use super::stop::Stop;

/// A connection that failed rests so long.
const REST: Duration = Duration::from_millis(10);

/// What is asked, of whom, how often.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) message: Message,
    pub(crate) connections: usize,
    /// What is not counted, at the beginning.
    pub(crate) warm: Duration,
    pub(crate) seconds: Duration,
}

#[derive(Clone)]
pub(crate) enum Message {
    /// A whole request.
    Http(Vec<u8>),
    /// So many bytes, which come back.
    Echo(usize),
}

impl Message {
    fn request(&self) -> Vec<u8> {
        match self {
            Self::Http(request) => request.clone(),
            Self::Echo(size) => vec![b'x'; *size],
        }
    }

    fn reply(&self) -> Reply {
        match self {
            Self::Http(_) => Reply::http(),
            Self::Echo(size) => Reply::echo(*size),
        }
    }
}

/// What came of it within the time.
#[derive(Default)]
pub(crate) struct Figures {
    /// How long each reply took.
    pub(crate) latencies: Latencies,
    pub(crate) errors: u64,
    /// What the first error was.
    pub(crate) complaint: Option<String>,
}

impl Load {
    /// Runs until the time is over, or it is asked to stop; `read` is called at the two ends of what counts.
    pub(crate) fn run<T>(&self, stop: &Stop, mut read: impl FnMut() -> T) -> anyhow::Result<(Figures, T, T)> {
        let threads =
            thread::available_parallelism().map_or(1, |count| count.get() - 1).clamp(1, 2).min(self.connections);
        let begin = Instant::now() + self.warm;
        let end = begin + self.seconds;
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    let connections = (thread..self.connections).step_by(threads).count();
                    scope.spawn(move || Client::new(self, connections)?.run(begin, end, stop))
                })
                .collect();
            stop.sleep_until(begin);
            let before = read();
            stop.sleep_until(end);
            let after = read();
            let mut figures = Figures::default();
            for thread in running {
                let part: Figures = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
                figures.latencies.extend(&part.latencies);
                figures.errors += part.errors;
                figures.complaint = figures.complaint.or(part.complaint);
            }
            Ok((figures, before, after))
        })
    }
}

struct Connection {
    /// None while it rests.
    stream: Option<TcpStream>,
    sent: usize,
    asked: Instant,
    reply: Reply,
}

/// The connections of one thread.
struct Client<'a> {
    load: &'a Load,
    request: Vec<u8>,
    poll: Poll,
    connections: Vec<Connection>,
    resting: Vec<(Instant, usize)>,
    figures: Figures,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load, connections: usize) -> io::Result<Self> {
        let asked = Instant::now();
        let connection = || Connection { stream: None, sent: 0, asked, reply: load.message.reply() };
        Ok(Self {
            load,
            request: load.message.request(),
            poll: Poll::new()?,
            connections: (0..connections).map(|_| connection()).collect(),
            resting: (0..connections).map(|token| (asked, token)).collect(),
            figures: Figures::default(),
            buffer: vec![0; 1 << 16],
        })
    }

    fn run(mut self, begin: Instant, end: Instant, stop: &Stop) -> io::Result<Figures> {
        let mut events = Events::with_capacity(1024);
        let mut begun = false;
        loop {
            let now = Instant::now();
            if now >= end || stop.is_asked() {
                return Ok(self.figures);
            }
            if !begun && now >= begin {
                (self.figures, begun) = (Figures::default(), true);
            }
            self.wake(now);
            let wait = if self.resting.is_empty() { end - now } else { REST };
            match self.poll.poll(&mut events, Some(wait.min(Duration::from_millis(100)))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                let token = event.token().0;
                if let Err(error) = self.advance(token) {
                    self.fail(token, &error);
                }
            }
        }
    }

    /// Connects those that have rested long enough.
    fn wake(&mut self, now: Instant) {
        let (ready, resting) = self.resting.drain(..).partition(|(until, _)| *until <= now);
        self.resting = resting;
        let ready: Vec<(Instant, usize)> = ready;
        for (_, token) in ready {
            if let Err(error) = self.connect(token) {
                self.fail(token, &error.into());
            }
        }
    }

    fn connect(&mut self, token: usize) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.load.address)?;
        self.poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let reply = self.load.message.reply();
        self.connections[token] = Connection { stream: Some(stream), sent: 0, asked: Instant::now(), reply };
        Ok(())
    }

    fn fail(&mut self, token: usize, error: &anyhow::Error) {
        self.connections[token].stream = None;
        self.resting.push((Instant::now() + REST, token));
        self.figures.errors += 1;
        self.figures.complaint.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Sends and takes what can be, until the socket has nothing more: events come once.
    fn advance(&mut self, token: usize) -> anyhow::Result<()> {
        self.send(token)?;
        loop {
            let connection = &mut self.connections[token];
            let Some(stream) = &mut connection.stream else { return Ok(()) };
            let done = match stream.read(&mut self.buffer) {
                Ok(0) => Some(connection.reply.closed()?),
                Ok(count) => connection.reply.take(&self.buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(error) => return Err(error.into()),
            };
            if let Some(done) = done {
                self.done(token, done)?;
            }
        }
    }

    fn done(&mut self, token: usize, done: Done) -> anyhow::Result<()> {
        let took = self.connections[token].asked.elapsed();
        if done.is_fine {
            self.figures.latencies.push(took.as_nanos() as u64);
        } else {
            self.figures.errors += 1;
            self.figures.complaint.get_or_insert_with(|| "the server answered with an error's status".to_owned());
        }
        if !done.is_kept {
            self.connect(token)?;
            return Ok(());
        }
        let connection = &mut self.connections[token];
        connection.sent = 0;
        self.send(token)
    }

    /// Sends what is left of the request, as far as there is room.
    fn send(&mut self, token: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[token];
        let Some(stream) = &mut connection.stream else { return Ok(()) };
        while connection.sent < self.request.len() {
            if connection.sent == 0 {
                // Before the call: the server may have answered by the time it returns.
                connection.asked = Instant::now();
            }
            match stream.write(&self.request[connection.sent..]) {
                Ok(count) => connection.sent += count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
