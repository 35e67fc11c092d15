//! NumPy's `.npy` files of numbers.
//!
//! The crate for these files multiplies the stated sizes unchecked; this reader checks them against the bytes
//! of the file.

use std::path::Path;

use crate::error::DataError;

/// Maximum size of a header; NumPy's are below 200 bytes.
const MAXIMUM_HEADER: usize = 1 << 16;

/// A row-major array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    /// Sizes of the dimensions.
    pub(crate) shape: Vec<usize>,
    /// The values, as many as the product of the sizes.
    pub(crate) data: Vec<f32>,
}

/// Reads an array of real numbers, integers or Booleans.
///
/// # Errors
/// If the file cannot be read, has another format, or has fewer numbers than stated.
pub(crate) fn read(path: &Path) -> Result<Array, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    parse(&bytes).map_err(|reason| DataError::Decode {
        path: path.to_path_buf(),
        reason,
        expected: "NumPy (.npy)",
    })
}

fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes
        .strip_prefix(b"\x93NUMPY")
        .ok_or("it does not begin with NumPy's magic string")?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [version, ..] => return Err(format!("its version is {version}, not 1 to 3")),
        [] => return Err("it ends within its header".into()),
    };
    if length > MAXIMUM_HEADER {
        return Err(format!("its header has {length} bytes"));
    }
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or("it ends within its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
    let kind = text(header, "descr")?;
    let is_fortran = match value(header, "fortran_order")? {
        value if value.starts_with("True") => true,
        value if value.starts_with("False") => false,
        _ => return Err("`fortran_order` is neither True nor False".into()),
    };
    let shape = shape(header)?;
    let size = size_of(kind)?;
    let count = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    let wanted = count.and_then(|count| count.checked_mul(size));
    if wanted != Some(data.len()) {
        return Err(format!(
            "an array of {shape:?} numbers `{kind}` does not fit its {} bytes of data",
            data.len()
        ));
    }
    let data = data.chunks_exact(size).map(|bytes| decode(kind, bytes));
    let data: Vec<f32> = data.collect();
    Ok(Array {
        data: if is_fortran {
            transposed(&data, &shape)
        } else {
            data
        },
        shape,
    })
}

/// Returns the value of a key of the header, in the form that NumPy writes.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = format!("'{key}':");
    let place = header.find(&quoted);
    let place = place.ok_or_else(|| format!("its header has no `{key}`"))?;
    Ok(header[place + quoted.len()..].trim_start())
}

fn text<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = value(header, key)?.strip_prefix('\'');
    let text = quoted.and_then(|rest| rest.split_once('\''));
    match text {
        Some((text, _)) => Ok(text),
        None => Err(format!("`{key}` is not a plain type, such as '<f4'")),
    }
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let wrong = || "`shape` is not a tuple of sizes".to_string();
    let inner = value(header, "shape")?.strip_prefix('(');
    let (inner, _) = inner
        .and_then(|rest| rest.split_once(')'))
        .ok_or_else(wrong)?;
    let sizes = inner
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    sizes
        .map(|size| size.parse().map_err(|_| wrong()))
        .collect()
}

fn size_of(kind: &str) -> Result<usize, String> {
    match kind {
        "|b1" | "|u1" | "|i1" => Ok(1),
        "<u2" | ">u2" | "<i2" | ">i2" => Ok(2),
        "<f4" | ">f4" | "<u4" | ">u4" | "<i4" | ">i4" => Ok(4),
        "<f8" | ">f8" | "<u8" | ">u8" | "<i8" | ">i8" => Ok(8),
        other => Err(format!(
            "its numbers are `{other}`; expected real numbers, integers or booleans"
        )),
    }
}

/// Decodes a number of a type that [`size_of`] supports.
fn decode(kind: &str, bytes: &[u8]) -> f32 {
    let mut word = [0; 8];
    for (index, target) in word.iter_mut().enumerate().take(bytes.len()) {
        *target = match kind.starts_with('>') {
            true => bytes[bytes.len() - 1 - index],
            false => bytes[index],
        };
    }
    let word = u64::from_le_bytes(word);
    match &kind[1..] {
        "f4" => f32::from_bits(word as u32),
        "f8" => f64::from_bits(word) as f32,
        "i1" => f32::from(word as i8),
        "i2" => f32::from(word as i16),
        "i4" => word as i32 as f32,
        "i8" => word as i64 as f32,
        _ => word as f32,
    }
}

/// Converts column-major to row-major order.
fn transposed(data: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut places = vec![0; shape.len()];
    let mut result = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        let mut index = 0;
        for (place, size) in places.iter().zip(shape).rev() {
            index = index * size + place;
        }
        result.push(data[index]);
        for (place, size) in places.iter_mut().zip(shape).rev() {
            *place += 1;
            if *place < *size {
                break;
            }
            *place = 0;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn both_orders_and_both_ends() {
        let header = "{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let data = [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 1, 0];
        let array = parse(&file(header, &data)).unwrap();
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.data, [1.0, 2.0, 3.0, 4.0, 5.0, 256.0]);
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }";
        let array = parse(&file(header, &(-1.5f64).to_le_bytes())).unwrap();
        assert_eq!(array.data, [-1.5]);
        let header = "{'descr': '|i1', 'fortran_order': False, 'shape': (), }";
        assert_eq!(parse(&file(header, &[255])).unwrap().data, [-1.0]);
    }

    #[test]
    fn damaged_files_are_errors() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
        let whole = file(header, &[0; 12]);
        assert!(parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
        let reason = parse(&file(huge, &[])).unwrap_err();
        assert!(reason.contains("does not fit its 0 bytes"), "{reason}");
        let pickled = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
        let reason = parse(&file(pickled, &[0; 8])).unwrap_err();
        assert!(reason.contains("`|O`"), "{reason}");
    }
}
