//! Maximum matching of predicted and true edge pixels.

/// The true pixels of an image, and the maximum distance of a predicted pixel from them.
pub(super) struct TrueEdges {
    width: usize,
    height: usize,
    /// For every pixel, its index among the true pixels.
    indices: Vec<Option<u32>>,
    count: usize,
    /// For every row offset, the largest column offset that is still near enough.
    reach: Vec<usize>,
}

impl TrueEdges {
    /// The pixels of `map`, in rows of `width`, that are set; `distance` is the largest allowed distance in pixels.
    pub(super) fn new(map: &[bool], width: usize, distance: f64) -> Self {
        let mut count = 0;
        let mut number = |&on: &bool| {
            on.then(|| {
                count += 1;
                count - 1
            })
        };
        let indices = map.iter().map(&mut number).collect();
        let height = map.len() / width.max(1);
        let limit = distance * distance;
        let is_near = |x: usize, y: usize| ((x * x + y * y) as f64) <= limit;
        let rows = (0..height).take_while(|&y| is_near(0, y));
        let columns = |y: usize| (0..width).take_while(|&x| is_near(x, y)).count() - 1;
        Self {
            width,
            height,
            indices,
            count: count as usize,
            reach: rows.map(columns).collect(),
        }
    }

    /// Number of true pixels.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The true pixels that are near enough to `pixel`.
    fn near(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let (x, y) = (pixel % self.width, pixel / self.width);
        let last = self.reach.len().saturating_sub(1);
        let rows = y.saturating_sub(last)..=(y + last).min(self.height - 1);
        rows.flat_map(move |row| {
            let reach = self.reach[row.abs_diff(y)];
            let columns = x.saturating_sub(reach)..=(x + reach).min(self.width - 1);
            let start = row * self.width;
            self.indices[start + columns.start()..=start + columns.end()]
                .iter()
                .flatten()
                .map(|&index| index as usize)
        })
    }
}

/// A maximum matching of the predicted pixels added so far.
///
/// Every added pixel starts a breadth-first search for an augmenting path (Kuhn's algorithm). If there is none
/// now, there is none later, and no later path uses a true pixel that the search has visited: all of them are
/// matched, and their owners reach only visited pixels. So all failed searches together visit each pair of near
/// pixels once, and one matching serves all thresholds, from the highest to the lowest.
pub(super) struct Matching<'a> {
    truth: &'a TrueEdges,
    /// For every true pixel, the predicted pixel that it is matched with.
    owner: Vec<Option<usize>>,
    /// For every true pixel, whether this search or a failed one has visited it.
    seen: Vec<bool>,
    /// For every true pixel visited by this search, the true pixel whose owner it was reached from; `None` for
    /// the added pixel.
    from: Vec<Option<usize>>,
    /// True pixels visited by this search, with their owners, in breadth-first order.
    queue: Vec<(usize, usize)>,
    size: usize,
}

impl<'a> Matching<'a> {
    /// A matching without pixels.
    pub(super) fn new(truth: &'a TrueEdges) -> Self {
        Self {
            truth,
            owner: vec![None; truth.count],
            seen: vec![false; truth.count],
            from: vec![None; truth.count],
            queue: Vec::new(),
            size: 0,
        }
    }

    /// Number of pixels matched.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Adds a predicted pixel.
    pub(super) fn add(&mut self, pixel: usize) {
        if self.size == self.truth.count {
            return;
        }
        self.queue.clear();
        let (mut asking, mut from, mut next) = (pixel, None, 0);
        loop {
            for index in self.truth.near(asking) {
                if self.seen[index] {
                    continue;
                }
                self.from[index] = from;
                let Some(owner) = self.owner[index] else {
                    self.hand_over(index, pixel);
                    return;
                };
                self.seen[index] = true;
                self.queue.push((index, owner));
            }
            let Some(&(index, owner)) = self.queue.get(next) else {
                // Fruitless: what was seen stays marked.
                return;
            };
            (asking, from) = (owner, Some(index));
            next += 1;
        }
    }

