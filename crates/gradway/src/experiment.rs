//! Methods side by side over several seeds: what experiments have in common.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use gradway_trainer::config;

use crate::compare::compare;
use crate::device::DeviceName;
use crate::report;
use crate::summary;

/// Arguments of an experiment that trains methods; it adds those whose defaults are its own.
#[derive(Debug, Args)]
pub struct MethodArguments {
    /// Seeds, a run of every method for each.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Overrides a key of the configuration, such as `train.epochs=1`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    pub device: DeviceName,
    /// Write the means over the seeds there, as `table.md` and `plot.svg`.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// The results as JSON.
    #[arg(long)]
    pub json: bool,
}

impl MethodArguments {
    /// Trains every method with every seed in folders `METHOD-SEED` below `out`, and prints a table.
    ///
    /// `settings` has the overrides that a method needs; those of the command line come after them. Stopped
    /// and started again, it goes on where it was.
    ///
    /// # Errors
    ///
    /// What stops a run, and files that cannot be written.
    pub fn run(
        &self,
        configuration: &Path,
        out: &Path,
        methods: &[String],
        settings: impl Fn(&str) -> Vec<String>,
    ) -> Result<()> {
        let mut runs = Vec::new();
        for seed in &self.seeds {
            for method in methods {
                let mut overrides = vec![format!("method.name={method}"), format!("seed={seed}")];
                overrides.extend(settings(method));
                overrides.extend(self.set.iter().cloned());
                let config = config::load(configuration, &overrides)?;
                runs.push((format!("{method}-{seed}"), config));
            }
        }
        let outcomes = compare(&runs, out, self.device)?;
        if let Some(folder) = &self.report {
            fs::create_dir_all(folder)?;
            let methods = summary::by_method(&outcomes);
            fs::write(folder.join("table.md"), summary::markdown(&methods))?;
            summary::plot(&methods, &folder.join("plot.svg"))?;
        }
        let text = if self.json {
            serde_json::to_string_pretty(&outcomes)?
        } else {
            report::comparison(&outcomes)
        };
        writeln!(io::stdout(), "{text}")?;
        Ok(())
    }
}
