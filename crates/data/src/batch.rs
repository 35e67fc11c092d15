//! A batch: padded and normalised images with their labels.

use image::RgbImage;

use crate::input::NetworkInput;

/// The labels of an image in a batch.
pub trait BatchItem: Clone {
    /// Returns the identifier of the image in its dataset.
    fn id(&self) -> &str;

    /// Returns the height and width of the image in its batch, without padding.
    fn size(&self) -> [usize; 2];
}

/// A prepared image with its labels, ready for a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared<Item> {
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// Its labels, of the size of the image.
    pub item: Item,
}

/// A batch of images with their labels.
///
/// Each image is in the upper left corner of its map; the rest is 0, the mean colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<Item> {
    /// `[count, 3, height, width]` normalised colours.
    pub images: Vec<f32>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Number of images.
    pub count: usize,
    /// Height and width are padded to multiples of this.
    pub stride: usize,
    /// `[count]`, the labels of each image.
    pub items: Vec<Item>,
    /// The same images at further scales, for an evaluation that asks for them. Their items have no labels.
    pub scaled: Vec<Self>,
}

/// Images of a batch that have the same size if each is padded separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeGroup {
    /// Their padded height and width.
    pub size: [usize; 2],
    /// Their indices in the batch.
    pub places: Vec<usize>,
}

impl<Item: BatchItem> Batch<Item> {
    /// Creates a batch: pads images to the largest of them and then to multiples of the network's stride, and
    /// normalises them.
    pub fn padded(pictures: Vec<Prepared<Item>>, input: &NetworkInput) -> Self {
        let largest = |axis: usize| {
            let sides = pictures.iter().map(|picture| picture.item.size()[axis]);
            sides.max().unwrap_or(0)
        };
        let size = [largest(0), largest(1)];
        Self::of_size(pictures, size, input)
    }

    /// As [`padded`](Self::padded), with maps of `size` (height and width) before padding; images are cropped to it.
    pub fn of_size(pictures: Vec<Prepared<Item>>, size: [usize; 2], input: &NetworkInput) -> Self {
        let [height, width] = size.map(|side| input.pad(side));
        let count = pictures.len();
        let mut images = vec![0.0; count * 3 * height * width];
        let targets = images.chunks_exact_mut((3 * height * width).max(1));
        for (picture, planes) in pictures.iter().zip(targets) {
            let normalization = &input.normalization;
            normalization.write(&picture.image, planes, height, width);
        }
        Self {
            images,
            height,
            width,
            count,
            stride: input.stride,
            items: pictures.into_iter().map(|picture| picture.item).collect(),
            scaled: Vec::new(),
        }
    }

    /// Returns the identifiers of the images in their dataset, `[count]`.
    pub fn ids(&self) -> Vec<&str> {
        self.items.iter().map(Item::id).collect()
    }

    /// Groups the images by their size if each is padded separately to multiples of `stride`; the group of the
    /// first image is first.
    ///
    /// The output of a network depends on the padding around an image. Only the images of a group may go
    /// through it together, since otherwise a prediction would depend on the other images of the batch.
    pub fn groups(&self, stride: usize) -> Vec<SizeGroup> {
        let mut groups: Vec<SizeGroup> = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            let size = item.size().map(|side| side.next_multiple_of(stride.max(1)));
            match groups.iter_mut().find(|group| group.size == size) {
                Some(group) => group.places.push(place),
                None => groups.push(SizeGroup {
                    size,
                    places: vec![place],
                }),
            }
        }
        groups
    }

    /// Returns the images of a group as a batch of the group's size, at this scale alone.
    pub fn select(&self, group: &SizeGroup) -> Self {
        let [height, width] = group.size;
        let mut images = vec![0.0; group.places.len() * 3 * height * width];
        let targets = images.chunks_exact_mut((3 * height * width).max(1));
        for (&place, target) in group.places.iter().zip(targets) {
            let length = 3 * self.height * self.width;
            let source = &self.images[place * length..][..length];
            let planes = source.chunks_exact((self.height * self.width).max(1));
            for (source, target) in planes.zip(target.chunks_exact_mut((height * width).max(1))) {
                let rows = source.chunks_exact(self.width.max(1));
                for (source, target) in rows.zip(target.chunks_exact_mut(width.max(1))) {
                    let common = source.len().min(target.len());
                    target[..common].copy_from_slice(&source[..common]);
                }
            }
        }
        let places = group.places.iter();
        Self {
            images,
            height,
            width,
            count: group.places.len(),
            stride: self.stride,
            items: places.map(|&place| self.items[place].clone()).collect(),
            scaled: Vec::new(),
        }
    }

    /// The images at every scale, this one first.
    pub fn scales(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.scaled)
    }

    /// `[count, 3, height, width]`
    pub fn shape(&self) -> [usize; 4] {
        [self.count, 3, self.height, self.width]
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::normalize::Normalization;

    #[derive(Debug, Clone, PartialEq)]
    struct Size([usize; 2]);

    impl BatchItem for Size {
        fn id(&self) -> &str {
            "size"
        }

        fn size(&self) -> [usize; 2] {
            self.0
        }
    }

    fn picture(height: u32, width: u32, value: u8) -> Prepared<Size> {
        Prepared {
            image: RgbImage::from_fn(width, height, |x, y| Rgb([value, x as u8, y as u8])),
            item: Size([height as usize, width as usize]),
        }
    }

    fn input(stride: usize) -> NetworkInput {
        NetworkInput {
            normalization: Normalization {
                mean: [0.0; 3],
                std: [1.0; 3],
            },
            stride,
        }
    }

    #[test]
    fn a_group_alone_is_the_batch_of_its_pictures_alone() {
        let pictures = [
            picture(5, 7, 1),
            picture(4, 9, 2),
            picture(8, 8, 3),
            picture(3, 12, 4),
        ];
        let batch = Batch::padded(pictures.to_vec(), &input(4));
        assert_eq!(batch.shape(), [4, 3, 8, 12]);
        let groups = batch.groups(4);
        let places: Vec<&[usize]> = groups.iter().map(|group| &*group.places).collect();
        assert_eq!(places, [&[0, 2][..], &[1, 3]]);
        for group in &groups {
            let alone = group.places.iter().map(|&place| pictures[place].clone());
            let alone = Batch::padded(alone.collect(), &input(4));
            assert_eq!([alone.height, alone.width], group.size);
            assert_eq!(batch.select(group), alone);
        }
        // Wider than the maps that they lie on: the rest is the mean colour.
        let wide = &batch.groups(16)[0];
        let expected = Batch::padded(pictures.to_vec(), &input(16));
        assert_eq!(batch.select(wide).images, expected.images);
    }

    #[test]
    fn an_empty_batch_has_no_groups() {
        let batch = Batch::<Size>::padded(Vec::new(), &input(4));
        assert_eq!(batch.shape(), [0, 3, 0, 0]);
        assert!(batch.groups(4).is_empty());
    }
}
