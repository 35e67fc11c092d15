//! Ground truth and detections in COCO's JSON format.

use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use hotcoco::Segmentation;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::error::DetectionError;

/// A ground truth file, without the fields that no score needs.
#[derive(Debug, Deserialize)]
pub(super) struct TruthFile {
    #[serde(deserialize_with = "entries")]
    pub images: Vec<ImageEntry>,
    #[serde(deserialize_with = "entries")]
    pub annotations: Vec<AnnotationEntry>,
    #[serde(deserialize_with = "entries")]
    pub categories: Vec<CategoryEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageEntry {
    #[serde(deserialize_with = "whole")]
    pub id: u64,
    #[serde(default, deserialize_with = "whole")]
    pub width: u32,
    #[serde(default, deserialize_with = "whole")]
    pub height: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct CategoryEntry {
    #[serde(deserialize_with = "whole")]
    pub id: u64,
    pub name: Option<String>,
}

/// An annotation file without its annotations.
#[derive(Debug, Deserialize)]
pub(super) struct ListingFile {
    #[serde(deserialize_with = "entries")]
    pub images: Vec<NamedImageEntry>,
    #[serde(default, deserialize_with = "entries")]
    pub categories: Vec<CategoryEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedImageEntry {
    #[serde(deserialize_with = "whole")]
    pub id: u64,
    pub file_name: String,
}

/// Numbers that may be missing, or that JSON cannot represent.
type Numbers = Option<Vec<Option<f64>>>;

#[derive(Debug, Deserialize)]
pub(super) struct AnnotationEntry {
    #[serde(deserialize_with = "whole")]
    pub image_id: u64,
    #[serde(deserialize_with = "whole")]
    pub category_id: u64,
    pub bbox: Numbers,
    pub area: Option<f64>,
    pub segmentation: Option<Segmentation>,
    #[serde(default, deserialize_with = "flag")]
    pub iscrowd: bool,
}

/// An entry of a file of detections.
#[derive(Debug, Deserialize)]
pub(super) struct DetectionEntry {
    #[serde(deserialize_with = "whole")]
    pub image_id: u64,
    #[serde(deserialize_with = "whole")]
    pub category_id: u64,
    pub score: Option<f64>,
    pub bbox: Numbers,
    pub segmentation: Option<Segmentation>,
}

/// Reads a ground truth.
pub(super) fn ground_truth(path: &Path) -> Result<TruthFile, DetectionError> {
    parse(path, "ground truth in COCO's format")
}

/// Reads the images and categories of an annotation file.
pub(super) fn listing(path: &Path) -> Result<ListingFile, DetectionError> {
    parse(path, "list of images in COCO's annotation format")
}

/// Reads detections.
pub(super) fn detections(path: &Path) -> Result<Vec<DetectionEntry>, DetectionError> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct DetectionFile(#[serde(deserialize_with = "entries")] Vec<DetectionEntry>);

    let DetectionFile(detections) = parse(path, "list of detections in COCO's format")?;
    Ok(detections)
}

fn parse<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, DetectionError> {
    let bytes = fs::read(path).map_err(|source| DetectionError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let bytes = without_non_finite(bytes);
    // Some editors put a byte order mark first.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|source| DetectionError::Json {
        path: path.to_path_buf(),
        expected,
        source,
    })
}

/// Replaces `NaN` and `Infinity`, which Python writes although JSON does not have them, by `null`, so that an
/// error can name the entry.
fn without_non_finite(bytes: Vec<u8>) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    if !has(WORDS[0]) && !has(WORDS[1]) {
        return bytes;
    }
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    let mut in_string = false;
    while let Some(&byte) = rest.first() {
        let word = WORDS.iter().find(|word| rest.starts_with(word));
        let taken = match word {
            Some(word) if !in_string => {
                replaced.extend_from_slice(b"null");
                word.len()
            }
            _ => {
                // A quote after a backslash does not end a string.
                let taken = if in_string && byte == b'\\' { 2 } else { 1 }.min(rest.len());
                in_string ^= byte == b'"';
                replaced.extend_from_slice(&rest[..taken]);
                taken
            }
        };
        rest = &rest[taken..];
    }
    replaced
}

/// Reads a list; errors name the index of the entry.
fn entries<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Entries<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            loop {
                match list.next_element() {
                    Ok(Some(entry)) => entries.push(entry),
                    Ok(None) => return Ok(entries),
                    Err(error) => {
                        let index = entries.len();
                        return Err(A::Error::custom(format_args!("entry {index}: {error}")));
                    }
                }
            }
        }
    }

    deserializer.deserialize_seq(Entries(PhantomData))
}

/// Reads a whole number, also in the form `7.0`, which tools with tables of floats write.
fn whole<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = Number::deserialize(deserializer)?;
    let id = number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        hotcoco::types::id_from_f64(float)
    });
    id.and_then(|id| T::try_from(id).ok())
        .ok_or_else(|| D::Error::custom(format_args!("{number} is not a whole number from 0")))
}

/// Reads a flag: a Boolean, or 0 or 1.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match (&value, value.as_f64()) {
        (Value::Bool(flag), _) => Ok(*flag),
        (Value::Null, _) => Ok(false),
        (_, Some(number)) if number == 0.0 || number == 1.0 => Ok(number == 1.0),
        _ => Err(D::Error::custom(format_args!("{value} is neither 0 nor 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(text: &str) -> Result<DetectionEntry, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        let entry = detection(r#"{"image_id": 7.0, "category_id": 18446744073709551615}"#).unwrap();
        assert_eq!((entry.image_id, entry.category_id), (7, u64::MAX));
        for wrong in ["1.5", "-1", "1e30", "\"1\"", "null"] {
            let text = format!(r#"{{"image_id": {wrong}, "category_id": 1}}"#);
            assert!(detection(&text).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_crowd_is_a_flag_or_a_number() {
        for (text, crowd) in [("1", true), ("0", false), ("true", true), ("0.0", false)] {
            let text = format!(r#"{{"image_id": 1, "category_id": 1, "iscrowd": {text}}}"#);
            let entry: AnnotationEntry = serde_json::from_str(&text).unwrap();
            assert_eq!(entry.iscrowd, crowd, "{text}");
        }
        let text = r#"{"image_id": 1, "category_id": 1, "iscrowd": 0.5}"#;
        assert!(serde_json::from_str::<AnnotationEntry>(text).is_err());
    }

    #[test]
    fn words_for_no_number_become_null_outside_of_strings() {
        let text = r#"{"a": NaN, "NaN \" Infinity": [-Infinity,Infinity], "\\": NaN}"#;
        let expected = r#"{"a": null, "NaN \" Infinity": [null,null], "\\": null}"#;
        assert_eq!(without_non_finite(text.into()), expected.as_bytes());
        let clean = r#"{"a": 1}"#;
        assert_eq!(without_non_finite(clean.into()), clean.as_bytes());
        // Cut off in the middle of a string.
        assert_eq!(without_non_finite(br#"NaN"\"#.into()), br#"null"\"#);
    }
}
