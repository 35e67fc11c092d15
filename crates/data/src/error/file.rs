//! Errors in images, masks and lists, except damaged files.

use std::path::PathBuf;

use thiserror::Error;

/// The environment variable that replaces [`MAXIMUM_PIXELS`](crate::io::read::MAXIMUM_PIXELS).
pub const MAXIMUM_PIXELS_VARIABLE: &str = "GRADWAY_MAXIMUM_PIXELS";

/// An error in a file; [`DataError::File`](super::DataError::File) adds the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileFault {
    /// The file is not an image of a supported format.
    #[error("cannot be decoded: it is a {found}; images are JPEG, PNG, BMP, WebP or TIFF files")]
    Kind {
        /// What it is.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },

    /// A mask is not a PNG of class indices.
    #[error(
        "is a {found}; expected a mask: a PNG, 8-bit or 16-bit grey, or palette-indexed, whose values are class indices"
    )]
    MaskFormat {
        /// The kind of file or the colour type found.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },

    /// It claims more pixels than are read.
    #[error(
        "is {width}x{height} (width x height), {} pixels; at most {limit} are read",
        u64::from(*width) * u64::from(*height)
    )]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in force.
        limit: u64,
    },

    /// A mask holds a colour that belongs to no class and is not ignored.
    #[error(
        "has the colour {color:?} at pixel x={x}, y={y}, which is neither the colour of a class nor ignored under the label \
         policy `{policy}`"
    )]
    UnknownColor {
        /// Red, green and blue, as stored.
        color: [u16; 3],
        /// Column of the first such pixel.
        x: u32,
        /// Row of the first such pixel.
        y: u32,
        /// The label policy in words.
        policy: String,
    },

    /// A palette-indexed mask holds an index that its palette has no colour for.
    #[error(
        "has the palette index {index} at pixel x={x}, y={y}, but its palette has {colors} colours"
    )]
    PaletteIndex {
        /// The index.
        index: u16,
        /// Column of the first such pixel.
        x: u32,
        /// Row of the first such pixel.
        y: u32,
        /// Number of colours of the palette.
        colors: usize,
    },

    /// Labels fit the stored image, but not the image after its EXIF orientation is applied.
    #[error(
        "is {width}x{height} (width x height) once its EXIF orientation is applied, but {} is {height}x{width}: it was \
         drawn on the image as it is stored",
        mask.display()
    )]
    Turned {
        /// Width of the upright image in pixels.
        width: u32,
        /// Height of the upright image in pixels.
        height: u32,
        /// The labels.
        mask: PathBuf,
    },

    /// The second column of a split list names a file that does not exist.
    #[error("has a second column in entry {entry}, but `{found}` names no {expected}: {} does not exist", path.display())]
    Listed {
        /// Number of the line, counted from 1 without empty lines.
        entry: usize,
        /// The second column.
        found: String,
        /// What it should name, such as `mask`.
        expected: &'static str,
        /// A file that was looked for.
        path: PathBuf,
    },

    /// The second column of a split list is the stem of another sample's labels, or a flag.
    #[error(
        "has a second column in entry {entry}, but `{found}` is not the stem of image `{image}`; expected its {what}, \
         with a folder or the ending .{extension}"
    )]
    ListedStem {
        /// Number of the line, counted from 1 without empty lines.
        entry: usize,
        /// The second column.
        found: String,
        /// Identifier of the image.
        image: String,
        /// What it should name, such as `mask`.
        what: &'static str,
        /// The ending of such files.
        extension: &'static str,
    },

    /// A split list names an image outside of the folder whose images have labels.
    #[error("names {} in entry {entry}, which is outside of the image folder {}", image.display(), folder.display())]
    OutsideImage {
        /// Number of the line, counted from 1 without empty lines.
        entry: usize,
        /// The image.
        image: PathBuf,
        /// The configured folder of images.
        folder: PathBuf,
        /// What a second column may name, such as `mask`.
        label: Option<&'static str>,
    },

    /// A split list gives the labels of one image to another one too.
    #[error("names the {what} {} in entries {first} and {second}; every image has its own", path.display())]
    SharedLabel {
        /// Number of the first line, counted from 1 without empty lines.
        first: usize,
        /// Number of the second line.
        second: usize,
        /// The kind of file, such as `mask`.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl FileFault {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Kind { advice, .. } | Self::MaskFormat { advice, .. } => (*advice).into(),
            Self::TooManyPixels { width, height, .. } => format!(
                "cut the image into tiles or shrink it; or set the environment variable {}={}",
                MAXIMUM_PIXELS_VARIABLE,
                u64::from(*width) * u64::from(*height)
            ),
            Self::Turned { .. } => {
                "rotate the labels to match the image as it is shown, or remove the orientation from the image's EXIF data if it is \
                 shown wrongly"
                    .into()
            }
            Self::Listed { expected, .. } => format!(
                "a line of a split list names an image and, in an optional second column, its {expected}"
            ),
            Self::ListedStem { extension, .. } => format!(
                "lists of one class have a flag in the second column: use a list of stems alone, or write the ending .{extension}"
            ),
            Self::OutsideImage { label, .. } => match label {
                Some(label) => format!(
                    "name its {label} in a second column, or list images of that folder: other images have no {label} by their stem"
                ),
                None => "list images of that folder: labels belong to them by their stems".into(),
            },
            Self::SharedLabel { .. } => {
                "correct one of the two lines: labels of another image would be learned".into()
            }
            Self::PaletteIndex { .. } => {
                "write the mask again with a complete palette; or read its indices with labels = { values = { ... } }".into()
            }
            Self::UnknownColor { .. } => {
                "assign it to a class in `labels.colors`, or list it in `labels.ignore`; colours between those of two classes come from masks that were resized or saved as JPEG"
                    .into()
            }
        }
    }
}
