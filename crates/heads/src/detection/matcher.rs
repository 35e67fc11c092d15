//! Matching of anchors or proposals with objects.

use super::bounds::{Bounds, iou};

/// The match of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The object of this index.
    Object(usize),
    /// Background.
    Background,
    /// Neither an object nor background: ignored in training.
    Between,
}

/// Matches by intersection over union (Ren et al. 2015, arXiv 1506.01497, section 3.1.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matcher {
    /// A candidate with this IoU or more is matched with the object that it overlaps most.
    pub object: f32,
    /// A candidate whose IoU with all objects is below this is background.
    pub background: f32,
    /// Minimum IoU at which the candidates that overlap an object most are matched with it even below `object`,
    /// so that every object has a match. `None` disables this.
    pub best_from: Option<f32>,
}

impl Matcher {
    /// Returns a match for every candidate; without objects all are background.
    pub fn matches(&self, candidates: &[Bounds], objects: &[Bounds]) -> Vec<Match> {
        let mut best = vec![(0.0_f32, 0); candidates.len()];
        let mut best_of_object = vec![0.0_f32; objects.len()];
        for (index, object) in objects.iter().enumerate() {
            for (candidate, best) in candidates.iter().zip(&mut best) {
                let overlap = iou(*candidate, *object);
                if overlap > best.0 {
                    *best = (overlap, index);
                }
                best_of_object[index] = best_of_object[index].max(overlap);
            }
        }
        let mut matches: Vec<Match> = best
            .iter()
            .map(|&(overlap, object)| match overlap {
                _ if objects.is_empty() => Match::Background,
                overlap if overlap >= self.object => Match::Object(object),
                overlap if overlap < self.background => Match::Background,
                _ => Match::Between,
            })
            .collect();
        let Some(from) = self.best_from else {
            return matches;
        };
        for (object, most) in objects.iter().zip(best_of_object) {
            if most < from || most == 0.0 {
                continue;
            }
            for ((candidate, found), best) in candidates.iter().zip(&mut matches).zip(&best) {
                if iou(*candidate, *object) == most {
                    *found = Match::Object(best.1);
                }
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: [Bounds; 2] = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]];

    fn matcher(best_from: Option<f32>) -> Matcher {
        Matcher {
            object: 0.7,
            background: 0.3,
            best_from,
        }
    }

    #[test]
    fn by_thresholds() {
        let candidates = [
            [0.0, 0.0, 10.0, 8.0],
            [0.0, 0.0, 10.0, 5.0],
            [0.0, 0.0, 10.0, 2.0],
            [50.0, 50.0, 60.0, 60.0],
            [20.0, 0.0, 30.0, 7.0],
        ];
        let expected = [
            Match::Object(0),
            Match::Between,
            Match::Background,
            Match::Background,
            Match::Object(1),
        ];
        assert_eq!(matcher(None).matches(&candidates, &OBJECTS), expected);
        assert_eq!(
            matcher(None).matches(&candidates, &[]),
            [Match::Background; 5]
        );
        assert!(matcher(Some(0.0)).matches(&[], &OBJECTS).is_empty());
    }

    #[test]
    fn no_object_goes_without() {
        // The second object's best overlaps are 0.2, twice.
        let candidates = [
            [0.0, 0.0, 10.0, 10.0],
            [20.0, 0.0, 30.0, 2.0],
            [28.0, 0.0, 30.0, 10.0],
        ];
        let found = matcher(Some(0.1)).matches(&candidates, &OBJECTS);
        assert_eq!(
            found,
            [Match::Object(0), Match::Object(1), Match::Object(1)]
        );
        let found = matcher(Some(0.3)).matches(&candidates, &OBJECTS);
        assert_eq!(found[1..], [Match::Background; 2]);
        // What overlaps nothing is for nothing.
        let far = [[90.0, 90.0, 99.0, 99.0]];
        assert_eq!(
            matcher(Some(0.0)).matches(&far, &OBJECTS),
            [Match::Background]
        );
    }
}
