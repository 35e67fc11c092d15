//! Drawing shapes and text on an image.

use std::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_9X15};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use image::{Rgb, RgbImage, imageops};

/// An image to draw on; pixels outside are ignored.
pub(super) struct Canvas<'a>(pub(super) &'a mut RgbImage);

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(Point { x, y }, color) in pixels {
            let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            let pixel = place.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y));
            if let Some(pixel) = pixel {
                *pixel = Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

/// Returns a picture below a line of text, black on white.
pub fn captioned(picture: &RgbImage, caption: &str) -> RgbImage {
    let (width, height) = picture.dimensions();
    let letters = caption.chars().count() as u32;
    let wide = letters * FONT_9X15.character_size.width;
    let font = if wide <= width {
        &FONT_9X15
    } else {
        &FONT_6X10
    };
    let line = font.character_size.height + 2;
    let mut captioned = RgbImage::from_pixel(width, height + line, Rgb([255; 3]));
    imageops::replace(&mut captioned, picture, 0, line.into());
    let style = TextStyleBuilder::new()
        .alignment(Alignment::Center)
        .baseline(Baseline::Top)
        .build();
    let at = Point::new(width as i32 / 2, 1);
    let letters = MonoTextStyle::new(font, Rgb888::BLACK);
    let text = Text::with_text_style(caption, at, letters, style);
    let Ok(_) = text.draw(&mut Canvas(&mut captioned));
    captioned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_stands_above_its_picture() {
        let picture = RgbImage::from_pixel(60, 20, Rgb([9, 8, 7]));
        let captioned = captioned(&picture, "depth");
        let line = captioned.height() - 20;
        assert_eq!(captioned.width(), 60);
        assert_eq!(captioned.get_pixel(0, line), &Rgb([9, 8, 7]));
        let above = captioned.pixels().take((60 * line) as usize);
        assert!(above.clone().any(|pixel| *pixel == Rgb([0; 3])));
        assert!(above.clone().all(|pixel| *pixel != Rgb([9, 8, 7])));
    }
}
