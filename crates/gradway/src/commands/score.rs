//! `gradway score`: metrics of predictions on disk, whoever made them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use gradway::data::{IGNORE, LabelPolicy, images_by_stem, read};
use gradway::metrics::{ConfusionMatrix, GroundTruth, IouType};

use gradway::report::{detection_classes, detection_table, percent};
use gradway::table::{Align, Table};

use crate::output::{print_json, print_line};

/// Score predictions in files.
#[derive(Debug, Args)]
pub struct Score {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Segmentation(Segmentation),
    Detection(Detection),
}

/// Compute the mean IoU of predicted label maps.
///
/// Both directories hold PNG files with the same names. The ending of a prediction may also be `.labels.png`,
/// as `gradway predict` writes it.
#[derive(Debug, Args)]
struct Segmentation {
    /// Directory of the ground-truth label maps.
    #[arg(long, value_name = "DIR")]
    gt: PathBuf,
    /// Directory of the predicted label maps.
    #[arg(long, value_name = "DIR")]
    pred: PathBuf,
    /// Number of classes. Labels are 0 to N - 1.
    #[arg(long, value_name = "N")]
    classes: usize,
    /// Ground-truth label to ignore.
    #[arg(long, value_name = "K")]
    ignore: u8,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Compute COCO's average precision and recall of detections.
///
/// The numbers equal those of pycocotools.
#[derive(Debug, Args)]
struct Detection {
    /// Ground truth in COCO's annotation format, such as instances_val2017.json.
    #[arg(long, value_name = "FILE")]
    gt: PathBuf,
    /// Detections in COCO's result format.
    #[arg(long, value_name = "FILE")]
    dt: PathBuf,
    /// Regions to compare.
    #[arg(long, value_enum, default_value_t = Iou::Bbox)]
    iou: Iou,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Iou {
    /// Boxes.
    Bbox,
    /// Masks.
    Segm,
}

impl Score {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Segmentation(segmentation) => segmentation.run(),
            Command::Detection(detection) => detection.run(),
        }
    }
}

impl Segmentation {
    fn run(self) -> Result<()> {
        let policy = LabelPolicy::Direct {
            ignore: self.ignore,
        };
        let names: Vec<String> = (0..self.classes).map(|class| class.to_string()).collect();
        let table = policy.table(&names)?;
        let truths = images_by_stem(&self.gt)?;
        if truths.is_empty() {
            bail!("{} has no PNG files", self.gt.display());
        }
        let mut matrix = ConfusionMatrix::new(self.classes);
        for (stem, truth_path) in &truths {
            let prediction_path = self.prediction_file(stem)?;
            let truth = read::labels_by(truth_path, &table)?;
            let prediction = self.prediction(&prediction_path)?;
            let size = (prediction.width, prediction.height);
            if size != (truth.width, truth.height) {
                bail!(
                    "{} is {}x{}, but {} is {}x{}",
                    prediction_path.display(),
                    size.0,
                    size.1,
                    truth_path.display(),
                    truth.width,
                    truth.height
                );
            }
            matrix
                .add(&prediction.data, &truth.data, IGNORE)
                .with_context(|| prediction_path.display().to_string())?;
        }
        let scores = matrix.scores();
        if self.json {
            return print_json(&scores);
        }
        let rows: Vec<Vec<String>> = scores
            .iou
            .iter()
            .enumerate()
            .map(|(class, iou)| vec![class.to_string(), percent(*iou)])
            .collect();
        print_line(Table::new(
            &[("class", Align::Right), ("IoU %", Align::Right)],
            rows,
        ))?;
        print_line(format_args!(
            "mean IoU {:.2}, pixel accuracy {:.2}, mean accuracy {:.2} % over {} images",
            100.0 * scores.mean_iou,
            100.0 * scores.pixel_accuracy,
            100.0 * scores.mean_accuracy,
            truths.len()
        ))
    }

    /// The file of a predicted map; refuses two of one name.
    fn prediction_file(&self, stem: &str) -> Result<PathBuf> {
        let files = [".png", ".labels.png"].map(|end| self.pred.join(format!("{stem}{end}")));
        match files.each_ref().map(|file| file.is_file()) {
            [true, false] => Ok(files[0].clone()),
            [false, true] => Ok(files[1].clone()),
            [true, true] => bail!(
                "both {} and {} exist; remove one of them",
                files[0].display(),
                files[1].display()
            ),
            [false, false] => bail!("prediction {} does not exist", files[0].display()),
        }
    }

    /// A predicted map; 255 may stand where nothing counts.
    fn prediction(&self, path: &Path) -> Result<gradway::data::LabelMap> {
        let policy = LabelPolicy::Direct { ignore: IGNORE };
        Ok(read::labels(path, &policy, self.classes)?)
    }
}

impl Detection {
    fn run(self) -> Result<()> {
        let iou = match self.iou {
            Iou::Bbox => IouType::Bbox,
            Iou::Segm => IouType::Segm,
        };
        let truth = GroundTruth::read(&self.gt)?;
        let scores = truth.score_file(&self.dt, iou)?;
        if self.json {
            return print_json(&scores);
        }
        print_line(detection_table(&scores))?;
        print_line(format_args!("\n{}", detection_classes(&scores)))?;
        print_line(format_args!(
            "{} objects in {} images",
            truth.objects(),
            truth.images()
        ))
    }
}
