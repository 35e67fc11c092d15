//! Writes a contact sheet of synthetic scenes: the picture, classes, parts, saliency, normals,
//! depth, edges and instances of each.
//!
//! `cargo run --release -p gradway-scenes --example contact_sheet -- SHEET.png [COUNT] [FIRST] [WIDTH] [HEIGHT] [COLUMNS]`
//!
//! With COLUMNS the sheet shows pictures only, that many in a row.

#![allow(clippy::print_stdout, reason = "an example may print")]

use std::error::Error;
use std::time::Instant;

use gradway_scenes::{PALETTE, Scene, SceneConfig, render};
use image::{Rgb, RgbImage};

/// Colours of parts and instances.
const COLORS: [[u8; 3]; 7] = [
    [30, 30, 36],
    [239, 71, 111],
    [255, 209, 102],
    [6, 214, 160],
    [17, 138, 178],
    [155, 93, 229],
    [244, 140, 6],
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: scenes SHEET.png [COUNT] [FIRST] ...")?;
    let mut number = |default: u32| -> Result<u32, Box<dyn Error>> {
        Ok(arguments.next().map_or(Ok(default), |text| text.parse())?)
    };
    let count = number(8)?;
    let first = number(0)?;
    let config = SceneConfig {
        width: number(192)?,
        height: number(160)?,
        ..SceneConfig::default()
    };
    let columns = number(0)?;
    config.validate()?;

    let begin = Instant::now();
    let scenes: Vec<Scene> = (first..first + count)
        .map(|index| render(&config, index.into()))
        .collect();
    let milliseconds = begin.elapsed().as_secs_f64() * 1e3 / f64::from(count.max(1));
    println!(
        "{milliseconds:.1} ms per scene of {} x {}",
        config.width, config.height
    );

    let (across, per_row) = if columns == 0 {
        (8, 1)
    } else {
        (columns, columns)
    };
    let (width, height) = (config.width + 4, config.height + 4);
    let mut sheet = RgbImage::new(width * across, height * count.div_ceil(per_row));
    for (row, scene) in scenes.iter().enumerate() {
        let row = row as u32;
        let (left, top) = ((row % per_row) * width, row / per_row * height);
        image::imageops::replace(&mut sheet, &scene.image, left.into(), top.into());
        if columns > 0 {
            continue;
        }
        for (column, color) in panels(scene).into_iter().enumerate() {
            for (x, y, _) in scene.image.enumerate_pixels() {
                let pixel = (y * config.width + x) as usize;
                let x = (column as u32 + 1) * width + x;
                sheet.put_pixel(x, top + y, Rgb(color(pixel)));
            }
        }
    }
    sheet.save(path)?;
    Ok(())
}

/// The colour of a pixel in each panel.
fn panels(scene: &Scene) -> Vec<Box<dyn Fn(usize) -> [u8; 3] + '_>> {
    let grey = |value: f32| [(value * 255.0) as u8; 3];
    vec![
        Box::new(|pixel| PALETTE[usize::from(scene.classes[pixel])]),
        Box::new(|pixel| {
            *COLORS
                .get(usize::from(scene.parts[pixel]))
                .unwrap_or(&[90, 90, 90])
        }),
        Box::new(move |pixel| grey(f32::from(scene.saliency[pixel]))),
        Box::new(|pixel| scene.normals[pixel].map(|value| (127.5 * (value + 1.0)) as u8)),
        Box::new(move |pixel| match scene.depth[pixel] {
            0.0 => [60, 0, 60],
            depth => grey(2.0 / (2.0 + depth)),
        }),
        Box::new(move |pixel| grey(f32::from(scene.edges[pixel]))),
        Box::new(|pixel| {
            let found = scene
                .instances
                .iter()
                .position(|item| item.mask[pixel] == 1);
            found.map_or(COLORS[0], |index| COLORS[1 + index % 6])
        }),
    ]
}
