//! Which of CubeK's ways to multiply and to convolve on a card's matrix units is the fastest, for the shapes of a
//! training step.
//!
//! Burn takes the first of them where its tuner is off. The best rate of all is the card's, as far as CubeCL reaches it.

mod convolutions;
mod products;
mod shape;

use std::io::{self, Write};
use std::time::Instant;

use anyhow::{Result, bail};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use clap::Parser;
use convolutions::{CONVOLUTIONS, convolutions};
use gradway::trainer::median;
use products::{PRODUCTS, products};
use serde::Serialize;
use shape::{Plain, Run};

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
