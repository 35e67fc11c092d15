//! Text files: their encoding, and lists with one name per line.

use std::io;
use std::path::Path;

use crate::error::DataError;

/// Reads the text of a file, in UTF-8 or the encoding of its byte order mark.
///
/// # Errors
/// If the file cannot be read or is not text.
pub(crate) fn read(path: &Path) -> Result<String, DataError> {
    let fail = |source| DataError::read(path, source);
    let bytes = std::fs::read(path).map_err(fail)?;
    decode(bytes).map_err(|reason| fail(io::Error::new(io::ErrorKind::InvalidData, reason)))
}

/// Decodes text without its byte order mark.
///
/// Windows shells write lists in UTF-16, and some editors write a mark before UTF-8, which would become part of
/// the first name.
pub(crate) fn decode(mut bytes: Vec<u8>) -> Result<String, String> {
    let pairs = |combine: fn([u8; 2]) -> u16| -> Result<String, String> {
        let (units, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|&pair| combine(pair)).collect();
        match (rest, String::from_utf16(&units)) {
            ([], Ok(text)) => Ok(text),
            _ => Err("its byte order mark is that of UTF-16, but the text is not".into()),
        }
    };
    match bytes[..] {
        [0xFF, 0xFE, ..] => return pairs(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => return pairs(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, ..] => drop(bytes.drain(..3)),
        _ => {}
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        format!("it is not UTF-8 text: byte {place} is not part of a character")
    })
}

/// Returns the non-empty lines of a text file, trimmed.
///
/// # Errors
/// If the file cannot be read or is not text.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>, DataError> {
    let text = read(path)?;
    // A carriage return alone ends a line too.
    let lines = text.split(['\n', '\r']).map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_string)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_byte_order_mark() {
        let text = "Straße, 道\r\n";
        let little = text.encode_utf16().flat_map(u16::to_le_bytes);
        let big = text.encode_utf16().flat_map(u16::to_be_bytes);
        let little: Vec<u8> = [0xFF, 0xFE].into_iter().chain(little).collect();
        let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(big).collect();
        let marked = format!("\u{feff}{text}").into_bytes();
        for bytes in [text.as_bytes().to_vec(), marked, little.clone(), big] {
            assert_eq!(decode(bytes).unwrap(), text);
        }
        assert!(decode(little[..5].to_vec()).unwrap_err().contains("UTF-16"));
        let error = decode(b"ab\xE9c".to_vec()).unwrap_err();
        assert!(error.contains("byte 2"), "{error}");
        assert_eq!(decode(Vec::new()).unwrap(), "");
    }
}
