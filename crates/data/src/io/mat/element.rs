//! The elements of a file: a type, a number of bytes, and the bytes.

/// An array.
pub(super) const MATRIX: u32 = 14;
/// A compressed element.
pub(super) const COMPRESSED: u32 = 15;

/// An error and its position.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) position: usize,
    pub(super) reason: String,
}

/// A cursor in a slice of bytes.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    big_endian: bool,
}

/// An element of a file.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) kind: u32,
    pub(super) bytes: &'a [u8],
    /// Position of its first byte.
    pub(super) position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize, big_endian: bool) -> Self {
        Self {
            bytes,
            position,
            big_endian,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Returns the number of bytes left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault {
            position: self.position,
            reason: reason.into(),
        }
    }

    /// Reads the next element; elements start at multiples of eight bytes, except after compressed ones.
    pub(super) fn element(&mut self) -> Result<Element<'a>, Fault> {
        let tag = self.position;
        let first = self.word(tag)?;
        let (kind, length, start, end) = if first >> 16 != 0 {
            // Up to four bytes are packed into the tag itself.
            let length = (first >> 16) as usize;
            if length > 4 {
                return Err(self.fault(format!("a small element of {length} bytes")));
            }
            (first & 0xFFFF, length, tag + 4, tag + 8)
        } else {
            let length = self.word(tag + 4)? as usize;
            let padded = match first {
                COMPRESSED => length,
                _ => length.next_multiple_of(8),
            };
            // Sums of two lengths below 2^32 and 2^48 fit.
            (first, length, tag + 8, (tag + 8).saturating_add(padded))
        };
        let bytes = start
            .checked_add(length)
            .and_then(|stop| self.bytes.get(start..stop));
        let Some(bytes) = bytes else {
            let left = self.bytes.len().saturating_sub(start);
            return Err(self.fault(format!(
                "an element of {length} bytes, of which {left} are there"
            )));
        };
        // The padding of the last element may be missing.
        self.position = end.min(self.bytes.len());
        Ok(Element {
            kind,
            bytes,
            position: start,
        })
    }

    fn word(&self, position: usize) -> Result<u32, Fault> {
        let bytes = position
            .checked_add(4)
            .and_then(|end| self.bytes.get(position..end));
        match bytes.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) {
            Some(bytes) if self.big_endian => Ok(u32::from_be_bytes(bytes)),
            Some(bytes) => Ok(u32::from_le_bytes(bytes)),
            None => Err(self.fault("the file ends within the tag of an element")),
        }
    }

    /// Returns the values of an element of 32-bit numbers.
    pub(super) fn words(&self, element: &Element<'a>) -> Result<Vec<u32>, Fault> {
        const SIGNED: u32 = 5;
        const UNSIGNED: u32 = 6;
        if !matches!(element.kind, SIGNED | UNSIGNED) {
            return Err(Fault {
                position: element.position,
                reason: format!("numbers of kind {}, not of 32 bits", element.kind),
            });
        }
        let words = element.bytes.chunks_exact(4).map(|bytes| {
            let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
            match self.big_endian {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            }
        });
        Ok(words.collect())
    }
}
