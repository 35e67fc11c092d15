//! The bytes of a pickle, with a limit.

use std::io::{BufRead, Read};
use std::rc::Rc;

use crate::file::Fault;

/// Maximum size of a pickle in bytes.
pub(crate) const LONGEST: u64 = 1 << 30;
/// Maximum length of a string that is kept: names are shorter.
const LONGEST_TEXT: u64 = 4096;

/// A reader that counts bytes and stops at a limit.
#[derive(Debug)]
pub(crate) struct Input<R> {
    reader: R,
    position: u64,
    limit: u64,
}

impl<R: BufRead> Input<R> {
    /// Creates a reader of at most `limit` bytes.
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            position: 0,
            limit,
        }
    }

    /// Allows this number of bytes from here on.
    pub(crate) fn allow(&mut self, bytes: u64) {
        self.limit = self.position.saturating_add(bytes);
    }

    /// Returns the number of bytes read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns an error with the current position.
    pub(crate) fn wrong(&self, reason: &str) -> Fault {
        Fault::format(format!("byte {} of the pickle: {reason}", self.position))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.count(N as u64)?;
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.ends()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a line without its end, at most as long as a kept string.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                byte => line.push(byte),
            }
            if line.len() as u64 > LONGEST_TEXT {
                return Err(self.wrong("a line without an end"));
            }
        }
    }

    /// Reads a string of this length in bytes; `None` if it is too long for a name or not UTF-8.
    pub(super) fn text(&mut self, length: u64) -> Result<Option<Rc<str>>, Fault> {
        if length > LONGEST_TEXT {
            self.skip(length)?;
            return Ok(None);
        }
        self.count(length)?;
        let mut bytes = Vec::new();
        (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(self.ends());
        }
        Ok(String::from_utf8(bytes).ok().map(Rc::from))
    }

    /// Skips bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), Fault> {
        self.count(length)?;
        let mut part = (&mut self.reader).take(length);
        match std::io::copy(&mut part, &mut std::io::sink())? {
            skipped if skipped == length => Ok(()),
            _ => Err(self.ends()),
        }
    }

    fn count(&mut self, length: u64) -> Result<(), Fault> {
        match self.position.checked_add(length) {
            Some(position) if position <= self.limit => {
                self.position = position;
                Ok(())
            }
            _ => Err(self.wrong("more bytes than a pickle of weights has")),
        }
    }

    fn ends(&self) -> Fault {
        self.wrong("the file ends inside the pickle; it was cut short")
    }
}
