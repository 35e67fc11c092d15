//! The annotation file of an image of Pascal VOC.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use crate::detection::{Annotation, Skipped};
use crate::error::AnnotationFault;
use crate::io::read;
use crate::text;

/// The content of an annotation file.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Width and height of the image.
    pub size: (u32, u32),
    /// The objects, numbered from 1 in the order of the file.
    pub objects: Vec<Annotation>,
    /// Number of objects in the file, including skipped ones.
    pub stated: u64,
    /// Skipped annotations.
    pub skipped: Skipped,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    size: Option<Size>,
    #[serde(default)]
    object: Vec<Object>,
}

#[derive(Deserialize)]
struct Size {
    #[serde(default)]
    width: Option<String>,
    #[serde(default)]
    height: Option<String>,
}

/// An object with its raw values, which may be missing, so that errors can name the object.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    difficult: Option<String>,
    #[serde(default)]
    bndbox: Option<Bounds>,
}

#[derive(Deserialize)]
struct Bounds {
    #[serde(default)]
    xmin: Option<String>,
    #[serde(default)]
    ymin: Option<String>,
    #[serde(default)]
    xmax: Option<String>,
    #[serde(default)]
    ymax: Option<String>,
}

/// Reads the annotation file of the image `id`; the image provides the size if the file does not.
pub(super) fn read(
    path: &Path,
    id: &str,
    image: &Path,
    classes: &[String],
) -> Result<Parsed, AnnotationFault> {
    if !path.is_file() {
        return Err(AnnotationFault::Missing);
    }
    let unreadable = |reason| AnnotationFault::Unreadable { reason };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let text = text::decode_xml(bytes).map_err(unreadable)?;
    let size_of_image = || {
        read::size(image).map_err(|error| AnnotationFault::NoSize {
            reason: error.to_string(),
        })
    };
    parse(&text, id, classes, size_of_image)
}

fn parse(
    text: &str,
    id: &str,
    classes: &[String],
    size_of_image: impl FnOnce() -> Result<(u32, u32), AnnotationFault>,
) -> Result<Parsed, AnnotationFault> {
    check_structure(text)?;
    let file: File =
        quick_xml::de::from_str(text).map_err(|error| syntax(error.to_string(), DAMAGED))?;
    let size = match stated_size(file.size.as_ref())? {
        Some(size) => size,
        None => size_of_image()?,
    };
    let stated = file.object.len() as u64;
    let mut skipped = Skipped::default();
    let mut objects = Vec::new();
    for (object, number) in file.object.iter().zip(1..) {
        let annotation = annotation(object, number, classes)?;
        let label = format!("object {number} of {id}");
        objects.extend(annotation.admit(size, label, &mut skipped));
    }
    Ok(Parsed {
        size,
        objects,
        stated,
        skipped,
    })
}

/// The name of the root element.
const ROOT: &str = "annotation";

/// Checks that the text is one `annotation` element with the objects directly below it.
///
/// The elements that are read are few and optional, so any other document would be an image without objects.
fn check_structure(text: &str) -> Result<(), AnnotationFault> {
    let mut reader = Reader::from_str(text);
    // The names of the open elements.
    let mut open: Vec<String> = Vec::new();
    let mut is_complete = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| syntax(error.to_string(), DAMAGED))?;
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
                if open.is_empty() && is_complete {
                    let reason = format!("`{name}` follows the end of `{ROOT}`; expected one root");
                    return Err(syntax(reason, "write one file per image"));
                }
                check_place(&open, &name)?;
                if matches!(event, Event::Start(_)) {
                    open.push(name);
                } else {
                    is_complete |= open.is_empty();
                }
            }
            Event::End(_) => {
                open.pop();
                is_complete |= open.is_empty();
            }
            Event::Text(text) if open.is_empty() && !text.trim_ascii().is_empty() => {
                let reason = format!("there is text outside of `{ROOT}`");
                return Err(syntax(reason, DAMAGED));
            }
            Event::Eof if is_complete && open.is_empty() => return Ok(()),
            Event::Eof => {
                let reason = match open.last() {
                    Some(name) => format!("`{name}` is not closed"),
                    None => format!("it has no element; expected `{ROOT}`"),
                };
                return Err(syntax(reason, DAMAGED));
            }
            _ => {}
        }
    }
}

