//! One process under examination: its tape, the tables made of it, and what was found.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use treadle_events::{Note, Picture, Place, PlaceId, Reader, Record, Request, Tape, ticks};
use treadle_finding::{Sighting, Site};
use treadle_pitfalls::watch;
use treadle_run::{Around, Blockage, Poll, Run, Thresholds};

use crate::allowed::Allowed;
use crate::source::Sources;

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
    /// Where they are there; nothing for what is allowed.
    known: HashMap<Key, Option<usize>>,
    allowed: Allowed,
}

impl Examination {
    /// Nothing was looked at yet.
    pub fn new(reader: Reader, thresholds: Thresholds, allowed: Allowed) -> Self {
        let run = Run::new(reader.tape().scale(), thresholds);
        let notes = VecDeque::new();
        Self { reader, run, notes, found: Vec::new(), known: HashMap::new(), allowed }
    }

    /// Takes in what the process has written since the last time, and shows all of it; says whether there was any.
    pub fn read(&mut self, mut see: impl FnMut(&[Record])) -> bool {
        let has_more = self.reader.is_behind();
        loop {
            let Self { reader, run, notes, .. } = self;
            run.learn_places(|places| reader.read_places(places));
            let lost = reader.read_blocks(BATCH, |mut records| {
                see(records);
                while let Some(note) = notes.front() {
                    // What was written before a note comes before it.
                    let count = records.iter().position(|record| record.stamp >= note.stamp);
                    let (before, after) = records.split_at(count.unwrap_or(records.len()));
                    run.apply_all(before);
                    records = after;
                    if records.is_empty() {
                        return;
                    }
                    notes.pop_front().into_iter().for_each(|note| run.hear(note));
                }
                run.apply_all(records);
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
        has_more
    }

    /// Takes in all that a process has left that is gone. Time stands where its last event was.
    pub fn replay(tape: Arc<Tape>, thresholds: Thresholds) -> Run {
        let mut reader = Reader::new(tape);
        let mut run = Run::new(reader.tape().scale(), thresholds);
        run.learn_places(|places| reader.read_places(places));
        let lost = reader.read_blocks(usize::MAX >> 1, |records| run.apply_all(records));
        run.lose(lost);
        run
    }

    /// Takes in what it told in words.
    pub fn hear(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    /// Takes in what was seen of a callback that takes too long.
    pub fn block(&mut self, blockage: Blockage) {
        self.run.block(blockage);
    }

    /// Takes in who had the interpreter while a loop waited for it.
    pub fn hold(&mut self, event_loop: u8, place: Place) {
        self.run.hold(event_loop, place);
    }

    /// Looks in the source what stands around lines at which tasks ask again and again.
    pub(crate) fn look_around_waits(&mut self, sources: &mut Sources) {
        let unknown = |(place, row): (&PlaceId, &Poll)| row.around.is_none().then_some(*place);
        let places: Vec<PlaceId> = self.run.polls().places().iter().filter_map(unknown).collect();
        for id in places {
            let around = self.run.place(id).map_or(Around::Other, |place| sources.around(&place.file, place.line));
            self.run.know_wait(id, around);
        }
    }

    /// Takes in what a loop has seen of its tasks.
    pub fn see(&mut self, picture: Picture) {
        self.run.see(picture);
    }

    /// Loops are asked what they have around them from now on.
    pub fn measure(&mut self) {
        self.run.measure();
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
            match self.known.get(&key) {
                Some(Some(at)) => self.found[*at] = sighting,
                Some(None) => {}
                None if self.allowed.allows(&sighting) => drop(self.known.insert(key, None)),
                None => {
                    self.known.insert(key, Some(self.found.len()));
                    self.found.push(sighting.clone());
                    new.push(sighting);
                }
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
