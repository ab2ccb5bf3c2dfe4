//! Asks in a thread, so that keys are heard while an answer is on its way.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};

use treadle_run::inquiry::{Inquiry, Reply};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nobody is there any more.
    Ended,
    /// Something else, in words.
    Other(String),
}

impl Unanswered {
    /// For whoever has asked for a process that cannot be asked.
    pub(super) fn explained(self, process: u32) -> anyhow::Error {
        match self {
            Self::Ended => crate::snapshot::unwatched(process),
            Self::Other(words) => anyhow::anyhow!("process {process}: {words}"),
        }
    }
}

/// An answer, and how many bytes it had.
type Answer = Result<(Reply, usize), Unanswered>;

/// Asks one question at a time.
pub(super) struct Asker {
    questions: Sender<Inquiry>,
    answers: Receiver<Answer>,
    is_waiting: bool,
}

impl Asker {
    pub(super) fn start(process: u32) -> io::Result<Self> {
        let (questions, asked) = channel::<Inquiry>();
        let (answering, answers) = channel();
        std::thread::Builder::new().name("treadle-asker".to_owned()).spawn(move || {
            for inquiry in asked {
                if answering.send(ask(process, &inquiry)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { questions, answers, is_waiting: false })
    }

    pub(super) fn ask(&mut self, inquiry: Inquiry) {
        self.is_waiting = self.questions.send(inquiry).is_ok();
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// What was answered, if it has come.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.is_waiting = false;
        Some(answer)
    }
}

/// Asks, and waits for the answer.
pub(super) fn ask(process: u32, inquiry: &Inquiry) -> Answer {
    let other = |words: String| Unanswered::Other(words);
    let question = serde_json::to_string(inquiry).map_err(|error| other(error.to_string()))?;
    let text = treadle_doctor::inquire(process, &question).map_err(|error| match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Unanswered::Ended,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => other("the doctor is busy".to_owned()),
        _ => other(error.to_string()),
    })?;
    if text.is_empty() {
        return Err(Unanswered::Ended);
    }
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| other(format!("what it says is no answer: {error}")))?;
    if let Some(words) = value["error"].as_str() {
        let is_over = words.contains("has finished");
        return Err(if is_over { Unanswered::Ended } else { other(words.to_owned()) });
    }
    let reply = serde_json::from_value(value).map_err(|error| other(format!("what it says is no answer: {error}")))?;
    Ok((reply, text.len()))
}
