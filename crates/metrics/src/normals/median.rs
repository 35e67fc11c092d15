//! The median of many angles in bounded memory.
//!
//! A median needs every angle. Up to 16.8 million are kept, rounded to a 24-millionth of a degree, 4 bytes
//! each. More are counted in 8.4 million bins, whose centres differ by less than 1.1e-5 degrees from the angles
//! they hold: the precision of an angle between float32 vectors.

/// Steps per degree: 180 degrees are the largest `u32`.
const STEPS: f64 = u32::MAX as f64 / 180.0;

fn to_steps(angle: f64) -> u32 {
    (angle * STEPS).round() as u32
}

/// Angles to take the median of, in steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Angles {
    /// Number of angles to keep before they are counted in bins.
    limit: usize,
    /// All angles, until there are too many.
    each: Vec<u32>,
    /// Number of angles in every bin; empty while all angles are kept.
    bins: Vec<u64>,
}

/// Steps per bin, as a power of two.
const BIN: u32 = 9;

impl Default for Angles {
    fn default() -> Self {
        Self {
            limit: 1 << 24,
            each: Vec::new(),
            bins: Vec::new(),
        }
    }
}

impl Angles {
    /// Adds an angle in degrees.
    pub(super) fn add(&mut self, angle: f64) {
        self.add_steps(to_steps(angle));
    }

    fn add_steps(&mut self, steps: u32) {
        if self.bins.is_empty() {
            if self.each.len() < self.limit {
                self.each.push(steps);
                return;
            }
            self.count_in_bins();
        }
        self.bins[(steps >> BIN) as usize] += 1;
    }

    fn count_in_bins(&mut self) {
        self.bins = vec![0; 1 << (u32::BITS - BIN)];
        for steps in std::mem::take(&mut self.each) {
            self.bins[(steps >> BIN) as usize] += 1;
        }
    }

    /// Adds all angles of another list.
    pub(super) fn merge(&mut self, other: &Self) {
        for &steps in &other.each {
            self.add_steps(steps);
        }
        if !other.bins.is_empty() {
            if self.bins.is_empty() {
                self.count_in_bins();
            }
            for (sum, count) in self.bins.iter_mut().zip(&other.bins) {
                *sum += count;
            }
        }
    }

    /// Returns the median in degrees; for an even number of angles the mean of the middle two; `None` without angles.
    pub(super) fn median(&self) -> Option<f64> {
        let count = self.each.len() as u64 + self.bins.iter().sum::<u64>();
        if count == 0 {
            return None;
        }
        let middle = [(count - 1) / 2, count / 2];
        let [lower, upper] = if self.bins.is_empty() {
            let mut each = self.each.clone();
            middle.map(|rank| f64::from(*each.select_nth_unstable(rank as usize).1))
        } else {
            middle.map(|rank| self.in_bins(rank))
        };
        Some((lower + upper) / 2.0 / STEPS)
    }

    /// The centre of the bin that holds the angle of a rank.
    fn in_bins(&self, rank: u64) -> f64 {
        let mut below = 0;
        let bin = self.bins.iter().position(|count| {
            below += count;
            below > rank
        });
        let bin = bin.unwrap_or(self.bins.len() - 1) as f64;
        let width = f64::from(1u32 << BIN);
        bin * width + (width - 1.0) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_the_median_to_their_width() {
        let mut state = 1u32;
        let mut exact = Angles::default();
        let mut first = Angles {
            limit: 100,
            ..Angles::default()
        };
        let mut second = first.clone();
        for index in 0..1001 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            exact.add_steps(state);
            let part = if index % 20 == 0 {
                &mut second
            } else {
                &mut first
            };
            part.add_steps(state);
        }
        // One part has bins and the other has not; either may come first.
        assert!(first.each.is_empty() && second.bins.is_empty());
        let mut merged = second.clone();
        merged.merge(&first);
        first.merge(&second);
        assert_eq!(merged.bins, first.bins);
        let difference = merged.median().unwrap() - exact.median().unwrap();
        assert!(
            difference != 0.0 && difference.abs() < 1.1e-5,
            "{difference}"
        );
        first.add_steps(0);
        exact.add_steps(0);
        let difference = first.median().unwrap() - exact.median().unwrap();
        assert!(difference.abs() < 1.1e-5, "{difference}");
    }

    #[test]
    fn the_ends_of_the_scale_are_kept() {
        assert_eq!((to_steps(0.0), to_steps(180.0)), (0, u32::MAX));
        let mut angles = Angles {
            limit: 0,
            ..Angles::default()
        };
        angles.add(180.0);
        assert!((angles.median().unwrap() - 180.0).abs() < 1.1e-5);
    }
}
