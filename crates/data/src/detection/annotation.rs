//! Objects in annotation files, and the annotations that are skipped.

use std::borrow::Cow;
use std::fmt::Display;

use super::mask::Mask;
use super::skipped::Skipped;
use crate::error::AnnotationFault;

/// Number of coordinates of the shortest polygon, which has three points.
const SHORTEST_POLYGON: usize = 6;

/// The shape of an object in the annotations.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Polygons, x and y in turn; the shape is their union.
    Polygons(Vec<Vec<f64>>),
    /// Run lengths down the columns of a bitmap, background first.
    Runs {
        /// Height and width in pixels.
        size: [u32; 2],
        /// Lengths of the runs.
        counts: Vec<u32>,
    },
    /// Run lengths in COCO's compressed form.
    Text {
        /// Height and width in pixels.
        size: [u32; 2],
        /// The runs.
        counts: String,
    },
}

/// An annotated object.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Identifier, unique within the split.
    pub id: u64,
    /// Index of the class.
    pub class: usize,
    /// Left, top, right and bottom in pixels.
    pub bounds: [f64; 4],
    /// Its shape, if annotated.
    pub shape: Option<Shape>,
    /// Whether it is a crowd region, which stands for many objects.
    pub is_crowd: bool,
    /// Whether it is marked as difficult.
    pub is_difficult: bool,
}

impl Annotation {
    /// Whether a detector is trained on it.
    pub fn is_trained_on(&self) -> bool {
        !self.is_crowd && !self.is_difficult
    }

    /// Clips the box to the image of `width` x `height` and drops invalid polygons; counts the annotation as
    /// skipped, named `label`, if nothing remains.
    ///
    /// Public detectors skip the same annotations, and the public datasets have some of each kind.
    pub fn admit(
        mut self,
        (width, height): (u32, u32),
        label: impl Display,
        skipped: &mut Skipped,
    ) -> Option<Self> {
        let has_area = |[left, top, right, bottom]: [f64; 4]| left < right && top < bottom;
        if !has_area(self.bounds) {
            skipped.without_area.add(label);
            return None;
        }
        let [left, top, right, bottom] = self.bounds;
        let (width, height) = (f64::from(width), f64::from(height));
        self.bounds = [
            left.clamp(0.0, width),
            top.clamp(0.0, height),
            right.clamp(0.0, width),
            bottom.clamp(0.0, height),
        ];
        if !has_area(self.bounds) {
            skipped.outside.add(label);
            return None;
        }
        if let Some(Shape::Polygons(polygons)) = &mut self.shape {
            polygons.retain(|polygon| polygon.len() >= SHORTEST_POLYGON);
            if polygons.is_empty() {
                skipped.without_polygon.add(label);
                return None;
            }
        }
        Some(self)
    }

    /// Returns the mask in `image` of `width` x `height`, equal to that of `pycocotools`.
    ///
    /// # Errors
    /// If the bitmap has another size, or the runs do not fill it.
    pub fn mask(
        &self,
        image: &str,
        (width, height): (u32, u32),
    ) -> Result<Option<Mask>, AnnotationFault> {
        let runs = self.drawn(image, (width, height))?;
        Ok(runs.map(|runs| Mask::from_runs(&runs, width, height)))
    }

    /// Whether there is a mask, but without a pixel in `image`.
    ///
    /// # Errors
    /// As [`Self::mask`].
    pub fn has_empty_mask(&self, image: &str, size: (u32, u32)) -> Result<bool, AnnotationFault> {
        let runs = self.drawn(image, size)?;
        // Every second run is of the object.
        let is_empty = |runs: Cow<[u32]>| runs.iter().skip(1).step_by(2).all(|&run| run == 0);
        Ok(runs.is_some_and(is_empty))
    }

