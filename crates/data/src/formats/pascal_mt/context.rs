//! The context labels: 459 classes of stuff and things.

use std::path::Path;

use crate::error::DataError;
use crate::io::mat::MatFile;

/// The classes with reliable distilled normals, by number. These are the classes whose name is in the lists of
/// both PASCAL-Context and NYU, on which the network that predicted the normals was trained, except `unknown`;
/// and `tvmonitor`, which is `television` in the list of NYU.
const WITH_NORMALS: &[(u16, &str)] = &[
    (3, "air conditioner"),
    (4, "antenna"),
    (6, "ashtray"),
    (9, "bag"),
    (10, "ball"),
    (11, "balloon"),
    (13, "barrel"),
    (15, "basket"),
    (17, "bathtub"),
    (18, "bed"),
    (22, "bench"),
    (23, "bicycle"),
    (29, "blackboard"),
    (30, "board"),
    (33, "book"),
    (34, "bottle"),
    (36, "bowl"),
    (37, "box"),
    (38, "bracelet"),
    (39, "brick"),
    (41, "broom"),
    (43, "bucket"),
    (46, "cabinet"),
    (49, "cake"),
    (50, "calculator"),
    (51, "calendar"),
    (53, "camera"),
    (55, "can"),
    (56, "candle"),
    (59, "car"),
    (61, "cart"),
    (62, "case"),
    (65, "cat"),
    (66, "cd"),
    (68, "ceiling"),
    (69, "cell phone"),
    (72, "chair"),
    (73, "chessboard"),
    (78, "clock"),
    (83, "coffee machine"),
    (84, "comb"),
    (85, "computer"),
    (87, "cone"),
    (88, "container"),
    (95, "corkscrew"),
    (96, "counter"),
    (101, "crate"),
    (104, "cup"),
    (105, "curtain"),
    (107, "cutting board"),
    (111, "dishwasher"),
    (113, "dog"),
    (115, "door"),
    (122, "drum"),
    (124, "duck"),
    (135, "envelope"),
    (141, "fan"),
    (142, "faucet"),
    (143, "fax machine"),
    (146, "fire extinguisher"),
    (150, "fish tank"),
    (154, "flag"),
    (157, "flashlight"),
    (158, "floor"),
    (159, "flower"),
    (165, "fork"),
    (172, "fruit"),
    (174, "furnace"),
    (181, "glass"),
    (183, "globe"),
    (184, "glove"),
    (191, "guitar"),
    (193, "hammer"),
    (195, "handle"),
    (197, "hanger"),
    (199, "hat"),
    (202, "heater"),
    (213, "ipod"),
    (215, "ironing board"),
    (216, "jar"),
    (219, "key"),
    (220, "keyboard"),
    (223, "knife"),
    (225, "ladder"),
    (228, "laptop"),
    (230, "lid"),
    (232, "light"),
    (233, "light bulb"),
    (238, "lock"),
    (239, "machine"),
    (242, "map"),
    (243, "mask"),
    (246, "mattress"),
    (250, "microphone"),
    (251, "microwave"),
    (252, "mirror"),
    (255, "money"),
    (260, "mouse"),
    (261, "mouse pad"),
    (263, "napkin"),
    (269, "oven"),
    (272, "pan"),
    (273, "paper"),
    (275, "paper cutter"),
    (281, "pen"),
    (283, "pencil"),
    (284, "person"),
    (285, "photo"),
    (286, "piano"),
    (287, "picture"),
    (288, "pig"),
    (290, "pillow"),
    (291, "pipe"),
    (292, "pitcher"),
    (293, "plant"),
    (295, "plate"),
    (304, "pool table"),
    (307, "pot"),
    (309, "printer"),
    (310, "projector"),
    (314, "radiator"),
    (315, "radio"),
    (319, "range hood"),
    (323, "remote control"),
    (329, "rope"),
    (330, "rug"),
    (331, "ruler"),
    (336, "scale"),
    (342, "sculpture"),
    (345, "sewing machine"),
    (349, "shelves"),
    (350, "shoe"),
    (351, "shopping cart"),
    (352, "shovel"),
    (355, "sign"),
    (357, "sink"),
    (368, "sofa"),
    (370, "spatula"),
    (371, "speaker"),
    (374, "spoon"),
    (379, "stapler"),
    (380, "stick"),
    (383, "stool"),
    (384, "stove"),
    (397, "table"),
    (401, "tape"),
    (403, "telephone"),
    (405, "tent"),
    (407, "toaster"),
    (408, "toilet"),
    (411, "toothbrush"),
    (412, "towel"),
    (413, "toy"),
    (414, "toy car"),
    (417, "trampoline"),
    (419, "tray"),
    (421, "tricycle"),
    (423, "trophy"),
    (427, "tvmonitor"),
    (429, "typewriter"),
    (430, "umbrella"),
    (432, "vacuum cleaner"),
    (440, "wall"),
    (441, "wallet"),
    (442, "wardrobe"),
    (443, "washing machine"),
    (444, "watch"),
    (446, "water dispenser"),
    (454, "window"),
    (457, "wire"),
];

