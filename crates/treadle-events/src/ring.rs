//! The tape: a piece of shared memory with a header, a ring of events, a table of places and the doctor's last words, and room behind that
//! for whoever made the file. It is long because the proofs of all accesses stand beside each other.
//!
//! One writer at a time puts events in, any number of readers take copies, in this process or in another, also after the writer
//! was killed. The writer never waits: what readers have not taken when it comes round is lost to them, and they know how much it was.
//!
//! - **R1** A tape's memory is mapped from its creation until the last `Arc` of it is gone, is `words` words long, and its address is a
//!   multiple of eight.
//! - **R2** All of it is only ever looked at as `AtomicU64`, by every process, so no access can race with another in the language's sense.
//! - **R3** Positions are taken modulo the capacity that the header was made with; capacities are read once and checked against the mapping's
//!   length, so a damaged header cannot lead outside.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::{MmapOptions, MmapRaw};

use crate::{Event, Place, PlaceId, Record};

/// `treadle` and the version of what follows.
const MAGIC: u64 = u64::from_le_bytes(*b"treadle\x01");

/// Words of the header.
mod at {
    pub(super) const MAGIC: usize = 0;
    /// How many events the ring holds.
    pub(super) const CAPACITY: usize = 1;
    /// How many words the table of places has.
    pub(super) const PLACES: usize = 2;
    /// How many words each of two pages of last words has.
    pub(super) const WORDS: usize = 3;
    pub(super) const PROCESS: usize = 4;
    /// Ticks, and nanoseconds since 1970, at the creation.
    pub(super) const START_TICKS: usize = 5;
    pub(super) const START_TIME: usize = 6;
    /// A later pair, for the length of a tick.
    pub(super) const LATER_TICKS: usize = 7;
    pub(super) const LATER_NANOSECONDS: usize = 8;
    /// How many events were ever written.
    pub(super) const HEAD: usize = 9;
    /// Bytes used of the table of places.
    pub(super) const PLACES_USED: usize = 10;
    /// How often last words were written; the lowest bit says on which page they are.
    pub(super) const WORDS_COUNT: usize = 11;
    pub(super) const WORDS_LENGTH: usize = 12;
    /// What became of the doctor: 0 it lives or was killed, 1 it has said all.
    pub(super) const IS_FINISHED: usize = 14;
    /// In a copy: how many events were written over before they were copied.
    pub(super) const LOST: usize = 15;
    pub(super) const END: usize = 16;
}

/// Words of an event.
const RECORD: usize = 4;

/// Nanoseconds since some moment, or cycles: whatever is cheapest to read and steady. About 7 ns on x86.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every 64-bit processor has the instruction, and it reads a register only.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let count: u64;
        // SAFETY: user code may read this counter on Linux and macOS; nothing else is touched.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
        count
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// How ticks become nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    start_ticks: u64,
    /// Nanoseconds since 1970 at that moment.
    start_time: u64,
    nanoseconds_per_tick: f64,
    /// The same in parts of 2⁻⁴⁰: floating point would be three times as long at each event.
    fixed: u64,
}

/// Bits behind the point of a scale.
const POINT: u32 = 40;

impl Scale {
    /// A scale on which a tick is a nanosecond, for tests.
    pub fn nanoseconds() -> Self {
        Self::new(0, 0, 1.0)
    }

    /// How many nanoseconds some ticks are.
    #[inline]
    pub fn duration(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.fixed)) >> POINT) as u64
    }

    /// How many ticks some nanoseconds are.
    pub fn ticks(&self, nanoseconds: u64) -> u64 {
        (nanoseconds as f64 / self.nanoseconds_per_tick) as u64
    }

    /// When the tape began, in ticks.
    pub fn start(&self) -> u64 {
        self.start_ticks
    }

    /// Nanoseconds since the tape began.
    #[inline]
    pub fn since_start(&self, stamp: u64) -> u64 {
        self.duration(stamp.saturating_sub(self.start_ticks))
    }

    /// Nanoseconds since 1970.
    pub fn time(&self, stamp: u64) -> u64 {
        self.start_time.saturating_add(self.since_start(stamp))
    }

    fn new(start_ticks: u64, start_time: u64, nanoseconds_per_tick: f64) -> Self {
        let fixed = (nanoseconds_per_tick * (1_u64 << POINT) as f64) as u64;
        Self { start_ticks, start_time, nanoseconds_per_tick, fixed }
    }
}

