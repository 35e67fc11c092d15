//! Tables as text and as Markdown.

use std::{fmt, iter};

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left, for words.
    Left,
    /// Right, for numbers.
    Right,
}

/// A table with a heading. As text, every column is as wide as its widest cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    heading: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table. Short rows are filled up with empty cells.
    pub fn new(heading: &[(&str, Align)], rows: Vec<Vec<String>>) -> Self {
        let column = |&(name, align): &(&str, Align)| (name.to_string(), align);
        Self {
            heading: heading.iter().map(column).collect(),
            rows,
        }
    }

    /// Creates a table with names in the first column and numbers in the others.
    pub fn of_numbers(
        heading: impl IntoIterator<Item = impl Into<String>>,
        rows: Vec<Vec<String>>,
    ) -> Self {
        let names = heading.into_iter().map(Into::into);
        let aligns = iter::once(Align::Left).chain(iter::repeat(Align::Right));
        Self {
            heading: names.zip(aligns).collect(),
            rows,
        }
    }

    fn cell<'a>(&self, row: &'a [String], column: usize) -> &'a str {
        row.get(column).map_or("", String::as_str)
    }

    /// Returns the table in Markdown; every line ends with a newline, and the name of a row is set as code.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.heading.iter().map(|(name, _)| name.as_str()).collect());
        text += &format!("|{}\n", "---|".repeat(self.heading.len()));
        for row in &self.rows {
            let name = format!("`{}`", self.cell(row, 0));
            let rest = (1..self.heading.len()).map(|column| self.cell(row, column));
            text += &line([name.as_str()].into_iter().chain(rest).collect());
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.heading.iter().enumerate().map(|(column, (name, _))| {
            let cells = self.rows.iter().map(|row| self.cell(row, column));
            let widths = cells.map(|cell| cell.chars().count());
            widths.chain([name.chars().count()]).max().unwrap_or(0)
        });
        let widths: Vec<usize> = widths.collect();
        let line = |cells: Vec<&str>| {
            let cells = cells.into_iter().zip(&self.heading).zip(&widths);
            let padded = cells.map(|((cell, (_, align)), &width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
        };
        let names = self.heading.iter().map(|(name, _)| name.as_str());
        formatter.write_str(&line(names.collect()))?;
        for row in &self.rows {
            let cells = (0..self.heading.len()).map(|column| self.cell(row, column));
            write!(formatter, "\n{}", line(cells.collect()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_every_cell() {
        let heading = [("name", Align::Left), ("n", Align::Right)];
        let rows = vec![
            vec!["a".to_string(), "10".to_string()],
            vec!["longer".to_string()],
        ];
        let table = Table::new(&heading, rows);
        assert_eq!(table.to_string(), "name     n\na       10\nlonger");
        assert_eq!(
            table.markdown(),
            "| name | n |\n|---|---|\n| `a` | 10 |\n| `longer` |  |\n"
        );
    }
}
