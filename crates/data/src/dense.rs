//! What is known of every pixel: batches of pictures with the labels of one or of several tasks.

mod batch;
mod evaluation;

pub use batch::{BatchLabels, DenseBatch, DenseTarget};
pub use evaluation::DenseEvaluation;
