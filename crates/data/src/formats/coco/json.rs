//! The annotation file of COCO.
//!
//! Values within an annotation are kept as text until its identifier is known, so that what is wrong
//! with them can name it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::detection::{Annotation, Shape, Skipped};
use crate::error::AnnotationFault;

/// Categories that an error names.
const NAMED_CATEGORIES: usize = 5;

/// What an annotation file says.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Every image, in the order of the file.
    pub images: Vec<ParsedImage>,
    /// Names of the categories, in the order of their identifiers.
    pub classes: Vec<String>,
    /// Identifiers of the categories, in order.
    pub category_ids: Vec<u64>,
    /// What was left out.
    pub skipped: Skipped,
}

/// An image and what is in it.
#[derive(Debug)]
pub(super) struct ParsedImage {
    pub id: u64,
    pub file_name: String,
    /// Width and height.
    pub size: (u32, u32),
    pub objects: Vec<Annotation>,
}

#[derive(Deserialize)]
struct File<'a> {
    images: Vec<Image>,
    #[serde(borrow)]
    annotations: Vec<Object<'a>>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Object<'a> {
    id: u64,
    image_id: u64,
    category_id: u64,
    #[serde(borrow, default)]
    bbox: Option<&'a RawValue>,
    #[serde(borrow, default)]
    segmentation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    iscrowd: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RunLengths<'a> {
    size: [u32; 2],
    #[serde(borrow)]
    counts: &'a RawValue,
}

/// Reads an annotation file.
pub(super) fn parse(text: &str) -> Result<Parsed, AnnotationFault> {
    // Some editors put a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    let file: File = serde_json::from_str(text).map_err(|error| AnnotationFault::Syntax {
        expected: "COCO JSON",
        reason: error.to_string(),
    })?;
    let categories = categories(file.categories)?;
    let class_of: HashMap<u64, usize> = categories.keys().copied().zip(0..).collect();
    let (mut images, place_of) = images(file.images)?;

    let mut skipped = Skipped::default();
    let mut seen = HashSet::with_capacity(file.annotations.len());
    for object in file.annotations {
        if !seen.insert(object.id) {
            return Err(AnnotationFault::DuplicateAnnotation {
                annotation: object.id,
            });
        }
        let Some(&place) = place_of.get(&object.image_id) else {
            return Err(AnnotationFault::UnknownImage {
                annotation: object.id,
                image: object.image_id,
                images: images.len(),
            });
        };
        let Some(&class) = class_of.get(&object.category_id) else {
            let known = categories.iter().take(NAMED_CATEGORIES);
            let known: Vec<String> = known.map(|(id, name)| format!("{id} {name}")).collect();
            return Err(AnnotationFault::UnknownCategory {
                annotation: label(object.id),
                category: format!("category {}", object.category_id),
                categories: categories.len(),
                examples: known.join(", "),
            });
        };
        let annotation = Annotation {
            id: object.id,
            class,
            bounds: bounds(&object)?,
            shape: shape(&object)?,
            is_crowd: is_crowd(&object)?,
            is_difficult: false,
        };
        let image: &mut ParsedImage = &mut images[place];
        let admitted = annotation.admit(image.size, object.id, &mut skipped);
        image.objects.extend(admitted);
    }
    let (category_ids, classes) = categories.into_iter().unzip();
    Ok(Parsed {
        images,
        classes,
        category_ids,
        skipped,
    })
}

fn label(id: u64) -> String {
    format!("annotation {id}")
}

/// The categories by identifier.
fn categories(listed: Vec<Category>) -> Result<BTreeMap<u64, String>, AnnotationFault> {
    let mut categories = BTreeMap::new();
    for Category { id, name } in listed {
        if let Some(first) = categories.insert(id, name) {
            return Err(AnnotationFault::DuplicateCategory {
                category: id,
                first,
                second: categories.remove(&id).unwrap_or_default(),
            });
        }
    }
    if categories.is_empty() {
        return Err(AnnotationFault::NoCategories);
    }
    Ok(categories)
}

/// The images, and the place of each among them.
fn images(listed: Vec<Image>) -> Result<(Vec<ParsedImage>, HashMap<u64, usize>), AnnotationFault> {
    let mut images: Vec<ParsedImage> = Vec::with_capacity(listed.len());
    let mut place_of = HashMap::with_capacity(listed.len());
    for image in listed {
        if let Some(first) = place_of.insert(image.id, images.len()) {
            return Err(AnnotationFault::DuplicateImage {
                image: image.id,
                first: images[first].file_name.clone(),
                second: image.file_name,
            });
        }
        if image.width == 0 || image.height == 0 {
            return Err(AnnotationFault::NoPixels {
                image: format!("{} (`{}`)", image.id, image.file_name),
                width: image.width,
                height: image.height,
            });
        }
        images.push(ParsedImage {
            id: image.id,
            file_name: image.file_name,
            size: (image.width, image.height),
            objects: Vec::new(),
        });
    }
    Ok((images, place_of))
}

/// Left, top, right and bottom of `[left, top, width, height]`.
fn bounds(object: &Object) -> Result<[f64; 4], AnnotationFault> {
    let text = object.bbox.map_or("null", RawValue::get);
    // Numbers too large for a float are an error of the parser.
    let bounds: Result<[f64; 4], _> = serde_json::from_str(text);
    match bounds {
        Ok([x, y, width, height]) => Ok([x, y, x + width, y + height]),
        Err(_) => Err(AnnotationFault::Box {
            annotation: label(object.id),
            value: shortened(text),
            expected: "4 finite numbers: left, top, width, height",
        }),
    }
}

fn is_crowd(object: &Object) -> Result<bool, AnnotationFault> {
    match object.iscrowd.map_or("0", RawValue::get) {
        "0" | "false" | "null" => Ok(false),
        "1" | "true" => Ok(true),
        other => Err(AnnotationFault::Flag {
            annotation: label(object.id),
            key: "iscrowd",
            value: shortened(other),
        }),
    }
}

/// The pixels of an object; none for those with a box alone.
fn shape(object: &Object) -> Result<Option<Shape>, AnnotationFault> {
    let fault = |reason: String| AnnotationFault::Segmentation {
        annotation: label(object.id),
        reason,
    };
    let syntax = |error: serde_json::Error| fault(error.to_string());
    let Some(text) = object.segmentation.map(RawValue::get) else {
        return Ok(None);
    };
    if text.starts_with('[') {
        let polygons: Vec<Vec<f64>> = serde_json::from_str(text).map_err(syntax)?;
        // Short ones are counted later; of the others, x and y must not get mixed up.
        let odd = |polygon: &&Vec<f64>| polygon.len() > 6 && polygon.len() % 2 == 1;
        if let Some(polygon) = polygons.iter().find(odd) {
            return Err(fault(format!(
                "a polygon of {} numbers; expected x and y in turn",
                polygon.len()
            )));
        }
        return Ok((!polygons.is_empty()).then_some(Shape::Polygons(polygons)));
    }
    if !text.starts_with('{') {
        return Err(fault(format!(
            "{}; expected polygons, or runs as {{ size, counts }}",
            shortened(text)
        )));
    }
    let RunLengths { size, counts } = serde_json::from_str(text).map_err(syntax)?;
    Ok(Some(if counts.get().starts_with('"') {
        let counts = serde_json::from_str(counts.get()).map_err(syntax)?;
        Shape::Text { size, counts }
    } else {
        let counts = serde_json::from_str(counts.get()).map_err(syntax)?;
        Shape::Runs { size, counts }
    }))
}

/// The start of a value, for a message.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests;
