//! Zip archives, as `torch.save` writes them.
//!
//! Supports the part of the format that PyTorch uses: stored or deflated records, with the sizes from the
//! central directory, in 32 or 64 bits. Every record is compared with its checksum before its bytes are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crc32fast::Hasher;
use flate2::read::DeflateDecoder;

use super::{Fault, read_at};

/// Maximum size of the central directory: over a hundred thousand records.
const LARGEST_DIRECTORY: u64 = 64 << 20;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const DIRECTORY_END: u32 = 0x0605_4b50;
const DIRECTORY_END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// An open archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    length: u64,
    entries: BTreeMap<String, Entry>,
    /// Records whose checksums have been verified.
    verified: BTreeSet<String>,
    /// Whether the archive has checksums. PyTorch can be configured to write none; then all of them are 0.
    has_checksums: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    method: u16,
    is_encrypted: bool,
    checksum: u32,
    compressed: u64,
    size: u64,
    header: u64,
}

fn no_archive(reason: &str) -> Fault {
    Fault::format(format!(
        "the zip archive is damaged or was cut short: {reason}"
    ))
}

fn damaged(record: &str, reason: impl Into<String>) -> Fault {
    Fault::Record {
        record: record.to_string(),
        reason: reason.into(),
    }
}

impl Archive {
    pub(crate) fn open(mut file: File) -> Result<Self, Fault> {
        let length = file.metadata()?.len();
        let (count, start, size) = find_directory(&mut file, length)?;
        let directory = read_at(&mut file, start, size)?;
        let entries = read_directory(&directory, count, start)?;
        let mut filled = entries.values().filter(|entry| entry.size > 0);
        let has_checksums = filled.any(|entry| entry.checksum != 0);
        Ok(Self {
            file,
            length,
            entries,
            verified: BTreeSet::new(),
            has_checksums,
        })
    }

    /// Returns the names of the records.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Returns the unpacked size of a record in bytes.
    pub(crate) fn size(&self, record: &str) -> Option<u64> {
        self.entries.get(record).map(|entry| entry.size)
    }

    /// Reads bytes of a record after comparing the whole record with its checksum.
    pub(crate) fn read(&mut self, record: &str, range: Range<u64>) -> Result<Vec<u8>, Fault> {
        let entry = self.entry(record)?;
        let outside = || {
            damaged(
                record,
                format!("has {} bytes, not {}", entry.size, range.end),
            )
        };
        if range.start > range.end || range.end > entry.size {
            return Err(outside());
        }
        let length = range.end - range.start;
        if entry.method == STORED && length == entry.size && !self.verified.contains(record) {
            let start = self.data_start(record, &entry)?;
            let bytes = read_at(&mut self.file, start, length)?;
            let mut hasher = Hasher::new();
            hasher.update(&bytes);
            self.compare(record, &entry, hasher.finalize())?;
            return Ok(bytes);
        }
        self.verify(record)?;
        let mut reader = self.unpacked(record, &entry)?;
        let skipped = std::io::copy(&mut (&mut reader).take(range.start), &mut std::io::sink())?;
        let mut bytes = Vec::new();
        reader.take(length).read_to_end(&mut bytes)?;
        if skipped != range.start || bytes.len() as u64 != length {
            return Err(outside());
        }
        Ok(bytes)
    }

    /// Reads a record as a stream after comparing it with its checksum.
    pub(crate) fn stream(&mut self, record: &str) -> Result<impl Read + '_, Fault> {
        self.verify(record)?;
        let entry = self.entry(record)?;
        self.unpacked(record, &entry)
    }

    fn entry(&self, record: &str) -> Result<Entry, Fault> {
        let entry = self.entries.get(record);
        entry
            .cloned()
            .ok_or_else(|| damaged(record, "is not in the archive"))
    }

    /// Compares a record with its checksum, once.
    pub(crate) fn verify(&mut self, record: &str) -> Result<(), Fault> {
        if self.verified.contains(record) {
            return Ok(());
        }
        let entry = self.entry(record)?;
        let mut reader = self.unpacked(record, &entry)?;
        let mut hasher = Hasher::new();
        let mut chunk = vec![0; 1 << 16];
        let mut size = 0;
        loop {
            let read = reader
                .read(&mut chunk)
                .map_err(|error| damaged(record, format!("is damaged: {error}")))?;
            if read == 0 {
                break;
            }
            hasher.update(&chunk[..read]);
            size += read as u64;
        }
        drop(reader);
        if size != entry.size {
            let reason = format!(
                "is damaged: it has {size} bytes, but the directory says {}",
                entry.size
            );
            return Err(damaged(record, reason));
        }
        self.compare(record, &entry, hasher.finalize())
    }

    fn compare(&mut self, record: &str, entry: &Entry, found: u32) -> Result<(), Fault> {
        if self.has_checksums && found != entry.checksum {
            let reason = format!(
                "is damaged: its checksum is {found:08x}, but the directory says {:08x}",
                entry.checksum
            );
            return Err(damaged(record, reason));
        }
        self.verified.insert(record.to_string());
        Ok(())
    }

    /// Returns the start of a record's bytes, after its local header.
    fn data_start(&mut self, record: &str, entry: &Entry) -> Result<u64, Fault> {
        let header = read_at(&mut self.file, entry.header, 30)?;
        if number_32(&header, 0) != Some(LOCAL_HEADER) {
            return Err(damaged(record, "does not start where the directory says"));
        }
        let lengths = [26, 28].map(|at| u64::from(number_16(&header, at).unwrap_or(0)));
        let start = entry.header + 30 + lengths[0] + lengths[1];
        if entry.compressed > self.length.saturating_sub(start) {
            return Err(damaged(record, "ends beyond the archive"));
        }
        Ok(start)
    }

    /// Reads the unpacked bytes of a record: at most one more than the directory's size.
    fn unpacked(&mut self, record: &str, entry: &Entry) -> Result<Box<dyn Read + '_>, Fault> {
        if entry.is_encrypted {
            return Err(damaged(record, "is encrypted"));
        }
        let start = self.data_start(record, entry)?;
        self.file.seek(SeekFrom::Start(start))?;
        let packed = std::io::BufReader::new((&self.file).take(entry.compressed));
        match entry.method {
            STORED => Ok(Box::new(packed)),
            DEFLATED => Ok(Box::new(
                DeflateDecoder::new(packed).take(entry.size.saturating_add(1)),
            )),
            other => Err(damaged(
                record,
                format!("uses the unsupported compression method {other}"),
            )),
        }
    }
}

