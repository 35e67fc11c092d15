//! Pictures of objects in their image.

use std::convert::Infallible;

use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_9X15, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use gradway_data::labels::palette::PaletteRule;
use gradway_trainer::Labels;
use gradway_trainer::task::PredictedObject;
use image::RgbImage;

use super::blend;
use super::canvas::Canvas;

/// Brightness, of 255, from which on text on a colour is black.
const BRIGHT: f32 = 140.0;

/// Opacity of an object's mask.
const OPACITY: f32 = 0.5;

/// Returns an image with the boxes, masks, classes and scores of objects, the highest score on top. Every
/// object has its own colour, since neighbours often have the same class.
pub fn objects(image: &RgbImage, objects: &[PredictedObject], labels: &Labels) -> RgbImage {
    let mut picture = image.clone();
    let size = [image.height() as usize, image.width() as usize];
    let colors = PaletteRule::GoldenHue.colors(objects.len());
    // A pixel is the surest object's.
    let mut is_taken = vec![false; size[0] * size[1]];
    for (object, color) in objects.iter().zip(&colors) {
        let pixels = picture.pixels_mut().zip(&mut is_taken);
        let covered = object.pixels(size).unwrap_or_default();
        for ((pixel, is_taken), _) in pixels.zip(covered).filter(|(_, is_object)| *is_object) {
            if !std::mem::replace(is_taken, true) {
                blend(pixel, *color, OPACITY);
            }
        }
    }
    let (font, stroke) = match image.width().min(image.height()) {
        0..300 => (&FONT_6X10, 1),
        300..900 => (&FONT_9X15, 2),
        _ => (&FONT_10X20, 3),
    };
    for (object, color) in objects.iter().zip(&colors).rev() {
        let name = labels.classes.get(object.class).map_or("?", String::as_str);
        let label = Label {
            text: format!("{name} {:.2}", object.score),
            color: *color,
            font,
        };
        let Ok(()) = draw(&mut Canvas(&mut picture), object, &label, stroke);
    }
    picture
}

/// The label of a box.
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

#[cfg(test)]
mod tests {
    use image::Rgb;

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
            palette: vec![[1, 2, 3]],
            category_ids: vec![1],
            ..Labels::unnamed(0)
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
        let outline = *picture.get_pixel(10, 30);
        assert_ne!(outline, Rgb([0; 3]));
        assert_eq!(picture.get_pixel(49, 30), &outline);
        let half = outline
            .0
            .map(|value| (f32::from(value) / 2.0).round() as u8);
        assert_eq!(picture.get_pixel(30, 40), &Rgb(half));
        assert_eq!(picture.get_pixel(51, 40), &Rgb([0; 3]));
        // Letters on the object's colour, above the box.
        let strip = (10..45).flat_map(|x| (10..20).map(move |y| (x, y)));
        let inks: Vec<Rgb<u8>> = strip.map(|(x, y)| *picture.get_pixel(x, y)).collect();
        assert!(inks.contains(&outline) && inks.iter().any(|ink| *ink != outline));
    }

    #[test]
    fn neighbours_of_a_class_differ() {
        let image = RgbImage::from_pixel(80, 60, Rgb([0; 3]));
        let boxes = [[4.0, 20.0, 30.0, 50.0], [40.0, 20.0, 70.0, 50.0]];
        let picture = objects(&image, &boxes.map(|bounds| object(bounds, None)), &labels());
        assert_ne!(picture.get_pixel(4, 40), picture.get_pixel(40, 40));
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let image = RgbImage::from_pixel(20, 10, Rgb([7; 3]));
        let picture = objects(&image, &[object([-5.0, -5.0, 90.0, 90.0], None)], &labels());
        assert_eq!(picture.dimensions(), (20, 10));
        assert_eq!(picture.get_pixel(10, 9), &Rgb([7; 3]));
    }
}
