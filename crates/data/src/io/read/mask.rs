//! Masks: the values or colours of a PNG, and their classes.

use std::io::Cursor;
use std::path::Path;

use image::ImageFormat;
use png::{BitDepth, ColorType, Transformations};

use super::{bytes, guarded, kind, limit};
use crate::error::{DataError, FileFault};
use crate::labels::{LabelMap, LabelPolicy, LabelTable};

/// Reads a PNG mask and maps its values to classes, given only their number.
///
/// # Errors
/// As [`labels_by`], and if the policy names classes.
pub fn labels(path: &Path, policy: &LabelPolicy, classes: usize) -> Result<LabelMap, DataError> {
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    labels_by(path, &policy.table(&names)?)
}

/// Reads a PNG mask and maps its values or colours to classes.
///
/// # Errors
/// If the file cannot be read or decoded, has colours instead of values, or has a value or colour that is
/// neither a class nor ignored.
pub fn labels_by(path: &Path, table: &LabelTable) -> Result<LabelMap, DataError> {
    let bytes = bytes(path)?;
    if table.is_of_colors() {
        return classes_of_colors(path, &bytes, table);
    }
    let rows = Rows::of_values(path, &bytes)?;
    let mut data = Vec::with_capacity(rows.pixels());
    let wrong = rows.values(|value| match table.class_of_value(value) {
        Some(class) => {
            data.push(class);
            Ok(())
        }
        None => Err(value),
    });
    match wrong {
        Ok(()) => Ok(rows.map(data)),
        Err(value) => Err(DataError::LabelOutOfRange {
            path: path.to_path_buf(),
            value: value.into(),
            x: rows.column(data.len()),
            y: rows.row(data.len()),
            classes: table.classes(),
            policy: table.policy().describe(),
            allowed: table.policy().allowed(table.classes()),
        }),
    }
}

/// Reads the values of a PNG mask, up to 255: grey levels, or palette indices (not their colours).
///
/// # Errors
/// If the file cannot be read or decoded, has colours instead of values, or has a 16-bit value above 255.
pub fn grey(path: &Path) -> Result<LabelMap, DataError> {
    let bytes = bytes(path)?;
    let rows = Rows::of_values(path, &bytes)?;
    let mut data = Vec::with_capacity(rows.pixels());
    rows.values(|value| match u8::try_from(value) {
        Ok(value) => {
            data.push(value);
            Ok(())
        }
        Err(_) => Err(DataError::Decode {
            path: path.to_path_buf(),
            reason: format!("it holds the value {value}"),
            expected: "PNG of values up to 255",
        }),
    })?;
    Ok(rows.map(data))
}

/// Reads the values of a 16-bit grey PNG: width, height and `[height, width]` values.
///
/// # Errors
/// If the file cannot be read or decoded, or has another format.
pub fn grey_16(path: &Path) -> Result<(u32, u32, Vec<u16>), DataError> {
    let bytes = bytes(path)?;
    let rows = Rows::of_values(path, &bytes)?;
    if rows.depth != BitDepth::Sixteen {
        return Err(DataError::Decode {
            path: path.to_path_buf(),
            reason: format!("its values have {} bits", rows.depth as u8),
            expected: "16-bit grey PNG",
        });
    }
    let mut data = Vec::with_capacity(rows.pixels());
    rows.values(|value| {
        data.push(value);
        Ok::<(), DataError>(())
    })?;
    Ok((rows.width, rows.height, data))
}

/// Maps the colours of a mask to classes.
///
/// Palette indices and grey levels are converted to the colours that viewers show.
fn classes_of_colors(path: &Path, bytes: &[u8], table: &LabelTable) -> Result<LabelMap, DataError> {
    let rows = Rows::decode(path, bytes)?;
    let sixteen = rows.depth == BitDepth::Sixteen;
    let mut data = Vec::with_capacity(rows.pixels());
    // Neighbours mostly have the same colour.
    let mut last: Option<([u16; 3], u8)> = None;
    let wrong = rows.colors(|color| {
        let color = color.map_err(Wrong::Index)?;
        let class = match last {
            Some((same, class)) if same == color => class,
            _ => {
                let class = table.class_of_color(color, sixteen);
                class.ok_or(Wrong::Color(color))?
            }
        };
        last = Some((color, class));
        data.push(class);
        Ok(())
    });
    match wrong {
        Ok(()) => Ok(rows.map(data)),
        Err(wrong) => Err(DataError::File {
            path: path.to_path_buf(),
            fault: match wrong {
                Wrong::Color(color) => FileFault::UnknownColor {
                    color,
                    x: rows.column(data.len()),
                    y: rows.row(data.len()),
                    policy: table.policy().describe(),
                },
                Wrong::Index(index) => FileFault::PaletteIndex {
                    index,
                    x: rows.column(data.len()),
                    y: rows.row(data.len()),
                    colors: rows.palette.len(),
                },
            },
        }),
    }
}

/// What a pixel holds instead of the colour of a class.
enum Wrong {
    Color([u16; 3]),
    /// A palette index without a colour.
    Index(u16),
}

