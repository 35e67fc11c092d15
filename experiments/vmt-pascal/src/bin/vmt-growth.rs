//! How time and memory grow with the number of tasks: the shared part of a step and of inference, that is
//! backbone and adapters with the features of every task, without decoders.
//!
//! All numbers of tasks and all methods take turns in one process, so that a slow minute slows all of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use burn::module::AutodiffModule;
use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use gradway::adapters::{Base, Encoder, Features, Tuned};
use gradway::backbone::{BackboneConfig, Phase};
use gradway::device::{DeviceName, Job, run_on};
use gradway::heads::StagedLoss;
use gradway::kernels::{KernelBackend, MemoryGauge, TrainBackend};
use gradway::table::Table;
use gradway::trainer::memory::{self, CountingAllocator};
use gradway::trainer::{config, median};
use plotters::prelude::*;
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const TASKS: [usize; 5] = [1, 2, 4, 8, 16];

/// Measure how time and memory of backbone and adapters grow with the number of tasks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Backbone name; see `gradway list backbones`.
    #[arg(long, default_value = "swin_tiny")]
    backbone: String,
    /// Methods to measure, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "vmt_adapter,vmt_adapter_lite,vmt_highway,hyperformer"
    )]
    methods: Vec<String>,
    /// Side of the images in pixels.
    #[arg(long, default_value_t = 224)]
    side: usize,
    /// Number of images per batch.
    #[arg(long, default_value_t = 2)]
    batch: usize,
    /// Number of turns per point.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Minimum duration of a turn in seconds. Shorter cases are repeated, and the shortest time counts.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Write a plot of the curves to this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print the results as JSON, which `gradway report` reads.
    #[arg(long)]
    json: bool,
}

/// What is measured of a method with so many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What all tasks share: the pass, and its backward pass.
    Shared,
    /// The same and the features of every task.
    Tasks,
}

/// Seconds of every turn, and most bytes beyond the weights.
#[derive(Debug, Clone, Default)]
struct Cost {
    seconds: Vec<f64>,
    bytes: usize,
}

impl Cost {
    fn take(&mut self, seconds: f64, gauge: Option<&MemoryGauge>, run: impl Fn()) {
        let turn = Instant::now();
        let mut shortest = f64::INFINITY;
        while shortest.is_infinite() || turn.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            run();
            shortest = shortest.min(start.elapsed().as_secs_f64());
        }
        self.seconds.push(shortest);
        // Reading a gauge takes time, so that this run is not timed.
        let before = memory::live_of(gauge);
        let ((), most) = memory::most_live(gauge, run);
        let bytes = most.zip(before);
        let bytes = bytes.map(|(most, before)| most.saturating_sub(before));
        self.bytes = self.bytes.max(bytes.unwrap_or_default());
    }

    /// In milliseconds.
    fn time(&self) -> f64 {
        1e3 * median(self.seconds.iter().copied())
    }

    fn mebibytes(&self) -> f64 {
        self.bytes as f64 / (1024.0 * 1024.0)
    }

    /// Time over that of another, turn by turn, so that a slow minute slows both.
    fn time_over(&self, other: &Self) -> f64 {
        let turns = self.seconds.iter().zip(&other.seconds);
        median(turns.map(|(here, there)| here / there))
    }
}

/// A method with a number of tasks.
struct Point<B: TrainBackend> {
    method: String,
    tasks: usize,
    encoder: Encoder<B>,
    tuned: Tuned<B>,
    /// Step and inference, of the shared part and with the tasks' features.
    costs: [[Cost; 2]; 2],
}

const PARTS: [Part; 2] = [Part::Shared, Part::Tasks];

impl<B: TrainBackend> Point<B> {
    fn turn(&mut self, images: &Tensor<B::InnerBackend, 4>, seconds: f64, device: &B::Device) {
        let plain = self.tuned.valid();
        let gauge = B::InnerBackend::memory_gauge(device);
        let gauge = gauge.as_ref();
        for (part, [step, inference]) in PARTS.into_iter().zip(&mut self.costs) {
            let (encoder, tuned, tasks) = (&self.encoder, &self.tuned, self.tasks);
            step.take(seconds, gauge, || {
                let phase = Phase::Training { seed: 0 };
                let features = encoder.features(tuned, images.clone(), phase);
                let loss = match part {
                    Part::Shared => sum(&features.shared()),
                    Part::Tasks => loss_of_tasks(&features, tasks, device),
                };
                let _gradients = loss.backward();
                let _synchronised = B::sync(device);
            });
            inference.take(seconds, gauge, || {
                let features = encoder.features_inference(&plain, images.clone());
                if part == Part::Tasks {
                    for task in 0..tasks {
                        let _features = features.of_task(task);
                    }
                }
                let _synchronised = B::sync(device);
            });
        }
    }

