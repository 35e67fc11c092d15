//! Sampling of the regions that a stage is trained on.

use super::bounds::Bounds;
use super::matcher::{Match, Matcher};
use super::objects::Objects;
use super::sampler::Sampler;

/// A sampled region of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Index of the image in the batch.
    pub image: usize,
    /// Its box.
    pub bounds: Bounds,
    /// Index of its object; `None` for background.
    pub object: Option<usize>,
}

/// Samples the regions of an image from its proposals and from the true boxes, so that every object has a region.
pub fn choose(
    image: usize,
    proposals: &[Bounds],
    objects: &Objects,
    matcher: Matcher,
    sampler: Sampler,
    seed: u64,
) -> Vec<Region> {
    let candidates = [&objects.bounds, proposals].concat();
    let found = matcher.matches(&candidates, &objects.bounds);
    let sample = sampler.sample(&found, seed, image as u64);
    let region = |index: usize| Region {
        image,
        bounds: candidates[index],
        object: match found[index] {
            Match::Object(object) => Some(object),
            Match::Background | Match::Between => None,
        },
    };
    let chosen = sample.objects.into_iter().chain(sample.background);
    chosen.map(region).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_proposals_too() {
        let objects = Objects {
            bounds: vec![[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]],
            classes: vec![3, 4],
        };
        let proposals = [[1.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]];
        let matcher = Matcher {
            object: 0.5,
            background: 0.5,
            best_from: None,
        };
        let sampler = Sampler {
            count: 8,
            objects: 0.5,
        };
        let regions = choose(1, &proposals, &objects, matcher, sampler, 0);
        let found: Vec<_> = regions.iter().map(|region| region.object).collect();
        assert_eq!(found, [Some(0), Some(1), Some(0), None]);
        assert_eq!(regions[2].bounds, proposals[0]);
        assert!(regions.iter().all(|region| region.image == 1));
        let nothing = choose(0, &proposals, &Objects::default(), matcher, sampler, 0);
        assert_eq!(nothing.len(), 2);
    }
}
