//! The annotation file of one image of Pascal VOC.

use std::path::Path;

use serde::Deserialize;

use crate::detection::{Annotation, Skipped};
use crate::error::AnnotationFault;

/// What an annotation file says.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Width and height of the image.
    pub size: (u32, u32),
    /// The objects, numbered from 1 as they are stated.
    pub objects: Vec<Annotation>,
    /// Number of objects stated, those left out among them.
    pub stated: u64,
    /// What was left out.
    pub skipped: Skipped,
}

#[derive(Deserialize)]
struct File {
    size: Size,
    #[serde(default)]
    object: Vec<Object>,
}

#[derive(Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

/// Values are kept as text, so that what is wrong with them can name the object.
#[derive(Deserialize)]
struct Object {
    name: String,
    #[serde(default)]
    difficult: Option<String>,
    bndbox: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    xmin: String,
    ymin: String,
    xmax: String,
    ymax: String,
}

/// Reads the annotation file of the image `id`.
pub(super) fn read(path: &Path, id: &str, classes: &[String]) -> Result<Parsed, AnnotationFault> {
    if !path.is_file() {
        return Err(AnnotationFault::Missing);
    }
    let text = std::fs::read_to_string(path).map_err(|error| AnnotationFault::Unreadable {
        reason: error.to_string(),
    })?;
    parse(&text, id, classes)
}

fn parse(text: &str, id: &str, classes: &[String]) -> Result<Parsed, AnnotationFault> {
    let file: File = quick_xml::de::from_str(text).map_err(|error| AnnotationFault::Syntax {
        expected: "Pascal VOC XML",
        reason: error.to_string(),
    })?;
    let Size { width, height } = file.size;
    if width == 0 || height == 0 {
        return Err(AnnotationFault::NoPixels {
            image: format!("`{id}`"),
            width,
            height,
        });
    }
    let stated = file.object.len() as u64;
    let mut skipped = Skipped::default();
    let mut objects = Vec::new();
    for (object, number) in file.object.iter().zip(1..) {
        let annotation = annotation(object, number, classes)?;
        let label = format!("object {number} of {id}");
        objects.extend(annotation.admit((width, height), label, &mut skipped));
    }
    Ok(Parsed {
        size: (width, height),
        objects,
        stated,
        skipped,
    })
}

fn annotation(
    object: &Object,
    number: u64,
    classes: &[String],
) -> Result<Annotation, AnnotationFault> {
    let name = object.name.trim();
    let label = || format!("object {number} (`{name}`)");
    let class = classes.iter().position(|class| class == name);
    let class = class.ok_or_else(|| AnnotationFault::UnknownCategory {
        annotation: format!("object {number}"),
        category: format!("`{name}`"),
        categories: classes.len(),
        examples: classes[..classes.len().min(5)].join(", "),
    })?;
    let difficult = object.difficult.as_deref().unwrap_or_default().trim();
    let is_difficult = match difficult {
        "" | "0" => false,
        "1" => true,
        other => {
            return Err(AnnotationFault::Flag {
                annotation: label(),
                key: "difficult",
                value: other.into(),
            });
        }
    };
    let Bounds {
        xmin,
        ymin,
        xmax,
        ymax,
    } = &object.bndbox;
    // Some of 2011 and later are not whole numbers.
    let number_of = |text: &String| {
        let value: Option<f64> = text.trim().parse().ok();
        value
            .filter(|value| value.is_finite())
            .ok_or_else(|| AnnotationFault::Box {
                annotation: label(),
                value: format!("[{xmin}, {ymin}, {xmax}, {ymax}]"),
                expected: "4 finite numbers: xmin, ymin, xmax, ymax",
            })
    };
    Ok(Annotation {
        id: number,
        class,
        bounds: [
            number_of(xmin)? - 1.0,
            number_of(ymin)? - 1.0,
            number_of(xmax)?,
            number_of(ymax)?,
        ],
        shape: None,
        is_crowd: false,
        is_difficult,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(objects: &str) -> Result<Parsed, AnnotationFault> {
        let classes = ["cat".to_string(), "dog".to_string()];
        let text = format!(
            "<annotation><filename>a.jpg</filename>{objects}\
             <size><width>20</width><height>10</height><depth>3</depth></size></annotation>"
        );
        parse(&text, "a", &classes)
    }

    fn object(name: &str, rest: &str, bounds: [&str; 4]) -> String {
        let [xmin, ymin, xmax, ymax] = bounds;
        format!(
            "<object><name>{name}</name>{rest}<bndbox><xmax>{xmax}</xmax><xmin>{xmin}</xmin>\
             <ymin>{ymin}</ymin><ymax>{ymax}</ymax></bndbox></object>"
        )
    }

    #[test]
    fn stored_boxes_count_from_one() {
        let part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>";
        let objects = object("dog", part, ["1", "1", "20", "10"])
            + "<segmented>0</segmented>"
            + &object("cat", "<difficult>1</difficult>", ["3", "4.5", "5", "6"]);
        let parsed = parsed(&objects).unwrap();
        assert_eq!(parsed.size, (20, 10));
        assert_eq!(parsed.objects[0].bounds, [0.0, 0.0, 20.0, 10.0]);
        assert_eq!(parsed.objects[1].bounds, [2.0, 3.5, 5.0, 6.0]);
        let flags = parsed.objects.iter().map(|object| object.is_difficult);
        assert_eq!(flags.collect::<Vec<_>>(), [false, true]);
        let classes = parsed.objects.iter().map(|object| object.class);
        assert_eq!(classes.collect::<Vec<_>>(), [1, 0]);
        assert!(parsed.skipped.is_empty());
    }

    #[test]
    fn an_image_may_hold_nothing() {
        let parsed = parsed("").unwrap();
        assert_eq!((parsed.objects.len(), parsed.stated), (0, 0));
    }

    #[test]
    fn boxes_outside_and_without_area_are_counted() {
        let objects = object("dog", "", ["21", "1", "30", "5"])
            + &object("dog", "", ["5", "5", "4", "5"])
            + &object("dog", "", ["-3", "5", "30", "8"]);
        let parsed = parsed(&objects).unwrap();
        assert_eq!(parsed.stated, 3);
        assert_eq!(parsed.objects.len(), 1);
        assert_eq!(parsed.objects[0].id, 3);
        assert_eq!(parsed.objects[0].bounds, [0.0, 4.0, 20.0, 8.0]);
        assert_eq!(parsed.skipped.outside.examples, ["object 1 of a"]);
        assert_eq!(parsed.skipped.without_area.examples, ["object 2 of a"]);
    }

    #[test]
    fn faults_name_the_object_and_the_value() {
        let message = |objects: &str| parsed(objects).unwrap_err().to_string();
        let bounds = ["1", "1", "5", "5"];
        assert_eq!(
            message(&object("cow", "", bounds)),
            "object 1: `cow` is not among the 2 classes (cat, dog)"
        );
        let difficult = "<difficult>maybe</difficult>";
        assert_eq!(
            message(&object("cat", difficult, bounds)),
            "object 1 (`cat`): `difficult` = maybe: expected 0 or 1"
        );
        for wrong in ["nan", "inf", "wide", ""] {
            let found = message(&object("cat", "", ["1", "1", wrong, "5"]));
            assert!(found.contains("object 1 (`cat`): box [1, 1,"), "{found}");
        }
        assert!(message("<object>").contains("not valid Pascal VOC XML"));
        assert!(message("<object><name>cat</name></object>").contains("bndbox"));
    }
}
