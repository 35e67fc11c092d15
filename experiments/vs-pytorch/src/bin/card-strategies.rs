//! Which of CubeK's ways to multiply and to convolve on a card's matrix units is the fastest, for the shapes of a
//! training step.
//!
//! Burn takes the first of them where its tuner is off. The best rate of all is the card's, as far as CubeCL reaches it.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::{Result, bail};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor, TensorPrimitive};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime};
use clap::Parser;
use cubek::convolution::components::Dimensionality;
use cubek::convolution::definition::{
    BackwardDataBlueprint, BackwardWeightBlueprint, ConvBlueprint, ForwardBlueprint,
};
use cubek::convolution::{
    AcceleratedTileKind, ConvAlgorithm, ConvolutionArgs, ConvolutionInputs, Strategy as Convolution,
};
use cubek::matmul::components::stage::PartitionBuffering;
use cubek::matmul::components::tile::TileMatmulKind;
use cubek::matmul::definition::{
    LoadingPrecomputeStrategy, MatmulElems, MatmulGlobalElems, TilingBlueprint, TilingScheme,
};
use cubek::matmul::launch::Strategy as Product;
use cubek::matmul::routines::BlueprintStrategy;
use cubek::matmul::routines::double_buffering::DoubleBufferingArgs;
use cubek::matmul::routines::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::routines::simple::SimpleArgs;
use cubek::std::cube_count::HypercubeBlueprint;
use cubek::std::{InputBinding, MatrixLayout};
use gradway::trainer::median;
use serde::Serialize;

/// Time CubeK's matrix products and convolutions, strategy by strategy.
///
/// Each row is printed as soon as it is measured. The first strategy of a shape is Burn's own choice. The results
/// of the others are compared with its result.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run only shapes and strategies whose name contains one of these strings. [default: all]
    filter: Vec<String>,
    /// Index of the graphics card.
    #[arg(long, default_value_t = 0)]
    card: usize,
    /// Duration of a measurement in seconds, after one warm-up run.
    #[arg(long, default_value_t = 0.05)]
    seconds: f64,
    /// Print a JSON object per line.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    shape: String,
    strategy: String,
    /// Of a run; none: refused.
    ms: Option<f64>,
    #[serde(rename = "TFLOP/s")]
    rate: Option<f64>,
    /// Largest difference from the first strategy's result, over its largest value.
    difference: Option<f32>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    #[cfg(feature = "cuda")]
    {
        let device = burn::backend::cuda::CudaDevice::new(arguments.card);
        measure::<cubecl::cuda::CudaRuntime>(&arguments, device)
    }
    #[cfg(not(feature = "cuda"))]
    {
        use burn::backend::wgpu::WgpuDevice;

        let device = match arguments.card {
            0 => WgpuDevice::DefaultDevice,
            card => WgpuDevice::DiscreteGpu(card - 1),
        };
        #[cfg(feature = "vulkan")]
        burn::backend::wgpu::init_setup::<burn::backend::wgpu::graphics::Vulkan>(
            &device,
            Default::default(),
        );
        measure::<cubecl::wgpu::WgpuRuntime>(&arguments, device)
    }
}

type Plain<R> = CubeBackend<R, f32, i32, u8>;

fn random<R: CubeRuntime, const D: usize>(shape: [usize; D], device: &R::Device) -> CubeTensor<R>
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    let tensor = Tensor::<Plain<R>, D>::random(shape, Distribution::Normal(0.0, 1.0), device);
    tensor.into_primitive().tensor()
}

/// The largest difference over the largest value.
fn difference<R: CubeRuntime, const D: usize>(found: CubeTensor<R>, expected: CubeTensor<R>) -> f32
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    let tensor = |x| Tensor::<Plain<R>, D>::from_primitive(TensorPrimitive::Float(x));
    let (found, expected) = (tensor(found), tensor(expected));
    let largest = |x: Tensor<Plain<R>, D>| x.abs().max().into_data().iter::<f32>().sum::<f32>();
    largest(found - expected.clone()) / largest(expected)
}

/// Computes once; what refused says why.
type Run<R> = Box<dyn Fn() -> Result<CubeTensor<R>, String>>;

