//! CamVid street scenes on a CPU: what every method that fits reaches, and what it takes.
//!
//! An experiment composes the crates: it names its configuration, says what a method needs besides, and
//! lets the library train, resume and tabulate.

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

/// The pre-trained weights of a backbone want a smaller rate than what starts at random in it or beside
/// it.
fn settings(method: &str) -> Vec<String> {
    match method {
        "full" | "partial" => vec!["optimizer.learning_rate=5e-4".to_string()],
        _ => Vec::new(),
    }
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    terminal::status(EXPERIMENT.run(settings))
}
