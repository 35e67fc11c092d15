//! Which class a stored value or colour is.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dense::IGNORE;

/// How values or colours stored in a mask become classes.
///
/// Stated by the configuration or the format, never guessed, and checked on every mask read. A
/// configuration writes `"reduce_zero"`, `{ direct = { ignore = 255 } }`,
/// `{ values = { 0 = "background", 255 = "object" }, ignore = [128] }` or
/// `{ colors = { road = [128, 64, 128], car = [[64, 0, 128], [64, 0, 192]] }, ignore = [0, 0, 0] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelPolicy {
    /// 0 is ignore and `k` is class `k - 1`, as in ADE20K; 255 is ignore too.
    ReduceZero,
    /// `k` is class `k`; the one value given is ignore.
    Direct {
        /// The stored value that means ignore, such as 255 in Pascal VOC and 11 in CamVid.
        ignore: u8,
    },
    /// The class of every value is named.
    Values {
        /// The name of the class that a stored value, of 8 or 16 bits, means.
        values: BTreeMap<u16, String>,
        /// The stored values that mean ignore.
        ignore: Vec<u16>,
    },
    /// The class of every colour is named.
    Colors {
        /// The colours of every class, exactly.
        colors: BTreeMap<String, Vec<[u8; 3]>>,
        /// The colours that mean ignore.
        ignore: Vec<[u8; 3]>,
    },
}

/// The forms of a policy, as a configuration names them.
const FORMS: &[&str] = &["reduce_zero", "direct", "values", "colors"];

impl LabelPolicy {
    /// The policy as the configuration writes it, in short.
    pub fn describe(&self) -> String {
        match self {
            Self::ReduceZero => "reduce_zero".into(),
            Self::Direct { ignore } => format!("direct, ignore = {ignore}"),
            Self::Values { values, .. } => format!("values ({})", values.len()),
            Self::Colors { colors, .. } => {
                let colors: usize = colors.values().map(Vec::len).sum();
                format!("colors ({colors})")
            }
        }
    }

    /// The stored values the policy allows, in words.
    pub fn allowed(&self, classes: usize) -> String {
        match self {
            Self::ReduceZero => format!("0 and {IGNORE} (ignore) and 1..={classes}"),
            Self::Direct { ignore } => {
                format!("0..={} and {ignore} (ignore)", classes.saturating_sub(1))
            }
            Self::Values { values, ignore } => {
                let classes = values
                    .iter()
                    .map(|(value, name)| format!("{value} ({name})"));
                let ignore = ignore.iter().map(|value| format!("{value} (ignore)"));
                shortened(classes.chain(ignore))
            }
            Self::Colors { colors, ignore } => {
                let classes = colors.iter().flat_map(|(name, colors)| {
                    let color = move |color| format!("{color:?} ({name})");
                    colors.iter().map(color)
                });
                let ignore = ignore.iter().map(|color| format!("{color:?} (ignore)"));
                shortened(classes.chain(ignore))
            }
        }
    }
}

/// The first of some words.
fn shortened(words: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let words: Vec<String> = words.collect();
    match words.len().saturating_sub(SHOWN) {
        0 => words.join(", "),
        more => format!("{} and {more} more", words[..SHOWN].join(", ")),
    }
}

impl Serialize for LabelPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Direct {
            ignore: u8,
        }

        let mut map = match self {
            Self::ReduceZero => return serializer.serialize_str("reduce_zero"),
            _ => serializer.serialize_map(None)?,
        };
        match self {
            Self::ReduceZero => {}
            &Self::Direct { ignore } => map.serialize_entry("direct", &Direct { ignore })?,
            Self::Values { values, ignore } => {
                if !ignore.is_empty() {
                    map.serialize_entry("ignore", ignore)?;
                }
                let values = values.iter().map(|(value, name)| (value.to_string(), name));
                map.serialize_entry("values", &values.collect::<BTreeMap<_, _>>())?;
            }
            Self::Colors { colors, ignore } => {
                if !ignore.is_empty() {
                    map.serialize_entry("ignore", ignore)?;
                }
                map.serialize_entry("colors", colors)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for LabelPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}

struct PolicyVisitor;

/// One number, a list of them, or a list of lists: a value or colour, or several.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a value or colour, or a list of them, such as 255 or [0, 0, 0]"
)]
enum Numbers {
    One(u16),
    List(Vec<u16>),
    Lists(Vec<Vec<u16>>),
}

