//! Operators and training steps beside PyTorch's.
//!
//! Both sides run the same shapes on the same number of threads, alternately, so that a machine that
//! slows down slows both: what counts is the ratio of each round.

mod loading;
mod profile;
mod steps;
mod torch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gradway::beside::CaseComparison;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::{KernelBackend, TrainBackend};
use gradway::terminal;
use gradway::trainer::median;
use gradway::trainer::memory::{self, CountingAllocator};
use vs_pytorch::case::{self, Case};
use vs_pytorch::report::{self, Rate};
use vs_pytorch::{growth, operators};

use profile::Profile;
use torch::Torch;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Compare the time of operators and training steps with PyTorch's.
///
/// Gradway and PyTorch take turns. The first run creates a virtual environment with PyTorch in the directory of
/// --environment, unless --python names an interpreter that has PyTorch. On Linux the environment takes 5.5 GB,
/// because PyPI's PyTorch includes CUDA. Nothing is written outside of that directory.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run only cases whose name contains one of these strings. [default: all cases]
    filter: Vec<String>,
    /// List the cases and exit.
    #[arg(long)]
    list: bool,
    /// Device of Gradway: cpu, cuda:N, vulkan:N, wgpu:N. PyTorch runs on the CPU with `cpu`, and on CUDA
    /// otherwise.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Let PyTorch round single-precision products to TF32 on a graphics card.
    #[arg(long)]
    tf32: bool,
    /// Use `torch.compile` for PyTorch's networks.
    #[arg(long)]
    compile: bool,
    /// Store PyTorch's images and convolution weights with channels last.
    #[arg(long)]
    channels_last: bool,
    /// Number of threads of each side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Number of turns of each side per case.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Duration of a turn in seconds.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Compare the peak memory of training steps instead of times.
    #[arg(long)]
    memory: bool,
    /// Compare the arithmetic rates of networks and steps, as shares of the rate of a large matrix product.
    #[arg(long, conflicts_with = "memory")]
    rate: bool,
    /// Print the time of networks and steps operator by operator.
    #[arg(long, conflicts_with_all = ["memory", "rate"])]
    profile: bool,
    /// Time a step of e3va on growing images and batches, and write a plot to this SVG file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["memory", "rate", "profile", "filter"])]
    growth: Option<PathBuf>,
    /// Python interpreter with PyTorch, torchvision and timm.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Directory of the virtual environment.
    #[arg(long, default_value = "target/vs-pytorch")]
    environment: PathBuf,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Where the photos of the loading cases are, for both sides.
    fn photos(&self) -> Result<PathBuf> {
        std::path::absolute(self.environment.join("photos"))
            .context("cannot resolve the directory of the photos")
    }
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let compared = run_on(arguments.device, Comparison(arguments));
    terminal::status(compared.map_err(Into::into).flatten())
}

struct Comparison(Arguments);

impl Job for Comparison {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        compare::<B>(&self.0, &device)
    }
}

fn cases<B: TrainBackend>(arguments: &Arguments, device: &B::Device) -> Result<Vec<Case>> {
    let is_card = !arguments.device.is_cpu();
    let operators = || operators::all::<B::InnerBackend>(device);
    let frozen = || steps::frozen::<B::InnerBackend>(device, &steps::FROZEN);
    let mut steps = steps::training::<B>(device);
    if is_card {
        steps.extend(steps::large::<B>(device));
    }
    let parts = match arguments {
        Arguments { memory: true, .. } => vec![steps],
        Arguments { profile: true, .. } | Arguments { rate: true, .. } => vec![frozen(), steps],
        _ if is_card => vec![operators(), frozen(), steps],
        _ => vec![
            operators(),
            frozen(),
            steps,
            loading::all(&arguments.photos()?),
        ],
    };
    Ok(parts.into_iter().flatten().collect())
}

