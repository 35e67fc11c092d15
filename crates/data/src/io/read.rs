//! Reading of images and masks, strict about what is damaged.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::error::DataError;
use crate::labels::{LabelMap, LabelPolicy};

/// The largest mask, decoded: a damaged header must not ask for more memory than there is.
const MAXIMUM_MASK_BYTES: usize = 1 << 30;

/// Reads a JPEG or PNG image as RGB; the kind is taken from its first bytes, not from its name.
///
/// A JPEG that ends early is refused. JPEG has no checksum, so bytes changed within its data show as
/// odd colours rather than as an error.
///
/// The orientation tag of EXIF is not applied, because masks are drawn on the stored pixels.
///
/// # Errors
/// A file that cannot be read, or that is damaged, truncated or of another kind.
pub fn image(path: &Path) -> Result<RgbImage, DataError> {
    let bytes = bytes(path)?;
    let fail = |reason: String| DataError::Decode {
        path: path.to_path_buf(),
        reason,
        expected: "JPEG or PNG",
    };
    let format = match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        Ok(other) => return Err(fail(format!("it is a {} file", other.to_mime_type()))),
        Err(_) if bytes.is_empty() => return Err(fail("the file is empty".into())),
        Err(error) => return Err(fail(error.to_string())),
    };
    if format == ImageFormat::Jpeg {
        check_jpeg_is_complete(&bytes)
            .map_err(|reason| fail(format!("{reason} after {} bytes", bytes.len())))?;
    }
    let decoded = image::load_from_memory_with_format(&bytes, format)
        .map_err(|error| fail(error.to_string()))?;
    Ok(decoded.into_rgb8())
}

/// Reads a PNG mask and turns its values into classes.
///
/// # Errors
/// As [`image()`], an RGB mask, and a value that is neither a class nor ignore under the policy.
pub fn labels(path: &Path, policy: &LabelPolicy, classes: usize) -> Result<LabelMap, DataError> {
    let mut map = mask(path, |width, index, value| {
        out_of_range(path, policy, classes, width, index, value)
    })?;
    policy.apply(&mut map.data, classes).map_err(|bad| {
        out_of_range(
            path,
            policy,
            classes,
            map.width,
            bad.index,
            bad.value.into(),
        )
    })?;
    Ok(map)
}

/// Reads the values a PNG mask stores, up to 255: grey levels, or palette indices rather than their
/// colours.
///
/// # Errors
/// A file that cannot be read or decoded, has colours instead of values, or holds a 16-bit value
/// above 255.
pub fn grey(path: &Path) -> Result<LabelMap, DataError> {
    mask(path, |_, _, value| DataError::Decode {
        path: path.to_path_buf(),
        reason: format!("it holds the value {value}"),
        expected: "PNG of values up to 255",
    })
}

/// Reads the values of a 16-bit grey PNG: width, height and `[height, width]` values.
///
/// # Errors
/// A file that cannot be read or decoded, or is of another kind.
pub fn grey_16(path: &Path) -> Result<(u32, u32, Vec<u16>), DataError> {
    let bytes = bytes(path)?;
    let (info, buffer) = png_values(path, &bytes)?;
    if info.bit_depth != png::BitDepth::Sixteen {
        return Err(DataError::Decode {
            path: path.to_path_buf(),
            reason: format!("its values have {} bits", info.bit_depth as u8),
            expected: "16-bit grey PNG",
        });
    }
    let values = buffer.chunks_exact(2);
    let values = values.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    Ok((info.width, info.height, values.collect()))
}