impl Numbers {
    fn values<E: Error>(self) -> Result<Vec<u16>, E> {
        match self {
            Self::One(value) => Ok(vec![value]),
            Self::List(values) => Ok(values),
            Self::Lists(_) => Err(E::custom("`ignore`: expected values, such as [254, 255]")),
        }
    }

    /// The colours of `key`.
    fn colors<E: Error>(self, key: &str) -> Result<Vec<[u8; 3]>, E> {
        let lists = match self {
            Self::One(value) => vec![vec![value]],
            Self::List(values) if values.is_empty() => Vec::new(),
            Self::List(values) => vec![values],
            Self::Lists(lists) => lists,
        };
        let color = |list: Vec<u16>| {
            let bytes: Option<Vec<u8>> = list.iter().map(|&value| value.try_into().ok()).collect();
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
                E::custom(format_args!(
                    "`{key}`: a colour is {list:?}; expected red, green and blue, each from 0 to 255"
                ))
            })
        };
        lists.into_iter().map(color).collect()
    }
}

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = LabelPolicy;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "a label policy: \"reduce_zero\", { direct = { ignore = 255 } }, \
             { values = { 0 = \"background\", 255 = \"object\" } } or { colors = { road = [128, 64, 0] } }",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<LabelPolicy, E> {
        match text {
            "reduce_zero" => Ok(LabelPolicy::ReduceZero),
            other => Err(E::unknown_variant(other, FORMS)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelPolicy, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Direct {
            ignore: u8,
        }

        let (mut direct, mut values, mut colors, mut ignore) = (None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "direct" => direct = Some(map.next_value::<Direct>()?),
                "values" => values = Some(map.next_value::<BTreeMap<String, String>>()?),
                "colors" => colors = Some(map.next_value::<BTreeMap<String, Numbers>>()?),
                "ignore" => ignore = Some(map.next_value::<Numbers>()?),
                other => {
                    const KEYS: &[&str] = &["direct", "values", "colors", "ignore"];
                    return Err(A::Error::unknown_variant(other, KEYS));
                }
            }
        }
        match (direct, values, colors) {
            (Some(Direct { ignore: value }), None, None) if ignore.is_none() => {
                Ok(LabelPolicy::Direct { ignore: value })
            }
            (None, Some(named), None) => {
                let mut values = BTreeMap::new();
                for (key, name) in named {
                    let value = key.trim().parse::<u16>().map_err(|_| {
                        A::Error::custom(format_args!(
                            "`values`: `{key}` is not a value of a mask; expected a number from 0 to 65535"
                        ))
                    })?;
                    if values.insert(value, name).is_some() {
                        return Err(A::Error::custom(format_args!(
                            "`values`: value {value} occurs twice"
                        )));
                    }
                }
                let ignore = ignore.map_or(Ok(Vec::new()), Numbers::values)?;
                Ok(LabelPolicy::Values { values, ignore })
            }
            (None, None, Some(named)) => {
                let mut colors = BTreeMap::new();
                for (name, numbers) in named {
                    let of_class = numbers.colors(&name)?;
                    colors.insert(name, of_class);
                }
                let ignore = ignore.map_or(Ok(Vec::new()), |numbers| numbers.colors("ignore"))?;
                Ok(LabelPolicy::Colors { colors, ignore })
            }
            _ => Err(A::Error::custom(
                "expected one of `direct`, `values` and `colors`; the latter two may also have `ignore`",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
