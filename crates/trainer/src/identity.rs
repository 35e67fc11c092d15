//! Identities of parameters that outlive the process.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Gives every parameter an identity that follows from its path.
///
/// Burn draws identities at random; an optimiser's saved state refers to them, so a resumed run
/// needs the same ones.
pub(crate) fn name_parameters<B: Backend, M: Module<B>>(module: M) -> M {
    struct Namer(Vec<String>);

    impl<B: Backend> ModuleMapper<B> for Namer {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let (_, tensor, mapper) = param.consume();
            Param::from_mapped_value(identity(&self.0.join(".")), tensor, mapper)
        }
    }

    module.map(&mut Namer(Vec::new()))
}

/// FNV-1a of the path: stable across versions of the standard library, unlike its hasher.
fn identity(path: &str) -> ParamId {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ParamId::from(hash)
}