/// The decoded rows of a PNG.
struct Rows {
    width: u32,
    height: u32,
    color: ColorType,
    depth: BitDepth,
    /// The colours of palette indices; empty for other files.
    palette: Vec<[u8; 3]>,
    /// Number of bytes of a row.
    stride: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// Reads the stored rows of a PNG with one value per pixel.
    fn of_values(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let rows = Self::decode(path, bytes)?;
        let advice = match rows.color {
            ColorType::Grayscale | ColorType::Indexed => return Ok(rows),
            ColorType::GrayscaleAlpha if rows.is_opaque() => return Ok(rows),
            ColorType::GrayscaleAlpha => "save the mask without its alpha channel",
            ColorType::Rgb | ColorType::Rgba => {
                "map each colour to a class: labels = { colors = { road = [128, 64, 0], ... } }; or \
                 convert colours to class indices"
            }
        };
        let color = format!("{:?}", rows.color).to_lowercase();
        Err(DataError::File {
            path: path.to_path_buf(),
            fault: FileFault::MaskFormat {
                found: format!("{}-bit {color} PNG", rows.depth as u8),
                advice,
            },
        })
    }

    /// Reads the stored rows of a PNG.
    fn decode(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let fail = |reason: String| DataError::Decode {
            path: path.to_path_buf(),
            reason,
            expected: "PNG",
        };
        match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => limit::check_png(path, bytes)?,
            Err(_) => {}
            Ok(other) => {
                return Err(DataError::File {
                    path: path.to_path_buf(),
                    fault: FileFault::MaskFormat {
                        found: format!("{} file", kind::name(other)),
                        advice: match other {
                            ImageFormat::Jpeg => {
                                "JPEG changes values: create the mask again as PNG"
                            }
                            _ => "convert it to PNG without changing its values",
                        },
                    },
                });
            }
        }
        guarded(path, "PNG", || {
            let mut decoder = png::Decoder::new(Cursor::new(bytes));
            // The default ones would turn palette indices into colours.
            decoder.set_transformations(Transformations::IDENTITY);
            let mut reader = decoder
                .read_info()
                .map_err(|error| fail(error.to_string()))?;
            let palette = reader.info().palette.as_deref().unwrap_or_default();
            let palette = palette.as_chunks().0.to_vec();
            let size = reader
                .output_buffer_size()
                .ok_or_else(|| fail("its size does not fit in memory".into()))?;
            let mut buffer = vec![0; size];
            let frame = reader
                .next_frame(&mut buffer)
                .map_err(|error| fail(error.to_string()))?;
            Ok(Self {
                width: frame.width,
                height: frame.height,
                color: frame.color_type,
                depth: frame.bit_depth,
                palette,
                stride: frame.line_size.max(1),
                bytes: buffer,
            })
        })
    }

    fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    fn column(&self, index: usize) -> u32 {
        (index % (self.width as usize).max(1)) as u32
    }

    fn row(&self, index: usize) -> u32 {
        (index / (self.width as usize).max(1)) as u32
    }

    fn map(&self, data: Vec<u8>) -> LabelMap {
        LabelMap {
            width: self.width,
            height: self.height,
            data,
        }
    }

    /// Calls `take` with the bytes of every pixel, row by row.
    fn samples<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let bytes = match self.depth {
            BitDepth::Sixteen => 2 * self.color.samples(),
            _ => self.color.samples(),
        };
        let rows = self.bytes.chunks_exact(self.stride);
        for row in rows.take(self.height as usize) {
            let pixels = row.chunks_exact(bytes);
            pixels.take(self.width as usize).try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// Calls `take` with the first value of every pixel, row by row.
    ///
    /// Bit depths below 8 are not rescaled: value 1 of a two-bit mask is 1.
    fn values<E>(&self, mut take: impl FnMut(u16) -> Result<(), E>) -> Result<(), E> {
        match self.depth {
            BitDepth::Eight => self.samples(|pixel| take(pixel[0].into())),
            BitDepth::Sixteen => {
                self.samples(|pixel| take(u16::from_be_bytes([pixel[0], pixel[1]])))
            }
            packed => {
                let bits = packed as usize;
                let mask = (1u16 << bits) as u8 - 1;
                let rows = self.bytes.chunks_exact(self.stride);
                for row in rows.take(self.height as usize) {
                    for x in 0..self.width as usize {
                        let shift = 8 - bits - (x * bits) % 8;
                        take(u16::from((row[x * bits / 8] >> shift) & mask))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Calls `take` with the colour of every pixel, row by row, or a palette index without a colour; transparency is
    /// ignored.
    fn colors<E>(
        &self,
        mut take: impl FnMut(Result<[u16; 3], u16>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.color {
            ColorType::Indexed => self.values(|index| {
                let color = self.palette.get(usize::from(index)).ok_or(index);
                take(color.map(|color| color.map(u16::from)))
            }),
            ColorType::Grayscale | ColorType::GrayscaleAlpha => {
                // Viewers show the largest value as white.
                let scale = match self.depth {
                    BitDepth::Sixteen => 1,
                    depth => 255 / ((1 << depth as u16) - 1),
                };
                self.values(|value| take(Ok([value * scale; 3])))
            }
            ColorType::Rgb | ColorType::Rgba => {
                let wide = self.depth == BitDepth::Sixteen;
                self.samples(|pixel| {
                    take(Ok([0, 1, 2].map(|channel| match wide {
                        true => u16::from_be_bytes([pixel[2 * channel], pixel[2 * channel + 1]]),
                        false => pixel[channel].into(),
                    })))
                })
            }
        }
    }

    /// Whether no pixel of grey and alpha is transparent.
    fn is_opaque(&self) -> bool {
        let opaque = |pixel: &[u8]| pixel[pixel.len() / 2..].iter().all(|byte| *byte == 255);
        let found = self.samples(|pixel| if opaque(pixel) { Ok(()) } else { Err(()) });
        found.is_ok()
    }
}
