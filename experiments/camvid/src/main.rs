//! CamVid street scenes on a CPU: what every method that fits reaches, and what it takes.
//!
//! An experiment composes the crates: it names its configuration, and lets the library train, resume and
//! tabulate.

use anyhow::Result;
use gradway::experiment::Experiment;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const EXPERIMENT: Experiment = Experiment {
    about: "Train methods on CamVid and print a table",
    config: concat!(env!("CARGO_MANIFEST_DIR"), "/camvid.toml"),
    out: "runs/camvid",
};

fn main() -> Result<()> {
    memory::keep_freed_memory();
    // Every method has the configuration as it is: it says how much smaller the rate of a backbone is.
    EXPERIMENT.run(|_| Vec::new())
}