    /// Returns the runs of the mask; `None` without one.
    fn drawn(
        &self,
        image: &str,
        (width, height): (u32, u32),
    ) -> Result<Option<Cow<'_, [u32]>>, AnnotationFault> {
        Ok(match &self.shape {
            None => None,
            Some(Shape::Polygons(polygons)) => {
                let polygons = hotcoco::mask::fr_polys(polygons, height, width);
                let polygons = polygons.map_err(|error| self.unusable(&error))?;
                Some(Cow::Owned(polygons.counts))
            }
            Some(Shape::Runs { .. } | Shape::Text { .. }) => {
                Some(self.runs(image, (width, height))?)
            }
        })
    }

    /// Checks the run lengths as [`Self::mask`], without rasterising.
    ///
    /// # Errors
    /// If the bitmap has another size, or the runs do not fill it.
    pub fn check_runs(&self, image: &str, size: (u32, u32)) -> Result<(), AnnotationFault> {
        self.runs(image, size).map(|_| ())
    }

    /// The stored runs of a bitmap; `None` for polygons.
    fn runs(
        &self,
        image: &str,
        (width, height): (u32, u32),
    ) -> Result<Cow<'_, [u32]>, AnnotationFault> {
        let (&[mask_height, mask_width], runs) = match &self.shape {
            None | Some(Shape::Polygons(_)) => return Ok(Cow::Borrowed(&[])),
            Some(Shape::Runs { size, counts }) => (size, Ok(Cow::Borrowed(&counts[..]))),
            Some(Shape::Text { size, counts }) => {
                let runs = hotcoco::mask::rle_from_string(counts, height, width);
                (size, runs.map(|runs| Cow::Owned(runs.counts)))
            }
        };
        let annotation = || format!("annotation {}", self.id);
        if (mask_width, mask_height) != (width, height) {
            return Err(AnnotationFault::MaskSize {
                annotation: annotation(),
                width: mask_width,
                height: mask_height,
                image: image.into(),
                image_width: width,
                image_height: height,
            });
        }
        let runs = runs.map_err(|error| self.unusable(&error))?;
        let sum: u64 = runs.iter().map(|&run| u64::from(run)).sum();
        let area = u64::from(width) * u64::from(height);
        match sum == area {
            true => Ok(runs),
            false => Err(AnnotationFault::MaskRuns {
                annotation: annotation(),
                sum,
                width,
                height,
                area,
            }),
        }
    }

    fn unusable(&self, error: &hotcoco::error::Error) -> AnnotationFault {
        AnnotationFault::Segmentation {
            annotation: format!("annotation {}", self.id),
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(bounds: [f64; 4], shape: Option<Shape>) -> Annotation {
        Annotation {
            id: 5,
            class: 0,
            bounds,
            shape,
            is_crowd: false,
            is_difficult: false,
        }
    }

    #[test]
    fn boxes_are_cut_to_the_image_and_empty_ones_are_counted() {
        let mut skipped = Skipped::default();
        let mut admit = |bounds| {
            annotation(bounds, None)
                .admit((10, 8), 5, &mut skipped)
                .map(|annotation| annotation.bounds)
        };
        assert_eq!(admit([-2.0, 1.0, 4.0, 9.0]), Some([0.0, 1.0, 4.0, 8.0]));
        assert_eq!(admit([10.0, 1.0, 14.0, 9.0]), None);
        assert_eq!(admit([-4.0, 1.0, 0.0, 9.0]), None);
        assert_eq!(admit([3.0, 1.0, 3.0, 9.0]), None);
        assert_eq!(admit([3.0, 4.0, 5.0, 2.0]), None);
        assert_eq!((skipped.outside.count, skipped.without_area.count), (2, 2));
        assert_eq!(skipped.annotations(), 4);
        assert_eq!(skipped.outside.examples, ["5", "5"]);
    }

    #[test]
    fn a_polygon_of_two_points_is_dropped_and_an_object_of_nothing_else_counted() {
        let mut skipped = Skipped::default();
        let line = vec![1.0, 1.0, 4.0, 4.0];
        let triangle = vec![1.0, 1.0, 4.0, 1.0, 4.0, 4.0];
        let bounds = [1.0, 1.0, 4.0, 4.0];
        let mut admit = |polygons| {
            annotation(bounds, Some(Shape::Polygons(polygons))).admit((8, 8), 5, &mut skipped)
        };
        let kept = admit(vec![line.clone(), triangle.clone()]).unwrap();
        assert_eq!(kept.shape, Some(Shape::Polygons(vec![triangle])));
        assert_eq!(admit(vec![line]), None);
        assert_eq!(skipped.without_polygon.count, 1);
    }

    #[test]
    fn masks_of_the_wrong_size_or_sum_are_refused() {
        let size = [2, 3];
        let mask = |shape| annotation([0.0; 4], Some(shape)).mask("9", (3, 2));
        let area = |shape| mask(shape).unwrap().unwrap().area();
        let counts = vec![1, 4, 1];
        assert_eq!(area(Shape::Runs { size, counts }), 4);
        let text = |counts: &str| Shape::Text {
            size,
            counts: counts.into(),
        };
        assert_eq!(area(text("141")), 4);
        let message = |shape| mask(shape).unwrap_err().to_string();
        let counts = vec![1, 4];
        assert_eq!(
            message(Shape::Runs { size, counts }),
            "annotation 5: the runs of the mask add up to 5 pixels but it has 3x2 = 6"
        );
        assert!(message(text("14")).contains("add up to 5 pixels"));
        assert!(message(text("149")).contains("annotation 5: segmentation: invalid RLE"));
        assert!(message(text("!")).contains("annotation 5: segmentation: invalid RLE"));
        let (size, counts) = ([3, 2], vec![6]);
        assert_eq!(
            message(Shape::Runs { size, counts }),
            "annotation 5: the mask is 2x3 but image 9 is 3x2 (width x height); they must agree"
        );
    }
}