/// The ways to do one thing.
struct Shape<R: CubeRuntime> {
    name: String,
    operations: f64,
    strategies: Vec<(String, Run<R>)>,
    rank: usize,
}

fn measure<R: CubeRuntime>(arguments: &Arguments, device: R::Device) -> Result<()>
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    let mut out = io::stdout().lock();
    let is_wanted = |shape: &str, strategy: &str| {
        let name = format!("{shape} {strategy}");
        arguments.filter.is_empty() || arguments.filter.iter().any(|part| name.contains(part))
    };
    let products = PRODUCTS.iter().map(|shape| products::<R>(*shape, &device));
    let convolutions = CONVOLUTIONS
        .iter()
        .flat_map(|shape| convolutions::<R>(*shape, &device));
    for shape in products.chain(convolutions) {
        let is_any = |(strategy, _): &(String, _)| is_wanted(&shape.name, strategy);
        if !shape.strategies.iter().any(is_any) {
            continue;
        }
        let mut expected = None;
        for (index, (strategy, run)) in shape.strategies.iter().enumerate() {
            if index > 0 && !is_wanted(&shape.name, strategy) {
                continue;
            }
            let mut row = Row {
                shape: shape.name.clone(),
                strategy: strategy.clone(),
                ms: None,
                rate: None,
                difference: None,
                refused: None,
            };
            match time::<R>(run, &device, arguments.seconds) {
                Ok((seconds, found)) => {
                    row.ms = Some(1e3 * seconds);
                    row.rate = Some(shape.operations / seconds / 1e12);
                    if let Some(expected) = &expected {
                        let of = match shape.rank {
                            2 => difference::<R, 2>,
                            _ => difference::<R, 4>,
                        };
                        row.difference = Some(of(found, CubeTensor::clone(expected)));
                    } else {
                        expected = Some(found);
                    }
                }
                Err(why) if index == 0 => bail!("{}: {why}", shape.name),
                Err(why) => row.refused = Some(why.lines().next().unwrap_or_default().to_string()),
            }
            if arguments.json {
                writeln!(out, "{}", serde_json::to_string(&row)?)?;
            } else if let (Some(ms), Some(rate)) = (row.ms, row.rate) {
                let difference = row.difference.unwrap_or_default();
                writeln!(
                    out,
                    "{:44} {:34} {ms:9.3} ms {rate:7.1} TFLOP/s  {difference:.0e}",
                    row.shape, row.strategy
                )?;
            } else {
                let why = row.refused.unwrap_or_default();
                writeln!(out, "{:44} {:34} {why:.60}", row.shape, row.strategy)?;
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// The median seconds of a run, and what it makes. Runs are sent ten at a time: what is measured is the card.
fn time<R: CubeRuntime>(
    run: &Run<R>,
    device: &R::Device,
    seconds: f64,
) -> Result<(f64, CubeTensor<R>), String>
where
    Plain<R>: Backend<Device = R::Device>,
{
    const RUNS: u32 = 10;
    let sync = || Plain::<R>::sync(device).map_err(|error| error.to_string());
    let mut found = run()?;
    sync()?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.is_empty() || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        for _ in 0..RUNS {
            found = run()?;
        }
        sync()?;
        times.push(start.elapsed().as_secs_f64() / f64::from(RUNS));
    }
    Ok((median(times), found))
}

/// Rows, inner axis, columns: the card's rate, then layers of Swin-B and Swin-L at 512, batch 2, and the gradient of
/// a weight as one product.
const PRODUCTS: [[usize; 3]; 7] = [
    [8192, 8192, 8192],
    [2048, 512, 2048],
    [2048, 2048, 512],
    [2048, 768, 3072],
    [32768, 128, 512],
    [32768, 192, 768],
    [512, 2048, 2048],
];

fn products<R: CubeRuntime>([m, k, n]: [usize; 3], device: &R::Device) -> Shape<R>
where
    Plain<R>: Backend<Device = R::Device, FloatTensorPrimitive = CubeTensor<R>>,
{
    use TileMatmulKind::{Cmma, Mma};

    let inferred = |tile_matmul| DoubleBufferingArgs {
        specialized: false,
        tile_matmul,
    };
    let specialized = |tile_matmul| DoubleBufferingArgs {
        specialized: true,
        tile_matmul,
    };
    let rows = |tile_matmul| SimpleArgs {
        multi_rows: true,
        tile_matmul,
    };
    let ordered = |tile_matmul, row_count, rows_per_plane| OrderedSelectionArgs {
        partition_k: Some(2),
        row_count: Some(row_count),
        rows_per_plane: Some(rows_per_plane),
        tile_matmul,
    };
    let infer = BlueprintStrategy::Inferred;
    let mut strategies: Vec<(String, Product)> = vec![("Burn's".into(), Product::Auto)];
    strategies.extend(
        [
            Product::SimpleCyclicCmma(BlueprintStrategy::Inferred(rows(Cmma))),
            Product::SimpleCyclicMma(Default::default()),
            Product::SimpleCyclicMma(BlueprintStrategy::Inferred(rows(Mma))),
            Product::DoubleCyclicCmma(BlueprintStrategy::Inferred(inferred(Cmma))),
            Product::DoubleCyclicMma(BlueprintStrategy::Inferred(inferred(Mma))),
            Product::DoubleCyclicMma(BlueprintStrategy::Inferred(specialized(Mma))),
            Product::SpecializedCyclicCmma(Default::default()),
            Product::SpecializedCyclicMma(Default::default()),
            Product::SimpleTmaCmma(Default::default()),
            Product::SimpleTmaMma(Default::default()),
            Product::DoubleTmaMma(Default::default()),
            Product::SpecializedTmaCmma(Default::default()),
            Product::SpecializedTmaMma(Default::default()),
        ]
        .map(|strategy| (strategy.to_string(), strategy)),
    );
    for (row_count, rows_per_plane) in [(4, 1), (4, 2), (8, 1), (8, 2), (16, 2)] {
        for kind in [Cmma, Mma] {
            let args = infer(ordered(kind, row_count, rows_per_plane));
            let (name, strategy) = match kind {
                Cmma => ("ordered cmma", Product::OrderedDoubleCmma(args)),
                _ => ("ordered mma", Product::OrderedDoubleMma(args)),
            };
            strategies.push((format!("{name} {row_count}x{rows_per_plane}"), strategy));
        }
    }
    let (lhs, rhs) = (
        random::<R, 2>([m, k], device),
        random::<R, 2>([k, n], device),
    );
    let strategies = strategies.into_iter().map(|(name, strategy)| {
        let (lhs, rhs) = (lhs.clone(), rhs.clone());
        let run: Run<R> = Box::new(move || {
            let out = burn_cubecl::ops::numeric::empty_device_dtype(
                lhs.client.clone(),
                lhs.device.clone(),
                [m, n].into(),
                lhs.dtype,
            );
            let (left, right) = (lhs.clone(), rhs.clone());
            cubek::matmul::launch::launch_ref(
                &strategy,
                &lhs.client,
                InputBinding::new(left.binding(), lhs.dtype.into()),
                InputBinding::new(right.binding(), rhs.dtype.into()),
                out.clone().binding(),
                &mut elements(&lhs),
            )
            .map_err(|error| format!("{error:?}"))?;
            Ok(out)
        });
        (name, run)
    });
    Shape {
        name: format!("product {m}x{k}x{n}"),
        operations: 2.0 * (m * k * n) as f64,
        strategies: strategies.collect(),
        rank: 2,
    }
}

fn elements<R: CubeRuntime>(x: &CubeTensor<R>) -> MatmulElems {
    MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: x.dtype.into(),
        rhs: x.dtype.into(),
        out: x.dtype.into(),
    })
}

/// Batch, channels in, side, channels out, of kernels of 3: UPerNet's at 512, and a pyramid's.
const CONVOLUTIONS: [[usize; 4]; 3] = [[2, 512, 128, 512], [2, 2048, 128, 512], [2, 256, 128, 256]];

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
fn convolutions<R: CubeRuntime>(
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
