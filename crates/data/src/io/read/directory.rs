//! The first directory of TIFF data: the tags of TIFF files and of EXIF data.

/// A directory, which may be truncated.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    is_little: bool,
    /// Whether offsets have 8 bytes, as in BigTIFF.
    is_big: bool,
    /// The place of the first entry.
    start: usize,
    /// Number of entries.
    count: usize,
}

impl<'a> Directory<'a> {
    /// Finds the directory; `None` if the bytes are no TIFF data.
    pub fn find(bytes: &'a [u8]) -> Option<Self> {
        let mut directory = Self {
            bytes,
            is_little: match bytes.get(..2)? {
                b"II" => true,
                b"MM" => false,
                _ => return None,
            },
            is_big: false,
            start: 0,
            count: 0,
        };
        directory.is_big = match directory.number(2, 2)? {
            42 => false,
            43 => true,
            _ => return None,
        };
        let (place, counter) = if directory.is_big { (8, 8) } else { (4, 2) };
        let start = directory.number(place, directory.width())? as usize;
        directory.count = directory.number(start, counter)? as usize;
        directory.start = start.checked_add(counter)?;
        Some(directory)
    }

    /// Returns the first value of a tag that holds whole numbers.
    pub fn first(&self, tag: u64) -> Option<u64> {
        let (length, value) = if self.is_big { (20, 12) } else { (12, 8) };
        let rest = self.bytes.get(self.start..)?;
        let places = (self.start..)
            .step_by(length)
            .take(self.count.min(rest.len() / length));
        let mut places = places.filter(|&place| self.number(place, 2) == Some(tag));
        let place = places.next()?;
        // Signed numbers too: values are small.
        let size = match self.number(place + 2, 2)? {
            1 | 6 => 1,
            3 | 8 => 2,
            4 | 9 => 4,
            16 | 17 => 8,
            _ => return None,
        };
        let count = self.number(place + 4, self.width())? as usize;
        let value = place + value;
        match count.checked_mul(size)? {
            0 => None,
            total if total <= self.width() => self.number(value, size),
            _ => self.number(self.number(value, self.width())? as usize, size),
        }
    }

    /// The number of bytes of offsets and counts.
    fn width(&self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    fn number(&self, place: usize, length: usize) -> Option<u64> {
        let bytes = self.bytes.get(place..place.checked_add(length)?)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.is_little {
            true => bytes.iter().rev().fold(0, join),
            false => bytes.iter().fold(0, join),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_are_read() {
        let little = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x52\x01\x03\0\x03\0\0\0\x24\0\0\0\
                       \0\0\x02\0\x01\0\0\0";
        let directory = Directory::find(little).unwrap();
        assert_eq!(directory.first(0x112), Some(6));
        // After the entries.
        assert_eq!(directory.first(0x152), Some(2));
        assert_eq!(directory.first(0x100), None);
        let long = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06";
        assert_eq!(Directory::find(long).unwrap().first(0x112), Some(6));
        let big = b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x01\x01\x12\0\x01\0\0\0\0\0\0\0\x01\x08\0\0\0\0\0\0\0";
        assert_eq!(Directory::find(big).unwrap().first(0x112), Some(8));
        for length in 0..little.len() {
            let directory = Directory::find(&little[..length]);
            let found = directory.and_then(|directory| directory.first(0x112));
            assert_eq!(found, (length >= 22).then_some(6), "{length}");
        }
    }
}