/// Whether distilled normals are reliable for a class.
pub(super) fn has_normals(class: u16) -> bool {
    let found = WITH_NORMALS.binary_search_by_key(&class, |(number, _)| *number);
    found.is_ok()
}

/// The class of every pixel, row by row.
pub(super) struct ContextMap {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) labels: Vec<u16>,
    file: std::path::PathBuf,
}

impl ContextMap {
    /// Reads the variable `LabelMap`.
    ///
    /// # Errors
    /// If the file cannot be read, or `LabelMap` is not a matrix of classes.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let file = MatFile::read(path)?;
        let value = file.variable("LabelMap")?;
        let numbers = value.numbers();
        let matrix = numbers.and_then(|numbers| Some((numbers.size()?, numbers)));
        let Some(([height, width], numbers)) = matrix else {
            let kind = value.kind();
            return Err(file.fault(format!("`LabelMap` is {kind}, not a matrix of numbers")));
        };
        let is_class = |value: f64| (0.0..=65535.0).contains(&value) && value.fract() == 0.0;
        if let Some(wrong) = numbers.iter().find(|value| !is_class(*value)) {
            return Err(file.fault(format!("`LabelMap` holds {wrong}, which is not a class")));
        }
        let side = |side: usize| u32::try_from(side).ok();
        let sides = side(width).zip(side(height));
        match (sides, numbers.rows(|value| value as u16)) {
            (Some((width, height)), Some(labels)) => Ok(Self {
                width,
                height,
                labels,
                file: path.to_path_buf(),
            }),
            _ => Err(file.fault(format!("`LabelMap` is too large: {height}x{width}"))),
        }
    }

    /// Checks that the image has the same size.
    ///
    /// # Errors
    /// [`DataError::SizeMismatch`] if it has not.
    pub(super) fn require_size(
        &self,
        (image_width, image_height): (u32, u32),
        image: &Path,
    ) -> Result<(), DataError> {
        if (image_width, image_height) == (self.width, self.height) {
            return Ok(());
        }
        Err(DataError::SizeMismatch {
            image: image.to_path_buf(),
            image_width,
            image_height,
            mask: self.file.clone(),
            mask_width: self.width,
            mask_height: self.height,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_in_order() {
        assert!(WITH_NORMALS.is_sorted());
        assert!(WITH_NORMALS.is_sorted_by_key(|(_, name)| *name));
        for (class, name) in [
            (9, "bag"),
            (284, "person"),
            (427, "tvmonitor"),
            (440, "wall"),
        ] {
            assert!(WITH_NORMALS.contains(&(class, name)));
            assert!(has_normals(class));
        }
        // Unknown, sky, the class of nothing and one that does not exist.
        for class in [431, 360, 0, 460] {
            assert!(!has_normals(class));
        }
    }
}
