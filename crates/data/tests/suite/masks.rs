//! Masks agree with pycocotools, and their samples with torchvision: `tests/golden/detection_data.py`
//! wrote the values.

use gradway_data::Mask;
use gradway_data::detection::{Annotation, Shape};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    polygons: Vec<Case>,
    uncompressed: Vec<Case>,
    cells: Cells,
}

/// A mask in one form, and the compressed runs, area and box that pycocotools gives.
#[derive(Deserialize)]
struct Case {
    size: [u32; 2],
    #[serde(default)]
    polygons: Vec<Vec<f64>>,
    #[serde(default)]
    counts: Vec<u32>,
    runs: String,
    area: u64,
    #[serde(rename = "box")]
    bounds: [f64; 4],
}

#[derive(Deserialize)]
struct Cells {
    size: [u32; 2],
    runs: String,
    boxes: Vec<Sampled>,
}

/// A box and the share of each of its cells.
#[derive(Deserialize)]
struct Sampled {
    #[serde(rename = "box")]
    bounds: [f32; 4],
    size: usize,
    shares: Vec<f32>,
}

fn golden() -> Golden {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/detection_data.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn mask(shape: Shape, [height, width]: [u32; 2]) -> Mask {
    let annotation = Annotation {
        id: 1,
        class: 0,
        bounds: [0.0; 4],
        shape: Some(shape),
        is_crowd: false,
        is_difficult: false,
    };
    annotation.mask("1", (width, height)).unwrap().unwrap()
}

fn text(counts: &str, size: [u32; 2]) -> Mask {
    let counts = counts.into();
    mask(Shape::Text { size, counts }, size)
}

fn assert_equal(found: &Mask, case: &Case, what: &str) {
    assert!(*found == text(&case.runs, case.size), "{what}");
    assert_eq!(found.area(), case.area, "{what}");
    let region = [found.x(), found.y(), found.width(), found.height()];
    assert_eq!(region.map(f64::from), case.bounds, "{what}");
}

// There the compiler of pycocotools fuses multiplications and additions: its own masks differ in a
// pixel here and there.
#[cfg_attr(target_arch = "aarch64", ignore = "the values are those of x86-64")]
#[test]
fn polygons_are_drawn_as_pycocotools_draws_them() {
    for (index, case) in golden().polygons.iter().enumerate() {
        let found = mask(Shape::Polygons(case.polygons.clone()), case.size);
        assert_equal(&found, case, &format!("polygon {index}"));
    }
}

#[test]
fn uncompressed_runs_are_those_of_pycocotools() {
    for (index, case) in golden().uncompressed.iter().enumerate() {
        let (size, counts) = (case.size, case.counts.clone());
        let found = mask(Shape::Runs { size, counts }, size);
        assert_equal(&found, case, &format!("runs {index}"));
    }
}

#[test]
fn cells_are_those_of_torchvision() {
    let Cells { size, runs, boxes } = golden().cells;
    let mask = text(&runs, size);
    assert!(mask.width() < size[1] && mask.height() < size[0]);
    // The mirrored mask in the mirrored box: the same cells, mirrored.
    let (width, flipped) = (size[1] as f32, mask.flipped());
    for case in boxes {
        let found = mask.crop_and_resize(case.bounds, case.size);
        assert_eq!(found.len(), case.shares.len());
        for (found, expected) in found.iter().zip(&case.shares) {
            let difference = (found - expected).abs();
            assert!(difference < 2e-6, "{:?}: {difference}", case.bounds);
        }
        let [left, top, right, bottom] = case.bounds;
        let mirrored =
            flipped.crop_and_resize([width - right, top, width - left, bottom], case.size);
        let rows = mirrored.chunks_exact(case.size);
        let mirrored = rows.flat_map(|row| row.iter().rev());
        for (found, mirrored) in found.iter().zip(mirrored) {
            let difference = (found - mirrored).abs();
            assert!(difference < 1e-4, "{:?}: {difference}", case.bounds);
        }
    }
}
