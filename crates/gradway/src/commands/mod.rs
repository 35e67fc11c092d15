//! The commands of the binary: one file and one line each.

mod bench;
mod data;
mod demo;
mod eval;
mod export;
mod features;
mod list;
mod params;
mod predict;
mod report;
mod score;
mod train;
mod weights;

use anyhow::Result;
use clap::Subcommand;

/// Declares the enum of commands and its dispatch.
macro_rules! commands {
    ($($name:ident($arguments:ty),)*) => {
        /// A command with its arguments.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($name($arguments),)*
        }

        impl Command {
            /// Runs the command.
            pub fn run(self) -> Result<()> {
                match self {
                    $(Self::$name(arguments) => arguments.run(),)*
                }
            }
        }
    };
}

commands! {
    Demo(demo::Demo),
    Train(train::Train),
    Eval(eval::Eval),
    Predict(predict::Predict),
    Export(export::Export),
    Bench(bench::Bench),
    Features(features::Features),
    List(list::List),
    Params(params::Params),
    Report(report::Report),
    Data(data::Data),
    Score(score::Score),
    Weights(weights::Weights),
}

impl Default for Command {
    /// What a newcomer sees first.
    fn default() -> Self {
        Self::Demo(demo::Demo::default())
    }
}
