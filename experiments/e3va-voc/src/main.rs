//! Pascal VOC with the papers' recipe: objects by every method.

use std::process::ExitCode;

use gradway::experiment::Experiment;
use gradway::terminal;
use gradway::trainer::memory::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const EXPERIMENT: Experiment = Experiment {
    about: "Train methods on Pascal VOC 2007 and 2012, score them on the test of 2007, and print a table",
    config: concat!(env!("CARGO_MANIFEST_DIR"), "/swin_l.toml"),
    out: "runs/voc",
};

fn main() -> ExitCode {
    memory::keep_freed_memory();
    terminal::status(EXPERIMENT.run(|_| Vec::new()))
}
