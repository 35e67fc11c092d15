//! How the time of a step grows with its work.

use std::path::Path;

use anyhow::Result;
use gradway::beside::CaseComparison;
use plotters::prelude::*;

use crate::case::Case;
use crate::report;

const SIDES: [usize; 5] = [224, 320, 448, 640, 896];
const BATCHES: [usize; 5] = [1, 2, 4, 8, 16];

/// A row for each amount of work.
pub struct Curve {
    title: &'static str,
    rows: Vec<(f64, CaseComparison)>,
}

/// Steps on one image of growing sides, and on growing batches of side 224.
pub fn measure(
    of_size: impl Fn(usize, usize) -> Case,
    mut compare: impl FnMut(&Case) -> Result<CaseComparison>,
) -> Result<Vec<Curve>> {
    let mut curve = |title, points: [(usize, usize, f64); 5]| -> Result<Curve> {
        let rows =
            points.map(|(batch, side, work)| compare(&of_size(batch, side)).map(|row| (work, row)));
        let rows = rows.into_iter().collect::<Result<_>>()?;
        Ok(Curve { title, rows })
    };
    Ok(vec![
        curve(
            "pixels of one image",
            SIDES.map(|side| (1, side, (side * side) as f64)),
        )?,
        curve(
            "images of 224x224",
            BATCHES.map(|batch| (batch, SIDES[0], batch as f64)),
        )?,
    ])
}

/// The slope of a line through the points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let along = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
    let spread = points.iter().map(|(x, _)| (x - mean_x).powi(2));
    along.sum::<f64>() / spread.sum::<f64>()
}

/// The exponent of a power law through the points, by least squares in logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let logarithms: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    slope(&logarithms)
}

type Side = (&'static str, RGBColor, fn(&CaseComparison) -> f64);

const SIDES_OF_A_ROW: [Side; 2] = [
    ("Gradway", BLUE, |row| row.gradway),
    ("PyTorch", RED, |row| row.pytorch),
];

impl Curve {
    fn points(&self, seconds: fn(&CaseComparison) -> f64) -> Vec<(f64, f64)> {
        let points = self.rows.iter().map(|(work, row)| (*work, seconds(row)));
        points.collect()
    }
}

/// The rows and how steeply each side grows.
pub fn table(curve: &Curve) -> String {
    let mut text = format!("{}\n", curve.title);
    for (_, row) in &curve.rows {
        text += &format!("{}\n", report::line(row));
    }
    for (name, _, seconds) in SIDES_OF_A_ROW {
        let points = curve.points(seconds);
        let most = curve.rows.iter().map(|(work, _)| *work).fold(0.0, f64::max);
        text += &format!(
            "  {name}: {:.0} ms from zero to the largest size by a line; the exponent is {:.2}\n",
            slope(&points) * most * 1e3,
            exponent(&points),
        );
    }
    text
}

/// Both curves, doubly logarithmic, as an SVG file.
pub fn plot(curves: &[Curve], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (480 * curves.len() as u32, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    for (curve, area) in curves.iter().zip(root.split_evenly((1, curves.len()))) {
        let all = SIDES_OF_A_ROW
            .map(|(_, _, seconds)| curve.points(seconds))
            .concat();
        let range = |values: Vec<f64>| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(0.0, f64::max);
            (low / 1.2..high * 1.2).log_scale()
        };
        let x = range(all.iter().map(|point| point.0).collect());
        let y = range(all.iter().map(|point| point.1).collect());
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(curve.title)
            .x_labels(3)
            .y_labels(4)
            .max_light_lines(1)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_desc("seconds of a step")
            .draw()?;
        for (name, color, seconds) in SIDES_OF_A_ROW {
            let points = curve.points(seconds);
            chart
                .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color));
            chart.draw_series(
                points
                    .into_iter()
                    .map(|at| Circle::new(at, 3, color.filled())),
            )?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_a_power_law() {
        let points = [1.0, 2.0, 5.0].map(|x: f64| (x, 3.0 * x.powf(1.5)));
        assert!((exponent(&points) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn the_slope_of_a_line() {
        let points = [1.0, 2.0, 5.0].map(|x: f64| (x, 7.0 - 3.0 * x));
        assert!((slope(&points) + 3.0).abs() < 1e-12);
    }
}
