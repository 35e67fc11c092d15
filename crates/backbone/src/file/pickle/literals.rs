//! Literals of a pickle: numbers and strings.

use std::io::BufRead;

use super::machine::Machine;
use super::{Object, Value};
use crate::file::Fault;

impl<R: BufRead> Machine<'_, R> {
    /// Reads an integer, a floating-point number, or a Boolean of protocol 0.
    pub(super) fn number(&mut self, operation: u8) -> Result<(), Fault> {
        let value = match operation {
            b'J' => Value::Integer(i32::from_le_bytes(self.input.array()?).into()),
            b'K' => Value::Integer(self.input.byte()?.into()),
            b'M' => Value::Integer(u16::from_le_bytes(self.input.array()?).into()),
            b'G' => {
                self.input.array::<8>()?;
                Value::Float
            }
            0x8a => {
                let length = self.input.byte()?;
                return self.long(length.into());
            }
            0x8b => {
                let length = u32::from_le_bytes(self.input.array()?);
                return self.long(length.into());
            }
            _ => {
                let line = self.input.line()?;
                let line = std::str::from_utf8(&line).unwrap_or_default();
                match (operation, line.trim_end_matches('L')) {
                    (b'I', "00" | "01") => Value::Boolean,
                    (b'F', _) => Value::Float,
                    (_, number) => match number.parse() {
                        Ok(integer) => Value::Integer(integer),
                        Err(_) => return self.push_opaque("a large number"),
                    },
                }
            }
        };
        self.push(value)
    }

    /// Reads an integer of this length in bytes.
    fn long(&mut self, length: u64) -> Result<(), Fault> {
        if length > size_of::<i128>() as u64 {
            self.input.skip(length)?;
            return self.push_opaque("a large number");
        }
        let mut bytes = Vec::with_capacity(size_of::<i128>());
        for _ in 0..length {
            bytes.push(self.input.byte()?);
        }
        // The sign of the last byte fills the rest.
        let fill = match bytes.last() {
            Some(last) if last & 0x80 != 0 => u8::MAX,
            _ => 0,
        };
        let mut wide = [fill; size_of::<i128>()];
        wide[..bytes.len()].copy_from_slice(&bytes);
        let wide = i128::from_le_bytes(wide);
        match i64::try_from(wide) {
            Ok(integer) => self.push(Value::Integer(integer)),
            Err(_) => self.push_object(Object::WideInteger(wide)),
        }
    }

    /// Reads a string, which is kept if it can be a name.
    pub(super) fn text(&mut self, operation: u8) -> Result<(), Fault> {
        let length = match operation {
            b'U' | 0x8c => self.input.byte()?.into(),
            b'T' | b'X' => u32::from_le_bytes(self.input.array()?).into(),
            0x8d => u64::from_le_bytes(self.input.array()?),
            _ => {
                let line = self.input.line()?;
                let text = String::from_utf8(line).ok();
                // With quotes in STRING, without in UNICODE; a name has nothing to escape.
                let plain = text.as_deref().and_then(|text| match operation {
                    b'S' => {
                        let quote = text
                            .chars()
                            .next()
                            .filter(|mark| ['\'', '"'].contains(mark))?;
                        text.strip_prefix(quote)?.strip_suffix(quote)
                    }
                    _ => Some(text),
                });
                return match plain.filter(|text| !text.contains('\\')) {
                    Some(text) => self.push_object(Object::Text(text.into())),
                    None => self.push_opaque("a string"),
                };
            }
        };
        match self.input.text(length)? {
            Some(text) => self.push_object(Object::Text(text)),
            None => self.push_opaque("a string"),
        }
    }

    /// Skips a bytes object.
    pub(super) fn bytes(&mut self, operation: u8) -> Result<(), Fault> {
        let length = match operation {
            b'C' => self.input.byte()?.into(),
            b'B' => u32::from_le_bytes(self.input.array()?).into(),
            _ => u64::from_le_bytes(self.input.array()?),
        };
        self.input.skip(length)?;
        self.push_opaque("bytes")
    }
}
