//! Reading labels.

use burn::tensor::DType;
use burn_flex::FlexTensor;

/// Returns labels of any integer type as `i32`.
pub(super) fn labels(tensor: &FlexTensor) -> Vec<i32> {
    let tensor = tensor.to_contiguous();
    match tensor.dtype() {
        DType::I64 => tensor
            .storage::<i64>()
            .iter()
            .map(|&label| label as i32)
            .collect(),
        _ => tensor.storage::<i32>().to_vec(),
    }
}
