//! The division of a batch's tiles into tasks.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::SIDE;
use crate::cpu::packed::width;
use crate::cpu::sizes::Dense;

/// The division of a batch's tiles into tasks.
pub(super) struct Tiling {
    pub(super) dense: Dense,
    batch: usize,
    /// Lines and columns of tiles of an image.
    pub(super) tiles: [usize; 2],
    /// Number of images of a task, and of lines of tiles of an image; several images only if all their lines
    /// are in the task.
    pub(super) images: usize,
    pub(super) lines: usize,
}

/// Some lines of tiles of some images.
pub(super) struct Task<'a> {
    pub(super) images: Range<usize>,
    pub(super) lines: Range<usize>,
    /// The lines of the output, for every image of every channel.
    pub(super) rows: Vec<&'a mut [MaybeUninit<f32>]>,
}

/// Neighbouring tiles of a line.
pub(super) struct Run {
    /// Image of the task.
    pub(super) image: usize,
    /// Line and first column of tiles in the image.
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
    /// Index of the first tile in the group.
    pub(super) place: usize,
}

impl Run {
    /// Its parts in panels of this width: their start in the run, their start in the group, and their length.
    #[inline(always)]
    pub(super) fn parts(&self, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let end = self.place + self.length;
        let panels = self.place / width..end.div_ceil(width);
        panels.map(
            #[inline(always)]
            move |panel| {
                let from = self.place.max(panel * width);
                let to = end.min((panel + 1) * width);
                (from - self.place, from, to - from)
            },
        )
    }
}

impl Tiling {
    pub(super) fn new(batch: usize, dense: Dense) -> Self {
        let tiles = dense.geometry.output.map(|side| side.div_ceil(SIDE));
        // The last panel of a task is filled up: few lines that leave little of it empty.
        let least_waste = |tiles: usize, most: usize| {
            let used = |count: &usize| {
                let needed = (count * tiles).next_multiple_of(width());
                (count * tiles) as f64 / needed as f64
            };
            let enough = (1..=most.min(8)).find(|count| used(count) > 0.95);
            enough.or_else(|| (1..=most.min(8)).max_by(|a, b| used(a).total_cmp(&used(b))))
        };
        let lines = least_waste(tiles[1], tiles[0]).unwrap_or(1);
        let is_whole = tiles[0] * tiles[1] <= 8 * width();
        let (images, lines) = match is_whole {
            true => (
                least_waste(tiles[0] * tiles[1], batch).unwrap_or(1),
                tiles[0],
            ),
            false => (1, lines),
        };
        Self {
            dense,
            batch,
            tiles,
            images,
            lines,
        }
    }

    pub(super) fn tasks<'a>(&self, places: &'a mut [MaybeUninit<f32>]) -> Vec<Task<'a>> {
        let columns = self.dense.geometry.output[1];
        let blocks = self.tiles[0].div_ceil(self.lines);
        let per_task = self.images * self.dense.outputs * self.dense.positions();
        let mut tasks = Vec::new();
        for (index, places) in places.chunks_mut(per_task).enumerate() {
            let first = index * self.images;
            let images = first..(first + self.images).min(self.batch);
            let start = tasks.len();
            tasks.extend((0..blocks).map(|block| Task {
                images: images.clone(),
                lines: block * self.lines..((block + 1) * self.lines).min(self.tiles[0]),
                rows: Vec::with_capacity(images.len() * self.dense.outputs),
            }));
            for plane in places.chunks_exact_mut(self.dense.positions()) {
                let parts = plane.chunks_mut(SIDE * self.lines * columns);
                for (task, part) in tasks[start..].iter_mut().zip(parts) {
                    task.rows.push(part);
                }
            }
        }
        tasks
    }

    /// The runs of these tiles of a task.
    pub(super) fn runs(&self, task: &Task<'_>, tiles: Range<usize>) -> Vec<Run> {
        let columns = self.tiles[1];
        let lines = tiles.start / columns..tiles.end.div_ceil(columns);
        let run = |line: usize| {
            let first = tiles.start.max(line * columns);
            Run {
                image: line / task.lines.len(),
                line: task.lines.start + line % task.lines.len(),
                column: first - line * columns,
                length: tiles.end.min((line + 1) * columns) - first,
                place: first - tiles.start,
            }
        };
        lines.map(run).collect()
    }
}
