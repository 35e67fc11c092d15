//! Matrix products, and CubeK's ways to compute them.

use burn::tensor::backend::Backend;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::components::tile::TileMatmulKind;
use cubek::matmul::launch::Strategy as Product;
use cubek::matmul::routines::BlueprintStrategy;
use cubek::matmul::routines::double_buffering::DoubleBufferingArgs;
use cubek::matmul::routines::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::routines::simple::SimpleArgs;
use cubek::std::InputBinding;

use crate::shape::{Plain, Run, Shape, elements, random};

/// Rows, inner axis, columns: the card's rate, then layers of Swin-B and Swin-L at 512, batch 2, and the gradient of
/// a weight as one product.
pub const PRODUCTS: [[usize; 3]; 7] = [
    [8192, 8192, 8192],
    [2048, 512, 2048],
    [2048, 2048, 512],
    [2048, 768, 3072],
    [32768, 128, 512],
    [32768, 192, 768],
    [512, 2048, 2048],
];

/// The ways to compute a product.
pub fn products<R: CubeRuntime>([m, k, n]: [usize; 3], device: &R::Device) -> Shape<R>
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
