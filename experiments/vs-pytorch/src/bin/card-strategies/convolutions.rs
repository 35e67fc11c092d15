//! Convolutions and their gradients, and CubeK's ways to compute them.

use burn::tensor::backend::Backend;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubek::convolution::components::Dimensionality;
use cubek::convolution::definition::{
    BackwardDataBlueprint, BackwardWeightBlueprint, ConvBlueprint, ForwardBlueprint,
};
use cubek::convolution::{
    AcceleratedTileKind, ConvAlgorithm, ConvolutionArgs, ConvolutionInputs, Strategy as Convolution,
};
use cubek::matmul::components::stage::PartitionBuffering;
use cubek::matmul::components::tile::TileMatmulKind;
use cubek::matmul::definition::{LoadingPrecomputeStrategy, TilingBlueprint, TilingScheme};
use cubek::std::cube_count::HypercubeBlueprint;
use cubek::std::{InputBinding, MatrixLayout};

use crate::shape::{Plain, Run, Shape, elements, random};

/// Batch, channels in, side, channels out, of kernels of 3: UPerNet's at 512, and a pyramid's.
pub const CONVOLUTIONS: [[usize; 4]; 3] =
    [[2, 512, 128, 512], [2, 2048, 128, 512], [2, 256, 128, 256]];

/// Planes of a cube, its rows of tiles for each, tiles across and along the inner axis.
const TILINGS: [[u32; 4]; 6] = [
    [4, 1, 4, 4],
    [8, 1, 8, 2],
    [8, 1, 8, 4],
    [4, 2, 8, 2],
    [8, 2, 8, 2],
    [4, 4, 8, 2],
];

/// Forward pass and the two gradients.
pub fn convolutions<R: CubeRuntime>(
    [batch, inputs, side, outputs]: [usize; 4],
    device: &R::Device,
) -> Vec<Shape<R>>
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    const KERNEL: usize = 3;
    // Channels last: as CubeK has them.
    let x = random::<R, 4>([batch, side, side, inputs], device);
    let weight = random::<R, 4>([outputs, KERNEL, KERNEL, inputs], device);
    let grad = random::<R, 4>([batch, side, side, outputs], device);
    let (positions, taps) = (batch * side * side, KERNEL * KERNEL);
    let operations = 2.0 * (positions * taps * inputs * outputs) as f64;
    let passes = [
        (Pass::Forward, [positions, outputs, taps * inputs]),
        (Pass::Input, [positions, inputs, taps * outputs]),
        (Pass::Weight, [outputs, taps * inputs, positions]),
    ];
    let shape = |(pass, size): (Pass, [usize; 3])| {
        let strategies = strategies(pass, size).into_iter().map(|(name, strategy)| {
            let tensors = [x.clone(), weight.clone(), grad.clone()];
            let run: Run<R> = Box::new(move || pass.run(&strategy, tensors.clone()));
            (name, run)
        });
        Shape {
            name: format!("{} {batch}x{inputs}x{side} to {outputs}", pass.name()),
            operations,
            strategies: strategies.collect(),
            rank: 4,
        }
    };
    passes.into_iter().map(shape).collect()
}

/// What of a convolution is computed.
#[derive(Debug, Clone, Copy)]
enum Pass {
    Forward,
    Input,
    Weight,
}

/// CubeK's own choices, and tilings of ours.
fn strategies(pass: Pass, size: [usize; 3]) -> Vec<(String, Convolution)> {
    let own = [
        (ConvAlgorithm::SimpleSyncCyclic, AcceleratedTileKind::Cmma),
        (ConvAlgorithm::SimpleSyncStrided, AcceleratedTileKind::Mma),
        (ConvAlgorithm::SimpleAsyncTma, AcceleratedTileKind::Cmma),
        (ConvAlgorithm::SimpleAsyncTma, AcceleratedTileKind::Mma),
        (
            ConvAlgorithm::SpecializedAsyncCyclic,
            AcceleratedTileKind::Cmma,
        ),
        (ConvAlgorithm::SpecializedTma, AcceleratedTileKind::Mma),
    ];
    let own = own.into_iter().map(|(algorithm, tile_kind)| {
        let strategy = Convolution::Inferred {
            algorithm,
            tile_kind,
        };
        (strategy.to_string(), strategy)
    });
    let ours = TILINGS.into_iter().flat_map(|tiling| {
        [TileMatmulKind::Cmma, TileMatmulKind::Mma].map(|kind| {
            let [planes, rows, across, along] = tiling;
            let blueprint = pass.blueprint(tiling_of(pass, kind, tiling, size));
            let strategy = Convolution::Forced {
                algorithm: ConvAlgorithm::SimpleSyncCyclic,
                blueprint,
            };
            (
                format!("{kind:?} {planes}x{rows}x{across}x{along}"),
                strategy,
            )
        })
    });
    own.chain(ours).collect()
}

