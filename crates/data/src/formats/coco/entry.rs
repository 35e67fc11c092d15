//! Values of an annotation file, kept as text until their entry is known, so that errors can name it.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::detection::Shape;
use crate::error::AnnotationFault;

/// The largest integer that a 64-bit float represents exactly, with all smaller ones.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The expected value of a side, and of the length of a run.
pub(super) const PIXELS: &str = "a whole number of pixels";

/// A raw value of the file; `None` if the key is missing.
pub(super) type Value<'a> = Option<&'a RawValue>;

/// Reads a value that may be `null`, which differs from a missing key.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value<'de>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The entry of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The kind of entry in the singular; the name of the list has an additional `s`.
    pub what: &'static str,
    /// Index in the list, from 0.
    pub index: usize,
    /// Identifier, once it is known.
    pub id: Option<u64>,
}

/// `annotation 7`, or `annotations[3]` while the identifier is unknown.
impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(formatter, "{} {id}", self.what),
            // The plural of `category`, the third list, is another.
            None if self.what == "category" => write!(formatter, "categories[{}]", self.index),
            None => write!(formatter, "{}s[{}]", self.what, self.index),
        }
    }
}

impl Entry {
    /// Returns the error of a missing key or an invalid value.
    fn fault(self, key: &'static str, value: Value, expected: &'static str) -> AnnotationFault {
        AnnotationFault::Key {
            entry: self.to_string(),
            key,
            value: value.map(|value| shortened(value.get())),
            expected,
        }
    }

    /// Reads a whole number, also in the form `7.0`, which tools with tables of floats write.
    pub fn whole<T: TryFrom<u64>>(
        self,
        key: &'static str,
        value: Value,
        expected: &'static str,
    ) -> Result<T, AnnotationFault> {
        let text = value.map_or("", RawValue::get);
        let number = text.parse::<u64>().ok().or_else(|| {
            let float: f64 = serde_json::from_str(text).ok()?;
            let is_whole = float.fract() == 0.0 && (0.0..=LARGEST_EXACT).contains(&float);
            is_whole.then_some(float as u64)
        });
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.fault(key, value, expected))
    }

    /// Reads a string.
    pub fn text(self, key: &'static str, value: Value) -> Result<String, AnnotationFault> {
        let text = value.and_then(|value| serde_json::from_str(value.get()).ok());
        text.ok_or_else(|| self.fault(key, value, "a string"))
    }

    /// Checks that a value, if there is one, is a number.
    pub fn number_if_any(self, key: &'static str, value: Value) -> Result<(), AnnotationFault> {
        let text = value.map_or("null", RawValue::get);
        let number: Result<Option<f64>, _> = serde_json::from_str(text);
        match number {
            Ok(_) => Ok(()),
            Err(_) => Err(self.fault(key, value, "a number")),
        }
    }

    /// Reads `[left, top, width, height]` as left, top, right and bottom.
    pub fn bounds(self, value: Value) -> Result<[f64; 4], AnnotationFault> {
        let Some(value) = value else {
            return Err(self.fault("bbox", None, "[left, top, width, height]"));
        };
        // Numbers too large for a float are an error of the parser.
        match serde_json::from_str::<[f64; 4]>(value.get()) {
            Ok([x, y, width, height]) if (x + width).is_finite() && (y + height).is_finite() => {
                Ok([x, y, x + width, y + height])
            }
            _ => Err(AnnotationFault::Box {
                annotation: self.to_string(),
                value: shortened(value.get()),
                expected: "4 finite numbers: left, top, width, height",
            }),
        }
    }

    /// Reads a flag: 0 or 1, `false` or `true`; 0 if it is missing.
    pub fn flag(self, key: &'static str, value: Value) -> Result<bool, AnnotationFault> {
        match value.map_or("0", RawValue::get) {
            "0" | "0.0" | "false" | "null" => Ok(false),
            "1" | "1.0" | "true" => Ok(true),
            other => Err(AnnotationFault::Flag {
                annotation: self.to_string(),
                key,
                value: shortened(other),
            }),
        }
    }

    /// Reads the shape of an object; `None` if it has only a box.
    pub fn shape(self, value: Value) -> Result<Option<Shape>, AnnotationFault> {
        let fault = |reason: String| AnnotationFault::Segmentation {
            annotation: self.to_string(),
            reason,
        };
        let syntax = |error: serde_json::Error| fault(error.to_string());
        let text = match value.map(RawValue::get) {
            None | Some("null") => return Ok(None),
            Some(text) => text,
        };
        if text.starts_with('[') {
            let polygons: Vec<Vec<f64>> = serde_json::from_str(text).map_err(|error| {
                match serde_json::from_str::<Vec<f64>>(text) {
                    Ok(_) => fault(
                        "a list of numbers; expected a list of such lists, one for each polygon"
                            .into(),
                    ),
                    Err(_) => syntax(error),
                }
            })?;
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
        let [height, width] = size.map(|side| self.whole("size", Some(side), PIXELS));
        let size = [height?, width?];
        Ok(Some(if counts.get().starts_with('"') {
            let counts = serde_json::from_str(counts.get()).map_err(syntax)?;
            Shape::Text { size, counts }
        } else {
            let counts: Vec<&RawValue> = serde_json::from_str(counts.get()).map_err(syntax)?;
            let counts = counts.into_iter();
            let counts = counts.map(|count| self.whole("counts", Some(count), PIXELS));
            Shape::Runs {
                size,
                counts: counts.collect::<Result<_, _>>()?,
            }
        }))
    }
}

#[derive(Deserialize)]
struct RunLengths<'a> {
    #[serde(borrow)]
    size: [&'a RawValue; 2],
    #[serde(borrow)]
    counts: &'a RawValue,
}

/// The start of a value, for a message.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}