/// Finds the number of records, and the start and size of the central directory.
fn find_directory(file: &mut File, length: u64) -> Result<(u64, u64, u64), Fault> {
    /// Size of the end of the directory without its comment, which has at most 65535 bytes.
    const END: usize = 22;
    let tail_length = length.min(END as u64 + u64::from(u16::MAX));
    let tail_start = length - tail_length;
    let tail = read_at(file, tail_start, tail_length)?;
    let is_end = |&at: &usize| {
        let comment = number_16(&tail, at + 20).map(usize::from);
        number_32(&tail, at) == Some(DIRECTORY_END)
            && comment.is_some_and(|comment| at + END + comment == tail.len())
    };
    let last = tail.len().checked_sub(END);
    let at = last.and_then(|last| (0..=last).rev().find(is_end));
    let at = at.ok_or_else(|| no_archive("its directory is missing"))?;
    let end = tail_start + at as u64;

    let mut count = number_16(&tail, at + 10).map_or(0, u64::from);
    let mut size = number_32(&tail, at + 12).map_or(0, u64::from);
    let mut start = number_32(&tail, at + 16).map_or(0, u64::from);
    let is_wide = count == u64::from(u16::MAX) || [size, start].contains(&u64::from(u32::MAX));
    if is_wide {
        let locator = at
            .checked_sub(20)
            .filter(|&at| number_32(&tail, at) == Some(LOCATOR_64));
        let wide = locator.and_then(|at| number_64(&tail, at + 8));
        let wide = wide.ok_or_else(|| no_archive("its directory of 64 bits is missing"))?;
        let header = read_at(file, wide, 56)?;
        if number_32(&header, 0) != Some(DIRECTORY_END_64) {
            return Err(no_archive("its directory of 64 bits is missing"));
        }
        let number = |at| number_64(&header, at).unwrap_or(0);
        (count, size, start) = (number(32), number(40), number(48));
    }
    if size > LARGEST_DIRECTORY || start.checked_add(size).is_none_or(|to| to > end) {
        return Err(no_archive("its directory does not fit"));
    }
    Ok((count, start, size))
}

fn read_directory(
    directory: &[u8],
    count: u64,
    start: u64,
) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut entries = BTreeMap::new();
    let mut rest = directory;
    while !rest.is_empty() {
        let (name, entry, after) =
            read_entry(rest).ok_or_else(|| no_archive("its directory cannot be read"))?;
        if entry.header >= start {
            return Err(damaged(&name, "is after the directory"));
        }
        if entries.insert(name.clone(), entry).is_some() {
            return Err(damaged(&name, "is in the archive twice"));
        }
        rest = after;
    }
    if entries.len() as u64 != count {
        return Err(no_archive("its directory has another number of records"));
    }
    Ok(entries)
}