/// The shared memory.
pub struct Tape {
    map: MmapRaw,
    capacity: u64,
    places: usize,
    words: usize,
}

impl Tape {
    /// How long a file must be for a ring of so many events.
    pub fn file_size(capacity: usize) -> u64 {
        (words_needed(capacity, PLACES, WORDS) * size_of::<u64>()) as u64
    }

    /// A new tape that only this process and those forked from it see. `capacity` is rounded up to a power of two.
    ///
    /// # Errors
    /// There is no memory.
    pub fn anonymous(capacity: usize) -> io::Result<Arc<Self>> {
        let capacity = capacity.next_power_of_two().max(64);
        let length = words_needed(capacity, PLACES, WORDS) * size_of::<u64>();
        // A page that comes when it is written to takes as long as a hundred events.
        let map = MmapOptions::new().len(length).populate().map_anon()?;
        Ok(Self::begin(map.into(), capacity))
    }

    /// A new tape in a file of [`file_size`](Self::file_size), which others have mapped or will map.
    ///
    /// # Errors
    /// The file is too short for 64 events, or cannot be mapped.
    pub fn create(file: &File) -> io::Result<Arc<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        let spare = (length / size_of::<u64>()).saturating_sub(words_needed(0, PLACES, WORDS)) / RECORD;
        let Some(power) = spare.checked_ilog2().filter(|power| *power >= 6) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is too short for a tape"));
        };
        Ok(Self::begin(MmapOptions::new().len(length).populate().map_raw(file)?, 1 << power))
    }

    /// A tape that another process has begun.
    ///
    /// # Errors
    /// The file is none, or of another version, or cannot be mapped.
    pub fn open(file: &File) -> io::Result<Arc<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if length < at::END * size_of::<u64>() {
            return Err(foreign("the file is too short for a tape"));
        }
        Self::adopt(MmapOptions::new().len(length).map_raw(file)?)
    }

    /// A new tape for so many events, a power of two, at the beginning of a file that is longer.
    ///
    /// # Errors
    /// The file is too short for so many, or cannot be mapped.
    pub fn create_with_room(file: &File, capacity: usize) -> io::Result<Arc<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        let is_right = capacity.is_power_of_two() && capacity >= 64;
        if !is_right || length as u64 <= Self::file_size(capacity) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is too short for a tape"));
        }
        Ok(Self::begin(MmapOptions::new().len(length).map_raw(file)?, capacity))
    }

    /// A tape that was written to a file, which is not to be changed.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_to_read(file: &File) -> io::Result<Arc<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        if length < at::END * size_of::<u64>() {
            return Err(foreign("the file is too short for a tape"));
        }
        Self::adopt(MmapOptions::new().len(length).map_raw_read_only(file)?)
    }

    fn begin(map: MmapRaw, capacity: usize) -> Arc<Self> {
        let tape = Self { map, capacity: capacity as u64, places: PLACES, words: WORDS };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        tape.set(at::CAPACITY, capacity as u64);
        tape.set(at::PLACES, PLACES as u64);
        tape.set(at::WORDS, WORDS as u64);
        tape.set(at::PROCESS, u64::from(std::process::id()));
        tape.set(at::START_TICKS, ticks());
        tape.set(at::START_TIME, time);
        for word in [at::HEAD, at::PLACES_USED, at::WORDS_COUNT, at::LATER_TICKS, at::IS_FINISHED, at::LOST] {
            tape.set(word, 0);
        }
        // Last: who finds it finds the rest.
        tape.word(at::MAGIC).store(MAGIC, Ordering::Release);
        Arc::new(tape)
    }

    fn adopt(map: MmapRaw) -> io::Result<Arc<Self>> {
        let available = map.len() / size_of::<u64>();
        let mut tape = Self { map, capacity: 0, places: 0, words: 0 };
        if tape.word(at::MAGIC).load(Ordering::Acquire) != MAGIC {
            return Err(foreign("the file is no tape of this version of treadle, or nothing was written to it"));
        }
        let [capacity, places, words] = [at::CAPACITY, at::PLACES, at::WORDS].map(|word| tape.get(word));
        let sane = capacity.is_power_of_two() && [capacity, places, words].iter().all(|size| *size < 1 << 40);
        if !sane || words_needed(capacity as usize, places as usize, words as usize) > available {
            return Err(foreign("the tape's header is damaged"));
        }
        (tape.capacity, tape.places, tape.words) = (capacity, places as usize, words as usize);
        Ok(Arc::new(tape))
    }

    /// The number of the process that writes.
    pub fn process(&self) -> u32 {
        self.get(at::PROCESS) as u32
    }

    /// How many events were ever written.
    pub fn head(&self) -> u64 {
        self.word(at::HEAD).load(Ordering::Acquire)
    }

    /// How ticks become nanoseconds, as far as is known by now.
    pub fn scale(&self) -> Scale {
        let [start_ticks, start_time, later, nanoseconds] =
            [at::START_TICKS, at::START_TIME, at::LATER_TICKS, at::LATER_NANOSECONDS].map(|word| self.get(word));
        let passed = later.saturating_sub(start_ticks);
        let nanoseconds_per_tick = if passed == 0 { 1.0 } else { nanoseconds as f64 / passed as f64 };
        Scale::new(start_ticks, start_time, nanoseconds_per_tick)
    }

    /// Compares both clocks once more, given the nanoseconds since the tape was made: the longer ago that was, the better is the [`scale`](Self::scale).
    pub fn compare_clocks(&self, nanoseconds: u64) {
        self.set(at::LATER_NANOSECONDS, nanoseconds);
        self.word(at::LATER_TICKS).store(ticks(), Ordering::Release);
    }

    /// How many bytes of words are kept.
    pub fn words_size(&self) -> usize {
        self.words * size_of::<u64>()
    }

    /// Keeps words for whoever reads the tape when the process is gone. What is too long is cut.
    pub fn keep_words(&self, text: &[u8]) {
        let count = self.get(at::WORDS_COUNT) + 1;
        let page = self.words_at((count & 1) as usize);
        let text = &text[..text.len().min(self.words * size_of::<u64>())];
        self.store_bytes(page, text);
        self.set(at::WORDS_LENGTH + (count & 1) as usize, text.len() as u64);
        self.word(at::WORDS_COUNT).store(count, Ordering::Release);
    }

    /// The words kept last.
    pub fn words(&self) -> Vec<u8> {
        let count = self.word(at::WORDS_COUNT).load(Ordering::Acquire);
        if count == 0 {
            return Vec::new();
        }
        let page = (count & 1) as usize;
        let length = (self.get(at::WORDS_LENGTH + page) as usize).min(self.words * size_of::<u64>());
        self.load_bytes(self.words_at(page), length)
    }

    /// How many events the ring holds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many bytes there are behind the tape.
    pub fn room(&self) -> usize {
        (self.map.len() / size_of::<u64>()).saturating_sub(self.room_at()) * size_of::<u64>()
    }

    /// Writes bytes there. `at` is a multiple of eight, and what is too long is cut.
    pub fn store_in_room(&self, at: usize, bytes: &[u8]) {
        let length = bytes.len().min(self.room().saturating_sub(at));
        self.store_bytes(self.room_at() + at / size_of::<u64>(), &bytes[..length]);
    }

    /// Writes a word there, after all that was written before.
    pub fn publish_in_room(&self, at: usize, value: u64) {
        std::sync::atomic::fence(Ordering::Release);
        self.word(self.room_at() + at / size_of::<u64>()).store(value, Ordering::Release);
    }

    /// The bytes there, as many as there are. `at` is a multiple of eight.
    pub fn load_from_room(&self, at: usize, length: usize) -> Vec<u8> {
        let length = length.min(self.room().saturating_sub(at));
        std::sync::atomic::fence(Ordering::Acquire);
        self.load_bytes(self.room_at() + at / size_of::<u64>(), length)
    }

    fn room_at(&self) -> usize {
        self.words_at(2)
    }

    /// Says that the doctor in the process has said all there is to say.
    pub fn finish(&self) {
        self.word(at::IS_FINISHED).store(1, Ordering::Release);
    }

    /// Whether it has.
    pub fn is_finished(&self) -> bool {
        self.word(at::IS_FINISHED).load(Ordering::Acquire) == 1
    }

    /// Every place that was met, in the order of their numbers, from 1.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        self.read_places(0, &mut places);
        places
    }

    /// Adds the places from byte `from` of the table on, and returns where it ended.
    fn read_places(&self, from: usize, places: &mut Vec<Place>) -> usize {
        let used = (self.word(at::PLACES_USED).load(Ordering::Acquire) as usize).min(self.places * size_of::<u64>());
        if used <= from {
            return from;
        }
        // Places begin at words, so that each is written to words of its own.
        let bytes = self.load_bytes(self.places_at() + from / size_of::<u64>(), used - from);
        let mut rest = bytes.as_slice();
        while let Some((place, length)) = Place::decode(rest) {
            places.push(place);
            rest = rest.get(length.next_multiple_of(size_of::<u64>())..).unwrap_or_default();
        }
        used
    }

    fn places_at(&self) -> usize {
        at::END + self.capacity as usize * RECORD
    }

    fn words_at(&self, page: usize) -> usize {
        self.places_at() + self.places + page * self.words
    }

    #[inline]
    fn get(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Relaxed)
    }

    fn set(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Relaxed);
    }

    fn store_bytes(&self, word: usize, bytes: &[u8]) {
        for (at, chunk) in bytes.chunks(size_of::<u64>()).enumerate() {
            let mut whole = [0; size_of::<u64>()];
            whole[..chunk.len()].copy_from_slice(chunk);
            self.set(word + at, u64::from_le_bytes(whole));
        }
    }

    fn load_bytes(&self, word: usize, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(size_of::<u64>())).flat_map(|at| self.get(word + at).to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// The ring.
    #[inline]
    fn slots(&self) -> &[[AtomicU64; RECORD]] {
        let (first, capacity) = (std::ptr::from_ref(self.word(at::END)), self.capacity as usize);
        // SAFETY: so many events are within the mapping (R1, R3), which everybody looks at as atomics (R2), as long as the tape lives.
        unsafe { std::slice::from_raw_parts(first.cast(), capacity) }
    }

    #[inline]
    fn word(&self, word: usize) -> &AtomicU64 {
        assert!(word < self.map.len() / size_of::<u64>(), "a tape has no such word");
        // SAFETY: within the mapping, as just seen (R1), and a multiple of eight.
        let pointer = unsafe { self.map.as_mut_ptr().add(word * size_of::<u64>()) };
        // SAFETY: mapped as long as the tape lives (R1); everybody looks at it as an atomic (R2).
        unsafe { AtomicU64::from_ptr(pointer.cast()) }
    }
}

