//! Asking loops what their tasks wait for, one question at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use treadle_events::Exchange;

use crate::examination::Examination;

/// How long an answer may take before something else is asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is going on between the doctor and the loops.
pub(crate) struct Consultation {
    exchange: Arc<Exchange>,
    /// How many loops have not answered, and since when.
    open: Option<(usize, Instant)>,
}

impl Consultation {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, open: None }
    }

    /// Asks whatever is worth it, unless an answer is being waited for.
    pub(crate) fn ask(&mut self, examination: &mut Examination) {
        if self.open.is_some_and(|(_, since)| since.elapsed() < PATIENCE) {
            return;
        }
        self.open = examination.wanted().map(|request| {
            let open = (request.loops.len(), Instant::now());
            self.exchange.ask(request);
            open
        });
    }

    /// Takes the answers in.
    pub(crate) fn hear(&mut self, examination: &mut Examination) {
        for picture in self.exchange.take() {
            if let Some((left, since)) = &mut self.open {
                *left = left.saturating_sub(usize::from(picture.is_last));
                *since = Instant::now();
            }
            examination.see(picture);
        }
        self.open = self.open.filter(|(left, _)| *left > 0);
    }
}