/// Checks that an element may be within the `open` elements.
fn check_place(open: &[String], name: &str) -> Result<(), AnnotationFault> {
    let expected = match (open, name) {
        ([], ROOT) => return Ok(()),
        ([], _) => {
            return Err(AnnotationFault::Root {
                found: name.into(),
                expected: ROOT,
            });
        }
        ([_], "object") => return Ok(()),
        (_, "object") => "directly in `annotation`",
        ([_, object, ..], "bndbox") if object == "object" => return Ok(()),
        (_, "bndbox") => "in an `object`",
        _ => return Ok(()),
    };
    Err(AnnotationFault::Place {
        element: name.into(),
        found: open.join("/"),
        expected,
    })
}

const DAMAGED: &str = "download the file again, or write it again: it is truncated or damaged";

fn syntax(reason: String, hint: &'static str) -> AnnotationFault {
    AnnotationFault::Syntax {
        expected: "Pascal VOC XML",
        reason,
        hint: Some(hint),
    }
}

/// Returns width and height; `None` if they are not stated. Some programs write 0 for an unknown size.
fn stated_size(size: Option<&Size>) -> Result<Option<(u32, u32)>, AnnotationFault> {
    let side = |key: &'static str, text: Option<&String>| {
        let text = text.map(|text| text.trim()).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let number: Option<f64> = text.parse().ok();
        let is_side =
            |side: &f64| side.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(side);
        match number.filter(is_side) {
            Some(0.0) => Ok(None),
            Some(side) => Ok(Some(side as u32)),
            None => Err(AnnotationFault::Key {
                entry: "size".into(),
                key,
                value: Some(text.into()),
                expected: "a whole number of pixels",
            }),
        }
    };
    let Some(size) = size else {
        return Ok(None);
    };
    let width = side("width", size.width.as_ref())?;
    Ok(width.zip(side("height", size.height.as_ref())?))
}

fn annotation(
    object: &Object,
    number: u64,
    classes: &[String],
) -> Result<Annotation, AnnotationFault> {
    let missing = |entry: String, key, expected| AnnotationFault::Key {
        entry,
        key,
        value: None,
        expected,
    };
    let name = object.name.as_deref().unwrap_or_default().trim();
    if name.is_empty() {
        let expected = "the name of a class";
        return Err(missing(format!("object {number}"), "name", expected));
    }
    let label = || format!("object {number} (`{name}`)");
    let class = classes.iter().position(|class| class == name);
    let class = class.ok_or_else(|| AnnotationFault::UnknownCategory {
        annotation: format!("object {number}"),
        category: format!("`{name}`"),
        categories: classes.len(),
        examples: classes[..classes.len().min(5)].join(", "),
    })?;
    let difficult = object.difficult.as_deref().unwrap_or_default().trim();
    let is_difficult = match difficult.to_ascii_lowercase().as_str() {
        // Pascal VOC's own files have the second.
        "" | "unspecified" | "false" => false,
        "true" => true,
        text => match text.parse::<f64>() {
            Ok(0.0) => false,
            Ok(1.0) => true,
            _ => {
                return Err(AnnotationFault::Flag {
                    annotation: label(),
                    key: "difficult",
                    value: difficult.into(),
                });
            }
        },
    };
    let Some(bounds) = &object.bndbox else {
        let expected = "a box of xmin, ymin, xmax, ymax";
        return Err(missing(label(), "bndbox", expected));
    };
    let sides = [
        ("xmin", &bounds.xmin),
        ("ymin", &bounds.ymin),
        ("xmax", &bounds.xmax),
        ("ymax", &bounds.ymax),
    ];
    if let Some((key, _)) = sides.iter().find(|(_, side)| side.is_none()) {
        return Err(missing(label(), key, "a number"));
    }
    let sides = sides.map(|(_, side)| side.as_deref().unwrap_or_default());
    // Some of 2011 and later are not whole numbers.
    let numbers = sides.map(|text| text.trim().parse::<f64>().ok());
    let [Some(xmin), Some(ymin), Some(xmax), Some(ymax)] =
        numbers.map(|number| number.filter(|number| number.is_finite()))
    else {
        return Err(AnnotationFault::Box {
            annotation: label(),
            value: format!("[{}]", sides.join(", ")),
            expected: "4 finite numbers: xmin, ymin, xmax, ymax",
        });
    };
    Ok(Annotation {
        id: number,
        class,
        bounds: [xmin - 1.0, ymin - 1.0, xmax, ymax],
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
        parse(&text, "a", &classes, || Ok((20, 10)))
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
