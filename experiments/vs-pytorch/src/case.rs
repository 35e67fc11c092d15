//! What is timed.

use std::time::Instant;

use anyhow::{Result, anyhow};
use burn::tensor::backend::Backend;

/// Runs a case once.
pub type Run = Box<dyn FnMut() -> Result<()>>;

/// Something that both sides do, by one name.
pub struct Case {
    /// The same on PyTorch's side.
    pub name: String,
    /// Makes inputs and weights.
    pub build: Box<dyn Fn() -> Result<Run>>,
}

impl Case {
    /// A case whose runs end when the device has done what it was sent.
    pub fn on<B: Backend>(
        device: &B::Device,
        name: String,
        build: impl Fn() -> Result<Run> + 'static,
    ) -> Self {
        let device = device.clone();
        let build = move || -> Result<Run> {
            let device = device.clone();
            let mut run = build()?;
            Ok(Box::new(move || {
                run()?;
                B::sync(&device).map_err(|error| anyhow!("the device failed: {error}"))
            }))
        };
        Self {
            name,
            build: Box::new(build),
        }
    }
}

/// The seconds of every run in about `seconds`; at least one.
pub fn measure(run: &mut Run, seconds: f64) -> Result<Vec<f64>> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}
