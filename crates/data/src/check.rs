//! A report on every sample of a dataset.

mod detection;
mod multi_task;
mod report;
mod segmentation;

pub use detection::check_detection;
pub use multi_task::check_multi_task;
pub use report::{
    DatasetReport, InstanceCount, InstanceReport, LabelCount, Problem, SizeCount, TaskReport,
    Warning,
};
pub use segmentation::check;
