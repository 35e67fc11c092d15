//! Human parts from the annotations of PASCAL-Part.
//!
//! `anno` is a struct whose second field is the objects of the image; an object has its class first, then its
//! number, its mask and its parts; a part has a name and a mask. Fields are read by position, as in the public
//! code.

use std::path::Path;

use crate::error::DataError;
use crate::io::mat::{MatFile, Numbers, Structs, Value};
use crate::labels::{IGNORE, LabelMap};

/// Names of the parts, in label order.
pub(super) const NAMES: [&str; 7] = [
    "background",
    "head",
    "torso",
    "upper arms",
    "lower arms and hands",
    "upper legs",
    "lower legs and feet",
];

/// The number of the class `person`.
const PERSON: f64 = 15.0;

/// Returns the label of a stored part.
fn label(part: &str) -> Option<u8> {
    Some(match part {
        "hair" | "head" | "lear" | "rear" | "lebrow" | "rebrow" | "leye" | "reye" | "mouth"
        | "nose" => 1,
        "torso" | "neck" => 2,
        "luarm" | "ruarm" => 3,
        "llarm" | "rlarm" | "lhand" | "rhand" => 4,
        "luleg" | "ruleg" => 5,
        "llleg" | "rlleg" | "lfoot" | "rfoot" => 6,
        _ => return None,
    })
}

/// Reads the human parts of an image; the map is ignore everywhere if no part is annotated.
///
/// Where masks overlap, the part that is stored later wins, as in the public code.
///
/// # Errors
/// If the file cannot be read or has another structure, or a part is unknown.
pub(super) fn read(path: &Path, image: &Path) -> Result<LabelMap, DataError> {
    let file = MatFile::read(path)?;
    let annotation = file.variable("anno")?;
    let mut map: Option<LabelMap> = None;
    let objects = field(&annotation, 0, 1)
        .ok_or_else(|| file.fault("`anno` is not a struct with the objects as its second field"))?;
    for index in 0..count(objects) {
        let wrong = |what: &str| file.fault(format!("object {} of `anno`: {what}", index + 1));
        let class = field(objects, index, 1).and_then(Value::numbers);
        let class = class.and_then(|class| class.iter().next());
        let class = class.ok_or_else(|| wrong("its second field is not the number of a class"))?;
        let parts = field(objects, index, 3)
            .ok_or_else(|| wrong("it is not a struct with the parts as its fourth field"))?;
        let mask = field(objects, index, 2)
            .and_then(Value::numbers)
            .and_then(Numbers::size);
        let [height, width] = mask.ok_or_else(|| wrong("its third field is not a mask"))?;
        let map = match &mut map {
            Some(map) => map,
            none => {
                let map = filled(width, height);
                none.insert(map.ok_or_else(|| wrong("its mask is too large"))?)
            }
        };
        if class != PERSON {
            continue;
        }
        for part in 0..count(parts) {
            let wrong = |what: String| wrong(&format!("part {}: {what}", part + 1));
            let name = field(parts, part, 0).and_then(Value::text);
            let name = name.ok_or_else(|| wrong("its first field is not a name".into()))?;
            let label = label(name)
                .ok_or_else(|| wrong(format!("`{name}` is not a known part of people")))?;
            let mask = field(parts, part, 1).and_then(Value::numbers);
            let mask = mask.ok_or_else(|| wrong("its second field is not a mask".into()))?;
            let size = [map.height as usize, map.width as usize];
            if mask.size() != Some(size) {
                let found = &mask.dimensions;
                return Err(wrong(format!(
                    "a mask of {found:?} in an image of {size:?}"
                )));
            }
            paint(map, mask, label);
        }
    }
    let mut map = match map {
        Some(map) => map,
        // Nobody and nothing: the size is that of the image.
        None => {
            let image = crate::io::read::image(image)?;
            LabelMap::filled(image.width(), image.height(), IGNORE)
        }
    };
    if map.data.iter().all(|label| *label == 0) {
        map.data.fill(IGNORE);
    }
    Ok(map)
}

fn filled(width: usize, height: usize) -> Option<LabelMap> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    Some(LabelMap::filled(width, height, 0))
}

/// Assigns a label to the pixels of a mask.
fn paint(map: &mut LabelMap, mask: &Numbers<'_>, label: u8) {
    let (height, width) = (map.height as usize, map.width as usize);
    for (index, value) in mask.iter().enumerate() {
        if value != 0.0 {
            // Columns follow each other.
            let (x, y) = (index / height, index % height);
            map.data[y * width + x] = label;
        }
    }
}

/// Returns the number of structs; an empty array of numbers counts as none.
fn count(value: &Value<'_>) -> usize {
    value.structs().map_or(0, |structs| structs.count)
}

fn field<'a, 'b>(value: &'b Value<'a>, index: usize, field: usize) -> Option<&'b Value<'a>> {
    let structs: &Structs<'a> = value.structs()?;
    structs.get(index, field)
}
