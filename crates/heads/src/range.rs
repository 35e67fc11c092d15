//! The range of widths and numbers.

/// Far larger values are mistakes, and must be rejected before their memory is allocated.
const MOST: usize = 1 << 14;

/// Checks that the width or number of a key is not zero and not too large.
pub(crate) fn check(key: &str, value: usize) -> Result<(), String> {
    match value {
        0 => Err(format!("{key} = 0; it must be at least 1")),
        1..=MOST => Ok(()),
        _ => Err(format!("{key} = {value}; it must be at most {MOST}")),
    }
}
