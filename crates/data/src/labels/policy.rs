//! Which class a stored value is, and which class lists fit that.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::label_map::{IGNORE, MAXIMUM_CLASSES};
use crate::error::DataError;

/// How values stored in a mask become classes.
///
/// Stated by the configuration or the format, never guessed, and checked on every mask read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LabelPolicy {
    /// 0 is ignore and `k` is class `k - 1`, as in ADE20K; 255 is ignore too.
    ReduceZero,
    /// `k` is class `k`; the one value given is ignore.
    Direct {
        /// The stored value that means ignore, such as 255 in Pascal VOC and 11 in CamVid.
        ignore: u8,
    },
}

/// The first value of a mask that a policy cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLabel {
    /// Index of the pixel in row order.
    pub index: usize,
    /// The value stored there.
    pub value: u8,
}

impl LabelPolicy {
    /// Refuses a number of classes that the policy cannot tell from its ignore value.
    ///
    /// # Errors
    /// [`DataError::ClassCount`] if there are no classes, more than [`MAXIMUM_CLASSES`], or if the
    /// ignore value of [`LabelPolicy::Direct`] is one of the classes.
    pub fn check_classes(&self, classes: usize) -> Result<(), DataError> {
        let expected = match *self {
            _ if classes == 0 => "expected at least one name".to_string(),
            _ if classes > MAXIMUM_CLASSES => {
                format!("expected at most {MAXIMUM_CLASSES}, because label {IGNORE} means ignore")
            }
            Self::Direct { ignore } if usize::from(ignore) < classes => format!(
                "expected at most {ignore}, because the label policy `{}` reads value {ignore} as ignore",
                self.describe()
            ),
            _ => return Ok(()),
        };
        Err(DataError::ClassCount {
            found: classes,
            expected,
        })
    }

    /// Turns stored values into classes, in place.
    ///
    /// # Errors
    /// The first value that is neither one of the `classes` nor ignore; `labels` is then partly converted.
    pub fn apply(&self, labels: &mut [u8], classes: usize) -> Result<(), BadLabel> {
        let table = self.lookup(classes);
        for (index, label) in labels.iter_mut().enumerate() {
            match table[usize::from(*label)] {
                Some(class) => *label = class,
                None => {
                    return Err(BadLabel {
                        index,
                        value: *label,
                    });
                }
            }
        }
        Ok(())
    }

    /// The class of every possible stored value.
    fn lookup(&self, classes: usize) -> [Option<u8>; 256] {
        std::array::from_fn(|value| {
            let value = value as u8;
            let class = match *self {
                Self::ReduceZero if value == 0 || value == IGNORE => return Some(IGNORE),
                Self::ReduceZero => value - 1,
                Self::Direct { ignore } if value == ignore => return Some(IGNORE),
                Self::Direct { .. } => value,
            };
            (class != IGNORE && usize::from(class) < classes).then_some(class)
        })
    }

    /// The policy as the configuration writes it.
    pub fn describe(&self) -> String {
        match self {
            Self::ReduceZero => "reduce_zero".into(),
            Self::Direct { ignore } => format!("direct, ignore = {ignore}"),
        }
    }

    /// The stored values the policy allows, in words.
    pub fn allowed(&self, classes: usize) -> String {
        match self {
            Self::ReduceZero => format!("0 and {IGNORE} (ignore) and 1..={classes}"),
            Self::Direct { ignore } => {
                format!("0..={} and {ignore} (ignore)", classes.saturating_sub(1))
            }
        }
    }
}

/// Refuses a class list that does not fit its palette or its label policy, or is not unique.
///
/// # Errors
/// [`DataError::ClassCount`] or [`DataError::DuplicateClass`].
pub(crate) fn check_classes(
    names: &[String],
    palette: &[[u8; 3]],
    labels: &LabelPolicy,
) -> Result<(), DataError> {
    labels.check_classes(names.len())?;
    if palette.len() != names.len() {
        return Err(DataError::ClassCount {
            found: names.len(),
            expected: format!(
                "expected {}, one for each colour of the palette",
                palette.len()
            ),
        });
    }
    check_unique(names)
}

/// Refuses an empty class list, and one that names a class twice.
///
/// # Errors
/// [`DataError::ClassCount`] or [`DataError::DuplicateClass`].
pub(crate) fn check_unique(names: &[String]) -> Result<(), DataError> {
    if names.is_empty() {
        return Err(DataError::ClassCount {
            found: 0,
            expected: "expected at least one".into(),
        });
    }
    let mut seen = HashMap::new();
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name, second) {
            return Err(DataError::DuplicateClass {
                name: name.clone(),
                first,
                second,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduce_zero_shifts_and_ignores_zero() {
        let mut labels = [0, 1, 3, 255];
        LabelPolicy::ReduceZero.apply(&mut labels, 3).unwrap();
        assert_eq!(labels, [IGNORE, 0, 2, IGNORE]);
    }

    #[test]
    fn direct_keeps_classes_and_maps_its_ignore_value() {
        let mut labels = [0, 10, 11];
        LabelPolicy::Direct { ignore: 11 }
            .apply(&mut labels, 11)
            .unwrap();
        assert_eq!(labels, [0, 10, IGNORE]);
    }

    #[test]
    fn the_first_bad_value_is_reported() {
        let mut labels = [0, 1, 4, 5];
        let bad = LabelPolicy::ReduceZero.apply(&mut labels, 3).unwrap_err();
        assert_eq!(bad, BadLabel { index: 2, value: 4 });
        // 255 is not silently taken for ignore where the policy names another value.
        let mut labels = [255];
        assert!(
            LabelPolicy::Direct { ignore: 11 }
                .apply(&mut labels, 11)
                .is_err()
        );
    }

    #[test]
    fn an_ignore_value_cannot_be_a_class() {
        let error = LabelPolicy::Direct { ignore: 11 }
            .check_classes(12)
            .unwrap_err()
            .to_string();
        assert!(error.contains("class list of 12 names"), "{error}");
        assert!(error.contains("value 11 as ignore"), "{error}");
        assert!(LabelPolicy::ReduceZero.check_classes(0).is_err());
        assert!(LabelPolicy::ReduceZero.check_classes(256).is_err());
        assert!(
            LabelPolicy::Direct { ignore: 255 }
                .check_classes(255)
                .is_ok()
        );
    }
}
