//! How a frozen backbone's numbers are rounded.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// Type of a backbone's weights and maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: the range of single precision, eight bits of it, half of the bytes.
    Bf16,
}

impl Precision {
    /// As Burn names it.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// As configurations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        self.dtype().size()
    }

    /// A module with all its parameters and statistics rounded.
    pub fn round<B: Backend, M: Module<B>>(self, module: M) -> M {
        module.map(&mut Rounding(self.dtype()))
    }
}

struct Rounding(DType);

impl<B: Backend> ModuleMapper<B> for Rounding {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}
