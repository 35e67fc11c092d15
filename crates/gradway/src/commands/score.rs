//! `gradway score`: metrics of predictions on disk, whoever made them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use gradway::data::{
    DataError, IGNORE, LabelCensus, LabelMap, LabelPolicy, LabelTable, images_by_stem, read,
};
use gradway::metrics::detection::FileScores;
use gradway::metrics::{ConfusionMatrix, GroundTruth, IouType};

use gradway::report::{count, detection_classes, detection_table, percent};
use gradway::table::{Align, Table};
use gradway::terminal::{Advised, note};
use gradway::trainer::{Checkpoint, RunDirectory};

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
/// as `gradway predict` writes it. Predictions hold the numbers of the classes.
///
/// With --run, the ground truth is read as in `gradway eval`: with the classes of the run, and with `labels` and
/// `mask_suffix` of its data. Otherwise its values are the numbers of the classes.
#[derive(Debug, Args)]
struct Segmentation {
    /// Directory of the ground-truth label maps.
    #[arg(long, value_name = "DIR")]
    gt: PathBuf,
    /// Directory of the predicted label maps.
    #[arg(long, value_name = "DIR")]
    pred: PathBuf,
    /// Run directory whose classes and label policy the ground truth has.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["classes", "ignore"])]
    run: Option<PathBuf>,
    /// Number of classes. Labels are 0 to N - 1.
    #[arg(long, value_name = "N", required_unless_present = "run")]
    classes: Option<usize>,
    /// Ground-truth label to ignore. [default: 255]
    #[arg(long, value_name = "K")]
    ignore: Option<u8>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Compute COCO's average precision and recall of detections.
///
/// The numbers equal those of pycocotools. As there, detections of a category that the ground truth does not have
/// are not scored; the command reports their number.
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

/// How the ground truth is read.
struct Truth {
    policy: LabelPolicy,
    /// Names of the classes, in label order.
    classes: Vec<String>,
    /// The suffix of a mask's stem after its image's stem.
    suffix: String,
    /// Where the policy comes from, for hints.
    source: String,
}

impl Truth {
    /// Reads the classes and the label policy of a run.
    fn of_run(path: &Path) -> Result<Self> {
        let (directory, config) = RunDirectory::open(path)?;
        let file = directory.config_file();
        let data = serde_json::to_value(&config.data)?;
        let format = config.data.descriptor().name;
        let Some(labels) = data.get("labels") else {
            bail!(
                "--run {}: data.format = \"{format}\" in {} has no label policy `labels`; use --classes and \
                 --ignore",
                path.display(),
                file.display()
            );
        };
        let suffix = data.get("mask_suffix").and_then(|suffix| suffix.as_str());
        let checkpoint = Checkpoint::load(&directory.checkpoint_file(false)?)?;
        Ok(Self {
            policy: serde_json::from_value(labels.clone())?,
            classes: checkpoint.state.labels.classes,
            suffix: suffix.unwrap_or_default().to_string(),
            source: format!(
                "check the label policy of the run, `data.labels` in {}",
                file.display()
            ),
        })
    }

    /// So many classes, whose numbers are the values of the masks.
    fn of_numbers(classes: usize, ignore: u8) -> Self {
        Self {
            policy: LabelPolicy::Direct { ignore },
            classes: (0..classes).map(|class| class.to_string()).collect(),
            suffix: String::new(),
            source: format!(
                "--classes {classes} --ignore {ignore} reads 0 to {} as classes and ignores {ignore}; for masks \
                 with other values, or with colours, take the label policy of a run: --run DIR",
                classes.saturating_sub(1)
            ),
        }
    }

    /// An error whose hint names what the command has instead of keys of a configuration.
    fn advise(&self, source: DataError) -> Error {
        let speaks_of_keys = match &source {
            DataError::ClassCount { .. } => true,
            error => error.hint().is_some_and(|hint| hint.contains("labels")),
        };
        match speaks_of_keys {
            true => Error::new(Advised {
                source,
                hint: self.source.clone(),
            }),
            false => source.into(),
        }
    }

    fn table(&self) -> Result<LabelTable> {
        let table = self.policy.table(&self.classes);
        table.map_err(|error| self.advise(error))
    }