fn compare<B: TrainBackend>(arguments: &Arguments, device: &B::Device) -> Result<()> {
    if arguments.profile && !arguments.device.is_cpu() {
        bail!("--profile: operators report their time on the processor only");
    }
    let mut cases = cases::<B>(arguments, device)?;
    if !arguments.filter.is_empty() {
        cases.retain(|case| arguments.filter.iter().any(|part| case.name.contains(part)));
    }
    if cases.is_empty() {
        bail!("no case name contains {:?}", arguments.filter);
    }
    let mut out = io::stdout().lock();
    if arguments.list {
        for case in &cases {
            writeln!(out, "{}", case.name)?;
        }
        return Ok(());
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .build_global()
        .context("cannot set the number of threads")?;
    let mut torch = Torch::start(arguments)?;
    if arguments.profile {
        let profile = Profile::default();
        tracing::subscriber::set_global_default(profile.clone())?;
        for case in &cases {
            let tables = compare_profiles(case, &mut torch, &profile, arguments.rounds)?;
            writeln!(out, "{tables}")?;
            out.flush()?;
        }
        return Ok(());
    }
    if let Some(path) = &arguments.growth {
        let of_size = |batch, side| steps::of_size::<B>(device, batch, side);
        let curves = growth::measure(of_size, |case| compare_times(case, &mut torch, arguments))?;
        growth::plot(&curves, path)?;
        for curve in &curves {
            write!(out, "{}", growth::table(curve))?;
        }
        return Ok(());
    }
    if arguments.rate {
        let rates = rates(&cases, &mut torch, arguments)?;
        let text = match arguments.json {
            true => serde_json::to_string_pretty(&rates)? + "\n",
            false => Rate::table(&rates).to_string(),
        };
        return Ok(write!(out, "{text}")?);
    }
    let mut rows = Vec::new();
    for case in cases {
        let row = if arguments.memory {
            compare_memory::<B>(&case, &mut torch, device)?
        } else {
            compare_times(&case, &mut torch, arguments)?
        };
        if !arguments.json {
            writeln!(out, "{}", report::line(&row))?;
            out.flush()?;
        }
        rows.push(row);
    }
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

/// What a case reaches of the rate of a product that is large enough to fill the device.
fn rates(cases: &[Case], torch: &mut Torch, arguments: &Arguments) -> Result<Vec<Rate>> {
    let side: usize = if arguments.device.is_cpu() {
        2048
    } else {
        8192
    };
    let seconds = torch.product_seconds(side, arguments.seconds)?;
    let product = 2.0 * (side as f64).powi(3) / median(seconds);
    let mut rates = Vec::new();
    for case in cases {
        let operations = torch.operations(&case.name)?;
        let times = compare_times(case, torch, arguments)?;
        rates.push(Rate::new(&times, operations, product));
    }
    Ok(rates)
}

fn compare_times(case: &Case, torch: &mut Torch, arguments: &Arguments) -> Result<CaseComparison> {
    let mut run = (case.build)()?;
    for _ in 0..2 {
        run()?;
    }
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        let ours = median(case::measure(&mut run, arguments.seconds)?);
        let theirs = median(torch.seconds(&case.name, arguments.seconds)?);
        rounds.push((ours, theirs));
    }
    Ok(report::of_times(&case.name, &rounds))
}

fn compare_memory<B: TrainBackend>(
    case: &Case,
    torch: &mut Torch,
    device: &B::Device,
) -> Result<CaseComparison> {
    let gauge = B::InnerBackend::memory_gauge(device);
    let before = memory::live_of(gauge.as_ref()).context("this binary counts its bytes")?;
    let mut run = (case.build)()?;
    // The first step makes the optimiser's moments.
    run()?;
    let (result, ours) = memory::most_live(gauge.as_ref(), run);
    result?;
    let ours = ours.context("this binary counts its bytes")?;
    let ours = ours.saturating_sub(before);
    Ok(report::of_bytes(&case.name, ours, torch.bytes(&case.name)?))
}

fn compare_profiles(
    case: &Case,
    torch: &mut Torch,
    profile: &Profile,
    runs: usize,
) -> Result<String> {
    let mut run = (case.build)()?;
    for _ in 0..2 {
        run()?;
    }
    profile.take();
    let start = Instant::now();
    for _ in 0..runs {
        run()?;
    }
    let total = start.elapsed().as_secs_f64();
    let ours = profile.take().into_iter();
    let ours = ours.map(|(name, seconds)| (name.to_string(), seconds));
    let ours = report::profile("Gradway", total, ours.collect(), runs);
    let (total, theirs) = torch.profile(&case.name, runs)?;
    let theirs = report::profile("PyTorch", total, theirs, runs);
    Ok(format!("{}\n{ours}{theirs}", case.name))
}