/// 512 KiB of places, which is some ten thousand.
const PLACES: usize = 64 * 1024;

/// 256 KiB for each of two pages of last words.
const WORDS: usize = 32 * 1024;

fn words_needed(capacity: usize, places: usize, words: usize) -> usize {
    at::END + capacity * RECORD + places + 2 * words
}

fn foreign(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Who writes. There is one for a tape, and one thread at a time uses it.
pub struct Writer {
    tape: Arc<Tape>,
    /// The word of the header that says how many there are.
    head: *const AtomicU64,
    mask: u64,
    slots: *const AtomicU64,
    places: std::cell::Cell<u32>,
}

impl Writer {
    /// The only writer of a tape.
    pub fn new(tape: Arc<Tape>) -> Self {
        let slots: *const AtomicU64 = tape.word(at::END);
        let (head, mask) = (std::ptr::from_ref(tape.word(at::HEAD)), tape.capacity - 1);
        let places = std::cell::Cell::new(tape.places().len() as u32);
        Self { tape, head, mask, slots, places }
    }

    /// The tape.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Writes an event that happens now.
    #[inline]
    pub fn write(&self, event: Event) -> u64 {
        let stamp = ticks();
        self.write_at(Event { stamp, ..event });
        stamp
    }

    /// Writes an event with the stamp that it has. 32 bytes and the count: 3 ns.
    #[inline]
    pub fn write_at(&self, event: Event) {
        self.write_record(&event.record());
    }

    #[inline]
    fn write_record(&self, record: &Record) {
        // SAFETY: a word of the mapping (R1), which everybody looks at as an atomic (R2).
        let count = unsafe { &*self.head };
        let head = count.load(Ordering::Relaxed);
        let first = (head & self.mask) as usize * RECORD;
        // SAFETY: the masked position is within the ring, which lies in the mapping (R1, R3).
        let slot = unsafe { self.slots.add(first).cast::<[AtomicU64; RECORD]>() };
        // SAFETY: as above, and everybody looks at it as atomics (R2).
        let slot = unsafe { &*slot };
        // Who sees a word of this event also sees that the one before is complete: readers stay away from what is written over.
        std::sync::atomic::fence(Ordering::Release);
        for (word, value) in slot.iter().zip([record.stamp, record.head, record.subject, record.value]) {
            word.store(value, Ordering::Relaxed);
        }
        count.store(head.wrapping_add(1), Ordering::Release);
    }

    /// Enters a place and returns its number, or [`PlaceId::UNKNOWN`] if the table is full.
    pub fn enter(&self, place: &Place) -> PlaceId {
        let bytes = place.encode();
        let used = self.tape.get(at::PLACES_USED) as usize;
        let after = used + bytes.len().next_multiple_of(size_of::<u64>());
        if after > self.tape.places * size_of::<u64>() {
            return PlaceId::UNKNOWN;
        }
        self.tape.store_bytes(self.tape.places_at() + used / size_of::<u64>(), &bytes);
        self.tape.word(at::PLACES_USED).store(after as u64, Ordering::Release);
        self.places.set(self.places.get() + 1);
        PlaceId(self.places.get())
    }
}

/// Who reads, from some position on.
pub struct Reader {
    tape: Arc<Tape>,
    next: u64,
    places_read: usize,
}

/// How many events are copied at once.
const BLOCK: usize = 64;

/// How many events behind the writer may be in the middle of being written over.
const MARGIN: u64 = 8;

impl Reader {
    /// Reads all that a tape still has.
    pub fn new(tape: Arc<Tape>) -> Self {
        Self { tape, next: 0, places_read: 0 }
    }

    /// Reads the last events that a tape has, and what comes after them.
    pub fn of_last(tape: Arc<Tape>, count: u64) -> Self {
        let next = tape.head().saturating_sub(count);
        Self { tape, next, places_read: 0 }
    }

    /// The tape.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.tape
    }

    /// Hands over what was written since the last time, at most `limit` events, and returns how many were lost before them.
    #[inline]
    pub fn read(&mut self, limit: usize, mut take: impl FnMut(&Event)) -> u64 {
        self.read_blocks(limit, |block| block.iter().filter_map(Record::event).for_each(|event| take(&event)))
    }

    /// Does so as they lie in the ring, some at a time.
    pub fn read_blocks(&mut self, limit: usize, mut take: impl FnMut(&[Record])) -> u64 {
        let head = self.tape.head();
        let oldest = head.saturating_sub(self.tape.capacity - MARGIN);
        let mut lost = oldest.saturating_sub(self.next);
        self.next = self.next.max(oldest);
        let end = head.min(self.next + limit as u64);
        let mut block = [Record::default(); BLOCK];
        while self.next < end {
            // Up to the end of the ring, so that they lie side by side.
            let first = (self.next & (self.tape.capacity - 1)) as usize;
            let count = (end - self.next).min(BLOCK as u64).min(self.tape.capacity - first as u64);
            let slots = self.tape.slots().get(first..first + count as usize).unwrap_or_default();
            for (record, [stamp, head, subject, value]) in block.iter_mut().zip(slots) {
                let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
                *record = Record { stamp: word(stamp), head: word(head), subject: word(subject), value: word(value) };
            }
            // Whatever was written over meanwhile is not taken. Looking at the count makes the writer fetch it again, so this is done once for many.
            std::sync::atomic::fence(Ordering::Acquire);
            let oldest = self.tape.get(at::HEAD).saturating_sub(self.tape.capacity - MARGIN).min(end);
            let spoilt = oldest.saturating_sub(self.next);
            lost += spoilt;
            if spoilt < count {
                take(&block[spoilt as usize..count as usize]);
            }
            self.next = oldest.max(self.next + count);
        }
        lost
    }

    /// Whether the writer has written more than was read.
    pub fn is_behind(&self) -> bool {
        self.next < self.tape.head()
    }

    /// Adds the places that were entered since the last time.
    pub fn read_places(&mut self, places: &mut Vec<Place>) {
        self.places_read = self.tape.read_places(self.places_read, places);
    }
}

