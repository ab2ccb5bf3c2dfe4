//! The thread that examines the process it lives in.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use treadle_events::{Exchange, Note, Pattern, Picture, Reader, Tape};
use treadle_finding::Sighting;
use treadle_pitfalls::CATALOGUE;
use treadle_run::inquiry::{Inquiry, Reply};
use treadle_run::{Activity, EventLoop, Run};
use treadle_view::{Closing, Metrics, closing_json, closing_text, sighting, sighting_json};

use crate::agent::Agent;
use crate::allowed::Allowed;
use crate::blockage::{Blockages, Seen};
use crate::consultation::Consultation;
use crate::examination::Examination;
use crate::metrics::{self, Scraped};
use crate::pace::Pace;
use crate::recording::Clerk;
use crate::reply;
use crate::settings::{Output, Settings};
use crate::source::Sources;
use crate::still::Still;
use crate::witness::Witness;

/// The last events among which the waker of a task is looked for.
const WAKERS: u64 = 1 << 16;

/// How often the tape is read while a callback takes long.
const TICK: Duration = Duration::from_millis(10);

/// How often while something is written to it and none does. Being woken, and asking the system how the threads of loops are, takes 25 to 50 µs.
const STROLL: Duration = Duration::from_millis(20);

/// How often it is read at least, as a part of the time from which on a callback takes long: before that nobody looks at its stack.
const IDLE: u64 = 4;

/// How much later than that it may be before the machine is said to be slow: half of it is what timers cost.
const SLACK: Duration = Duration::from_millis(10);

/// How often the pitfalls are asked.
const ROUND: Duration = Duration::from_millis(200);

/// Asking takes no more than one part in so many of the doctor's time: a hundred thousand tasks are looked through in twenty milliseconds.
const SHARE: u32 = 50;

/// The doctor of this process.
pub struct Doctor {
    messages: Sender<Message>,
    found: Arc<Mutex<Vec<Sighting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    tape: Arc<Tape>,
    exchange: Arc<Exchange>,
    /// Without one nobody can ask from outside, which is no reason not to watch.
    _agent: Option<Agent>,
    _scraped: Option<Scraped>,
}

enum Message {
    Note(Note),
    /// Look now, and say when that is done.
    Look(Sender<()>),
    /// Somebody asks from outside.
    Question(String, Sender<String>),
    /// Somebody wants the numbers.
    Measure(Sender<Metrics>),
    /// Say something that is no finding.
    Say(String),
    /// Look once more, say all, and end.
    Finish,
}

