//! What labels are: maps of classes, normals and distances, class lists, and the rules that turn stored
//! values into them.

mod census;
pub mod classes;
mod dense;
mod label_map;
pub mod manifest;
pub mod palette;
mod policy;
mod table;

pub use crate::task::DenseTask;
pub use census::{AbsentClasses, LabelCensus};
pub(crate) use dense::unit;
pub use dense::{DenseLabels, DepthMap, NormalMap, VerticalAxis};
pub use label_map::{IGNORE, LabelMap, MAXIMUM_CLASSES};
pub use policy::LabelPolicy;
pub use table::LabelTable;
pub(crate) use table::{check_classes, check_unique};
