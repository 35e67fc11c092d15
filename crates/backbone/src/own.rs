//! Backbones of other crates, and what methods ask of a backbone.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, Lift, TrainBackend};

use crate::access::{Access, Site};
use crate::backbone::Backbone;
use crate::batch_statistics::BatchStatistics;
use crate::checkpoint::Checkpoint;
use crate::description::Description;
use crate::drop_path::Phase;
use crate::import::{Import, Imported, Renamed};
use crate::operation::Operation;
use crate::parameters::ParameterPath;
use crate::relatives::Relative;
use crate::table::AnyBackbone;
use crate::tensor_file::HeaderMetadata;
use crate::transformer::TransformerBlock;

/// A backbone that methods tune: [`AnyBackbone`] of the table, or [`OwnBackbone`] around a network of another crate.
///
/// The name of either type in the path of a parameter says that the parameter is the backbone's, see
/// [`Owner`](crate::Owner). A network alone does not say it, so that methods accept none; no other type implements this
/// trait.
///
/// ```compile_fail,E0277
/// # use burn::backend::Flex;
/// # use gradway_backbone::{OwnBackbone, Tunable, swin::Swin};
/// # fn tune(_: impl Tunable<Flex>) {}
/// fn of(network: Swin<Flex>) {
///     tune(network);
/// }
/// ```
///
/// ```
/// # use burn::backend::Flex;
/// # use gradway_backbone::{OwnBackbone, Tunable, swin::Swin};
/// # fn tune(_: impl Tunable<Flex>) {}
/// fn of(network: Swin<Flex>) {
///     tune(OwnBackbone::new(network));
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a backbone that methods tune",
    label = "expected `AnyBackbone` or `OwnBackbone`",
    note = "a network of your own that implements `Backbone` goes into `OwnBackbone::new(network)`"
)]
pub trait Tunable<B: KernelBackend>: Backbone<B> + sealed::Sealed {}

/// A [`Tunable`] backbone of an autodiff backend, which is one of the inner backend too: the bound of training code.
pub trait TrainBackbone<B: TrainBackend>:
    Tunable<B> + AutodiffModule<B, InnerModule: Tunable<B::InnerBackend>>
{
}

impl<B, N> TrainBackbone<B> for N
where
    B: TrainBackend,
    N: Tunable<B> + AutodiffModule<B, InnerModule: Tunable<B::InnerBackend>>,
{
}

mod sealed {
    pub trait Sealed {}
}

impl<B: Backend> sealed::Sealed for AnyBackbone<B> {}
impl<B: KernelBackend> Tunable<B> for AnyBackbone<B> {}

/// A network of another crate that implements [`Backbone`], as methods hold it.
///
/// The paths of its parameters start with `network`.
#[derive(Module, Debug)]
pub struct OwnBackbone<B: Backend, N: Module<B>> {
    /// The network.
    pub network: N,
    backend: PhantomData<B>,
}

/// The first step of the paths of a network's parameters.
const NETWORK: &str = "network";

impl<B: Backend, N: Module<B>> OwnBackbone<B, N> {
    /// Makes a network a backbone that methods tune.
    pub fn new(network: N) -> Self {
        let backend = PhantomData;
        Self { network, backend }
    }
}

impl<B: Backend, N: Module<B>> sealed::Sealed for OwnBackbone<B, N> {}
impl<B: KernelBackend, N: Backbone<B>> Tunable<B> for OwnBackbone<B, N> {}

impl<B: KernelBackend, N: Backbone<B>> Backbone<B> for OwnBackbone<B, N> {
    fn description(&self) -> Description {
        self.network.description()
    }

    fn block_path(&self, section: usize, block: usize) -> String {
        format!("{NETWORK}.{}", self.network.block_path(section, block))
    }

    fn transition_path(&self, section: usize) -> Option<String> {
        let path = self.network.transition_path(section)?;
        Some(format!("{NETWORK}.{path}"))
    }

    fn keep_norms(&mut self, chosen: &dyn Fn(&ParameterPath) -> bool, statistics: BatchStatistics) {
        let within = |path: &ParameterPath| chosen(&path.within(NETWORK, "Struct:OwnBackbone"));
        self.network.keep_norms(&within, statistics);
    }

    fn statistics(&self) -> BTreeMap<String, TensorData> {
        self.network.statistics()
    }

    fn operation(&mut self, site: Site) -> Option<Operation<'_, B>> {
        self.network.operation(site)
    }

    fn transformer_block(&self, section: usize, block: usize) -> Option<&dyn TransformerBlock<B>> {
        self.network.transformer_block(section, block)
    }

    fn forward(
        &self,
        images: Tensor<B, 4>,
        phase: Phase,
        access: &mut impl Access<B>,
    ) -> Vec<Tensor<B, 4>> {
        self.network.forward(images, phase, access)
    }

    fn stage_map<T: KernelBackend>(&self, stream: Tensor<T, 4>, size: [usize; 2]) -> Tensor<T, 4> {
        self.network.stage_map(stream, size)
    }

    fn transition<T: KernelBackend, L: Lift<B, T>>(
        &self,
        section: usize,
        highway: Tensor<T, 4>,
    ) -> Tensor<T, 4> {
        self.network.transition::<T, L>(section, highway)
    }
}

impl<B: Backend, N: Module<B> + Import> Import for OwnBackbone<B, N> {
    fn anchors(&self) -> Vec<&'static str> {
        self.network.anchors()
    }

    fn prepare(&mut self, file: &Checkpoint) {
        self.network.prepare(file);
    }

    fn rename(&self, key: &str, file: &Checkpoint) -> Renamed {
        match self.network.rename(key, file) {
            Renamed::To(path) => Renamed::To(format!("{NETWORK}.{path}")),
            other => other,
        }
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        self.network.origin(file)
    }

    fn relative(&self, file: &Checkpoint) -> Option<Relative> {
        self.network.relative(file)
    }

    fn arrange(&self, tensors: &mut BTreeMap<String, Imported>, file: &Checkpoint) {
        inside(tensors, |tensors| self.network.arrange(tensors, file));
    }

    fn header(&self) -> HeaderMetadata {
        self.network.header()
    }

    fn finish(&mut self, tensors: &mut BTreeMap<String, Imported>) {
        inside(tensors, |tensors| self.network.finish(tensors));
    }

    fn public_name(&self, path: String) -> String {
        self.network.public_name(path)
    }
}

/// Changes tensors by their paths in the network.
fn inside(
    tensors: &mut BTreeMap<String, Imported>,
    change: impl FnOnce(&mut BTreeMap<String, Imported>),
) {
    let strip = |path: String| match path.split_once('.') {
        Some((NETWORK, rest)) => rest.to_string(),
        _ => path,
    };
    let named = std::mem::take(tensors).into_iter();
    let mut own = named.map(|(path, tensor)| (strip(path), tensor)).collect();
    change(&mut own);
    let named = own.into_iter();
    tensors.extend(named.map(|(path, tensor)| (format!("{NETWORK}.{path}"), tensor)));
}
