//! A policy made ready for a class list: the class of every stored value or colour.

use std::collections::HashMap;
use std::hash::Hash;

use super::dense::{IGNORE, MAXIMUM_CLASSES};
use super::policy::LabelPolicy;
use crate::error::DataError;

/// The class of every stored value or colour.
#[derive(Debug, Clone)]
pub struct LabelTable {
    policy: LabelPolicy,
    classes: usize,
    lookup: Lookup,
}

#[derive(Debug, Clone)]
enum Lookup {
    Values {
        /// The class of every value of 8 bits.
        small: Box<[Option<u8>; 256]>,
        /// Those of larger values that have one.
        large: HashMap<u16, u8>,
    },
    Colors(HashMap<[u8; 3], u8>),
}

impl LabelPolicy {
    /// The table of this policy for the classes `names`, in label order.
    ///
    /// # Errors
    /// [`DataError::ClassCount`] if there are no classes, more than [`MAXIMUM_CLASSES`], or if the
    /// ignore value of [`LabelPolicy::Direct`] is one of them; [`DataError::LabelPolicy`] if the policy
    /// names a class that there is not, says nothing of one, or says two things of a value or colour.
    pub fn table(&self, names: &[String]) -> Result<LabelTable, DataError> {
        self.check_count(names.len())?;
        let lookup = match self {
            Self::ReduceZero | Self::Direct { .. } => Lookup::Values {
                small: Box::new(std::array::from_fn(|value| {
                    self.plain_class(value as u8, names.len())
                })),
                large: HashMap::new(),
            },
            Self::Values { values, ignore } => {
                let named = values.iter().map(|(&value, name)| (value, name.as_str()));
                let classes = Classes {
                    policy: "values",
                    what: "value",
                    names,
                };
                let all = classes.resolve(named, ignore)?;
                let mut small = Box::new([None; 256]);
                let mut large = HashMap::new();
                for (value, class) in all {
                    match small.get_mut(usize::from(value)) {
                        Some(place) => *place = Some(class),
                        None => {
                            large.insert(value, class);
                        }
                    }
                }
                Lookup::Values { small, large }
            }
            Self::Colors { colors, ignore } => {
                let named = colors.iter().flat_map(|(name, colors)| {
                    let named = move |&color| (color, name.as_str());
                    colors.iter().map(named)
                });
                let classes = Classes {
                    policy: "colors",
                    what: "colour",
                    names,
                };
                // A class with an empty list of colours is named, and has none.
                if let Some(name) = colors.keys().find(|name| !names.contains(*name)) {
                    return Err(classes.unknown(name));
                }
                Lookup::Colors(classes.resolve(named, ignore)?)
            }
        };
        Ok(LabelTable {
            policy: self.clone(),
            classes: names.len(),
            lookup,
        })
    }

    /// Refuses a number of classes that the policy cannot tell from its ignore value.
    fn check_count(&self, classes: usize) -> Result<(), DataError> {
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

    /// The class of a value where classes are numbers.
    fn plain_class(&self, value: u8, classes: usize) -> Option<u8> {
        let class = match *self {
            Self::ReduceZero if value == 0 || value == IGNORE => return Some(IGNORE),
            Self::ReduceZero => value - 1,
            Self::Direct { ignore } if value == ignore => return Some(IGNORE),
            _ => value,
        };
        (class != IGNORE && usize::from(class) < classes).then_some(class)
    }
}

/// The class list that a policy names classes of.
struct Classes<'a> {
    policy: &'static str,
    what: &'static str,
    names: &'a [String],
}

