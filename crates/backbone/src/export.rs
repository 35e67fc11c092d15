//! The reverse of [`import`](crate::import()): a backbone's parameters as a weight file holds them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::import::{in_linear, transpose};
use crate::table::AnyBackbone;

/// Every parameter by its public name, 32-bit floats, linear weights `[outputs, inputs]`.
///
/// Names are timm's for a Swin, and this library's for an EfficientNet-Lite, whose norms are folded;
/// [`import`](crate::import()) reads both back.
pub fn export<B: Backend>(backbone: &AnyBackbone<B>) -> BTreeMap<String, TensorData> {
    let mut exporter = Exporter::default();
    backbone.visit(&mut exporter);
    exporter.tensors
}

#[derive(Default)]
struct Exporter {
    path: Vec<String>,
    containers: Vec<String>,
    tensors: BTreeMap<String, TensorData>,
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
        // The path of an enum's parameter starts with its variant.
        let path = self.path[1..].join(".");
        let name = match path.rsplit_once('.') {
            Some((module, "gamma")) => format!("{module}.weight"),
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
