//! Suggestions to fix errors.

use super::DataError;

impl DataError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::MissingFolder { nearest, .. } => format!(
                "check `root`: it must name the folder that holds the layout above; {} exists",
                nearest.display()
            ),
            Self::MissingFile { .. } => {
                "check the key that names the file; relative paths start at the dataset's `root`"
                    .into()
            }
            Self::UnsetVariable { variable, .. } => {
                format!("export {variable}=/path/to/datasets, or use an absolute path")
            }
            Self::MissingMask { .. } => {
                "masks are PNG files with the stem of their image; remove images that have no label, \
                 or list the labelled ones in a split list"
                    .into()
            }
            Self::MaskWithoutImage { .. } => {
                "if images are missing, download them again; otherwise remove such masks, or list the samples to use in a split list"
                    .into()
            }
            Self::MissingImage { .. } => {
                "a line of a split list is the stem of an image or its file; images end in .jpg, .jpeg, .png, \
                 .bmp, .webp, .tif or .tiff"
                    .into()
            }
            Self::DuplicateSample { .. } => {
                "remove one of the two, or rename it so that the stems differ".into()
            }
            Self::EmptySplit { .. } => {
                "check that the dataset is complete and that `root` names its top folder".into()
            }
            Self::UndefinedSplit { key, .. } => {
                format!("`{key}` names a text file with one image stem per line")
            }
            Self::SizeMismatch { .. } => {
                "masks must be resized with nearest neighbour, together with their image".into()
            }
            Self::LabelOutOfRange { policy, value, .. } if policy.starts_with("values") => {
                format!("assign a class to {value} in `labels.values`, or list it in `labels.ignore`")
            }
            Self::LabelOutOfRange { .. } => {
                "check the label policy `labels`: \"reduce_zero\" reads 0 as ignore and k as class k-1; \
                 { direct = { ignore = 255 } } reads k as class k; { values = { 0 = \"background\", 255 = \"object\" } } \
                 names the class of every value; or check the class list"
                    .into()
            }
            Self::File { fault, .. } => fault.hint(),
            Self::LabelPolicy { .. } => {
                "classes are named as in `classes`: labels = { colors = { road = [128, 64, 0], ... }, ignore = [0, 0, 0] } \
                 or { values = { 0 = \"background\", 255 = \"object\" } }"
                    .into()
            }
            Self::Decode { .. } => "download the file again: it is truncated or damaged".into(),
            Self::ClassCount { .. } => {
                "the class list holds one name per class, in label order, without the ignore label"
                    .into()
            }
            Self::UnknownClassList { .. } => {
                "use a list of names, the name of a built-in list, or a text file with one name per line"
                    .into()
            }
            Self::AmbiguousClasses { path, default } => format!(
                "set classes = {:?} to read the file, or classes = {default:?}",
                path.file_name().unwrap_or_default().to_string_lossy()
            ),
            Self::Annotations { fault, .. } => return fault.hint().map(str::to_string),
            Self::MissingListedImage { .. } => {
                "check the keys that name the folder of the images; if images are missing, download them again"
                    .into()
            }
            Self::Labels { fault, .. } => return fault.hint().map(str::to_string),
            Self::Read { .. }
            | Self::DuplicateClass { .. }
            | Self::EmptyDataset { .. }
            | Self::InvalidValue { .. }
            | Self::IndexOutOfRange { .. }
            | Self::InconsistentInstance { .. }
            | Self::MaskLength { .. }
            | Self::WrongTask { .. }
            | Self::TaskNotOffered { .. }
            | Self::Resize { .. }
            | Self::Worker { .. }
            | Self::Manifest { .. } => return None,
        };
        Some(hint)
    }
}
