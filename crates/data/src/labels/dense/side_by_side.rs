//! Maps of the pictures of a batch, side by side.

use super::map::PixelMap;

/// The numbers of maps, `[count, channels, height, width]`; every map is in the upper left corner of its planes, and
/// `outside` is what is beyond it, and what a picture without a map has.
pub(super) fn side_by_side<M: PixelMap, N: Copy>(
    maps: &[Option<&M>],
    [height, width]: [usize; 2],
    channels: usize,
    outside: N,
    number: impl Fn(M::Label, usize) -> N,
) -> Vec<N> {
    let pixels = height * width;
    let mut data = vec![outside; maps.len() * channels * pixels];
    let pictures = data.chunks_exact_mut((channels * pixels).max(1));
    for (map, picture) in maps.iter().zip(pictures) {
        let Some(map) = map else {
            continue;
        };
        let stride = map.size().0 as usize;
        for (channel, plane) in picture.chunks_exact_mut(pixels.max(1)).enumerate() {
            let rows = map.labels().chunks_exact(stride.max(1));
            for (source, target) in rows.zip(plane.chunks_exact_mut(width.max(1))) {
                for (label, target) in source.iter().zip(target) {
                    *target = number(*label, channel);
                }
            }
        }
    }
    data
}
