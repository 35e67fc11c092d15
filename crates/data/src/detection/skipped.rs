//! Annotations and images that a dataset skips by convention, which must be reported.

use std::fmt;

use serde::Serialize;

/// Number of examples that are kept of each kind.
const EXAMPLES: usize = 3;

/// The number of skipped entries for one reason, with examples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SkippedKind {
    /// Number of skipped entries.
    pub count: usize,
    /// The first three entries: identifiers of annotations, objects of a file, or images.
    pub examples: Vec<String>,
}

impl SkippedKind {
    /// Adds an entry.
    pub fn add(&mut self, example: impl fmt::Display) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example.to_string());
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        let room = EXAMPLES - self.examples.len().min(EXAMPLES);
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

/// The annotations and images that a dataset skips.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Annotations whose box is entirely outside the image.
    pub outside: SkippedKind,
    /// Annotations whose box has no area.
    pub without_area: SkippedKind,
    /// Annotations whose polygons all have fewer than three points.
    pub without_polygon: SkippedKind,
    /// Training annotations whose mask has no pixel in the image, where masks are trained on.
    pub empty_masks: SkippedKind,
    /// Training images without an object to train on.
    pub empty_images: SkippedKind,
}

impl Skipped {
    /// Returns the number of skipped annotations.
    pub fn annotations(&self) -> usize {
        self.outside.count
            + self.without_area.count
            + self.without_polygon.count
            + self.empty_masks.count
    }

    /// Whether nothing was skipped.
    pub fn is_empty(&self) -> bool {
        self.annotations() == 0 && self.empty_images.count == 0
    }

    /// Adds the skipped entries of another part of the dataset.
    pub(crate) fn merge(&mut self, other: Self) {
        self.outside.merge(other.outside);
        self.without_area.merge(other.without_area);
        self.without_polygon.merge(other.without_polygon);
        self.empty_masks.merge(other.empty_masks);
        self.empty_images.merge(other.empty_images);
    }
}

/// One line, such as `2 annotations outside of their image (7, 9)`; empty if nothing was skipped.
impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (&self.outside, "annotations outside of their image"),
            (&self.without_area, "annotations whose box has no area"),
            (
                &self.without_polygon,
                "annotations without a polygon of three points",
            ),
            (&self.empty_masks, "annotations whose mask is empty"),
            (&self.empty_images, "images with nothing to train on"),
        ];
        let mut separator = "";
        for (kind, what) in kinds.into_iter().filter(|(kind, _)| kind.count > 0) {
            let more = match kind.count > kind.examples.len() {
                true => ", ...",
                false => "",
            };
            let examples = kind.examples.join(", ");
            write!(
                formatter,
                "{separator}{} {what} ({examples}{more})",
                kind.count
            )?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_few_and_counts_are_not() {
        let mut skipped = Skipped::default();
        assert!(skipped.is_empty());
        assert_eq!(skipped.to_string(), "");
        (0..2).for_each(|id| skipped.outside.add(id));
        let mut other = Skipped::default();
        (7..12).for_each(|id| other.outside.add(id));
        other.empty_images.add("a");
        skipped.merge(other);
        assert_eq!(skipped.annotations(), 7);
        assert_eq!(
            skipped.to_string(),
            "7 annotations outside of their image (0, 1, 7, ...); \
             1 images with nothing to train on (a)"
        );
    }
}
