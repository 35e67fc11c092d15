//! Objects and masks by every method: COCO with the papers' recipe, and sets in its format that a CPU
//! can finish.

use std::process::ExitCode;

use gradway::experiment::Experiment;
use gradway::terminal;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const EXPERIMENT: Experiment = Experiment {
    about: "Train methods on COCO, or a set in its format, and print a table",
    config: concat!(env!("CARGO_MANIFEST_DIR"), "/pennfudan.toml"),
    out: "runs/pennfudan",
};

fn main() -> ExitCode {
    memory::keep_freed_memory();
    terminal::status(EXPERIMENT.run(|_| Vec::new()))
}
