//! A pack: a file of blobs, each of which can be read without the others.
//!
//! Blobs one after the other, then an index (key, offset, length and checksum of each, ordered by key), then a footer
//! (magic, hash of the version, offset, count and checksum of the index); all numbers are little-endian. A pack is written
//! once, under another name, and renamed into place; who has the one before it open goes on reading that. Nothing in a
//! file is believed before it is checked: what does not add up is as if it were not there. What blobs mean is not known here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

/// The last byte counts the layouts there have been.
const MAGIC: [u8; 8] = *b"treadle\x01";
/// Bytes of one entry of the index.
const ENTRY: usize = 16 + 8 + 4 + 8;
/// Bytes of the footer.
const FOOTER: usize = 8 + 8 + 8 + 8 + 8;
/// No pack is larger, so that no length in a file asks for more memory than this.
const LARGEST: u64 = 1 << 30;
/// How the names of packs begin that nobody has finished yet.
const UNFINISHED: &str = ".treadle-unfinished-";

/// A finished pack, open for reading.
pub struct Pack {
    file: File,
    index: BTreeMap<u128, Place>,
}

/// A pack in the making; dropped, it leaves nothing behind.
pub struct PackWriter {
    file: BufWriter<NamedTempFile>,
    position: u64,
    index: BTreeMap<u128, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
    checksum: u64,
}

impl Pack {
    /// Opens the pack at `path` and reads its index; `None` if there is none, it is of another version, or damaged.
    pub fn open(path: &Path, version: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        if length > LARGEST {
            return None;
        }
        let end = length.checked_sub(FOOTER as u64)?;
        let mut footer = [0; FOOTER];
        read_exact_at(&file, &mut footer, end).ok()?;
        let mut footer = footer.as_slice();
        let is_ours = take(&mut footer)? == MAGIC && number(&mut footer)? == xxh3_64(version.as_bytes());
        let (start, count, checksum) = (number(&mut footer)?, number(&mut footer)?, number(&mut footer)?);
        let size = end.checked_sub(start)?;
        if !is_ours || count.checked_mul(ENTRY as u64)? != size {
            return None;
        }
        let mut bytes = vec![0; size as usize];
        read_exact_at(&file, &mut bytes, start).ok()?;
        let index = if xxh3_64(&bytes) == checksum { read_index(&bytes, start)? } else { return None };
        Some(Self { file, index })
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = u128> {
        self.index.keys().copied()
    }

    /// Whether there is a blob for a key.
    pub fn contains(&self, key: u128) -> bool {
        self.index.contains_key(&key)
    }

    /// The blob of a key, in one read; `None` also if it is not what was written.
    pub fn get(&self, key: u128) -> Option<Vec<u8>> {
        let place = self.index.get(&key)?;
        let mut blob = vec![0; place.length as usize];
        read_exact_at(&self.file, &mut blob, place.offset).ok()?;
        (xxh3_64(&blob) == place.checksum).then_some(blob)
    }
}

impl PackWriter {
    /// Begins a pack in a directory that exists.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
        Ok(Self { file: BufWriter::new(file), position: 0, index: BTreeMap::new() })
    }

    /// How many blobs were written.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether a blob was written for a key.
    pub fn contains(&self, key: u128) -> bool {
        self.index.contains_key(&key)
    }

    /// Writes a blob; a key that has one keeps it.
    ///
    /// # Errors
    ///
    /// It cannot be written, or the pack would be too large. Nothing more should be written to this pack then.
    pub fn append(&mut self, key: u128, blob: &[u8]) -> io::Result<()> {
        if self.contains(key) {
            return Ok(());
        }
        let length = u32::try_from(blob.len()).ok().filter(|length| self.position + u64::from(*length) <= LARGEST);
        let Some(length) = length else {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the pack would be too large"));
        };
        self.file.write_all(blob)?;
        self.index.insert(key, Place { offset: self.position, length, checksum: xxh3_64(blob) });
        self.position += u64::from(length);
        Ok(())
    }

