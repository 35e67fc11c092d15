//! `gradway predict`: label maps, objects, or all of several tasks of photos.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::data::{Picture, read};
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching::fetched;
use gradway::kernels::TrainBackend;
use gradway::report::count;
use gradway::terminal::{describe, note};
use gradway::trainer::task::BatchOf;
use gradway::trainer::{Model, RunConfig, RunDirectory, Task, with_task};
use image::RgbImage;

use crate::image_ids::ImageIds;
use crate::photos::{Photo, Photos, photos};
use crate::view::{PredictOptions, PredictionView, Writes};

/// Predict label maps, objects or dense tasks for photos.
///
/// Photos are preprocessed as in `gradway eval`. Predictions have the size of the photo. The command prints
/// the path of every file it writes. It replaces files of the same names in the output directory, which must not
/// be a directory of the photos.
///
/// NAME is the name of a photo without its ending. Photos in sub-directories keep the path below the directory that
/// is named: `sub/NAME`.
///
/// Segmentation writes two files per photo: `NAME.labels.png`, a PNG whose palette indices are the classes
/// (`gradway score segmentation` reads it), and `NAME.overlay.png`.
///
/// Detection writes `NAME.overlay.png` per photo, with boxes, masks, classes and scores, and one
/// `detections.json` with the objects of all photos in COCO's result format (`gradway score detection` reads
/// it). Its `image_id` comes from --ids. Without --ids, it is the photo's name if all names are numbers, and
/// otherwise the position of the photo, counted from 1, which no annotation file has.
///
/// A run with several tasks writes `NAME.overlay.png`, which shows the photo and the prediction of every task
/// side by side, and `NAME.safetensors` with the outputs.
///
/// A photo that cannot be read is reported and skipped, and so is a file that cannot be written. The exit status
/// is 1 then. Images of other formats in a directory are reported and left out.
#[derive(Debug, Args)]
pub struct Predict {
    /// Run directory.
    run: PathBuf,
    /// Photos (JPEG, PNG, BMP, WebP or TIFF), or directories of photos with their sub-directories.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Output directory. [default: `predictions` in the run directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// COCO annotation file (JSON) that maps file names to image ids. Only for detection.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Minimum score of an object to be drawn. `detections.json` has the others, too.
    #[arg(long, default_value_t = 0.5)]
    least_score: f32,
    /// Use the newest checkpoint instead of the best one.
    #[arg(long)]
    last: bool,
    /// Override a key of the run's configuration, such as `evaluation.flip=true`. Keys of training are refused.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
}

impl Predict {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        run_on(self.device, self)?
    }
}

impl Job for Predict {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let (directory, config) = RunDirectory::open_under(&self.run, &self.set)?;
        let has_ids = with_task!(config.task, T => <T as PredictionView<B>>::HAS_IMAGE_IDS);
        if let (Some(ids), false) = (&self.ids, has_ids) {
            let task = config.task.task();
            bail!(
                "--ids {}: a run of {task} writes no image ids",
                ids.display()
            );
        }
        let out = match self.out {
            Some(out) => out,
            None => directory.path().join("predictions"),
        };
        let ids = self.ids.as_deref().map(ImageIds::read).transpose()?;
        let photos = photos(&self.images, &out)?;
        if has_ids {
            check_numbers(&photos, ids.as_ref())?;
        }
        refuse_beside_photos(&photos.list, &out)?;
        let config = fetched(&config)?;
        let work = Work {
            config: &config,
            checkpoint: directory.checkpoint_file(self.last)?,
            photos: photos.list,
            options: PredictOptions {
                ids,
                least_score: self.least_score,
                out,
            },
        };
        let out = &work.options.out;
        let made = std::fs::create_dir_all(out);
        made.with_context(|| format!("cannot make {}", out.display()))?;
        with_task!(config.task, T => work.predict::<B, T>(&device))
    }
}

/// The number of a photo, for the file of all objects.
fn image_id(photo: &Photo, ids: Option<&ImageIds>) -> Result<u64> {
    match ids {
        Some(ids) => ids.of(&photo.path),
        None => Ok(photo.number),
    }
}

