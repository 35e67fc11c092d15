//! What labels are: maps of classes, normals and distances, class lists, and the rules that turn stored
//! values into them.

mod census;
pub mod classes;
mod dense;
pub mod manifest;
pub mod palette;
mod policy;
mod table;

pub use crate::task::{DenseTask, LabelKind};
pub use census::{AbsentClasses, LabelCensus};
pub use dense::{
    BatchLabels, DenseLabels, DepthMap, IGNORE, LabelMap, MAXIMUM_CLASSES, NormalMap, VerticalAxis,
};
pub(crate) use dense::{LabelTally, unit};
pub use policy::LabelPolicy;
pub use table::LabelTable;
pub(crate) use table::{check_classes, check_unique};
