//! CamVid street scenes on a CPU: what every method that fits reaches, and what it takes.
//!
//! An experiment composes the crates: it names its configuration, and lets the library train, resume and
//! tabulate.

use std::process::ExitCode;

use gradway::experiment::Experiment;
use gradway::terminal;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const EXPERIMENT: Experiment = Experiment {
    about: "Train methods on CamVid and print a table",
    config: concat!(env!("CARGO_MANIFEST_DIR"), "/camvid.toml"),
    out: "runs/camvid",
};

fn main() -> ExitCode {
    memory::keep_freed_memory();
    // Every method has the configuration as it is: it says how much smaller the rate of a backbone is.
    terminal::status(EXPERIMENT.run(|_| Vec::new()))
}
