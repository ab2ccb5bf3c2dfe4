//! One process under examination: its tape, the tables made of it, and what was found.

use std::collections::{HashMap, VecDeque};

use treadle_events::{Note, Reader, ticks};
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
    /// Not taken in yet: what was written before comes first.
    notes: VecDeque<Note>,
    /// In the order in which they were first seen.
    found: Vec<Sighting>,
    known: HashMap<Key, usize>,
}

impl Examination {
    /// Nothing was looked at yet.
    pub fn new(reader: Reader, thresholds: Thresholds) -> Self {
        let run = Run::new(reader.tape().scale(), thresholds);
        Self { reader, run, notes: VecDeque::new(), found: Vec::new(), known: HashMap::new() }
    }

    /// Takes in what the process has written since the last time.
    pub fn read(&mut self) {
        loop {
            let Self { reader, run, notes, .. } = self;
            run.learn_places(|places| reader.read_places(places));
            let lost = reader.read(BATCH, |event| {
                while let Some(note) = notes.pop_front_if(|note| note.stamp <= event.stamp) {
                    run.hear(note);
                }
                run.apply(event);
            });
            if lost > 0 {
                run.lose(lost);
            }
            if !reader.is_behind() {
                break;
            }
        }
        self.notes.drain(..).for_each(|note| self.run.hear(note));
        self.run.tick(ticks(), self.reader.tape().scale());
    }

    /// Takes in what it told in words.
    pub fn hear(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    /// Asks all pitfalls, and returns what was not known before.
    pub fn ask(&mut self) -> Vec<Sighting> {
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