    /// Augments the matching along the path from the free true pixel `index` back to the added pixel.
    fn hand_over(&mut self, mut index: usize, pixel: usize) {
        while let Some(before) = self.from[index] {
            self.owner[index] = self.owner[before];
            index = before;
        }
        self.owner[index] = Some(pixel);
        self.size += 1;
        for &(index, _) in &self.queue {
            self.seen[index] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<bool> {
        text.bytes().map(|byte| byte == b'#').collect()
    }

    fn size(truth: &str, predicted: &str, width: usize, distance: f64) -> usize {
        let truth = TrueEdges::new(&map(truth), width, distance);
        let mut matching = Matching::new(&truth);
        for (pixel, on) in map(predicted).into_iter().enumerate() {
            if on {
                matching.add(pixel);
            }
        }
        matching.size()
    }

    #[test]
    fn every_true_pixel_is_given_once() {
        assert_eq!(size("..#..", ".###.", 5, 1.0), 1);
        assert_eq!(size(".#.#.", "#.#.#", 5, 1.0), 2);
        assert_eq!(size(".....", "#####", 5, 9.0), 0);
        assert_eq!(size("#####", ".....", 5, 9.0), 0);
    }

    #[test]
    fn those_that_have_one_make_room() {
        // Each may take the one to its left or right; the last forces all others to move.
        assert_eq!(size("#.#.#.", ".#.#.#", 6, 1.0), 3);
        // The first takes the second true pixel, and gives it up.
        let truth = TrueEdges::new(&map("##..."), 5, 1.0);
        let mut matching = Matching::new(&truth);
        matching.add(1);
        matching.add(2);
        assert_eq!(matching.size(), 2);
        matching.add(0);
        assert_eq!(matching.size(), 2);
    }

    #[test]
    fn a_distance_may_just_be_reached_and_does_not_wrap_around() {
        // (2, 1) is the square root of 5 away.
        let (truth, predicted) = ("#.....", ".....#");
        assert_eq!(size(truth, predicted, 3, 5f64.sqrt() + 1e-9), 1);
        assert_eq!(size(truth, predicted, 3, 5f64.sqrt() - 1e-9), 0);
        assert_eq!(size("#..", "..#", 3, 2.0), 1);
        // The ends of neighbouring rows.
        assert_eq!(size("...#..", "..#...", 3, 1.0), 0);
        // No distance: the same pixel.
        assert_eq!(size("##.", ".##", 3, 0.0), 1);
    }

    /// The size of a maximum matching, by brute force.
    fn most(truth: &[(usize, usize)], predicted: &[(usize, usize)], limit: usize) -> usize {
        let Some((&(x, y), rest)) = predicted.split_first() else {
            return 0;
        };
        let mut best = most(truth, rest, limit);
        for (index, &(u, v)) in truth.iter().enumerate() {
            if x.abs_diff(u).pow(2) + y.abs_diff(v).pow(2) <= limit {
                let mut left = truth.to_vec();
                left.swap_remove(index);
                best = best.max(1 + most(&left, rest, limit));
            }
        }
        best
    }

    #[test]
    fn as_many_are_matched_as_can_be_after_every_pixel() {
        let (width, height) = (6, 5);
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let place = |pixel: usize| (pixel % width, pixel / width);
        for limit in [1, 2, 4, 5] {
            for _ in 0..20 {
                let mut map = vec![false; width * height];
                for _ in 0..6 {
                    map[random(30) as usize] = true;
                }
                let truth = TrueEdges::new(&map, width, f64::sqrt(limit as f64) + 1e-9);
                let places: Vec<_> = (0..30).filter(|&pixel| map[pixel]).map(place).collect();
                let mut matching = Matching::new(&truth);
                let mut predicted: Vec<usize> = Vec::new();
                for _ in 0..7 {
                    let pixel = random(30) as usize;
                    if predicted.contains(&pixel) {
                        continue;
                    }
                    predicted.push(pixel);
                    matching.add(pixel);
                    let added: Vec<_> = predicted.iter().map(|&pixel| place(pixel)).collect();
                    assert_eq!(matching.size(), most(&places, &added, limit));
                }
            }
        }
    }
}