/// Keeps a copy of a tape in another one, which may have a ring of another size. What writes to the first never waits for what the second lies on, a
/// slow disk for instance.
pub struct Copyist {
    from: Reader,
    to: Writer,
}

impl Copyist {
    /// Begins to copy into a new tape.
    pub fn begin(from: Arc<Tape>, to: Arc<Tape>) -> Self {
        for word in [at::PROCESS, at::START_TICKS, at::START_TIME] {
            to.set(word, from.get(word));
        }
        Self { from: Reader::new(from), to: Writer::new(to) }
    }

    /// Goes on where one has ended that is gone.
    pub fn go_on(from: Arc<Tape>, to: Arc<Tape>) -> Self {
        let next = to.head() + to.get(at::LOST);
        Self { from: Reader { tape: from, next, places_read: 0 }, to: Writer::new(to) }
    }

    /// The copy.
    pub fn tape(&self) -> &Arc<Tape> {
        &self.to.tape
    }

    /// Copies what is new.
    pub fn copy(&mut self) {
        let Self { from, to } = self;
        let (source, copy) = (&from.tape, &to.tape);
        for word in [at::LATER_NANOSECONDS, at::LATER_TICKS] {
            copy.set(word, source.get(word));
        }
        let limit = copy.places.min(source.places) * size_of::<u64>();
        let used = (source.word(at::PLACES_USED).load(Ordering::Acquire) as usize).min(limit);
        let copied = copy.get(at::PLACES_USED) as usize;
        if used > copied {
            let bytes = source.load_bytes(source.places_at() + copied / size_of::<u64>(), used - copied);
            copy.store_bytes(copy.places_at() + copied / size_of::<u64>(), &bytes);
            copy.word(at::PLACES_USED).store(used as u64, Ordering::Release);
        }
        let lost = from.read_blocks(usize::MAX >> 1, |block| block.iter().for_each(|record| to.write_record(record)));
        copy.set(at::LOST, copy.get(at::LOST) + lost);
    }
}