    /// Ends the pack and puts it in the place of what is at `path`, at once or not at all.
    ///
    /// # Errors
    ///
    /// It cannot be written or renamed; what was at `path` stays.
    pub fn finish(mut self, path: &Path, version: &str) -> io::Result<()> {
        let mut index = Vec::with_capacity(self.index.len() * ENTRY);
        for (key, place) in &self.index {
            index.extend(key.to_le_bytes());
            index.extend(place.offset.to_le_bytes());
            index.extend(place.length.to_le_bytes());
            index.extend(place.checksum.to_le_bytes());
        }
        self.file.write_all(&index)?;
        self.file.write_all(&MAGIC)?;
        for number in [xxh3_64(version.as_bytes()), self.position, self.index.len() as u64, xxh3_64(&index)] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Removes what killed runs have left of packs they never finished, if nobody has written it for so long.
pub fn remove_unfinished(directory: &Path, untouched_for: Duration) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age >= untouched_for);
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_old() == Some(true) {
            // Somebody else may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The index, if its blobs lie before `end` and are together exactly as long: none can be made to be read twice.
fn read_index(mut bytes: &[u8], end: u64) -> Option<BTreeMap<u128, Place>> {
    let mut index = BTreeMap::new();
    let mut total = 0;
    while !bytes.is_empty() {
        let key = u128::from_le_bytes(take(&mut bytes)?);
        let offset = number(&mut bytes)?;
        let length = u32::from_le_bytes(take(&mut bytes)?);
        let checksum = number(&mut bytes)?;
        if offset.checked_add(u64::from(length))? > end {
            return None;
        }
        total += u64::from(length);
        index.insert(key, Place { offset, length, checksum });
    }
    (total == end).then_some(index)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Fills `buffer` from a place in a file that many threads read at once.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills `buffer` from a place in a file that many threads read at once.
#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ENTRY, FOOTER, LARGEST, MAGIC, Pack, PackWriter, remove_unfinished};
    use std::fs;
    use std::path::Path;
    use std::time::Duration;
    use xxhash_rust::xxh3::xxh3_64;

    const BLOBS: [(u128, &[u8]); 4] = [(7, b"seven"), (u128::MAX, b"the last"), (3, b""), (1 << 90, b"high")];

    fn write(path: &Path, version: &str, blobs: &[(u128, &[u8])]) {
        let mut writer = PackWriter::create(path.parent().unwrap()).unwrap();
        for (key, blob) in blobs {
            writer.append(*key, blob).unwrap();
        }
        assert_eq!(writer.len(), blobs.len());
        writer.finish(path, version).unwrap();
    }

    /// Writes `bytes` in the place of a pack and checks that reading gives what was written or nothing.
    fn read_damaged(path: &Path, bytes: &[u8]) -> usize {
        fs::write(path, bytes).unwrap();
        let Some(pack) = Pack::open(path, "v") else { return 0 };
        assert!(pack.keys().all(|key| BLOBS.iter().any(|(known, _)| *known == key)));
        let right = |(key, blob): &&(u128, &[u8])| pack.get(*key).is_some_and(|found| found == *blob);
        let wrong = |(key, blob): &(u128, &[u8])| pack.get(*key).is_some_and(|found| found != *blob);
        assert!(!BLOBS.iter().any(wrong));
        BLOBS.iter().filter(right).count()
    }

    #[test]
    fn what_is_written_is_read_by_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &BLOBS);
        let pack = Pack::open(&path, "v").unwrap();
        assert_eq!(pack.keys().collect::<Vec<_>>(), [3, 7, 1 << 90, u128::MAX]);
        for (key, blob) in BLOBS {
            assert_eq!(pack.get(key).as_deref(), Some(blob));
        }
        assert_eq!(pack.get(8), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn empty_pack_has_no_keys() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &[]);
        assert_eq!(Pack::open(&path, "v").unwrap().keys().count(), 0);
    }