impl Classes<'_> {
    /// The class of every key.
    fn resolve<'n, K: Copy + Eq + Hash + std::fmt::Debug>(
        &self,
        named: impl Iterator<Item = (K, &'n str)>,
        ignore: &[K],
    ) -> Result<HashMap<K, u8>, DataError> {
        let index = |name: &str| self.names.iter().position(|known| known == name);
        let mut classes: HashMap<K, (u8, &str)> = HashMap::new();
        let mut seen = vec![false; self.names.len()];
        for (key, name) in named {
            let class = index(name).ok_or_else(|| self.unknown(name))?;
            seen[class] = true;
            // Within MAXIMUM_CLASSES.
            if let Some((_, first)) = classes.insert(key, (class as u8, name)) {
                return Err(self.twice(key, first, name));
            }
        }
        if let Some(class) = seen.iter().position(|seen| !seen) {
            let (policy, what, name) = (self.policy, self.what, &self.names[class]);
            return Err(DataError::LabelPolicy {
                reason: format!(
                    "`{policy}` has no {what} of class `{name}`; every class of `classes` needs one"
                ),
            });
        }
        for &key in ignore {
            if let Some((class, first)) = classes.insert(key, (IGNORE, "ignore"))
                && class != IGNORE
            {
                return Err(self.twice(key, first, "ignore"));
            }
        }
        Ok(classes
            .into_iter()
            .map(|(key, (class, _))| (key, class))
            .collect())
    }

    fn unknown(&self, name: &str) -> DataError {
        let (policy, names) = (self.policy, self.names.join(", "));
        DataError::LabelPolicy {
            reason: format!(
                "`{policy}` names the class `{name}`, which is not among `classes` ({names})"
            ),
        }
    }

    fn twice(&self, key: impl std::fmt::Debug, first: &str, second: &str) -> DataError {
        let (policy, what) = (self.policy, self.what);
        DataError::LabelPolicy {
            reason: format!("`{policy}`: {what} {key:?} is both `{first}` and `{second}`"),
        }
    }
}

impl LabelTable {
    /// The policy that it follows.
    pub fn policy(&self) -> &LabelPolicy {
        &self.policy
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether masks store colours rather than values.
    pub fn is_of_colors(&self) -> bool {
        matches!(self.lookup, Lookup::Colors(_))
    }

    /// The class of a stored value, [`IGNORE`] where that is what it means; none if it means nothing.
    pub fn class_of_value(&self, value: u16) -> Option<u8> {
        match &self.lookup {
            Lookup::Values { small, large } => match small.get(usize::from(value)) {
                Some(class) => *class,
                None => large.get(&value).copied(),
            },
            Lookup::Colors(_) => None,
        }
    }

    /// The class of a stored colour, of 16 bits a channel if `sixteen`, else of 8.
    ///
    /// Colours of 16 bits are those of 8 if every channel is stretched to the whole range (times 257),
    /// or none is.
    pub fn class_of_color(&self, color: [u16; 3], sixteen: bool) -> Option<u8> {
        const STRETCH: u16 = 257;
        let Lookup::Colors(classes) = &self.lookup else {
            return None;
        };
        let stretched = sixteen && color.iter().all(|value| value.is_multiple_of(STRETCH));
        let color = match stretched {
            true => color.map(|value| value / STRETCH),
            false => color,
        };
        let bytes = color.map(|value| u8::try_from(value).ok());
        let [Some(red), Some(green), Some(blue)] = bytes else {
            return None;
        };
        classes.get(&[red, green, blue]).copied()
    }
}

/// Refuses a class list that does not fit its palette or its label policy, or is not unique.
///
/// # Errors
/// [`DataError::ClassCount`], [`DataError::DuplicateClass`] or [`DataError::LabelPolicy`].
pub(crate) fn check_classes(
    names: &[String],
    palette: &[[u8; 3]],
    labels: &LabelPolicy,
) -> Result<LabelTable, DataError> {
    labels.check_count(names.len())?;
    if palette.len() != names.len() {
        return Err(DataError::ClassCount {
            found: names.len(),
            expected: format!(
                "expected {}, one for each colour of the palette",
                palette.len()
            ),
        });
    }
    check_unique(names)?;
    labels.table(names)
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
