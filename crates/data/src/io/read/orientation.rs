//! The orientation of images, from the places and in the order that PIL's `exif_transpose` reads.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};

use super::directory::Directory;
use super::kind;
use crate::error::DataError;

/// The tag of the orientation.
const TAG: u64 = 0x112;

/// The mark before EXIF data in JPEG files, which some programs write elsewhere too.
const MARK: &[u8] = b"Exif\0\0";

/// The maximum size of compressed metadata in bytes.
const LARGEST: u64 = 1 << 24;

/// Returns the orientation that a file states in its EXIF data, or else in its XMP data.
pub(super) fn of(
    path: &Path,
    format: ImageFormat,
    bytes: &[u8],
    decoder: &mut impl ImageDecoder,
) -> Result<Orientation, DataError> {
    let fail = |error| kind::fault(path, format, error);
    let exif = match format {
        // A tag of the file itself.
        ImageFormat::Tiff => Some(Cow::Borrowed(bytes)),
        // Chunks may follow the pixels, where the decoder has not been yet.
        ImageFormat::Png => png::exif(bytes),
        // Of several segments, decoders give the last.
        ImageFormat::Jpeg => jpeg_exif(bytes).map(Cow::Borrowed),
        _ => decoder.exif_metadata().map_err(fail)?.map(Cow::Owned),
    };
    let exif = exif.as_deref().unwrap_or_default();
    let exif = exif.strip_prefix(MARK).unwrap_or(exif);
    let mut stated = Directory::find(exif).and_then(|directory| directory.first(TAG));
    if stated.is_none() {
        let xmp = match format {
            ImageFormat::Png => png::text(bytes, b"XML:com.adobe.xmp"),
            // What cannot be read of it is no reason to refuse the image.
            _ => decoder.xmp_metadata().unwrap_or_default(),
        };
        stated = xmp_orientation(&xmp.unwrap_or_default());
    }
    let stated = stated.and_then(|value| u8::try_from(value).ok());
    let orientation = stated.and_then(Orientation::from_exif);
    Ok(orientation.unwrap_or(Orientation::NoTransforms))
}

/// Returns the first EXIF data of a JPEG.
fn jpeg_exif(bytes: &[u8]) -> Option<&[u8]> {
    const START_OF_SCAN: u8 = 0xDA;
    const APPLICATION: u8 = 0xE1;
    let mut rest = bytes.get(2..)?;
    loop {
        match *rest {
            // Any number of 0xFF may precede a marker.
            [0xFF, 0xFF, ..] => rest = &rest[1..],
            [0xFF, START_OF_SCAN, ..] => return None,
            [0xFF, 0x01 | 0xD0..=0xD8, ..] => rest = &rest[2..],
            [0xFF, marker, high, low, ..] => {
                let end = 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
                let data = rest.get(4..end)?;
                match data.strip_prefix(MARK) {
                    Some(exif) if marker == APPLICATION => return Some(exif),
                    _ => rest = &rest[end..],
                }
            }
            // Stray bytes between segments, which decoders skip too.
            [_, ..] => rest = &rest[1..],
            [] => return None,
        }
    }
}

/// Returns `tiff:Orientation` of XMP data, as an attribute or an element.
fn xmp_orientation(xmp: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"tiff:Orientation";
    let places = xmp.windows(KEY.len()).enumerate();
    let mut places = places.filter(|(_, found)| *found == KEY);
    places.find_map(|(place, _)| match &xmp[place + KEY.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => {
            Some(u64::from(digit - b'0'))
        }
        _ => None,
    })
}

mod png {
    //! Metadata of PNG files.

    use super::*;

    /// Returns the EXIF data of its chunk, or of the text that ImageMagick writes.
    pub fn exif(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        let chunk = chunks(bytes).find(|(name, _)| *name == b"eXIf");
        if let Some((_, data)) = chunk {
            return Some(Cow::Borrowed(data));
        }
        let text = text(bytes, b"Raw profile type exif")?;
        // An empty line, the kind and the length; then hexadecimal digits.
        let lines = text.split(|&byte| byte == b'\n').skip(3);
        let digits = lines.flatten().map(|&byte| char::from(byte).to_digit(16));
        let digits: Option<Vec<u32>> = digits.collect();
        let digits = digits?;
        let bytes = digits.as_chunks::<2>().0.iter();
        Some(bytes.map(|[high, low]| (high << 4 | low) as u8).collect())
    }

    /// Returns the text of a keyword.
    pub fn text(bytes: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
        chunks(bytes).find_map(|(name, data)| {
            let data = data.strip_prefix(keyword)?.strip_prefix(b"\0")?;
            match name {
                b"tEXt" => Some(data.to_vec()),
                b"zTXt" => inflated(data.strip_prefix(b"\0")?),
                b"iTXt" => {
                    let (&[is_compressed, _], data) = data.split_first_chunk()?;
                    // The language and the translated keyword.
                    let text = data.splitn(3, |&byte| byte == 0).nth(2)?;
                    match is_compressed {
                        0 => Some(text.to_vec()),
                        _ => inflated(text),
                    }
                }
                _ => None,
            }
        })
    }

    fn inflated(data: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut reader = ZlibDecoder::new(data).take(LARGEST);
        reader.read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// Returns the names and the data of all chunks.
    fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
        const SIGNATURE: usize = 8;
        let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (name, after) = after.split_first_chunk::<4>()?;
            let data = after.get(..u32::from_be_bytes(*length) as usize)?;
            // Without the checksum.
            rest = after.get(data.len() + 4..).unwrap_or_default();
            Some((name, data))
        })
    }
}
