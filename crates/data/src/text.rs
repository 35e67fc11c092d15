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

/// Decodes XML: as [`decode`], or in Western European encodings that it declares.
pub(crate) fn decode_xml(bytes: Vec<u8>) -> Result<String, String> {
    // Of windows-1252 at 0x80 and above; ISO-8859-1 has control characters there, which nobody writes.
    const SPECIAL: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž',
        '\u{8F}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}',
        'ž', 'Ÿ',
    ];
    // Many programs declare another encoding and write UTF-8.
    if str::from_utf8(&bytes).is_ok() || !declares_latin(&bytes) {
        return decode(bytes);
    }
    let character = |byte| match byte {
        0x80..0xA0 => SPECIAL[usize::from(byte - 0x80)],
        byte => char::from(byte),
    };
    Ok(bytes.into_iter().map(character).collect())
}

/// Whether the declaration of an XML file names ISO-8859-1 or windows-1252.
fn declares_latin(bytes: &[u8]) -> bool {
    let end = bytes.windows(2).position(|pair| pair == b"?>");
    let declaration = bytes[..end.unwrap_or_default()].to_ascii_lowercase();
    let declaration = String::from_utf8_lossy(&declaration);
    let encoding = declaration.split_once("encoding").map(|(_, rest)| rest);
    let encoding = encoding.and_then(|rest| rest.split(['"', '\'']).nth(1));
    matches!(
        encoding,
        Some("iso-8859-1" | "latin1" | "latin-1" | "windows-1252" | "cp1252")
    )
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