/// Refuses two photos with one number, and reports numbers that are places.
fn check_numbers(photos: &Photos, ids: Option<&ImageIds>) -> Result<()> {
    if let (Some(name), None) = (&photos.unnumbered, ids) {
        note(format_args!(
            "`{name}` is not a number: the `image_id` of a photo is its position, counted from 1; take the ids of \
             an annotation file with --ids FILE"
        ));
    }
    let mut seen: BTreeMap<u64, &Path> = BTreeMap::new();
    for photo in &photos.list {
        // A photo that the file lacks is reported in its turn.
        let Ok(number) = image_id(photo, ids) else {
            continue;
        };
        if let Some(other) = seen.insert(number, &photo.path) {
            bail!(
                "{} and {} both have the image id {number}; rename one of them, or predict them into different folders",
                other.display(),
                photo.path.display()
            );
        }
    }
    Ok(())
}

/// Refuses to write into a folder of the photos, whose other files may have the names of predictions.
fn refuse_beside_photos(photos: &[Photo], out: &Path) -> Result<()> {
    let folder_of = |path: &Path| {
        let folder = path.parent().unwrap_or(path);
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        folder.canonicalize().ok()
    };
    let folders = photos.iter();
    let folders = folders.filter_map(|photo| Some((folder_of(&photo.path)?, photo)));
    let folders: BTreeMap<PathBuf, &Photo> = folders.collect();
    for photo in photos {
        let folder = folder_of(&out.join(&photo.name));
        if let Some(photo) = folder.and_then(|folder| folders.get(&folder)) {
            bail!(
                "predictions cannot be written to {}, which has the photo {}: files there could be replaced; choose \
                 another folder with --out",
                out.display(),
                photo.path.display()
            );
        }
    }
    Ok(())
}

/// What all tasks need.
struct Work<'a> {
    config: &'a RunConfig,
    checkpoint: PathBuf,
    photos: Vec<Photo>,
    options: PredictOptions,
}

impl Work<'_> {
    /// Predicts photo after photo; one that cannot be read or written does not stop the others.
    fn predict<B: TrainBackend, T: PredictionView<B>>(&self, device: &B::Device) -> Result<()> {
        let (model, state) = Model::<B, T>::open(self.config, &self.checkpoint, device)?;
        let model = model.inference();
        let mut writer = T::writer(&self.options, state.labels)?;
        let (mut unread, mut unwritten) = (0, 0);
        for photo in &self.photos {
            let (image, batch) = match self.prepare::<B, T>(photo) {
                Ok(prepared) => prepared,
                Err(error) => {
                    note(format_args!("not predicted: {}", describe(&error)));
                    unread += 1;
                    continue;
                }
            };
            for prediction in model.predict(&batch, device) {
                if let Err(error) = writer.write(&self.options, photo, &image, prediction) {
                    note(format_args!("not written: {}", describe(&error)));
                    unwritten += 1;
                }
            }
        }
        writer.finish(&self.options)?;
        let failed = [(unread, "not predicted"), (unwritten, "not written")];
        let failed = failed.into_iter().filter(|(number, _)| *number > 0);
        let photos = count(self.photos.len(), "photo");
        let failed = failed.map(|(number, what)| match number {
            1 => format!("1 of {photos} was {what}"),
            _ => format!("{number} of {photos} were {what}"),
        });
        let failed: Vec<String> = failed.collect();
        match failed.is_empty() {
            true => Ok(()),
            false => bail!("{}", failed.join(", ")),
        }
    }

    /// A photo, and as the network is given it.
    fn prepare<B: TrainBackend, T: Task<B>>(
        &self,
        photo: &Photo,
    ) -> Result<(RgbImage, BatchOf<B, T>)> {
        let image_id = image_id(photo, self.options.ids.as_ref())?;
        let image = read::image(&photo.path)?;
        let picture = Picture {
            id: photo.name.clone(),
            image_id,
            image: image.clone(),
        };
        Ok((image, T::picture(self.config, picture)?))
    }
}
