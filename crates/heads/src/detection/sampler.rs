//! Sampling of the candidates in a loss.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::matcher::Match;

/// Draws candidates with a limit on the share of those matched with an object (Girshick 2015, arXiv 1504.08083,
/// section 2.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Number of candidates per image.
    pub count: usize,
    /// Maximum share of candidates matched with an object.
    pub objects: f32,
}

/// Indices of the sampled candidates, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Candidates matched with an object.
    pub objects: Vec<usize>,
    /// Background candidates.
    pub background: Vec<usize>,
}

impl Sampler {
    /// Samples the candidates of an image. The result depends only on `seed` and `stream`, which differs
    /// between the images and uses of one step.
    pub fn sample(&self, matches: &[Match], seed: u64, stream: u64) -> Sample {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        let of = |wanted: fn(&Match) -> bool| -> Vec<usize> {
            let indices = matches.iter().enumerate();
            indices
                .filter(|(_, found)| wanted(found))
                .map(|(index, _)| index)
                .collect()
        };
        let objects = of(|found| matches!(found, Match::Object(_)));
        let most = (self.count as f32 * self.objects) as usize;
        let objects = draw(objects, most, &mut random);
        let background = of(|found| *found == Match::Background);
        let background = draw(background, self.count - objects.len(), &mut random);
        Sample {
            objects,
            background,
        }
    }
}

/// Draws `count` values at random, in their order; all if there are fewer.
fn draw(mut all: Vec<usize>, count: usize, random: &mut impl RngCore) -> Vec<usize> {
    if all.len() <= count {
        return all;
    }
    // The first places of a shuffle.
    for place in 0..count {
        let rest = (all.len() - place) as u64;
        let other = place + ((u64::from(random.next_u32()) * rest) >> 32) as usize;
        all.swap(place, other);
    }
    all.truncate(count);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tenth is matched with an object, every tenth is ignored.
    fn matches() -> Vec<Match> {
        let found = |index: usize| match index % 10 {
            0 => Match::Object(index / 10),
            1 => Match::Between,
            _ => Match::Background,
        };
        (0..1000).map(found).collect()
    }

    #[test]
    fn shares_are_bounded_and_filled_up() {
        let matches = matches();
        for (count, share, objects) in [(100, 0.25, 25), (100, 1.0, 100), (600, 0.5, 100)] {
            let sampler = Sampler {
                count,
                objects: share,
            };
            let sample = sampler.sample(&matches, 3, 0);
            assert_eq!(sample.objects.len(), objects);
            assert_eq!(sample.background.len(), count - objects);
            assert!(sample.objects.iter().all(|index| index % 10 == 0));
            assert!(sample.background.iter().all(|index| index % 10 > 1));
            assert!(sample.background.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn a_sample_is_a_function_of_seed_and_stream() {
        let sampler = Sampler {
            count: 64,
            objects: 0.5,
        };
        let sample = |seed, stream| sampler.sample(&matches(), seed, stream);
        assert_eq!(sample(1, 0), sample(1, 0));
        assert_ne!(sample(1, 0), sample(1, 1));
        assert_ne!(sample(1, 0), sample(2, 0));
    }

    #[test]
    fn every_candidate_is_drawn_as_often() {
        let matches = vec![Match::Background; 50];
        let sampler = Sampler {
            count: 10,
            objects: 0.5,
        };
        let mut drawn = [0; 50];
        for stream in 0..2000 {
            for index in sampler.sample(&matches, 7, stream).background {
                drawn[index] += 1;
            }
        }
        // 400 each, deviation 18.
        assert!(
            drawn.iter().all(|count| (310..490).contains(count)),
            "{drawn:?}"
        );
    }
}
