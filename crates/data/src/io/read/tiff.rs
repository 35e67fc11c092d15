//! TIFF files that the `image` crate reads wrongly or not at all.

use std::io::Cursor;
use std::path::Path;

use image::error::{DecodingError, ImageFormatHint, UnsupportedError, UnsupportedErrorKind};
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::{TiffError, TiffResult};

use super::directory::Directory;
use crate::error::{DataError, FileFault};

const COMPRESSION: u64 = 259;
const PHOTOMETRIC: u64 = 262;
const FILL_ORDER: u64 = 266;
const SAMPLES: u64 = 277;
const PLANAR: u64 = 284;
const TILE_WIDTH: u64 = 322;
const EXTRA_SAMPLES: u64 = 338;
const SAMPLE_FORMAT: u64 = 339;

/// Refuses the forms that the decoder scrambles or fails on.
///
/// # Errors
/// [`DataError::File`] with the form.
pub(super) fn check(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let Some(directory) = Directory::find(bytes) else {
        return Ok(());
    };
    let is_planar = directory.first(PLANAR) == Some(2);
    let form = if directory.first(FILL_ORDER) == Some(2) {
        "with the bits of its bytes in reverse order (FillOrder = 2)"
    } else if is_planar && directory.first(TILE_WIDTH).is_some() {
        "in tiles of separate planes (PlanarConfiguration = 2)"
    } else {
        return Ok(());
    };
    Err(DataError::File {
        path: path.to_path_buf(),
        fault: FileFault::Kind {
            found: format!("TIFF file {form}"),
            advice: "convert it to PNG",
        },
    })
}

/// Whether the decoder is [`GreyAlpha`].
pub(super) fn is_grey_alpha(bytes: &[u8]) -> bool {
    let Some(directory) = Directory::find(bytes) else {
        return false;
    };
    // The decoder scrambles JPEG data of two channels.
    let is_jpeg = matches!(directory.first(COMPRESSION), Some(6 | 7));
    let values = [PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT].map(|tag| directory.first(tag));
    !is_jpeg && matches!(values, [Some(1), Some(2), None | Some(1), None | Some(1)])
}

/// Whether colours are multiplied by alpha.
pub(super) fn is_premultiplied(bytes: &[u8]) -> bool {
    let extra = Directory::find(bytes).and_then(|directory| directory.first(EXTRA_SAMPLES));
    extra == Some(1)
}

/// Divides colours by alpha, as PIL does: rounded down, and transparent pixels are black.
pub(super) fn divide(image: &mut DynamicImage) {
    fn divide_all<const N: usize>(values: &mut [impl Copy + Into<u64> + TryFrom<u64>], peak: u64) {
        for pixel in values.as_chunks_mut::<N>().0 {
            let [colors @ .., alpha] = &mut pixel[..] else {
                return;
            };
            let alpha: u64 = (*alpha).into();
            for value in colors {
                let divided = ((*value).into() * peak).checked_div(alpha);
                let divided = divided.unwrap_or(0).min(peak);
                *value = divided.try_into().unwrap_or(*value);
            }
        }
    }
    match image {
        DynamicImage::ImageLumaA8(image) => divide_all::<2>(image, u8::MAX.into()),
        DynamicImage::ImageRgba8(image) => divide_all::<4>(image, u8::MAX.into()),
        DynamicImage::ImageLumaA16(image) => divide_all::<2>(image, u16::MAX.into()),
        DynamicImage::ImageRgba16(image) => divide_all::<4>(image, u16::MAX.into()),
        _ => {}
    }
}

/// The decoder of grey values with alpha, which the `image` crate refuses.
pub(super) struct GreyAlpha<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    size: (u32, u32),
    color: ColorType,
}

impl<'a> GreyAlpha<'a> {
    /// Reads the header; at most `limit` bytes are allocated.
    pub fn new(bytes: &'a [u8], limit: u64) -> ImageResult<Self> {
        let open = || -> TiffResult<_> {
            let mut limits = Limits::default();
            limits.decoding_buffer_size = limit as usize;
            limits.intermediate_buffer_size = limit as usize;
            let mut decoder = Decoder::new(Cursor::new(bytes))?.with_limits(limits);
            let size = decoder.dimensions()?;
            let depth = decoder.colortype()?.bit_depth();
            Ok((decoder, size, depth))
        };
        let (decoder, size, depth) = open().map_err(fault)?;
        let color = match depth {
            8 => ColorType::La8,
            16 => ColorType::La16,
            depth => return Err(unsupported(format!("{depth}-bit grey with alpha"))),
        };
        Ok(Self {
            decoder,
            size,
            color,
        })
    }
}

impl ImageDecoder for GreyAlpha<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        self.color
    }

    fn read_image(mut self, target: &mut [u8]) -> ImageResult<()> {
        let bytes = match self.decoder.read_image().map_err(fault)? {
            DecodingResult::U8(values) => values,
            DecodingResult::U16(values) => values.into_iter().flat_map(u16::to_ne_bytes).collect(),
            _ => return Err(unsupported("grey with alpha".into())),
        };
        match bytes.len() == target.len() {
            true => target.copy_from_slice(&bytes),
            false => return Err(unsupported("grey with alpha and more".into())),
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, target: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(target)
    }
}

fn fault(error: TiffError) -> ImageError {
    match error {
        TiffError::UnsupportedError(error) => unsupported(error.to_string()),
        error => {
            let format = ImageFormatHint::Exact(ImageFormat::Tiff);
            ImageError::Decoding(DecodingError::new(format, error))
        }
    }
}

fn unsupported(form: String) -> ImageError {
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(
        ImageFormat::Tiff.into(),
        UnsupportedErrorKind::GenericFeature(form),
    ))
}
