//! The annotation file of COCO.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::entry::{Entry, PIXELS, Value, present};
use crate::detection::{Annotation, Skipped};
use crate::error::AnnotationFault;

/// Maximum number of categories in an error.
const NAMED_CATEGORIES: usize = 5;

/// The content of an annotation file.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Every image, in the order of the file.
    pub images: Vec<ParsedImage>,
    /// Names of the categories, in the order of their identifiers.
    pub classes: Vec<String>,
    /// Identifiers of the categories, in order.
    pub category_ids: Vec<u64>,
    /// Skipped annotations and images.
    pub skipped: Skipped,
}

/// An image and its objects.
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
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    annotations: Vec<Object<'a>>,
    categories: Vec<Category<'a>>,
}

/// The part of a file with its classes.
#[derive(Deserialize)]
struct Classes<'a> {
    #[serde(borrow)]
    categories: Vec<Category<'a>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an image with `id`, `file_name`, `width` and `height`")]
struct Image<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    file_name: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    width: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    height: Value<'a>,
}

#[derive(Deserialize)]
#[serde(expecting = "a category with `id` and `name`")]
struct Category<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    name: Value<'a>,
}

#[derive(Deserialize)]
#[serde(expecting = "an annotation with `id`, `image_id`, `category_id` and `bbox`")]
struct Object<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    image_id: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    category_id: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    bbox: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    segmentation: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    iscrowd: Value<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    area: Value<'a>,
}

/// The expected value of an identifier.
const IDENTIFIER: &str = "a whole number from 0";

/// Reads an annotation file.
pub(super) fn parse(text: &str) -> Result<Parsed, AnnotationFault> {
    let file: File = read(text)?;
    let categories = by_identifier(file.categories)?;
    let class_of: HashMap<u64, usize> = categories.keys().copied().zip(0..).collect();
    let (mut images, place_of) = images(file.images)?;

    let mut skipped = Skipped::default();
    let mut seen = HashSet::with_capacity(file.annotations.len());
    for (object, index) in file.annotations.into_iter().zip(0..) {
        let entry = Entry {
            what: "annotation",
            index,
            id: None,
        };
        let id: u64 = entry.whole("id", object.id, IDENTIFIER)?;
        let entry = Entry {
            id: Some(id),
            ..entry
        };
        if !seen.insert(id) {
            return Err(AnnotationFault::DuplicateAnnotation { annotation: id });
        }
        let image = entry.whole("image_id", object.image_id, IDENTIFIER)?;
        let Some(&place) = place_of.get(&image) else {
            return Err(AnnotationFault::UnknownImage {
                annotation: id,
                image,
                images: images.len(),
            });
        };
        let category: u64 = entry.whole("category_id", object.category_id, IDENTIFIER)?;
        let Some(&class) = class_of.get(&category) else {
            let known = categories.iter().take(NAMED_CATEGORIES);
            let known: Vec<String> = known.map(|(id, name)| format!("{id} {name}")).collect();
            return Err(AnnotationFault::UnknownCategory {
                annotation: entry.to_string(),
                category: format!("category {category}"),
                categories: categories.len(),
                examples: known.join(", "),
            });
        };
        entry.number_if_any("area", object.area)?;
        let annotation = Annotation {
            id,
            class,
            bounds: entry.bounds(object.bbox)?,
            shape: entry.shape(object.segmentation)?,
            is_crowd: entry.flag("iscrowd", object.iscrowd)?,
            is_difficult: false,
        };
        let image: &mut ParsedImage = &mut images[place];
        annotation.check_runs(&image.id.to_string(), image.size)?;
        let admitted = annotation.admit(image.size, id, &mut skipped);
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

/// Reads only the categories of an annotation file, by identifier.
pub(super) fn categories(text: &str) -> Result<BTreeMap<u64, String>, AnnotationFault> {
    let file: Classes = read(text)?;
    by_identifier(file.categories)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, AnnotationFault> {
    // Some editors put a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).map_err(|error| AnnotationFault::Syntax {
        expected: "COCO JSON",
        hint: match error.classify() {
            serde_json::error::Category::Eof => Some("the file is truncated: download it again"),
            _ if has_no_number(text, &error) => {
                Some("JSON has no NaN and no Infinity: write null, or remove the entry")
            }
            _ => None,
        },
        reason: error.to_string(),
    })
}

/// Whether an error is about `NaN` or `Infinity`, which Python writes.
fn has_no_number(text: &str, error: &serde_json::Error) -> bool {
    let line = text.lines().nth(error.line().saturating_sub(1));
    // The error is at the first or the second letter; a minus is read as that of a number.
    let before = error.column().saturating_sub(3);
    let near = line.and_then(|line| line.as_bytes().get(before..));
    let near = near
        .map(|bytes| &bytes[..bytes.len().min(12)])
        .unwrap_or_default();
    let near = String::from_utf8_lossy(near);
    near.contains("NaN") || near.contains("Infinity")
}

/// Collects the categories by identifier.
fn by_identifier(listed: Vec<Category>) -> Result<BTreeMap<u64, String>, AnnotationFault> {
    let mut categories = BTreeMap::new();
    let mut by_name = HashMap::new();
    for (category, index) in listed.into_iter().zip(0..) {
        let entry = Entry {
            what: "category",
            index,
            id: None,
        };
        let id: u64 = entry.whole("id", category.id, IDENTIFIER)?;
        let entry = Entry {
            id: Some(id),
            ..entry
        };
        let name = entry.text("name", category.name)?;
        let same_name = by_name
            .insert(name.clone(), id)
            .filter(|first| *first != id);
        if let Some(first) = same_name {
            return Err(AnnotationFault::SharedName {
                name,
                first,
                second: id,
            });
        }
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

/// Collects the images, and the index of each by identifier.
fn images(listed: Vec<Image>) -> Result<(Vec<ParsedImage>, HashMap<u64, usize>), AnnotationFault> {
    let mut images: Vec<ParsedImage> = Vec::with_capacity(listed.len());
    let mut place_of = HashMap::with_capacity(listed.len());
    for (image, index) in listed.into_iter().zip(0..) {
        let entry = Entry {
            what: "image",
            index,
            id: None,
        };
        let id: u64 = entry.whole("id", image.id, IDENTIFIER)?;
        let entry = Entry {
            id: Some(id),
            ..entry
        };
        let file_name = entry.text("file_name", image.file_name)?;
        let size = (
            entry.whole("width", image.width, PIXELS)?,
            entry.whole("height", image.height, PIXELS)?,
        );
        if let Some(first) = place_of.insert(id, images.len()) {
            return Err(AnnotationFault::DuplicateImage {
                image: id,
                first: images[first].file_name.clone(),
                second: file_name,
            });
        }
        if let (0, _) | (_, 0) = size {
            return Err(AnnotationFault::NoPixels {
                image: format!("{id} (`{file_name}`)"),
                width: size.0,
                height: size.1,
            });
        }
        images.push(ParsedImage {
            id,
            file_name,
            size,
            objects: Vec::new(),
        });
    }
    Ok((images, place_of))
}

#[cfg(test)]
mod tests;
