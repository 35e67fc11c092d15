//! Tables of results, as text.

use gradway_metrics::DetectionScores;
use gradway_trainer::{Headline, MultiTaskScores, RunOutcome, Scores};

/// How a column of a table is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, columns as wide as their widest cell; a row that is too short is filled
/// up with empty cells.
pub fn table(heading: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let widths: Vec<usize> = heading
        .iter()
        .enumerate()
        .map(|(column, (name, _))| {
            let cells = rows.iter().map(|row| cell(row, column).chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let cells = cells.into_iter().zip(heading).zip(&widths);
        let padded = cells.map(|((cell, (_, align)), &width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let names = heading.iter().map(|(name, _)| (*name).to_string());
    let mut lines = vec![line(names.collect())];
    for row in rows {
        let columns = 0..heading.len();
        lines.push(line(columns.map(|column| cell(row, column)).collect()));
    }
    lines.join("\n")
}

/// A row per run: what it trained, what that took, what came of it.
pub fn comparison(runs: &[(String, RunOutcome)]) -> String {
    // Runs of one comparison share a task.
    let scores: Vec<String> = match runs.first() {
        Some((_, outcome)) => {
            let headlines = outcome.last.scores.headlines();
            headlines.iter().map(heading_of).collect()
        }
        None => Vec::new(),
    };
    let mut heading = vec![
        ("run", Align::Left),
        ("trainable in backbone", Align::Right),
        ("in head", Align::Right),
        ("peak MiB", Align::Right),
        ("seconds per step", Align::Right),
        ("steps", Align::Right),
    ];
    heading.extend(scores.iter().map(|name| (name.as_str(), Align::Right)));
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|(name, outcome)| {
            let mut row = vec![
                name.clone(),
                thousands(outcome.parameters.total),
                thousands(outcome.head_parameters),
                mebibytes(outcome.peak_bytes),
                format!("{:.3}", outcome.seconds_per_step),
                outcome.steps.to_string(),
            ];
            let headlines = outcome.last.scores.headlines();
            row.extend(headlines.iter().map(value_of));
            row
        })
        .collect();
    table(&heading, &rows)
}

/// The scores that matter most, in a line.
pub fn headlines(scores: &Scores) -> String {
    let all = scores.headlines().into_iter();
    let named = all.map(|headline| {
        let (name, value) = (&headline.name, value_of(&headline));
        format!("{name} {value} {}", unit_of(&headline))
    });
    named.collect::<Vec<_>>().join(", ")
}

fn heading_of(headline: &Headline) -> String {
    format!("{} {}", headline.name, unit_of(headline))
}

fn unit_of(headline: &Headline) -> &'static str {
    match headline.unit {
        "share" => "%",
        unit => unit,
    }
}

/// A score in its unit, a share in per cent; a dash where there is none.
fn value_of(headline: &Headline) -> String {
    match headline.unit {
        "share" => percent(headline.value),
        _ => headline
            .value
            .map_or("-".to_string(), |value| format!("{value:.3}")),
    }
}

/// A row for each of several tasks and each of its scores.
pub fn task_table(scores: &MultiTaskScores) -> String {
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
                unit_of(&headline).to_string(),
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
    table(&heading, &rows)
}

/// COCO's numbers, a row each.
pub fn detection_table(scores: &DetectionScores) -> String {
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
    table(&heading, &rows)
}

/// Average precision, a row for each class.
pub fn detection_classes(scores: &DetectionScores) -> String {
    let rows: Vec<Vec<String>> = scores
        .classes
        .iter()
        .map(|class| vec![class.name.clone(), percent(class.average_precision)])
        .collect();
    table(&[("class", Align::Left), ("AP %", Align::Right)], &rows)
}

/// A share in per cent; a dash where there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_string(), |share| format!("{:.2}", 100.0 * share))
}

/// `12345` as `12,345`.
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

/// Bytes in MiB; a dash where nobody counted.
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
    fn columns_are_as_wide_as_their_widest_cell() {
        let heading = [("name", Align::Left), ("n", Align::Right)];
        let rows = [
            vec!["a".to_string(), "10".to_string()],
            vec!["longer".to_string()],
        ];
        assert_eq!(table(&heading, &rows), "name     n\na       10\nlonger");
    }
}