/// Reads one entry of the directory; also returns the remaining bytes.
fn read_entry(bytes: &[u8]) -> Option<(String, Entry, &[u8])> {
    const FIXED: usize = 46;
    if number_32(bytes, 0)? != DIRECTORY_ENTRY {
        return None;
    }
    let length = |at| number_16(bytes, at).map(usize::from);
    let name_end = FIXED + length(28)?;
    let extra_end = name_end + length(30)?;
    let end = extra_end + length(32)?;
    let name = String::from_utf8(bytes.get(FIXED..name_end)?.to_vec()).ok()?;
    let wide = wide_numbers(bytes.get(name_end..extra_end)?);
    let mut wide = wide.into_iter();
    // In the order of the format: only the numbers that do not fit in 32 bits are there.
    let mut number = |at| match number_32(bytes, at)? {
        u32::MAX => wide.next(),
        number => Some(u64::from(number)),
    };
    let size = number(24)?;
    let compressed = number(20)?;
    let header = number(42)?;
    let entry = Entry {
        method: number_16(bytes, 10)?,
        is_encrypted: number_16(bytes, 8)? & 1 == 1,
        checksum: number_32(bytes, 16)?,
        compressed,
        size,
        header,
    };
    (entry.method != STORED || size == compressed).then_some(())?;
    Some((name, entry, bytes.get(end..)?))
}

/// Returns the 64-bit numbers in the extra fields of an entry.
fn wide_numbers(mut extra: &[u8]) -> Vec<u64> {
    const WIDE: u16 = 1;
    while let (Some(kind), Some(length)) = (number_16(extra, 0), number_16(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(length)) else {
            break;
        };
        if kind == WIDE {
            let numbers = field.as_chunks::<8>().0.iter();
            return numbers.map(|bytes| u64::from_le_bytes(*bytes)).collect();
        }
        extra = &extra[4 + usize::from(length)..];
    }
    Vec::new()
}

fn number_16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn number_32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn number_64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::super::testing::{archive, stored};
    use super::*;

    fn open(bytes: &[u8]) -> Result<Archive, Fault> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Archive::open(file)
    }

    const RECORDS: [(&str, &[u8]); 3] = [
        ("a/data.pkl", b"pickled"),
        ("a/data/0", &[7; 100]),
        ("a/none", b""),
    ];

    fn read_all(archive: &mut Archive) -> Result<Vec<Vec<u8>>, Fault> {
        let read = |(name, _): &(&str, &[u8])| {
            let size = archive.size(name).unwrap_or(0);
            archive.read(name, 0..size)
        };
        RECORDS.iter().map(read).collect()
    }

    #[test]
    fn records_of_narrow_and_wide_archives_are_read() {
        for wide in [false, true] {
            let mut archive = open(&archive(&stored(&RECORDS), wide)).unwrap();
            let expected = RECORDS.map(|(_, bytes)| bytes.to_vec());
            assert_eq!(read_all(&mut archive).unwrap(), expected);
            assert_eq!(archive.read("a/data.pkl", 2..5).unwrap(), b"ckl");
            assert!(archive.read("a/data.pkl", 2..8).is_err());
            let message = archive.read("a/data/1", 0..1).unwrap_err().to_string();
            assert_eq!(message, "record `a/data/1` is not in the archive");
        }
    }

    #[test]
    fn deflated_records_are_unpacked_and_bounded() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|index| (index / 100) as u8).collect();
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&bytes).unwrap();
        let packed = packed.finish().unwrap();
        let mut right = open(&archive(&[("a", 8, packed.clone(), &bytes)], false)).unwrap();
        assert_eq!(right.read("a", 300..302).unwrap(), [3, 3]);
        assert_eq!(right.read("a", 0..10_000).unwrap(), bytes);
        // More than the directory says is not unpacked.
        let mut longer = open(&archive(&[("a", 8, packed, &bytes[..50])], false)).unwrap();
        let message = longer.read("a", 0..50).unwrap_err().to_string();
        assert!(
            message.contains("it has 51 bytes, but the directory says 50"),
            "{message}"
        );
    }

    #[test]
    fn a_cut_archive_is_refused() {
        for wide in [false, true] {
            let whole = archive(&stored(&RECORDS), wide);
            for length in 0..whole.len() {
                assert!(open(&whole[..length]).is_err(), "cut at {length}");
            }
        }
    }

    #[test]
    fn a_changed_byte_changes_no_record() {
        let expected = RECORDS.map(|(_, bytes)| bytes.to_vec());
        for wide in [false, true] {
            let whole = archive(&stored(&RECORDS), wide);
            for place in 0..whole.len() {
                for change in [1, 0x80, 0xff] {
                    let mut changed = whole.clone();
                    changed[place] ^= change;
                    let read = open(&changed).and_then(|mut archive| read_all(&mut archive));
                    assert!(read.is_err() || read.unwrap() == expected, "byte {place}");
                }
            }
        }
    }

    #[test]
    fn a_damaged_record_is_named_with_both_checksums() {
        let mut bytes = archive(&stored(&RECORDS), false);
        let place = bytes
            .windows(100)
            .position(|part| part == [7; 100])
            .unwrap();
        bytes[place + 50] ^= 4;
        let mut damaged = open(&bytes).unwrap();
        for range in [0..100, 0..3] {
            let message = damaged.read("a/data/0", range).unwrap_err().to_string();
            assert!(
                message.starts_with("record `a/data/0` is damaged: its checksum is"),
                "{message}"
            );
        }
        assert_eq!(damaged.read("a/data.pkl", 0..7).unwrap(), b"pickled");
    }
}