    fn cost(&self, part: Part, inference: bool) -> &Cost {
        &self.costs[usize::from(part == Part::Tasks)][usize::from(inference)]
    }
}

fn sum<B: KernelBackend>(maps: &[Tensor<B, 4>]) -> Tensor<B, 1> {
    let sums = maps.iter().map(|map| map.clone().sum());
    sums.reduce(|all, one| all + one)
        .unwrap_or_else(|| unreachable!("a backbone has stages"))
}

/// As a training step takes them: one task's graph after the other's.
fn loss_of_tasks<B: TrainBackend>(
    features: &Features<'_, B>,
    tasks: usize,
    device: &B::Device,
) -> Tensor<B, 1> {
    let mut staged = StagedLoss::new(features.shared());
    for task in 0..tasks {
        let leaves = staged.leaves();
        let loss = sum(&features.with_shared(leaves.clone()).of_task(task));
        let gradients = staged.differentiate(loss, &leaves);
        staged.add_parameters(&gradients, features.tuned());
    }
    staged.loss(device)
}

/// A method's points of a panel: tasks, and the ratio to one task.
struct Curve {
    method: String,
    part: Part,
    points: Vec<(usize, f64)>,
}

/// A number of tasks in one of the curves.
#[derive(Debug, Serialize)]
struct Row {
    method: String,
    /// `shared`, or `tasks` with the features of every task.
    part: &'static str,
    /// `step` or `inference`.
    phase: &'static str,
    tasks: usize,
    bytes: usize,
    /// Over those of one task.
    bytes_ratio: f64,
    seconds: f64,
    /// Over those of one task.
    seconds_ratio: f64,
}

struct Measured {
    rows: Vec<Vec<String>>,
    values: Vec<Row>,
    panels: Vec<(&'static str, Vec<Curve>)>,
}

impl Job for &Arguments {
    type Output = Result<Measured>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<Measured> {
        let config = BackboneConfig::named(&self.backbone);
        let backbone = config.init::<B::InnerBackend>(&device)?;
        let base = Base::<B>::new(&config, backbone, &device);
        let mut points = Vec::new();
        for method in &self.methods {
            for tasks in TASKS {
                let (encoder, tuned) = base.bare(&config::method(method, &[])?.for_tasks(tasks))?;
                // What is drawn when it is first read is drawn here.
                let tuned = burn::module::Module::to_device(tuned, &device);
                points.push(Point {
                    method: method.clone(),
                    tasks,
                    encoder,
                    tuned,
                    costs: Default::default(),
                });
            }
        }
        let shape = [self.batch, 3, self.side, self.side];
        let images = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device);
        for round in 0..=self.rounds {
            for point in &mut points {
                if round == 0 {
                    point.turn(&images, self.seconds, &device);
                    point.costs = Default::default();
                } else {
                    point.turn(&images, self.seconds, &device);
                }
            }
        }
        Ok(measured(&points))
    }
}

