//! Zip archives written by hand.

use crc32fast::hash;

/// A record: its name, its compression method (0 for none), its bytes in the archive, and its unpacked bytes.
pub(crate) type Record<'a> = (&'a str, u16, Vec<u8>, &'a [u8]);

/// Records without compression.
pub(crate) fn stored<'a>(records: &[(&'a str, &'a [u8])]) -> Vec<Record<'a>> {
    let record = |&(name, bytes): &(&'a str, &'a [u8])| (name, 0, bytes.to_vec(), bytes);
    records.iter().map(record).collect()
}

/// An archive; `wide` uses the 64-bit fields of large archives.
pub(crate) fn archive(records: &[Record<'_>], wide: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for (name, method, packed, unpacked) in records {
        let offset = bytes.len() as u64;
        let narrow = |number: u64| if wide { u32::MAX } else { number as u32 };
        let sizes = [packed.len() as u64, unpacked.len() as u64];
        let length = (name.len() as u16).to_le_bytes();
        bytes.extend(0x0403_4b50_u32.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(hash(unpacked).to_le_bytes());
        for size in sizes {
            bytes.extend((size as u32).to_le_bytes());
        }
        bytes.extend(length);
        bytes.extend([0; 2]);
        bytes.extend(name.bytes());
        bytes.extend(packed);

        directory.extend(0x0201_4b50_u32.to_le_bytes());
        directory.extend([0; 6]);
        directory.extend(method.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(hash(unpacked).to_le_bytes());
        for size in sizes {
            directory.extend(narrow(size).to_le_bytes());
        }
        directory.extend(length);
        directory.extend(if wide { [28, 0] } else { [0, 0] });
        directory.extend([0; 10]);
        directory.extend(narrow(offset).to_le_bytes());
        directory.extend(name.bytes());
        if wide {
            directory.extend([1, 0, 24, 0]);
            for number in [sizes[1], sizes[0], offset] {
                directory.extend(number.to_le_bytes());
            }
        }
    }
    let start = bytes.len() as u64;
    let (count, size) = (records.len() as u64, directory.len() as u64);
    bytes.extend(directory);
    if wide {
        let end = bytes.len() as u64;
        bytes.extend(0x0606_4b50_u32.to_le_bytes());
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([0; 12]);
        for number in [count, count, size, start] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(0x0706_4b50_u32.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(end.to_le_bytes());
        bytes.extend([0; 4]);
    }
    bytes.extend(0x0605_4b50_u32.to_le_bytes());
    bytes.extend([0; 4]);
    let count = if wide { u16::MAX } else { count as u16 };
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    for number in [size, start] {
        let number = if wide { u32::MAX } else { number as u32 };
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 2]);
    bytes
}
