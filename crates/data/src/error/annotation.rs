//! Errors in annotation files.

use thiserror::Error;

/// An error in an annotation file; [`DataError::Annotations`](super::DataError::Annotations) adds the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnotationFault {
    /// The file does not exist.
    #[error("the file does not exist")]
    Missing,

    /// The file cannot be read.
    #[error("the file cannot be read: {reason}")]
    Unreadable {
        /// The error of the operating system.
        reason: String,
    },

    /// The file does not have the expected format.
    #[error("not valid {expected}: {reason}")]
    Syntax {
        /// The expected format.
        expected: &'static str,
        /// The reason, with its position.
        reason: String,
        /// A suggestion to fix it, if there is one.
        hint: Option<&'static str>,
    },

    /// The root element of an XML file is another one.
    #[error("its root element is `{found}`; expected `{expected}`")]
    Root {
        /// The root element found.
        found: String,
        /// The expected root element.
        expected: &'static str,
    },

    /// An element of an XML file is in another place than the format has it.
    #[error("`{element}` is in `{found}`; expected it {expected}")]
    Place {
        /// The element.
        element: String,
        /// The elements that it is in, from the root, separated by slashes.
        found: String,
        /// The expected place.
        expected: &'static str,
    },

    /// A key is missing, or its value is invalid.
    #[error(
        "{entry}: `{key}` {}; expected {expected}",
        value.as_ref().map_or_else(|| "is missing".to_string(), |value| format!("= {value}"))
    )]
    Key {
        /// The image, annotation, category or object.
        entry: String,
        /// Name of the key.
        key: &'static str,
        /// The value found; `None` if the key is missing.
        value: Option<String>,
        /// The expected value.
        expected: &'static str,
    },

    /// The categories of the splits differ.
    #[error(
        "category {category} is not in the training split: the categories are {found}, but those of {training} are {expected}"
    )]
    OtherCategories {
        /// Identifier and name of the first category that the training split does not have.
        category: String,
        /// Identifiers and names of the categories of this file.
        found: String,
        /// The annotation file of the training split.
        training: String,
        /// Identifiers and names of its categories.
        expected: String,
    },

    /// All entries of a split are skipped.
    #[error("split `{split}` has nothing to {purpose}; skipped: {skipped}")]
    NothingLeft {
        /// Name of the split.
        split: &'static str,
        /// `train on` or `measure on`.
        purpose: &'static str,
        /// The skipped entries, with reasons and numbers.
        skipped: String,
    },

    /// An object has a box but no mask, although masks are trained.
    #[error(
        "annotation {annotation} (image `{image}`) has no mask ({missing} of {total} objects have none)"
    )]
    NoMask {
        /// Identifier of the image.
        image: String,
        /// Identifier of the annotation.
        annotation: u64,
        /// Number of objects without a mask.
        missing: usize,
        /// Number of objects.
        total: usize,
    },

    /// The size of an image is stated nowhere.
    #[error("`size` is missing, and it cannot be read from the image: {reason}")]
    NoSize {
        /// The reason.
        reason: String,
    },

    /// The annotations fit the stored image, but not the image after its EXIF orientation is applied.
    #[error(
        "image {image} is {width}x{height} (width x height) once its EXIF orientation is applied, but is said to be \
         {height}x{width}: boxes and masks were drawn on the image as it is stored"
    )]
    TurnedImage {
        /// The image.
        image: String,
        /// Width of the upright image in pixels.
        width: u32,
        /// Height of the upright image in pixels.
        height: u32,
    },

    /// Two images have the same identifier.
    #[error("image {image} occurs twice: `{first}` and `{second}`; identifiers must be unique")]
    DuplicateImage {
        /// Identifier of the image.
        image: u64,
        /// File name of the first one.
        first: String,
        /// File name of the second one.
        second: String,
    },

    /// Two annotations have the same identifier.
    #[error("annotation {annotation} occurs twice; identifiers must be unique")]
    DuplicateAnnotation {
        /// Identifier of the annotation.
        annotation: u64,
    },

    /// Two categories have the same identifier.
    #[error(
        "category {category} occurs twice: `{first}` and `{second}`; identifiers must be unique"
    )]
    DuplicateCategory {
        /// Identifier of the category.
        category: u64,
        /// Name of the first one.
        first: String,
        /// Name of the second one.
        second: String,
    },

    /// Two categories have the same name.
    #[error("categories {first} and {second} are both `{name}`; names must be unique")]
    SharedName {
        /// The name.
        name: String,
        /// Identifier of the first one.
        first: u64,
        /// Identifier of the second one.
        second: u64,
    },

    /// The file has no categories.
    #[error("no categories; expected at least one")]
    NoCategories,

    /// An image has no pixels.
    #[error("image {image}: its size is {width}x{height} (width x height); expected at least 1x1")]
    NoPixels {
        /// The image.
        image: String,
        /// Width stated.
        width: u32,
        /// Height stated.
        height: u32,
    },

    /// An annotation names an unknown image.
    #[error("annotation {annotation}: image {image} is not among the {images} images of the file")]
    UnknownImage {
        /// Identifier of the annotation.
        annotation: u64,
        /// Identifier of the image.
        image: u64,
        /// Number of images.
        images: usize,
    },

    /// An annotation names an unknown category.
    #[error("{annotation}: {category} is not among the {categories} classes ({examples})")]
    UnknownCategory {
        /// The annotation.
        annotation: String,
        /// The category as written in the file.
        category: String,
        /// Number of categories.
        categories: usize,
        /// The first of them.
        examples: String,
    },

    /// A box is invalid.
    #[error("{annotation}: box {value}: expected {expected}")]
    Box {
        /// The annotation.
        annotation: String,
        /// The value found.
        value: String,
        /// The expected value.
        expected: &'static str,
    },

    /// The segmentation of an object has an unknown form.
    #[error("{annotation}: segmentation: {reason}")]
    Segmentation {
        /// The annotation.
        annotation: String,
        /// The reason.
        reason: String,
    },

    /// The size of a mask differs from its image.
    #[error(
        "{annotation}: the mask is {width}x{height} but image {image} is {image_width}x{image_height} (width x height); they must agree"
    )]
    MaskSize {
        /// The annotation.
        annotation: String,
        /// Width of the mask in pixels.
        width: u32,
        /// Height of the mask in pixels.
        height: u32,
        /// The image.
        image: String,
        /// Width of the image in pixels.
        image_width: u32,
        /// Height of the image in pixels.
        image_height: u32,
    },

    /// The runs of a mask do not fill it.
    #[error(
        "{annotation}: the runs of the mask add up to {sum} pixels but it has {width}x{height} = {area}"
    )]
    MaskRuns {
        /// The annotation.
        annotation: String,
        /// Sum of the runs.
        sum: u64,
        /// Width of the mask in pixels.
        width: u32,
        /// Height of the mask in pixels.
        height: u32,
        /// Number of pixels of the mask.
        area: u64,
    },

    /// A flag is neither 0 nor 1.
    #[error("{annotation}: `{key}` = {value}: expected 0 or 1")]
    Flag {
        /// The annotation.
        annotation: String,
        /// Name of the flag.
        key: &'static str,
        /// The value found.
        value: String,
    },

    /// The size of an image file differs from the annotations.
    #[error(
        "image {image} is said to be {width}x{height} but the file is {file_width}x{file_height} (width x height); they must agree"
    )]
    ImageSize {
        /// The image.
        image: String,
        /// Width stated.
        width: u32,
        /// Height stated.
        height: u32,
        /// Width of the file in pixels.
        file_width: u32,
        /// Height of the file in pixels.
        file_height: u32,
    },
}

