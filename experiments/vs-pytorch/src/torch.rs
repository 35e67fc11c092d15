//! PyTorch in a process beside this one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use crate::Arguments;

/// The worker, which waits for requests between its turns.
pub struct Torch {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Times {
    seconds: Vec<f64>,
}

#[derive(Deserialize)]
struct Bytes {
    bytes: usize,
}

#[derive(Deserialize)]
struct Operations {
    operations: u64,
}

#[derive(Deserialize)]
struct Operators {
    seconds: f64,
    operators: BTreeMap<String, f64>,
}

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/torch");

impl Torch {
    /// Starts the worker on the interpreter of the arguments, or of an environment that is made
    /// where there is none.
    pub fn start(arguments: &Arguments) -> Result<Self> {
        let python = match &arguments.python {
            Some(python) => python.clone(),
            None => environment(&arguments.environment)?,
        };
        let threads = arguments.threads.to_string();
        let is_set = |set: bool| if set { "1" } else { "" };
        let mut process = Command::new(&python)
            .arg(Path::new(SCRIPTS).join("worker.py"))
            .env("GRADWAY_THREADS", &threads)
            .env(
                "GRADWAY_DEVICE",
                if arguments.device.is_cpu() {
                    "cpu"
                } else {
                    "cuda"
                },
            )
            .env("GRADWAY_TF32", is_set(arguments.tf32))
            .env("GRADWAY_COMPILE", is_set(arguments.compile))
            .env("GRADWAY_CHANNELS_LAST", is_set(arguments.channels_last))
            .env("GRADWAY_PHOTOS", arguments.photos()?)
            .env("OMP_NUM_THREADS", &threads)
            // Threads that spin between two turns would slow ours.
            .env("OMP_WAIT_POLICY", "passive")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the worker has no pipes");
        };
        Ok(Self {
            process,
            requests,
            answers: BufReader::new(answers),
        })
    }

    /// The seconds of every run in about `seconds`.
    pub fn seconds(&mut self, case: &str, seconds: f64) -> Result<Vec<f64>> {
        let answer: Times = self.ask(&json!({ "case": case, "seconds": seconds }))?;
        Ok(answer.seconds)
    }

    /// The most live bytes of a run.
    pub fn bytes(&mut self, case: &str) -> Result<usize> {
        let answer: Bytes = self.ask(&json!({ "case": case, "memory": true }))?;
        Ok(answer.bytes)
    }

    /// The multiplications and additions of a run's products, convolutions and attentions.
    pub fn operations(&mut self, case: &str) -> Result<f64> {
        let answer: Operations = self.ask(&json!({ "case": case, "operations": true }))?;
        Ok(answer.operations as f64)
    }

    /// The seconds of every product of matrices of `side` rows and columns in about `seconds`.
    pub fn product_seconds(&mut self, side: usize, seconds: f64) -> Result<Vec<f64>> {
        let answer: Times = self.ask(&json!({ "product": side, "seconds": seconds }))?;
        Ok(answer.seconds)
    }

    /// The seconds that `runs` runs took, and those of every operator in them.
    pub fn profile(&mut self, case: &str, runs: usize) -> Result<(f64, Vec<(String, f64)>)> {
        let answer: Operators = self.ask(&json!({ "case": case, "profile": runs }))?;
        Ok((answer.seconds, answer.operators.into_iter().collect()))
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &serde_json::Value) -> Result<T> {
        writeln!(self.requests, "{request}").context("the worker does not listen")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        serde_json::from_str(&answer)
            .with_context(|| format!("the worker answered {request} with {answer:?}"))
    }
}

impl Drop for Torch {
    fn drop(&mut self) {
        // Nothing is lost with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The interpreter of a virtual environment with the pinned packages, made if it is not there.
fn environment(folder: &Path) -> Result<PathBuf> {
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if ready.exists() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let requirements = Path::new(SCRIPTS).join("requirements.txt");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(requirements))?;
    std::fs::write(&ready, "")?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