fn measured<B: TrainBackend>(points: &[Point<B>]) -> Measured {
    let first = |method: &str| {
        let found = points.iter().find(|point| point.method == method);
        found.unwrap_or(&points[0])
    };
    // Of time or of memory, over one task.
    let ratio = |point: &Point<B>, part, inference, bytes: bool| {
        let one = first(&point.method).cost(part, inference);
        let here = point.cost(part, inference);
        match bytes {
            true => here.bytes as f64 / one.bytes as f64,
            false => here.time_over(one),
        }
    };
    let rows = points.iter().map(|point| {
        let mut row = vec![point.method.clone(), point.tasks.to_string()];
        for part in PARTS {
            for inference in [false, true] {
                let cost = point.cost(part, inference);
                for (value, bytes) in [(cost.time(), false), (cost.mebibytes(), true)] {
                    let ratio = ratio(point, part, inference, bytes);
                    row.push(format!("{value:.0} ({ratio:.2})"));
                }
            }
        }
        row
    });
    let mut methods: Vec<&str> = Vec::new();
    for point in points {
        if !methods.contains(&point.method.as_str()) {
            methods.push(&point.method);
        }
    }
    let curves = || {
        PARTS
            .into_iter()
            .flat_map(|part| [(part, false), (part, true)])
    };
    let value = |point: &Point<B>, part, inference| {
        let cost = point.cost(part, inference);
        Row {
            method: point.method.clone(),
            part: match part {
                Part::Shared => "shared",
                Part::Tasks => "tasks",
            },
            phase: if inference { "inference" } else { "step" },
            tasks: point.tasks,
            bytes: cost.bytes,
            bytes_ratio: ratio(point, part, inference, true),
            seconds: cost.time() / 1e3,
            seconds_ratio: ratio(point, part, inference, false),
        }
    };
    let values = points.iter().flat_map(|point| {
        let values = curves().map(|(part, inference)| value(point, part, inference));
        values.collect::<Vec<Row>>()
    });
    let panels = [
        ("a step's time", false, false),
        ("a step's memory", false, true),
        ("inference's time", true, false),
        ("inference's memory", true, true),
    ];
    let panels = panels.map(|(title, inference, bytes)| {
        let curve = |method: &str, part| {
            let of = points.iter().filter(|point| point.method == method);
            let at = |point: &Point<B>| (point.tasks, ratio(point, part, inference, bytes));
            Curve {
                method: method.to_string(),
                part,
                points: of.map(at).collect(),
            }
        };
        let curves = PARTS.map(|part| methods.iter().map(move |method| (*method, part)));
        let curves = curves.into_iter().flatten();
        (
            title,
            curves.map(|(method, part)| curve(method, part)).collect(),
        )
    });
    Measured {
        rows: rows.collect(),
        values: values.collect(),
        panels: panels.into(),
    }
}

/// Ratios to one task, both axes by powers of two: the shared part as a line, with the features of every
/// task as dashes.
fn plot(measured: &Measured, path: &Path) -> Result<()> {
    const COLORS: [RGBColor; 4] = [BLUE, RGBColor(0, 140, 60), RED, BLACK];
    let count = measured.panels.len();
    let root = SVGBackend::new(path, (300 * count as u32, 320)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = measured.panels.iter().zip(root.split_evenly((1, count)));
    for (index, ((title, curves), area)) in panels.enumerate() {
        let values = curves.iter().flat_map(|curve| &curve.points);
        let values = values.map(|(_, value)| value.log2());
        let (least, most) = values.fold((0.0, 1.0), |(least, most), value| {
            (f64::min(least, value), f64::max(most, value))
        });
        let mut chart = ChartBuilder::on(&area)
            .caption(*title, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(34)
            .build_cartesian_2d(-0.1..4.1, least - 0.3..most + 0.3)?;
        let power = |x: &f64| format!("{:.0}", x.exp2());
        chart
            .configure_mesh()
            .x_labels(5)
            .y_labels(5)
            .max_light_lines(0)
            .x_desc("tasks")
            .x_label_formatter(&power)
            .y_label_formatter(&power)
            .draw()?;
        let per_part = curves.len() / PARTS.len();
        for (curve, color) in curves
            .iter()
            .zip((0..per_part).map(|at| COLORS[at % 4]).cycle())
        {
            let at = |&(tasks, ratio): &(usize, f64)| ((tasks as f64).log2(), ratio.log2());
            let points = curve.points.iter().map(at);
            if curve.part == Part::Tasks {
                chart.draw_series(DashedLineSeries::new(points, 4, 3, color.stroke_width(1)))?;
                continue;
            }
            let dots = points.clone().map(|at| Circle::new(at, 3, color.filled()));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(&curve.method)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color));
            chart.draw_series(dots)?;
        }
        if index == 0 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .border_style(BLACK)
                .background_style(WHITE)
                .draw()?;
        }
    }
    root.present()?;
    Ok(())
}

fn main() -> Result<()> {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let measured = run_on(arguments.device, &arguments)??;
    let names = [
        "method",
        "tasks",
        "shared step ms",
        "MiB",
        "inference ms",
        "MiB",
        "with features step ms",
        "MiB",
        "inference ms",
        "MiB",
    ];
    if let Some(path) = &arguments.plot {
        plot(&measured, path)?;
    }
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&measured.values)?,
        false => Table::of_numbers(names, measured.rows).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
