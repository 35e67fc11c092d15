//! Which classes occur, to notice those that never do.

use std::fmt;

use super::dense::IGNORE;

/// Counts the labels of a split, pixel by pixel or object by object.
///
/// A class of the list that never occurs is never learnt, and its absence may show in no score: it is
/// worth a warning. Whoever reads a whole epoch can count along, at the price of a pass over the labels.
///
/// ```
/// use gradway_data::LabelCensus;
///
/// let mut census = LabelCensus::new(["background".to_string(), "object".to_string()]);
/// census.add_labels(&[0, 0, 255, 0]);
/// let absent = census.absent().unwrap();
/// assert_eq!(absent.names, ["object"]);
/// assert_eq!(absent.ignored, 0.25);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCensus {
    names: Vec<String>,
    counts: Vec<u64>,
}

/// The classes that never occur.
#[derive(Debug, Clone, PartialEq)]
pub struct AbsentClasses {
    /// Their names, in label order.
    pub names: Vec<String>,
    /// Number of classes of the list.
    pub classes: usize,
    /// Share of the labels that are ignored.
    pub ignored: f64,
}

impl LabelCensus {
    /// Nothing counted yet, of the classes `names`, in label order.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            counts: vec![0; usize::from(IGNORE) + 1],
        }
    }

    /// Counts the label of every pixel, [`IGNORE`] among them.
    pub fn add_labels(&mut self, labels: &[u8]) {
        for &label in labels {
            self.counts[usize::from(label)] += 1;
        }
    }

    /// Counts `times` more of a class.
    pub fn add(&mut self, class: usize, times: u64) {
        if let Some(count) = self.counts.get_mut(class) {
            *count += times;
        }
    }

    /// The classes that never occurred; none if all of them did.
    pub fn absent(&self) -> Option<AbsentClasses> {
        let absent = self.names.iter().zip(&self.counts);
        let names = absent.filter(|(_, count)| **count == 0);
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        let all: u64 = self.counts.iter().sum();
        (!names.is_empty()).then(|| AbsentClasses {
            names,
            classes: self.names.len(),
            ignored: self.counts[usize::from(IGNORE)] as f64 / all.max(1) as f64,
        })
    }
}

/// One line, such as `1 of 2 classes never occurs: object`.
impl fmt::Display for AbsentClasses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let shown = &self.names[..self.names.len().min(SHOWN)];
        let verb = if self.names.len() == 1 {
            "occurs"
        } else {
            "occur"
        };
        write!(
            formatter,
            "{} of {} classes never {verb}: {}",
            self.names.len(),
            self.classes,
            shown.join(", ")
        )?;
        match self.names.len() - shown.len() {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

impl AbsentClasses {
    /// What may be wrong; nothing where no label is ignored.
    pub fn hint(&self) -> Option<String> {
        (self.ignored > 0.0).then(|| {
            format!(
                "{:.2} % of the pixels are ignored; if their value is a class, set labels = {{ values = {{ 0 = \"background\", 255 = \"object\" }} }}",
                100.0 * self.ignored
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurs_is_named() {
        let names = || ["a", "b", "c"].map(str::to_string);
        let mut census = LabelCensus::new(names());
        assert_eq!(census.absent().unwrap().names, names());
        census.add_labels(&[0, 0, IGNORE, 2]);
        let absent = census.absent().unwrap();
        assert_eq!(absent.to_string(), "1 of 3 classes never occurs: b");
        assert!(absent.hint().unwrap().contains("25.00 % of the pixels"));
        census.add(1, 1);
        assert_eq!(census.absent(), None);
        let many = (0..20).map(|class| class.to_string());
        let absent = LabelCensus::new(many).absent().unwrap();
        assert!(
            absent.to_string().ends_with("10, 11 and 8 more"),
            "{absent}"
        );
        assert_eq!(absent.hint(), None);
    }
}
