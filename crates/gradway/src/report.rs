//! Tables of results, as text.

use gradway_metrics::DetectionScores;
use gradway_trainer::{Headline, MultiTaskScores, RunOutcome, Scores};

use crate::table::{Align, Table};

/// Returns a table with a row per run: trained parameters, cost and scores. The best score is that of the best
/// checkpoint, which `gradway eval` evaluates; the others are those of the last evaluation.
///
/// Runs on a device with its own memory have an additional column for the host's memory.
pub fn comparison(runs: &[(String, RunOutcome)]) -> Table {
    let has_host = runs.iter().any(|(_, run)| run.host_peak_bytes.is_some());
    let mut heading: Vec<String> = ["run", "trainable in method", "in head", "peak MiB"]
        .map(String::from)
        .into();
    heading.extend(has_host.then(|| HOST_PEAK.to_string()));
    heading.extend(["seconds per step", "steps"].map(String::from));
    // Runs of one comparison share a task.
    if let Some((_, outcome)) = runs.first() {
        let scores = &outcome.last.scores;
        heading.push(format!("best {} %", scores.main_name()));
        let last = scores.headlines();
        heading.extend(
            last.iter()
                .map(|score| format!("last {}", heading_of(score))),
        );
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|(name, outcome)| {
            let mut row = vec![
                name.clone(),
                thousands(outcome.parameters.total),
                thousands(outcome.head_parameters),
                mebibytes(outcome.peak_bytes),
            ];
            row.extend(has_host.then(|| mebibytes(outcome.host_peak_bytes)));
            row.extend([
                format!("{:.3}", outcome.seconds_per_step),
                outcome.steps.to_string(),
                percent(best(outcome)),
            ]);
            let headlines = outcome.last.scores.headlines();
            row.extend(headlines.iter().map(value_of));
            row
        })
        .collect();
    Table::of_numbers(heading, rows)
}

/// Heading of the column for the host's memory.
pub const HOST_PEAK: &str = "host peak MiB";

/// The best main score of a run, if it is defined.
pub(crate) fn best(outcome: &RunOutcome) -> Option<f64> {
    is_defined(&outcome.last.scores).then_some(outcome.best)
}

/// Whether there is a main score: a detector has none if no image has an object. This is so for all evaluations of a
/// run, or for none.
pub(crate) fn is_defined(scores: &Scores) -> bool {
    let headlines = scores.headlines();
    headlines.first().is_none_or(|main| main.value.is_some())
}

/// Returns the main scores in one line.
pub fn headlines(scores: &Scores) -> String {
    let all = scores.headlines().into_iter();
    let named = all.map(|headline| {
        format!(
            "{} {} {}",
            headline.name,
            value_of(&headline),
            unit(headline.unit)
        )
    });
    named.collect::<Vec<_>>().join(", ")
}

fn heading_of(headline: &Headline) -> String {
    format!("{} {}", headline.name, unit(headline.unit))
}

fn value_of(headline: &Headline) -> String {
    score(headline.value, headline.unit)
}

/// Returns the unit in which [`score`] prints scores with this unit.
pub fn unit(unit: &'static str) -> &'static str {
    match unit {
        "share" => "%",
        unit => unit,
    }
}

/// Formats a score with its unit, shares in per cent; a dash for `None`.
pub fn score(value: Option<f64>, unit: &str) -> String {
    match unit {
        "share" => percent(value),
        _ => value.map_or("-".to_string(), |value| format!("{value:.3}")),
    }
}

/// Returns a table with a row for each score of each task.
pub fn task_table(scores: &MultiTaskScores) -> Table {
    let rows: Vec<Vec<String>> = scores
        .tasks
        .iter()
        .map(|(task, scores)| {
            let (metric, _) = scores.main();
            let headline = scores.headline(|metric| metric.name.to_string());
            vec![
                task.to_string(),
                metric.name.to_string(),
                value_of(&headline),
                unit(headline.unit).to_string(),
                metric.summary.to_string(),
            ]
        })
        .collect();
    let heading = [
        ("task", Align::Left),
        ("score", Align::Left),
        ("value", Align::Right),
        ("unit", Align::Left),
        ("what", Align::Left),
    ];
    Table::new(&heading, rows)
}

/// Returns a table with a row for each of COCO's scores.
pub fn detection_table(scores: &DetectionScores) -> Table {
    let rows: Vec<Vec<String>> = scores
        .values()
        .iter()
        .map(|(metric, value)| {
            let summary = metric.summary.to_string();
            vec![metric.name.to_string(), percent(*value), summary]
        })
        .collect();
    let heading = [
        ("score", Align::Left),
        ("%", Align::Right),
        ("what", Align::Left),
    ];
    Table::new(&heading, rows)
}

/// Returns a table with the average precision of each class.
pub fn detection_classes(scores: &DetectionScores) -> Table {
    let rows: Vec<Vec<String>> = scores
        .classes
        .iter()
        .map(|class| vec![class.name.clone(), percent(class.average_precision)])
        .collect();
    Table::new(&[("class", Align::Left), ("AP %", Align::Right)], rows)
}

/// Formats a share in per cent; a dash for `None`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_string(), |share| format!("{:.2}", 100.0 * share))
}

/// Formats `12345` as `12,345`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a number of things: `1 image`, `2 images`. The plural has an `s`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// Formats bytes in MiB; a dash for `None`.
pub fn mebibytes(bytes: Option<usize>) -> String {
    bytes.map_or("-".to_string(), |bytes| {
        format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_195_008), "1,195,008");
    }

    #[test]
    fn one_thing_is_no_plural() {
        let counted = [0, 1, 2].map(|number| count(number, "image"));
        assert_eq!(counted, ["0 images", "1 image", "2 images"]);
    }
}
