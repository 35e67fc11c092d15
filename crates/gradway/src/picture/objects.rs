//! Objects drawn into their image.

use std::convert::Infallible;

use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_9X15, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use gradway_trainer::Labels;
use gradway_trainer::task::PredictedObject;
use image::{Rgb, RgbImage};

use super::blend;

/// Brightness from which on text on a colour is black, of 255.
const BRIGHT: f32 = 140.0;

/// An image with the boxes, masks, classes and scores of objects, the surest on top.
pub fn objects(image: &RgbImage, objects: &[PredictedObject], labels: &Labels) -> RgbImage {
    let mut picture = image.clone();
    let size = [image.height() as usize, image.width() as usize];
    let color = |class: usize| labels.palette.get(class).copied().unwrap_or([255; 3]);
    for object in objects.iter().rev() {
        for (pixel, is_object) in picture
            .pixels_mut()
            .zip(object.pixels(size).unwrap_or_default())
        {
            if is_object {
                blend(pixel, color(object.class));
            }
        }
    }
    let short = image.width().min(image.height());
    let (font, stroke) = match short {
        0..300 => (&FONT_6X10, 1),
        300..900 => (&FONT_9X15, 2),
        _ => (&FONT_10X20, 3),
    };
    for object in objects.iter().rev() {
        let name = labels.classes.get(object.class).map_or("?", String::as_str);
        let label = Label {
            text: format!("{name} {:.2}", object.score),
            color: color(object.class),
            font,
        };
        let Ok(()) = draw(&mut Canvas(&mut picture), object, &label, stroke);
    }
    picture
}

/// What is written at a box.
struct Label<'a> {
    text: String,
    color: [u8; 3],
    font: &'a MonoFont<'a>,
}

fn draw(
    canvas: &mut Canvas<'_>,
    object: &PredictedObject,
    label: &Label<'_>,
    stroke: u32,
) -> Result<(), Infallible> {
    let [left, top, right, bottom] = object.bounds.map(|side| side.round() as i32);
    let [red, green, blue] = label.color;
    let color = Rgb888::new(red, green, blue);
    let corners = (Point::new(left, top), Point::new(right - 1, bottom - 1));
    Rectangle::with_corners(corners.0, corners.1)
        .into_styled(PrimitiveStyle::with_stroke(color, stroke))
        .draw(canvas)?;
    // Above the box where there is room, else in it.
    let (cell, letters) = (label.font.character_size, label.text.chars().count() as u32);
    let size = Size::new(cell.width * letters + 2, cell.height);
    let most_left = canvas.0.width() as i32 - size.width as i32;
    let corner = Point::new(
        left.min(most_left).max(0),
        if top >= size.height as i32 {
            top - size.height as i32
        } else {
            top
        },
    );
    Rectangle::new(corner, size)
        .into_styled(PrimitiveStyle::with_fill(color))
        .draw(canvas)?;
    // The weights of the eye's sensitivity to the three colours, Rec. 601.
    let brightness = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    let ink = if brightness > BRIGHT {
        Rgb888::BLACK
    } else {
        Rgb888::WHITE
    };
    let style = MonoTextStyle::new(label.font, ink);
    let start = corner + Point::new(1, 0);
    Text::with_baseline(&label.text, start, style, Baseline::Top).draw(canvas)?;
    Ok(())
}

/// An image to draw on; what lies outside is left out.
struct Canvas<'a>(&'a mut RgbImage);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bounds: [f32; 4], mask: Option<f32>) -> PredictedObject {
        PredictedObject {
            bounds,
            class: 0,
            score: 0.98,
            mask: mask.map(|value| vec![value; 28 * 28]),
        }
    }

    fn labels() -> Labels {
        Labels {
            classes: vec!["dog".to_string()],
            palette: vec![[250, 0, 0]],
            category_ids: vec![1],
        }
    }

    #[test]
    fn a_box_has_an_outline_and_a_mask_a_colour() {
        let image = RgbImage::from_pixel(80, 60, Rgb([0; 3]));
        let picture = objects(
            &image,
            &[object([10.0, 20.0, 50.0, 50.0], Some(1.0))],
            &labels(),
        );
        assert_eq!(picture.get_pixel(10, 30), &Rgb([250, 0, 0]));
        assert_eq!(picture.get_pixel(49, 30), &Rgb([250, 0, 0]));
        assert_eq!(picture.get_pixel(30, 40), &Rgb([150, 0, 0]));
        assert_eq!(picture.get_pixel(51, 40), &Rgb([0; 3]));
        // Letters on the class's colour, above the box.
        let strip = (10..45).flat_map(|x| (10..20).map(move |y| (x, y)));
        let inks: Vec<_> = strip.map(|(x, y)| picture.get_pixel(x, y).0).collect();
        assert!(inks.contains(&[250, 0, 0]) && inks.contains(&[255; 3]));
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let image = RgbImage::from_pixel(20, 10, Rgb([7; 3]));
        let picture = objects(&image, &[object([-5.0, -5.0, 90.0, 90.0], None)], &labels());
        assert_eq!(picture.dimensions(), (20, 10));
        assert_eq!(picture.get_pixel(10, 9), &Rgb([7; 3]));
    }
}
