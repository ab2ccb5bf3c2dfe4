//! The thread that examines the process it lives in.

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use treadle_events::{Exchange, Note, Reader, Tape};
use treadle_finding::Sighting;
use treadle_run::{Run, Snapshot, Thresholds};
use treadle_view::{Closing, closing, sighting, sighting_json};

use crate::consultation::Consultation;
use crate::examination::Examination;

/// How often the tape is read.
const TICK: Duration = Duration::from_millis(10);

/// How often the pitfalls are asked.
const ROUND: Duration = Duration::from_millis(200);

/// How the doctor is to work.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// From when on something is too much.
    pub thresholds: Thresholds,
    /// How findings are written.
    pub output: Output,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For people: each when it is first seen, and all at the end.
    #[default]
    Text,
    /// For programs: an object on a line for each, and one at the end.
    Json,
    /// Not at all; whoever wants them asks.
    Silent,
}

/// The doctor of this process.
pub struct Doctor {
    messages: Sender<Message>,
    found: Arc<Mutex<Vec<Sighting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Note(Note),
    /// Look now, and say when that is done.
    Look(Sender<()>),
    /// Say what the tasks are doing.
    Show(Sender<Snapshot>),
    /// Look once more, say all, and end.
    Finish,
}

impl Doctor {
    /// Begins to read a tape, in a thread, and to ask loops at an exchange what their tasks wait for. What there is to say is written to `out`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        tape: Arc<Tape>,
        exchange: Arc<Exchange>,
        options: Options,
        out: Box<dyn Write + Send>,
    ) -> std::io::Result<Self> {
        let (messages, received) = channel();
        let found = Arc::new(Mutex::new(Vec::new()));
        let visit = Visit {
            examination: Examination::new(Reader::new(tape), options.thresholds),
            consultation: Consultation::new(exchange),
            output: options.output,
            out,
            found: Arc::clone(&found),
            began: Instant::now(),
        };
        let thread =
            std::thread::Builder::new().name("treadle-doctor".to_owned()).spawn(move || visit.run(&received))?;
        Ok(Self { messages, found, thread: Mutex::new(Some(thread)) })
    }

    /// Tells the doctor something in words.
    pub fn tell(&self, note: Note) {
        // Who has finished hears no more.
        let _ = self.messages.send(Message::Note(note));
    }

    /// Everything found up to now, in the order in which it was first seen.
    pub fn found(&self) -> Vec<Sighting> {
        let (done, wait) = channel();
        if self.messages.send(Message::Look(done)).is_ok() {
            let _ = wait.recv();
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the tasks are doing, and what they were last seen waiting for; nothing if the doctor has finished.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let (shown, wait) = channel();
        self.messages.send(Message::Show(shown)).ok()?;
        wait.recv().ok()
    }

    /// Says all there is to say, once, and ends.
    pub fn finish(&self) -> Vec<Sighting> {
        let _ = self.messages.send(Message::Finish);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the thread has.
struct Visit {
    examination: Examination,
    consultation: Consultation,
    output: Output,
    out: Box<dyn Write + Send>,
    found: Arc<Mutex<Vec<Sighting>>>,
    began: Instant,
}

impl Visit {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut asked = Instant::now();
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Message::Note(note)) => {
                    self.examination.hear(note);
                    continue;
                }
                Ok(Message::Look(done)) => {
                    self.look();
                    let _ = done.send(());
                }
                Ok(Message::Show(shown)) => {
                    self.read();
                    let _ = shown.send(self.examination.run().snapshot());
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.read();
                    if asked.elapsed() >= ROUND {
                        self.ask();
                        self.consultation.ask(&mut self.examination);
                        asked = Instant::now();
                    }
                }
            }
        }
        self.look();
        self.close();
    }

    fn look(&mut self) {
        self.read();
        self.ask();
    }

    fn read(&mut self) {
        self.examination.reader().tape().compare_clocks(self.began.elapsed().as_nanos() as u64);
        self.examination.read();
        self.consultation.hear(&mut self.examination);
    }

    fn ask(&mut self) {
        let new = self.examination.ask();
        for sighting in &new {
            self.say(sighting);
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = self.examination.found().to_vec();
    }

    fn say(&mut self, seen: &Sighting) {
        // Nobody is left to be told if the output is gone.
        let _ = match self.output {
            Output::Text => self.out.write_all(sighting(seen).as_bytes()),
            Output::Json => writeln!(self.out, "{}", sighting_json(seen)),
            Output::Silent => Ok(()),
        };
        let _ = self.out.flush();
    }

    fn close(&mut self) {
        let run = self.examination.run();
        let summary = Closing {
            found: self.examination.found(),
            watched: self.began.elapsed(),
            callbacks: run.loops().iter().map(|event_loop| event_loop.callbacks).sum(),
            lost: run.lost(),
            inspections: inspections(run),
        };
        let _ = match self.output {
            Output::Text => self.out.write_all(closing(&summary).as_bytes()),
            Output::Json => writeln!(self.out, "{}", treadle_view::closing_json(&summary)),
            Output::Silent => Ok(()),
        };
        let _ = self.out.flush();
        self.examination.reader().tape().finish();
    }
}

/// How often loops have looked at their tasks, for how long altogether, and at most at once.
fn inspections(run: &Run) -> (u64, Duration, Duration) {
    let (count, total, longest) = run.waits().pictures;
    let [total, longest] = [total, longest].map(|ticks| Duration::from_nanos(run.scale().duration(ticks)));
    (count, total, longest)
}
