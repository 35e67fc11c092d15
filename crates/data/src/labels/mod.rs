//! What labels are: maps of classes, normals and distances, class lists, and the rules that turn stored
//! values into them.

pub mod classes;
mod dense;
mod dense_task;
mod label_map;
pub mod manifest;
pub mod palette;
mod policy;

pub(crate) use dense::unit;
pub use dense::{DenseLabels, DepthMap, NormalMap, VerticalAxis};
pub use dense_task::DenseTask;
pub use label_map::{IGNORE, LabelMap, MAXIMUM_CLASSES};
pub use policy::{BadLabel, LabelPolicy};
pub(crate) use policy::{check_classes, check_unique};