// SAFETY: the pointers lead into the mapping that the `Arc` keeps (R1), which any thread may look at (R2). The cells are for one thread at
// a time, which is what `Send` asks for.
unsafe impl Send for Writer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Owner};

    fn tape(capacity: usize) -> Arc<Tape> {
        Tape::anonymous(capacity).unwrap_or_else(|error| panic!("no memory for a test: {error}"))
    }

    fn event(subject: u64) -> Event {
        Event { subject, ..Event::new(Kind::Step, 1) }
    }

    fn subjects(reader: &mut Reader) -> (Vec<u64>, u64) {
        let mut seen = Vec::new();
        let lost = reader.read(usize::MAX >> 1, |event| seen.push(event.subject));
        (seen, lost)
    }

    #[test]
    fn events_are_read_once_and_in_order() {
        let tape = tape(64);
        let (writer, mut reader) = (Writer::new(Arc::clone(&tape)), Reader::new(tape));
        (0..10).for_each(|subject| {
            writer.write(event(subject));
        });
        assert_eq!(subjects(&mut reader), ((0..10).collect(), 0));
        assert_eq!(subjects(&mut reader), (vec![], 0));
        assert!(!reader.is_behind());
    }

    #[test]
    fn what_was_written_over_is_counted_and_not_read() {
        let tape = tape(64);
        let (writer, mut reader) = (Writer::new(Arc::clone(&tape)), Reader::new(tape));
        (0..1_000).for_each(|subject| {
            writer.write(event(subject));
        });
        let (seen, lost) = subjects(&mut reader);
        assert_eq!(seen, (1_000 - seen.len() as u64..1_000).collect::<Vec<_>>());
        assert_eq!(lost + seen.len() as u64, 1_000);
        assert!(seen.len() >= 50);
    }

    #[test]
    fn a_reader_that_races_with_the_writer_sees_whole_events_only() {
        const COUNT: u64 = if cfg!(miri) { 300 } else { 200_000 };
        let tape = tape(64);
        let writer = Writer::new(Arc::clone(&tape));
        let mut reader = Reader::new(tape);
        let writing = std::thread::spawn(move || {
            (0..COUNT).for_each(|number| writer.write_at(Event { stamp: number, value: number, ..event(number) }));
        });
        let (mut last, mut count, mut lost) = (None, 0, 0);
        while count + lost < COUNT {
            lost += reader.read(1_000, |event| {
                assert_eq!((event.stamp, event.value), (event.subject, event.subject), "halves of two events");
                assert!(last < Some(event.subject), "{last:?} came before {}", event.subject);
                last = Some(event.subject);
                count += 1;
            });
        }
        assert!(writing.join().is_ok());
    }

    #[test]
    fn copy_has_what_the_tape_has_also_if_the_copyist_is_another_one() {
        let ([small, large], mut reader) = ([tape(64), tape(256)], Vec::new());
        let writer = Writer::new(Arc::clone(&small));
        let place =
            |line| Place { file: "app.py".to_owned(), line, function: "main".to_owned(), owner: Owner::Program };
        let mut copyist = Copyist::begin(Arc::clone(&small), Arc::clone(&large));
        for round in 0..4 {
            writer.enter(&place(round));
            (0..40).for_each(|at| {
                writer.write(event(u64::from(round) * 40 + at));
            });
            small.compare_clocks(1_000 * u64::from(round + 1));
            copyist.copy();
            // Whoever goes on knows no more than what stands in the copy.
            copyist = Copyist::go_on(Arc::clone(&small), Arc::clone(&large));
        }
        assert_eq!((large.places(), large.scale(), large.process()), (small.places(), small.scale(), small.process()));
        Reader::new(Arc::clone(&large)).read(usize::MAX >> 1, |event| reader.push(event.subject));
        assert_eq!(reader, (0..160).collect::<Vec<_>>());
        // What was written over before it could be copied is missing, and nothing comes twice.
        (160..300).for_each(|subject| {
            writer.write(event(subject));
        });
        copyist.copy();
        Copyist::go_on(Arc::clone(&small), Arc::clone(&large)).copy();
        let mut last = Vec::new();
        Reader::of_last(large, 60).read(60, |event| last.push(event.subject));
        assert_eq!(last.last(), Some(&299));
        assert!(last.is_sorted_by(|one, other| one < other) && last[0] < 244, "{last:?}");
    }

    #[test]
    fn places_have_the_numbers_they_were_entered_with() {
        let tape = tape(64);
        let (writer, mut reader) = (Writer::new(Arc::clone(&tape)), Reader::new(tape));
        let place =
            |line| Place { file: "app.py".to_owned(), line, function: "main".to_owned(), owner: Owner::Program };
        let mut places = Vec::new();
        for line in 1..=5 {
            assert_eq!(writer.enter(&place(line)), PlaceId(line));
            reader.read_places(&mut places);
        }
        assert_eq!(places, (1..=5).map(place).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_table_of_places_gives_no_more_numbers() {
        let writer = Writer::new(tape(64));
        let place = Place { file: "x".repeat(4_000), line: 1, function: String::new(), owner: Owner::Python };
        let numbers: Vec<PlaceId> = (0..200).map(|_| writer.enter(&place)).collect();
        assert_eq!(numbers.last(), Some(&PlaceId::UNKNOWN));
        let known = numbers.iter().filter(|number| **number != PlaceId::UNKNOWN).count();
        assert_eq!(writer.tape().places().len(), known);
    }

    #[test]
    fn room_behind_a_tape_is_apart_from_it() {
        let path = std::env::temp_dir().join(format!("treadle-room-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("no file for a test: {error}"));
        let _ = std::fs::remove_file(&path);
        assert!(file.set_len(Tape::file_size(64) + 100).is_ok());
        assert!(Tape::create_with_room(&file, 128).is_err());
        let tape = Tape::create_with_room(&file, 64).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tape.room(), 96);
        tape.keep_words(&vec![7; tape.words_size()]);
        tape.keep_words(&vec![7; tape.words_size()]);
        tape.store_in_room(8, b"behind all else");
        tape.store_in_room(88, b"more than there is room for");
        tape.publish_in_room(0, 5);
        let other = Tape::open(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(other.load_from_room(0, 8), 5_u64.to_le_bytes());
        assert_eq!(other.load_from_room(8, 15), b"behind all else");
        assert_eq!(other.load_from_room(88, 100), b"more tha");
        assert_eq!(other.words(), vec![7; tape.words_size()]);
    }

    #[test]
    fn last_words_are_those_written_last() {
        let tape = tape(64);
        assert_eq!(tape.words(), b"");
        for text in ["first", "second, and longer", "third"] {
            tape.keep_words(text.as_bytes());
            assert_eq!(tape.words(), text.as_bytes());
        }
        assert!(!tape.is_finished());
        tape.finish();
        assert!(tape.is_finished());
    }

    #[test]
    fn ticks_become_the_time_that_has_passed() {
        let tape = tape(64);
        let start = ticks();
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 20 {
            std::hint::spin_loop();
        }
        tape.compare_clocks(began.elapsed().as_nanos() as u64);
        let took = tape.scale().duration(ticks() - start);
        assert!((15_000_000..60_000_000).contains(&took), "{took} ns for 20 ms");
    }
}