    /// Warns of classes that the masks of a folder lack: an IoU of 100 % says nothing about them.
    fn warn_of_absent(&self, census: &LabelCensus, folder: &Path) {
        let Some(absent) = census.absent() else {
            return;
        };
        note(format_args!(
            "warning: in the labels of {}, {absent}; the scores say nothing about finding a class without labels",
            folder.display()
        ));
        if absent.ignored > 0.0 {
            note(format_args!(
                "  hint: {:.2} % of the pixels are ignored; {}",
                100.0 * absent.ignored,
                self.source
            ));
        }
    }
}

impl Segmentation {
    fn run(self) -> Result<()> {
        let is_of_run = self.run.is_some();
        let truth = match &self.run {
            Some(run) => Truth::of_run(run)?,
            None => Truth::of_numbers(
                self.classes.unwrap_or_default(),
                self.ignore.unwrap_or(IGNORE),
            ),
        };
        let table = truth.table()?;
        let masks = images_by_stem(&self.gt)?;
        // Masks without the suffix, such as previews, belong to no image.
        let masks = masks.iter();
        let masks =
            masks.filter_map(|(stem, path)| Some((stem.strip_suffix(&truth.suffix)?, path)));
        let masks: Vec<(&str, &PathBuf)> = masks.collect();
        if masks.is_empty() {
            bail!("{} has no files *{}.png", self.gt.display(), truth.suffix);
        }
        let mut census = LabelCensus::new(truth.classes.iter().cloned());
        let mut matrix = ConfusionMatrix::new(truth.classes.len());
        for (stem, mask_path) in &masks {
            let prediction_path = self.prediction_file(stem)?;
            let mask = read::labels_by(mask_path, &table).map_err(|error| truth.advise(error))?;
            let prediction = prediction(&prediction_path, truth.classes.len())?;
            let size = (prediction.width, prediction.height);
            if size != (mask.width, mask.height) {
                bail!(
                    "{} is {}x{}, but {} is {}x{}",
                    prediction_path.display(),
                    size.0,
                    size.1,
                    mask_path.display(),
                    mask.width,
                    mask.height
                );
            }
            census.add_labels(&mask.data);
            matrix
                .add(&prediction.data, &mask.data, IGNORE)
                .with_context(|| prediction_path.display().to_string())?;
        }
        truth.warn_of_absent(&census, &self.gt);
        self.tell_unscored(&masks);
        let scores = matrix.scores();
        if self.json {
            return print_json(&scores);
        }
        let rows = truth.classes.iter().zip(&scores.iou);
        let rows = rows.map(|(name, iou)| vec![name.clone(), percent(*iou)]);
        let align = if is_of_run { Align::Left } else { Align::Right };
        print_line(Table::new(
            &[("class", align), ("IoU %", Align::Right)],
            rows.collect(),
        ))?;
        print_line(format_args!(
            "mean IoU {:.2}, pixel accuracy {:.2}, mean accuracy {:.2} % over {}",
            100.0 * scores.mean_iou,
            100.0 * scores.pixel_accuracy,
            100.0 * scores.mean_accuracy,
            count(masks.len(), "image")
        ))
    }

    /// Tells how many predictions have no mask. A folder with other images beside the predictions is no error.
    fn tell_unscored(&self, masks: &[(&str, &PathBuf)]) {
        let Ok(predicted) = images_by_stem(&self.pred) else {
            return;
        };
        // Beside label maps with this ending, `predict` writes pictures.
        let maps: BTreeSet<&str> = predicted
            .keys()
            .filter_map(|stem| stem.strip_suffix(".labels"))
            .collect();
        let maps = match maps.is_empty() {
            true => predicted.keys().map(String::as_str).collect(),
            false => maps,
        };
        let masks: BTreeSet<&str> = masks.iter().map(|(stem, _)| *stem).collect();
        let unscored = maps.difference(&masks).count();
        if unscored > 0 {
            note(format_args!(
                "predictions without a mask, which are not scored: {unscored} of {}",
                maps.len()
            ));
        }
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
}

/// Reads a predicted map; 255 may stand where nothing counts.
fn prediction(path: &Path, classes: usize) -> Result<LabelMap> {
    let predicted = Truth {
        source: format!(
            "a prediction holds the numbers of the classes, 0 to {}, as `gradway predict` writes it; {IGNORE} \
             may stand where the ground truth is ignored",
            classes.saturating_sub(1)
        ),
        ..Truth::of_numbers(classes, IGNORE)
    };
    let map = read::labels_by(path, &predicted.table()?);
    map.map_err(|error| predicted.advise(error))
}

impl Detection {
    fn run(self) -> Result<()> {
        let iou = match self.iou {
            Iou::Bbox => IouType::Bbox,
            Iou::Segm => IouType::Segm,
        };
        let truth = GroundTruth::read(&self.gt)?;
        let FileScores { scores, unscored } = truth.score_file(&self.dt, iou)?;
        if unscored > 0 {
            note(format_args!(
                "{} of categories that {} does not have: not scored",
                count(unscored, "detection"),
                self.gt.display()
            ));
        }
        if self.json {
            return print_json(&scores);
        }
        print_line(detection_table(&scores))?;
        print_line(format_args!("\n{}", detection_classes(&scores)))?;
        print_line(format_args!(
            "{} in {}",
            count(truth.objects(), "object"),
            count(truth.images(), "image")
        ))
    }
}
