//! Pictures of label maps, objects and dense predictions.

mod canvas;
mod objects;
mod tasks;

use std::io::{BufWriter, Write};
use std::path::Path;

use gradway_data::IGNORE;
use image::{Rgb, RgbImage, imageops};

pub use canvas::captioned;
pub use objects::objects;
pub use tasks::task;

/// Opacity of the class colours in an overlay.
const OPACITY: f32 = 0.6;
/// Colour of pixels without a class.
const NO_CLASS: Rgb<u8> = Rgb([0, 0, 0]);
/// Gap between the pictures of a sheet, in pixels.
const GAP: u32 = 4;

/// Returns a picture of a label map in the colours of the palette.
pub fn colors(labels: &[u8], width: u32, palette: &[[u8; 3]]) -> RgbImage {
    let height = labels.len() as u32 / width.max(1);
    RgbImage::from_fn(width, height, |x, y| {
        let label = labels[(y * width + x) as usize];
        palette
            .get(usize::from(label))
            .filter(|_| label != IGNORE)
            .map_or(NO_CLASS, |color| Rgb(*color))
    })
}

/// Returns a picture with the class colours as an overlay; pixels without a class are not changed.
pub fn overlay(image: &RgbImage, labels: &[u8], palette: &[[u8; 3]]) -> RgbImage {
    let mut blended = image.clone();
    for (pixel, &label) in blended.pixels_mut().zip(labels) {
        let Some(color) = palette.get(usize::from(label)) else {
            continue;
        };
        blend(pixel, *color, OPACITY);
    }
    blended
}

/// Blends a colour into a pixel.
fn blend(pixel: &mut Rgb<u8>, color: [u8; 3], opacity: f32) {
    for (value, color) in pixel.0.iter_mut().zip(color) {
        let mixed = f32::from(*value) * (1.0 - opacity) + f32::from(color) * opacity;
        *value = mixed.round() as u8;
    }
}

/// Arranges pictures of the same size in rows, on white.
pub fn sheet(rows: &[Vec<RgbImage>]) -> RgbImage {
    let (width, height) = rows
        .first()
        .and_then(|row| row.first())
        .map_or((0, 0), RgbImage::dimensions);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let side = |count: u32, length: u32| (count * (length + GAP)).saturating_sub(GAP);
    let size = (side(columns, width), side(rows.len() as u32, height));
    let mut sheet = RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]));
    for (row, pictures) in rows.iter().enumerate() {
        for (column, picture) in pictures.iter().enumerate() {
            let x = column as u32 * (width + GAP);
            let y = row as u32 * (height + GAP);
            imageops::replace(&mut sheet, picture, x.into(), y.into());
        }
    }
    sheet
}

/// Writes a label map as a PNG whose palette indices are the labels, as Pascal VOC's masks.
///
/// # Errors
///
/// An error of the file system or the encoder.
pub fn write_labels(
    path: &Path,
    labels: &[u8],
    width: u32,
    palette: &[[u8; 3]],
) -> Result<(), png::EncodingError> {
    let mut colors = palette.concat();
    // Room for the ignore value: a palette must cover every index that occurs.
    colors.resize(3 * 256, 0);
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let height = labels.len() as u32 / width.max(1);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colors);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(labels)?;
    writer.finish()?;
    file.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use gradway_data::{LabelPolicy, read};

    use super::*;

    #[test]
    fn a_written_label_map_reads_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("labels.png");
        let labels = [0, 1, 2, 2, 1, IGNORE];
        write_labels(&path, &labels, 3, &[[1, 2, 3], [4, 5, 6], [7, 8, 9]]).expect("written");
        let read = read::labels(&path, &LabelPolicy::Direct { ignore: IGNORE }, 3).expect("read");
        assert_eq!((read.width, read.height), (3, 2));
        assert_eq!(read.data, labels);
    }

    #[test]
    fn a_sheet_has_gaps_but_no_border() {
        let picture = |value| RgbImage::from_pixel(2, 3, Rgb([value; 3]));
        let sheet = sheet(&[vec![picture(0), picture(1)], vec![picture(2)]]);
        assert_eq!(sheet.dimensions(), (2 + 4 + 2, 3 + 4 + 3));
        assert_eq!(sheet.get_pixel(6, 0), &Rgb([1; 3]));
        assert_eq!(sheet.get_pixel(3, 0), &Rgb([255; 3]));
    }
}
