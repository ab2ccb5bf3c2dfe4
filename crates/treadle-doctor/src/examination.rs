//! One process under examination: its tape, the tables made of it, and what was found.

use std::collections::HashMap;

use treadle_events::{Note, Picture, Reader, Request, ticks};
use treadle_finding::{Sighting, Site};
use treadle_pitfalls::watch;
use treadle_run::{Run, Thresholds};

/// Events that are taken in before anything else is looked at.
const BATCH: usize = 100_000;

/// What makes two sightings one: the pitfall, the line, and what is said of it.
type Key = (&'static str, Site, String);

/// A process under examination.
pub struct Examination {
    reader: Reader,
    run: Run,
    /// In the order in which they were first seen.
    found: Vec<Sighting>,
    known: HashMap<Key, usize>,
}

impl Examination {
    /// Nothing was looked at yet.
    pub fn new(reader: Reader, thresholds: Thresholds) -> Self {
        let run = Run::new(reader.tape().scale(), thresholds);
        Self { reader, run, found: Vec::new(), known: HashMap::new() }
    }

    /// Takes in what the process has written since the last time.
    pub fn read(&mut self) {
        loop {
            let Self { reader, run, .. } = self;
            run.learn_places(|places| reader.read_places(places));
            let lost = reader.read(BATCH, |event| run.apply(event));
            if lost > 0 {
                run.lose(lost);
            }
            if !reader.is_behind() {
                break;
            }
        }
        self.run.tick(ticks(), self.reader.tape().scale());
    }

    /// Takes in what it told in words.
    pub fn hear(&mut self, note: Note) {
        self.run.hear(note);
    }

    /// Takes in what a loop has seen of its tasks.
    pub fn see(&mut self, picture: Picture) {
        self.run.see(picture);
    }

    /// What loops are to look at now.
    pub fn wanted(&mut self) -> Option<Request> {
        self.run.wanted()
    }

    /// Asks all pitfalls, and returns what was not known before.
    pub fn ask(&mut self) -> Vec<Sighting> {
        self.run.reflect();
        let mut new = Vec::new();
        for sighting in watch(&self.run) {
            let key = (sighting.about.name, sighting.site.clone(), sighting.message.clone());
            if let Some(at) = self.known.get(&key) {
                self.found[*at] = sighting;
            } else {
                self.known.insert(key, self.found.len());
                self.found.push(sighting.clone());
                new.push(sighting);
            }
        }
        new
    }

    /// Everything that was found, in the order in which it was first seen.
    pub fn found(&self) -> &[Sighting] {
        &self.found
    }

    /// The tables.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The tape.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}
