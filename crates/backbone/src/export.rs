//! The reverse of [`import`](crate::import()): a backbone's parameters as in a weight file.

use std::collections::BTreeMap;

use burn::module::{ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use gradway_kernels::KernelBackend;

use crate::import::{Import, in_linear, transpose};
use crate::own::Tunable;
use crate::tensor_file::HeaderMetadata;

/// Returns every parameter by its public name, in 32-bit floats and with linear weights `[outputs, inputs]`,
/// and the statistics of batch norms.
///
/// Names are timm's for a Swin, a plain vision transformer and a ConvNeXt, and this library's for an EfficientNet-Lite. A
/// convolution with a folded batch norm has `weight` and `bias`, and the data of the norm if it is known: `norm.weight`,
/// `norm.running_mean` and `norm.running_var`; its shift follows from the bias. A convolution with a separate norm has `norm.bias`
/// in place of `bias`. [`import`](crate::import()) reads all of this back.
pub fn export<B: KernelBackend>(
    backbone: &(impl Tunable<B> + Import),
) -> BTreeMap<String, TensorData> {
    let mut exporter = Exporter::default();
    backbone.visit(&mut exporter);
    let named = exporter.tensors.into_iter();
    let named = named.map(|(path, data)| (backbone.public_name(path), data));
    let mut tensors: BTreeMap<_, _> = named.collect();
    tensors.extend(backbone.statistics());
    tensors
}

/// Returns the entries of a file's header that [`import`](crate::import()) reads beside the parameters of [`export`]: how a plain
/// vision transformer resamples its learnt positions, which the names of its parameters do not tell.
pub fn export_header(backbone: &impl Import) -> HeaderMetadata {
    backbone.header()
}

#[derive(Default)]
struct Exporter {
    path: Vec<String>,
    containers: Vec<String>,
    tensors: BTreeMap<String, TensorData>,
}

impl Exporter {
    fn in_layer_scale(&self) -> bool {
        self.containers
            .iter()
            .any(|name| name == "Struct:LayerScale")
    }
}

impl<B: Backend> ModuleVisitor<B> for Exporter {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        // The path of a parameter starts with the variant, or with the network in an `OwnBackbone`.
        let path = self.path[1..].join(".");
        if path.contains(".norm.statistics.") {
            // `Backbone::statistics` has them, frozen ones too.
            return;
        }
        let name = match path.rsplit_once('.') {
            // The scale of a branch keeps its name.
            Some((module, "gamma")) if !self.in_layer_scale() => format!("{module}.weight"),
            Some((module, "beta")) => format!("{module}.bias"),
            _ => path,
        };
        let data = param.val().into_data().convert_dtype(DType::F32);
        let data = if D == 2 && in_linear(&self.containers) {
            transpose(data)
        } else {
            data
        };
        self.tensors.insert(name, data);
    }
}
