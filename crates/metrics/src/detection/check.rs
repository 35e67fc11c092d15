//! Checks that an entry can be scored: image and category are known, box and mask are valid.

use std::collections::{HashMap, HashSet};

use hotcoco::{Rle, Segmentation};

use super::error::{DetectionError, EntryRef};
use super::{Category, Image};

/// The image and category identifiers of a ground truth.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Width and height by identifier; zeros if they are not known.
    images: HashMap<u64, [u32; 2]>,
    categories: HashSet<u64>,
}

impl Known {
    /// Collects the identifiers. The error is an identifier that occurs twice, and what it identifies.
    pub fn new(images: &[Image], categories: &[Category]) -> Result<Self, (&'static str, u64)> {
        let mut known = Self {
            images: HashMap::with_capacity(images.len()),
            categories: HashSet::with_capacity(categories.len()),
        };
        for image in images {
            let size = [image.width, image.height];
            if known.images.insert(image.id, size).is_some() {
                return Err(("image", image.id));
            }
        }
        for category in categories {
            if !known.categories.insert(category.id) {
                return Err(("category", category.id));
            }
        }
        Ok(known)
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Whether there is such a category.
    pub fn has_category(&self, category_id: u64) -> bool {
        self.categories.contains(&category_id)
    }

    /// Checks that image and category exist.
    pub fn check(&self, place: EntryRef<'_>, category_id: u64) -> Result<(), DetectionError> {
        if !self.images.contains_key(&place.image_id) {
            return Err(DetectionError::UnknownImage {
                entry: place.entry(),
                images: self.images.len(),
            });
        }
        if !self.has_category(category_id) {
            return Err(DetectionError::UnknownCategory {
                entry: place.entry(),
                category_id,
                categories: self.categories.len(),
            });
        }
        Ok(())
    }

    /// Checks a mask without rasterising it; returns its size, `[width, height]`.
    pub fn check_mask(
        &self,
        place: EntryRef<'_>,
        mask: Option<&Segmentation>,
    ) -> Result<[u32; 2], DetectionError> {
        let wrong = |reason: String| DetectionError::Mask {
            entry: place.entry(),
            reason,
        };
        let size = self.images.get(&place.image_id).copied().unwrap_or([0, 0]);
        if size.contains(&0) {
            return Err(DetectionError::MissingSize {
                entry: place.entry(),
            });
        }
        if u64::from(size[0]) * u64::from(size[1]) > u64::from(u32::MAX) {
            let [width, height] = size;
            return Err(wrong(format!(
                "an image of {width}x{height} has more pixels than a run can count"
            )));
        }
        match mask {
            None => return Err(missing_mask(place)),
            Some(Segmentation::Polygon(polygons)) if polygons.is_empty() => {
                return Err(missing_mask(place));
            }
            Some(Segmentation::Polygon(polygons)) => {
                for (index, polygon) in polygons.iter().enumerate() {
                    let length = polygon.len();
                    if length < 6 || !length.is_multiple_of(2) {
                        return Err(wrong(format!(
                            "polygon {index} has {length} numbers; expected at least 3 pairs"
                        )));
                    }
                    if let Some(number) = polygon.iter().find(|number| !number.is_finite()) {
                        return Err(wrong(format!("polygon {index} has a corner at {number}")));
                    }
                }
            }
            Some(
                Segmentation::CompressedRle { size: found, .. }
                | Segmentation::UncompressedRle { size: found, .. },
            ) if *found != [size[1], size[0]] => {
                return Err(DetectionError::MaskSize {
                    entry: place.entry(),
                    mask: [found[1], found[0]],
                    image: size,
                });
            }
            Some(mask) => {
                if let Some(runs) = mask.rle_ref() {
                    runs.area().map_err(|error| wrong(error.to_string()))?;
                }
            }
        }
        Ok(size)
    }

    /// Returns the pixels of a mask.
    pub fn mask(
        &self,
        place: EntryRef<'_>,
        mask: Option<&Segmentation>,
    ) -> Result<Rle, DetectionError> {
        let [width, height] = self.check_mask(place, mask)?;
        let mask = mask.ok_or_else(|| missing_mask(place))?;
        mask.to_rle(height, width)
            .map_err(|error| DetectionError::Mask {
                entry: place.entry(),
                reason: error.to_string(),
            })
    }
}

fn missing_mask(place: EntryRef<'_>) -> DetectionError {
    DetectionError::MissingMask {
        entry: place.entry(),
    }
}

/// Checks the numbers of a box.
pub(super) fn bbox(
    place: EntryRef<'_>,
    numbers: &[Option<f64>],
) -> Result<[f64; 4], DetectionError> {
    let finite = |number: &Option<f64>| number.filter(|number| number.is_finite());
    let found: Option<Vec<f64>> = numbers.iter().map(finite).collect();
    found
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| DetectionError::Box {
            entry: place.entry(),
            value: numbers.to_vec(),
        })
}

/// Checks that a score is finite.
pub(super) fn score(place: EntryRef<'_>, value: Option<f64>) -> Result<f64, DetectionError> {
    value
        .filter(|score| score.is_finite())
        .ok_or_else(|| DetectionError::Score {
            entry: place.entry(),
            value,
        })
}
