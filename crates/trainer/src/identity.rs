//! Parameter identities that are stable across processes.

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{ParameterMapper, ParameterPath, map_parameters};

/// Sets the identity of every parameter to one derived from its path.
///
/// Burn draws identities at random. The saved state of an optimiser refers to them, so a resumed run needs the
/// same ones.
pub(crate) fn name_parameters<B: Backend, M: Module<B>>(module: M) -> M {
    struct Namer;

    impl<B: Backend> ParameterMapper<B> for Namer {
        fn map<const D: usize>(
            &mut self,
            path: &ParameterPath,
            parameter: Param<Tensor<B, D>>,
        ) -> Param<Tensor<B, D>> {
            let (_, tensor, mapper) = parameter.consume();
            Param::from_mapped_value(identity(&path.to_string()), tensor, mapper)
        }
    }

    map_parameters(module, &mut Namer)
}

/// FNV-1a of the path: stable across versions of the standard library, unlike its hasher.
fn identity(path: &str) -> ParamId {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ParamId::from(hash)
}
