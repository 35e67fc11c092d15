//! The common part of methods that insert one module at some points of every block. Such a method defines only
//! the inserted module.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, Description, OutputNorms, Phase, Point, Section, Site, Tunable};
use gradway_kernels::{ChannelAxis, KernelBackend};

use crate::method::Method;
use crate::placement::{Around, features_around};
use crate::track::frozen_backbone;

/// The points of a block at which modules are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertionPoints {
    /// At the end of every branch, before its residual add.
    Branches,
    /// At the end of the last branch.
    LastBranch,
    /// After the residual add of every branch.
    Residuals,
}

impl InsertionPoints {
    /// Returns the index of the block's module at a point, if there is one.
    pub fn index(self, description: &Description, point: Point) -> Option<usize> {
        match self {
            Self::Branches => description.branch(point),
            Self::LastBranch => (description.branches.last() == Some(&point)).then_some(0),
            Self::Residuals => description.residual(point),
        }
    }

    /// Returns the number of modules of a block.
    pub fn count(self, description: &Description) -> usize {
        match self {
            Self::Branches | Self::Residuals => description.branches.len(),
            Self::LastBranch => 1,
        }
    }
}

/// Modules by section, block and point.
pub(crate) type Sections<M> = Vec<Vec<Vec<M>>>;

/// Creates a module for every point of a backbone.
pub(crate) fn sections<M>(
    description: &Description,
    places: InsertionPoints,
    new: impl Fn(&Section) -> M,
) -> Sections<M> {
    let sections = description.sections.iter().map(|section| {
        let block = || {
            (0..places.count(description))
                .map(|_| new(section))
                .collect()
        };
        (0..section.blocks).map(|_| block()).collect()
    });
    sections.collect()
}

/// The module that a method inserts at a point.
pub trait Insert<B: KernelBackend>: Module<B> + ModuleDisplay {
    /// The points at which it is inserted.
    const POINTS: InsertionPoints = InsertionPoints::Branches;

    /// Whether it needs neighbours, so that in a plain vision transformer it is applied to the map of the patches; other
    /// tokens stay as they are.
    const NEEDS_MAP: bool = false;

    /// Returns the tensor that replaces `output`, which was computed from `input`.
    ///
    /// # Shapes
    ///
    /// - `output` and the result: `[batch, height, width, channels]` or `[batch, channels, height, width]`,
    ///   according to `axis`
    /// - `input`: the input of the branch; in a convolutional block it has another shape
    fn insert(&self, input: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis)
    -> Tensor<B, 4>;
}

/// A frozen backbone with inserted modules, and its output norms.
#[derive(Module, Debug)]
pub struct Inserted<B: Backend, M: Module<B>, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// Modules by section, block and point.
    pub sections: Vec<Vec<Vec<M>>>,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
}

impl<B: KernelBackend, M: Insert<B>, N: Tunable<B>> Inserted<B, M, N> {
    pub(crate) fn new(backbone: N, device: &B::Device, new: impl Fn(&Section) -> M) -> Self {
        let description = backbone.description();
        Self {
            backbone: frozen_backbone(backbone),
            sections: sections(&description, M::POINTS, new),
            norms: OutputNorms::new(&description, device),
        }
    }
}

impl<B: KernelBackend, M: Insert<B>, N: Tunable<B>> Method<B> for Inserted<B, M, N> {
    type Shared = Vec<Tensor<B, 4>>;

    fn of_task(&self, stages: &Vec<Tensor<B, 4>>, _task: usize) -> Vec<Tensor<B, 4>> {
        stages.clone()
    }
}

impl<B: KernelBackend, M: Insert<B>, N: Tunable<B>> Around<B, N> for Inserted<B, M, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Tensor<B, 4>> {
        let mut access = InsertedAccess {
            sections: &self.sections,
            places: M::POINTS,
            description: &self.backbone.description(),
            needs_map: M::NEEDS_MAP,
            grid: None,
            insert: M::insert,
        };
        features_around(&self.backbone, &self.norms, images, phase, &mut access)
    }
}

/// The access that applies the inserted modules.
pub(crate) struct InsertedAccess<'a, M, I> {
    pub(crate) sections: &'a Sections<M>,
    pub(crate) places: InsertionPoints,
    pub(crate) description: &'a Description,
    /// [`Insert::NEEDS_MAP`]
    pub(crate) needs_map: bool,
    /// Height and width of the patches of this pass; `None` before they are there.
    pub(crate) grid: Option<[usize; 2]>,
    /// [`Insert::insert`], or a closure that also uses parameters shared by all modules.
    pub(crate) insert: I,
}

impl<B, M, I> Access<B> for InsertedAccess<'_, M, I>
where
    B: KernelBackend,
    I: Fn(&M, &Tensor<B, 4>, Tensor<B, 4>, ChannelAxis) -> Tensor<B, 4>,
{
    fn at(&mut self, site: Site, input: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        if site.point == Point::Patches {
            self.grid = Some(self.description.axis.size(output.dims()));
        }
        let Some(place) = self.places.index(self.description, site.point) else {
            return output;
        };
        let module = &self.sections[site.section][site.block][place];
        let insert =
            |input: &_, output| (self.insert)(module, input, output, self.description.axis);
        match self
            .grid
            .filter(|_| self.description.has_tokens && self.needs_map)
        {
            Some(grid) => {
                let [others, input] = split(input.clone(), grid);
                drop(others);
                let [others, patches] = split(output, grid);
                let [batch, height, width, channels] = patches.dims();
                let inserted = insert(&input, patches);
                let rows = inserted.reshape([batch, 1, height * width, channels]);
                Tensor::cat(vec![others, rows], 2)
            }
            None => insert(input, output),
        }
    }
}

/// Splits tokens into those that are no patches and the map of the patches.
fn split<B: Backend>(tokens: Tensor<B, 4>, [height, width]: [usize; 2]) -> [Tensor<B, 4>; 2] {
    let [batch, _, count, channels] = tokens.dims();
    let others = count - height * width;
    let patches = tokens.clone().narrow(2, others, height * width);
    [
        tokens.narrow(2, 0, others),
        patches.reshape([batch, height, width, channels]),
    ]
}