fn tiling_of(
    pass: Pass,
    tile_matmul: TileMatmulKind,
    [planes, rows, across, along]: [u32; 4],
    size: [usize; 3],
) -> TilingBlueprint {
    // Of TF32.
    let tile = match tile_matmul {
        TileMatmulKind::Cmma => [16, 16, 8],
        _ => [16, 8, 8],
    };
    let [tile_m, tile_n, tile_k] = tile;
    let across = across * 16 / tile_n;
    let tiling_scheme = TilingScheme::builder()
        .with_tile_size((tile_m, tile_n, tile_k).into())
        .with_partition_size((rows, across, along).into())
        .with_stage_size((planes, 1, 1).into())
        .build();
    let stage = [planes * rows * tile_m, across * tile_n, along * tile_k];
    let is_uneven = |axis: usize| !size[axis].is_multiple_of(stage[axis] as usize);
    let (lhs_layout, rhs_layout) = match pass {
        Pass::Forward => (MatrixLayout::RowMajor, MatrixLayout::ColMajor),
        Pass::Input => (MatrixLayout::RowMajor, MatrixLayout::RowMajor),
        Pass::Weight => (MatrixLayout::ColMajor, MatrixLayout::RowMajor),
    };
    TilingBlueprint {
        plane_dim: 32,
        tile_matmul,
        tiling_scheme: tiling_scheme.unwrap_or_else(|why| unreachable!("{why}")),
        swizzle_modes: Default::default(),
        partition_buffering: PartitionBuffering::Single,
        loading_precompute_strategy: LoadingPrecomputeStrategy::Never,
        reader_mode: Default::default(),
        load_flows: Default::default(),
        hypercube_blueprint: HypercubeBlueprint::builder().build(),
        lhs_layout,
        rhs_layout,
        check_m_bounds: is_uneven(0),
        check_n_bounds: is_uneven(1),
        check_k_bounds: is_uneven(2),
    }
}

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "convolution",
            Self::Input => "its input's gradient",
            Self::Weight => "its weight's gradient",
        }
    }

    fn blueprint(self, matmul: TilingBlueprint) -> ConvBlueprint {
        let dimensionality = Dimensionality::Dim2;
        match self {
            Self::Forward => ConvBlueprint::Forward(ForwardBlueprint {
                matmul,
                dimensionality,
                has_bias: false,
            }),
            Self::Input => ConvBlueprint::BackwardData(BackwardDataBlueprint {
                matmul,
                dimensionality,
            }),
            Self::Weight => ConvBlueprint::BackwardWeight(BackwardWeightBlueprint {
                matmul,
                dimensionality,
            }),
        }
    }

    fn run<R: CubeRuntime>(
        self,
        strategy: &Convolution,
        [x, weight, grad]: [CubeTensor<R>; 3],
    ) -> Result<CubeTensor<R>, String> {
        let like = match self {
            Self::Forward => &grad,
            Self::Input => &x,
            Self::Weight => &weight,
        };
        let (client, device) = (like.client.clone(), like.device.clone());
        let shape = like.meta.shape().clone();
        let (elements, dtype) = (elements(like), like.dtype);
        let out =
            burn_cubecl::ops::numeric::empty_device_dtype(client.clone(), device, shape, dtype);
        let input = |x: CubeTensor<R>| InputBinding::new(x.binding(), dtype.into());
        let output = out.clone().binding();
        let inputs = match self {
            Self::Forward => ConvolutionInputs::Forward {
                input: input(x),
                weight: input(weight),
                bias: None,
                out: output,
            },
            Self::Input => ConvolutionInputs::BackwardData {
                out_grad: input(grad),
                weights: input(weight),
                in_grad: output,
            },
            Self::Weight => ConvolutionInputs::BackwardWeight {
                input: input(x),
                out_grad: input(grad),
                weight_grad: output,
            },
        };
        let args = ConvolutionArgs {
            stride: [1; 2],
            padding: [1; 2],
            dilation: [1; 2],
        };
        cubek::convolution::launch_ref::<R, 2>(strategy, &client, inputs, args, elements)
            .map_err(|error| format!("{error:?}"))?;
        Ok(out)
    }
}
