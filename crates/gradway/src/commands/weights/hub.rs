//! `gradway weights fetch` and `gradway weights list`: weights on the hub.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use gradway::backbone::{pretrained, table};
use gradway::fetching::FetchProgress;
use gradway::hub::{Fetched, Hub, PREFIX};
use gradway::report::thousands;
use gradway::table::{Align, Table};
use serde::Serialize;

use crate::output::{print_json, print_line};

/// Fetch weights from the hub into its cache, and print the path of the file.
///
/// The cache is that of Python's huggingface_hub, with its variables: HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
/// HF_ENDPOINT, HF_TOKEN. A file that is there is not downloaded again.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Backbone, for its canonical weights (see `gradway weights list`), or a file on the hub:
    /// hf:OWNER/NAME[/FILE][@REVISION].
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON instead of the path.
    #[arg(long)]
    json: bool,
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
struct FetchReport {
    /// The file at its commit, as a value of `backbone.weights`.
    reference: String,
    path: PathBuf,
}

impl Fetch {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let reference = match self.name.starts_with(PREFIX) {
            true => self.name.parse()?,
            false => pretrained(&self.name)?,
        };
        let hub = Hub::from_environment()?;
        let Fetched { path, pinned } = hub.fetch(&reference, &mut FetchProgress::default())?;
        match self.json {
            true => print_json(&FetchReport {
                reference: pinned.to_string(),
                path,
            }),
            false => print_line(path.display()),
        }
    }
}

/// List the canonical weights of the backbones, and which of them are in the cache.
#[derive(Debug, Args)]
pub struct List {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Line {
    backbone: &'static str,
    /// The canonical file, as a value of `backbone.weights`.
    reference: String,
    /// Whether the publisher asks for consent to terms.
    gated: bool,
    /// The file in the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    cached: Option<Cached>,
}

/// A file of the cache.
#[derive(Debug, Serialize)]
struct Cached {
    /// The file at its commit.
    reference: String,
    path: PathBuf,
    bytes: u64,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let hub = Hub::from_environment()?;
        let mut lines = Vec::new();
        for line in table() {
            let Some(pretrained) = line.pretrained else {
                continue;
            };
            let reference = pretrained.reference()?;
            let cached = hub
                .cached(&reference)?
                .map(|Fetched { path, pinned }| Cached {
                    reference: pinned.to_string(),
                    bytes: fs::metadata(&path).map_or(0, |file| file.len()),
                    path,
                });
            lines.push(Line {
                backbone: line.name,
                reference: reference.to_string(),
                gated: pretrained.gated,
                cached,
            });
        }
        if self.json {
            return print_json(&lines);
        }
        let rows = lines.iter().map(|line| {
            let gated = if line.gated { "gated" } else { "" };
            let cached = line.cached.as_ref();
            let bytes = cached.map_or(String::new(), |cached| thousands(cached.bytes as usize));
            let path = cached.map_or(String::new(), |cached| cached.path.display().to_string());
            vec![
                line.backbone.to_string(),
                line.reference.clone(),
                gated.to_string(),
                bytes,
                path,
            ]
        });
        let heading = [
            ("backbone", Align::Left),
            ("canonical file", Align::Left),
            ("terms", Align::Left),
            ("bytes", Align::Right),
            ("in the cache", Align::Left),
        ];
        print_line(Table::new(&heading, rows.collect()))
    }
}
