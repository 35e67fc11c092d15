//! The precision of a frozen backbone.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// Element type of a backbone's weights and maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: the range of single precision with eight bits of precision, in half of the bytes.
    Bf16,
}

impl Precision {
    /// Returns Burn's element type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Returns the name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Returns the size of an element in bytes.
    pub fn bytes(self) -> usize {
        self.dtype().size()
    }

    /// Rounds all parameters and statistics of a module.
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