    #[test]
    fn key_keeps_its_first_blob() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        let mut writer = PackWriter::create(directory.path()).unwrap();
        assert!(writer.is_empty());
        writer.append(1, b"first").unwrap();
        writer.append(1, b"second").unwrap();
        writer.finish(&path, "v").unwrap();
        assert_eq!(Pack::open(&path, "v").unwrap().get(1).unwrap(), b"first");
    }

    #[test]
    fn other_versions_and_missing_files_are_no_packs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        assert!(Pack::open(&path, "v").is_none());
        assert!(Pack::open(directory.path(), "v").is_none());
        write(&path, "v", &BLOBS);
        assert!(Pack::open(&path, "w").is_none());
    }

    #[test]
    fn changed_byte_never_gives_wrong_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &BLOBS);
        let sound = fs::read(&path).unwrap();
        let blobs = sound.len() - FOOTER - BLOBS.len() * ENTRY;
        for position in 0..sound.len() {
            for change in [0x01, 0x5a, 0xff] {
                let mut bytes = sound.clone();
                bytes[position] ^= change;
                // A damaged blob is one blob less; a damaged index is none at all.
                let expected = if position < blobs { BLOBS.len() - 1 } else { 0 };
                assert_eq!(read_damaged(&path, &bytes), expected, "byte {position}");
            }
        }
    }

    #[test]
    fn shortened_and_lengthened_files_are_no_packs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &BLOBS);
        let sound = fs::read(&path).unwrap();
        for length in 0..sound.len() {
            assert_eq!(read_damaged(&path, &sound[..length]), 0, "{length} bytes");
            assert_eq!(read_damaged(&path, &sound[length + 1..]), 0, "from byte {}", length + 1);
        }
        assert_eq!(read_damaged(&path, &[&sound[..], b"more"].concat()), 0);
        assert_eq!(read_damaged(&path, &sound), BLOBS.len());
    }

    /// A file whose checksums are right and whose numbers lie.
    fn forged(blobs: &[u8], entries: &[(u128, u64, u32)], start: u64, count: u64) -> Vec<u8> {
        let mut index = Vec::new();
        for (key, offset, length) in entries {
            index.extend(key.to_le_bytes());
            index.extend(offset.to_le_bytes());
            index.extend(length.to_le_bytes());
            index.extend(0_u64.to_le_bytes());
        }
        let numbers = [xxh3_64(b"v"), start, count, xxh3_64(&index)];
        [blobs, &index, &MAGIC, &numbers.map(u64::to_le_bytes).concat()].concat()
    }

    #[test]
    fn lying_numbers_ask_for_no_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        let opens = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Pack::open(&path, "v").is_some()
        };
        assert!(opens(&forged(b"blob", &[(1, 0, 4)], 4, 1)));
        for (start, count) in [(4, u64::MAX), (u64::MAX, 1), (0, 1 << 60), (5, 1), (4, 0), (0, 0)] {
            assert!(!opens(&forged(b"blob", &[(1, 0, 4)], start, count)), "{start}, {count}");
        }
        for (offset, length) in [(1, 4), (0, u32::MAX), (u64::MAX, 4), (u64::MAX, u32::MAX), (4, 4), (0, 3)] {
            assert!(!opens(&forged(b"blob", &[(1, offset, length)], 4, 1)), "{offset}, {length}");
        }
        assert!(!opens(&forged(b"blob", &[(1, 0, 4), (2, 0, 4)], 4, 2)), "one blob twice");
        // As long as it says, but nothing on the disk.
        fs::File::create(&path).unwrap().set_len(LARGEST * 64).unwrap();
        assert!(Pack::open(&path, "v").is_none());
    }

    #[test]
    fn open_pack_outlives_its_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &BLOBS);
        let before = Pack::open(&path, "v").unwrap();
        write(&path, "v", &[(7, b"new")]);
        assert_eq!(before.get(7).unwrap(), b"seven");
        assert_eq!(before.get(u128::MAX).unwrap(), b"the last");
        assert_eq!(Pack::open(&path, "v").unwrap().get(7).unwrap(), b"new");
    }

    #[test]
    fn many_threads_read_one_pack() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pack");
        write(&path, "v", &BLOBS);
        let pack = Pack::open(&path, "v").unwrap();
        std::thread::scope(|scope| {
            for (key, blob) in BLOBS {
                let pack = &pack;
                scope.spawn(move || (0..1000).for_each(|_| assert_eq!(pack.get(key).as_deref(), Some(blob))));
            }
        });
    }

    #[test]
    fn unfinished_packs_are_removed_when_they_are_old() {
        let directory = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(directory.path()).unwrap().count();
        fs::write(directory.path().join("other"), b"").unwrap();
        let killed = PackWriter::create(directory.path()).unwrap();
        std::mem::forget(killed);
        remove_unfinished(directory.path(), Duration::from_hours(1));
        assert_eq!(count(), 2);
        remove_unfinished(directory.path(), Duration::ZERO);
        assert_eq!(count(), 1);
        drop(PackWriter::create(directory.path()).unwrap());
        assert_eq!(count(), 1);
    }
}