/// The rows of a PNG of one value a pixel, as they are stored.
fn png_values(path: &Path, bytes: &[u8]) -> Result<(png::OutputInfo, Vec<u8>), DataError> {
    let fail = |reason: String| DataError::Decode {
        path: path.to_path_buf(),
        reason,
        expected: "PNG",
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // The default transformations would turn palette indices into colours.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder
        .read_info()
        .map_err(|error| fail(error.to_string()))?;
    let (color, depth) = reader.output_color_type();
    match color {
        png::ColorType::Grayscale | png::ColorType::Indexed => {}
        other => {
            return Err(DataError::MaskFormat {
                path: path.to_path_buf(),
                found: format!("{}-bit {other:?}", depth as u8).to_lowercase(),
            });
        }
    }
    let size = reader
        .output_buffer_size()
        .filter(|size| *size <= MAXIMUM_MASK_BYTES)
        .ok_or_else(|| fail("its size does not fit in memory".into()))?;
    let mut buffer = vec![0; size];
    let frame = reader
        .next_frame(&mut buffer)
        .map_err(|error| fail(error.to_string()))?;
    Ok((frame, buffer))
}

/// Reads the values a PNG mask stores: grey levels, or palette indices rather than their colours.
///
/// Sub-byte depths are not stretched: value 1 of a two-bit mask is 1. `overflow` makes an error of a
/// 16-bit value above 255, given the width, the index of the pixel and the value.
///
/// # Errors
/// A file that cannot be read or decoded, has colours instead of values, or such a value.
fn mask(
    path: &Path,
    overflow: impl Fn(u32, usize, u32) -> DataError,
) -> Result<LabelMap, DataError> {
    let bytes = bytes(path)?;
    let (frame, buffer) = png_values(path, &bytes)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut data = Vec::with_capacity(width * height);
    for row in buffer.chunks_exact(frame.line_size.max(1)).take(height) {
        match frame.bit_depth {
            png::BitDepth::Eight => data.extend_from_slice(&row[..width]),
            png::BitDepth::Sixteen => {
                for pair in row.chunks_exact(2).take(width) {
                    if pair[0] != 0 {
                        let value = u32::from(u16::from_be_bytes([pair[0], pair[1]]));
                        return Err(overflow(frame.width, data.len(), value));
                    }
                    data.push(pair[1]);
                }
            }
            packed => {
                let bits = packed as usize;
                let mask = (1u16 << bits) as u8 - 1;
                data.extend((0..width).map(|x| {
                    let shift = 8 - bits - (x * bits) % 8;
                    (row[x * bits / 8] >> shift) & mask
                }));
            }
        }
    }
    Ok(LabelMap {
        width: frame.width,
        height: frame.height,
        data,
    })
}

fn out_of_range(
    path: &Path,
    policy: &LabelPolicy,
    classes: usize,
    width: u32,
    index: usize,
    value: u32,
) -> DataError {
    let width = (width as usize).max(1);
    DataError::LabelOutOfRange {
        path: path.to_path_buf(),
        value,
        x: (index % width) as u32,
        y: (index / width) as u32,
        classes,
        policy: policy.describe(),
        allowed: policy.allowed(classes),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// Walks the segments of a JPEG up to its end-of-image marker.
///
/// Decoders fill what a truncated file lacks with grey and report success; a half-grey image would
/// train and score in silence. Searching the file for the marker's bytes is not enough, because a
/// thumbnail inside the metadata has an end of its own.
fn check_jpeg_is_complete(bytes: &[u8]) -> Result<(), &'static str> {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let truncated = "the JPEG data ends before its end-of-image marker,";
    let mut position = 2;
    let mut in_scan = false;
    loop {
        let first = *bytes.get(position).ok_or(truncated)?;
        let second = *bytes.get(position + 1).ok_or(truncated)?;
        if first != 0xFF {
            // Entropy-coded data, or stray bytes between segments, which decoders skip too.
            position += 1;
            continue;
        }
        match second {
            END_OF_IMAGE => return Ok(()),
            // Any number of 0xFF may precede a marker.
            0xFF => position += 1,
            // A stuffed byte and the restart markers belong to the entropy-coded data.
            0x00 | 0xD0..=0xD7 if in_scan => position += 2,
            // Markers without a length: temporary, start of image.
            0x01 | 0xD8 => position += 2,
            marker => {
                let high = *bytes.get(position + 2).ok_or(truncated)?;
                let low = *bytes.get(position + 3).ok_or(truncated)?;
                position += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
                in_scan = marker == START_OF_SCAN;
            }
        }
    }
}