impl Doctor {
    /// Begins to read a tape, in a thread, which also copies it to the tape of a recording that is `kept`; without one it is the recording's own, if
    /// there is one. What there is to say is written to `out`; stacks are seen through `witness`, where there is
    /// one, and loops are asked at the exchange what their tasks wait for.
    ///
    /// # Errors
    /// The system gives no thread; the settings name what is not there, or a baseline that is none.
    pub fn start(
        tape: Arc<Tape>,
        kept: Option<Arc<Tape>>,
        settings: &Settings,
        exchange: Arc<Exchange>,
        witness: Option<Box<dyn Witness>>,
        out: Box<dyn Write + Send>,
    ) -> std::io::Result<Self> {
        let wrong = |words: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, words);
        settings.check().map_err(wrong)?;
        let mut allowed = Allowed::new(settings.ignore.clone());
        if let Some(baseline) = &settings.baseline {
            let shown = baseline.display();
            allowed = allowed.with_baseline(baseline).map_err(|error| wrong(format!("{shown}: {error}")))?;
        }
        let thresholds = settings.thresholds().map_err(wrong)?;
        let (messages, received) = channel();
        let scraped = settings.metrics.as_deref().map(|address| serve(address, settings, &messages)).transpose()?;
        let found = Arc::new(Mutex::new(Vec::new()));
        let visit = Visit {
            examination: Examination::new(Reader::new(Arc::clone(&tape)), thresholds, allowed),
            consultation: Consultation::new(Arc::clone(&exchange)),
            output: settings.output,
            out,
            found: Arc::clone(&found),
            began: Instant::now(),
            is_follower: settings.is_follower,
            blockages: Blockages::new(witness),
            late: 0,
            still: Still::default(),
            sources: Sources::default(),
            pace: Pace::default(),
            clerk: settings
                .record
                .as_ref()
                .map(|record| Clerk::new(Arc::clone(&tape), kept, record, settings.is_follower)),
        };
        let thread =
            std::thread::Builder::new().name("treadle-doctor".to_owned()).spawn(move || visit.run(&received))?;
        let agent = Agent::start({
            let messages = messages.clone();
            move |question| answer(&messages, question)
        });
        Ok(Self {
            messages,
            found,
            thread: Mutex::new(Some(thread)),
            tape,
            exchange,
            _agent: agent.ok(),
            _scraped: scraped,
        })
    }

    /// What is read.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
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

    /// The answer to a question as it may come from outside, a JSON document.
    pub fn answer(&self, question: &str) -> String {
        answer(&self.messages, question)
    }

    /// Shows the doctor all objects of the patterns but for some that were left out.
    pub fn show_patterns(&self, patterns: Vec<Pattern>, left_out: u64) {
        self.exchange.answer(Picture { patterns, patterns_left_out: Some(left_out), ..Picture::default() });
    }

    /// The process in numbers; nothing if the doctor has finished.
    pub fn measure(&self) -> Option<Metrics> {
        measure(&self.messages)
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

/// Passes a question on to the thread, from outside or from the program.
fn answer(messages: &Sender<Message>, question: &str) -> String {
    let (answer, wait) = channel();
    let _ = messages.send(Message::Question(question.to_owned(), answer));
    wait.recv().unwrap_or_else(|_| String::from(r#"{"error": "the doctor has finished"}"#))
}

/// Serves metrics, and has the thread say where.
fn serve(address: &str, settings: &Settings, messages: &Sender<Message>) -> std::io::Result<Scraped> {
    let asking = messages.clone();
    let (scraped, bound) = Scraped::start(address, settings.is_follower, move || measure(&asking))?;
    let warning = metrics::warning(bound).unwrap_or_default();
    let _ = messages.send(Message::Say(format!("{warning}treadle: metrics are at http://{bound}/metrics\n")));
    Ok(scraped)
}

/// Has the thread measure; nothing if it has ended.
fn measure(messages: &Sender<Message>) -> Option<Metrics> {
    let (answer, wait) = channel();
    messages.send(Message::Measure(answer)).ok()?;
    wait.recv().ok()
}

/// What the thread has.
struct Visit {
    examination: Examination,
    consultation: Consultation,
    output: Output,
    out: Box<dyn Write + Send>,
    found: Arc<Mutex<Vec<Sighting>>>,
    began: Instant,
    is_follower: bool,
    blockages: Blockages,
    /// By how much ticks came too late altogether, in nanoseconds.
    late: u64,
    still: Still,
    sources: Sources,
    pace: Pace,
    /// Who records, if that is wanted.
    clerk: Option<Clerk>,
}

impl Visit {
    fn run(mut self, messages: &Receiver<Message>) {
        self.say_what_is_missing();
        let (mut asked, mut rest) = (Instant::now(), ROUND);
        let mut pause = TICK;
        let mut due = Instant::now() + pause;
        loop {
            match self.wait(messages, due) {
                Ok(Message::Note(note)) => self.examination.hear(note),
                Ok(Message::Look(done)) => {
                    self.look();
                    let _ = done.send(());
                }
                Ok(Message::Question(question, answer)) => {
                    let _ = answer.send(self.answer(&question));
                }
                Ok(Message::Measure(answer)) => {
                    self.examination.measure();
                    self.read();
                    let _ = answer.send(self.metrics());
                }
                Ok(Message::Say(words)) => {
                    if self.output == Output::Text {
                        self.write(&words);
                    }
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    pause = if self.read() { STROLL } else { 2 * pause };
                    pause = pause.min(self.longest_pause());
                    self.look_at_stacks();
                    if self.watch_blockages() || asked.elapsed() >= rest {
                        let began = Instant::now();
                        self.ask();
                        self.consultation.ask(&mut self.examination);
                        asked = Instant::now();
                        rest = ROUND.max(SHARE * (asked - began));
                    }
                    self.record();
                    due = Instant::now() + pause;
                }
            }
        }
        self.look();
        self.close();
    }

    /// Waits for a message until a tick is due. One that is overdue comes first: messages may come without a pause.
    fn wait(&mut self, messages: &Receiver<Message>, due: Instant) -> Result<Message, RecvTimeoutError> {
        let began = Instant::now();
        let left = due.saturating_duration_since(began);
        if left.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        let message = messages.recv_timeout(left);
        if let Err(RecvTimeoutError::Timeout) = message {
            self.late += began.elapsed().saturating_sub(left + SLACK).as_nanos() as u64;
        }
        message
    }

    /// Says once what cannot be seen here.
    fn say_what_is_missing(&mut self) {
        if self.output == Output::Text && !self.blockages.has_witness() {
            self.write("treadle: stacks cannot be read here, so what blocks a loop is named by its callback only\n");
        }
    }

    fn look(&mut self) {
        self.read();
        self.watch_blockages();
        self.ask();
    }

    /// How long to pause at most, so that no callback takes long and is not looked at.
    fn longest_pause(&self) -> Duration {
        let run = self.examination.run();
        let takes_long = |event_loop: &EventLoop| match event_loop.activity {
            Activity::Running { since, .. } => {
                run.scale().duration(run.now().saturating_sub(since)) >= TICK.as_nanos() as u64 / 2
            }
            _ => false,
        };
        if run.loops().iter().any(takes_long) {
            return TICK;
        }
        Duration::from_nanos(run.thresholds.blocked / IDLE).max(TICK)
    }

    /// Takes in what is new; says whether there was something.
    fn read(&mut self) -> bool {
        self.examination.reader().tape().compare_clocks(self.began.elapsed().as_nanos() as u64);
        let has_read = match &mut self.clerk {
            Some(clerk) => {
                let has_read = self.examination.read(|records| clerk.see(records));
                clerk.copy();
                has_read
            }
            None => self.examination.read(|_| {}),
        };
        self.consultation.hear(&mut self.examination);
        has_read
    }

    /// Notes for the recording what loops execute.
    fn look_at_stacks(&mut self) {
        if let Some(clerk) = &mut self.clerk {
            clerk.look(self.examination.run(), self.blockages.witness());
        }
    }

    /// Writes down what has happened, if it is recorded.
    fn record(&mut self) {
        if let Some(clerk) = &mut self.clerk {
            clerk.pass(self.examination.run());
        }
    }

    /// Looks at callbacks that take long; says whether there is something to ask for.
    fn watch_blockages(&mut self) -> bool {
        let Seen { blockages: found, holds } = self.blockages.look(self.examination.run(), self.late);
        for (event_loop, place) in holds {
            self.examination.hold(event_loop, place);
        }
        let mut is_new = false;
        for blockage in &found {
            let parts = found.iter().filter(|other| other.event_loop == blockage.event_loop).count();
            is_new |= self.still.is_new(blockage, parts);
        }
        for blockage in found {
            if let Some(words) = self.still.words(&blockage).filter(|_| self.output == Output::Text) {
                self.write(&words);
            }
            if let Some(clerk) = &mut self.clerk {
                clerk.block(self.examination.run(), &blockage);
            }
            self.examination.block(blockage);
        }
        is_new
    }

    fn ask(&mut self) {
        self.examination.look_around_waits(&mut self.sources);
        let run = self.examination.run();
        let busy = run.loops().iter().map(|row| (row.number, run.scale().duration(row.busy)));
        self.pace.note(run.scale().time(run.now()), busy);
        let new = self.examination.ask();
        for sighting in &new {
            self.say(sighting);
        }
        if let Some(clerk) = &mut self.clerk {
            clerk.find(self.examination.found(), !new.is_empty());
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = self.examination.found().to_vec();
        self.keep_words();
    }

    /// Leaves the findings in the tape, for whoever reads it when this process is gone.
    fn keep_words(&self) {
        let mut closing = self.closing();
        let tape = self.examination.reader().tape();
        loop {
            let text = closing_json(&closing).to_string();
            if text.len() <= tape.words_size() {
                return tape.keep_words(text.as_bytes());
            }
            closing.found = &closing.found[..closing.found.len() / 2];
        }
    }

    fn answer(&mut self, question: &str) -> String {
        match question {
            "snapshot" => {
                self.look();
                treadle_view::snapshot_json(&self.examination.run().snapshot(), self.examination.found()).to_string()
            }
            _ if question.starts_with('{') => match reply::parse(question) {
                Ok(inquiry) => self.reply(&inquiry),
                Err(words) => reply::refuse(&words),
            },
            _ => reply::refuse(
                "the question is not known; `snapshot` is, and objects of JSON such as {\"findings\": true}",
            ),
        }
    }

    /// Answers what one screen needs. Whoever looks must not cost the program much, so the pitfalls are not asked for it.
    fn reply(&mut self, inquiry: &Inquiry) -> String {
        let began = reply::own_time();
        self.examination.measure();
        self.read();
        let mut reply = self.examination.run().reply(inquiry, self.examination.found());
        self.add_waker(&mut reply);
        reply::complete(&mut reply);
        let ended = reply::own_time();
        let pulse = &mut reply.pulse;
        pulse.watched = self.began.elapsed().as_nanos() as u64;
        (pulse.cost, pulse.took) = (ended + pulse.vitals.inspected, ended - began);
        reply::write(&reply)
    }

    /// Looks in the last events who has woken the task that is asked for: a few milliseconds of this thread, and nothing while nobody asks.
    fn add_waker(&self, reply: &mut Reply) {
        if reply.task.is_some() {
            let mut events = Vec::new();
            let tape = Arc::clone(self.examination.reader().tape());
            Reader::of_last(tape, WAKERS).read(WAKERS as usize, |event| events.push(*event));
            self.examination.run().add_waker(reply, &events);
        }
    }

    fn metrics(&self) -> Metrics {
        let vitals = self.examination.run().vitals();
        let watched = self.began.elapsed().as_nanos().max(1) as f64;
        Metrics {
            busy: self.pace.busy(&vitals),
            findings: findings(self.examination.found()),
            descriptors: reply::descriptors(),
            overhead: (reply::own_time() + vitals.inspected) as f64 / watched,
            patterns: self.examination.run().pattern_vitals(),
            patterns_unread: self.examination.run().patterns().left_out(),
            vitals,
        }
    }

    fn closing(&self) -> Closing<'_> {
        let run = self.examination.run();
        Closing {
            found: self.examination.found(),
            watched: self.began.elapsed(),
            callbacks: run.loops().iter().map(|event_loop| event_loop.callbacks).sum(),
            lost: run.lost(),
            inspections: inspections(run),
        }
    }

    fn say(&mut self, seen: &Sighting) {
        let text = match self.output {
            Output::Text => sighting(seen),
            Output::Json | Output::Logging => format!("{}\n", sighting_json(seen)),
            Output::Silent => return,
        };
        self.write(&text);
    }

    /// Writes in one piece, because other processes may write there too. Nobody is left to be told if the output is gone.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }

    fn close(&mut self) {
        if let Some(clerk) = &mut self.clerk {
            clerk.finish(self.examination.run());
        }
        let summary = self.closing();
        let text = match self.output {
            // A process that another one has started is not worth a line if it is well.
            Output::Text if self.is_follower && summary.found.is_empty() => String::new(),
            Output::Text => closing_text(&closing_json(&summary)),
            Output::Json | Output::Logging => format!("{}\n", closing_json(&summary)),
            Output::Silent => String::new(),
        };
        self.write(&text);
        self.examination.reader().tape().finish();
    }
}

/// How often each pitfall was found that the doctor knows, so that there is something to compare with before the first time.
fn findings(found: &[Sighting]) -> BTreeMap<(&'static str, &'static str), u64> {
    let known = CATALOGUE.iter().filter(|pitfall| pitfall.detector.is_some());
    let none = known.map(|pitfall| ((pitfall.about.name, pitfall.about.severity.as_str()), 0));
    let mut counts: BTreeMap<_, _> = none.collect();
    for seen in found {
        *counts.entry((seen.about.name, seen.severity.as_str())).or_default() += seen.count;
    }
    counts
}

/// How often loops have looked at their tasks, for how long altogether, and at most at once.
fn inspections(run: &Run) -> (u64, Duration, Duration) {
    let (count, total, longest) = run.waits().pictures;
    let [total, longest] = [total, longest].map(|ticks| Duration::from_nanos(run.scale().duration(ticks)));
    (count, total, longest)
}