impl AnnotationFault {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing => "every image of a split list needs an annotation of the same stem",
            Self::Syntax { hint, .. } => return *hint,
            Self::Root { .. } | Self::Place { .. } => {
                "export the annotations again as Pascal VOC XML, one file per image; names are case-sensitive"
            }
            Self::OtherCategories { .. } => {
                "a category must have the same identifier and name in both splits; the validation split may lack some"
            }
            Self::NothingLeft { .. } => {
                "correct the annotations; images without objects are trained on with `keep_empty = true`"
            }
            Self::NoMask { .. } => {
                "use `faster_rcnn` or `retinanet`, which need no masks; or add the `segmentation` of \
                 every object"
            }
            Self::TurnedImage { .. } => {
                "rotate the boxes and masks to match the image as it is shown, or remove the orientation from the image's EXIF data \
                 if it is shown wrongly"
            }
            Self::DuplicateImage { .. } | Self::DuplicateAnnotation { .. } => {
                "merged files need new identifiers"
            }
            Self::SharedName { .. } => {
                "rename or remove one of the two; if both are one class, give their annotations one `category_id`"
            }
            Self::UnknownImage { .. } => {
                "remove annotations of images that the file does not list, or list those images"
            }
            Self::UnknownCategory { .. } => {
                "the categories of the file, or the key `classes`, must hold every class that occurs"
            }
            Self::MaskSize { .. } => "the size of a mask is written [height, width]",
            Self::MaskRuns { .. } => {
                "runs alternate between background and object, and end with the last pixel"
            }
            Self::ImageSize { .. } => {
                "boxes and masks are in pixels of the image: use the images they were drawn on"
            }
            Self::Unreadable { .. }
            | Self::Key { .. }
            | Self::NoSize { .. }
            | Self::DuplicateCategory { .. }
            | Self::NoCategories
            | Self::NoPixels { .. }
            | Self::Box { .. }
            | Self::Segmentation { .. }
            | Self::Flag { .. } => return None,
        })
    }
}
