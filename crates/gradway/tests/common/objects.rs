//! Images of squares and a json that says where they are.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};

/// Of an image.
pub const WIDTH: u32 = 72;
/// Of an image.
pub const HEIGHT: u32 = 56;
const IMAGES: u32 = 4;

/// Bright squares on grey, two of them in every image.
fn squares(image: u32) -> [[u32; 4]; 2] {
    [[4 + 3 * image, 6, 20, 24], [40, 24 + 2 * image, 24, 20]]
}

fn annotation(id: u32, image_id: u32, [x, y, width, height]: [u32; 4]) -> Value {
    let (right, bottom) = (x + width, y + height);
    json!({
        "id": id, "image_id": image_id, "category_id": 7 + 2 * (id % 2), "iscrowd": 0,
        "bbox": [x, y, width, height], "area": width * height,
        "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
    })
}

/// A dataset in COCO's layout whose train and val are the same; `change` may damage its json.
pub fn dataset(root: &Path, change: impl FnOnce(&mut Value)) {
    let photos = root.join("photos");
    fs::create_dir_all(&photos).expect("a folder");
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for image in 0..IMAGES {
        let mut picture = RgbImage::from_pixel(WIDTH, HEIGHT, Rgb([90; 3]));
        for (index, [x, y, width, height]) in squares(image).into_iter().enumerate() {
            let color = if index == 0 {
                [250, 40, 40]
            } else {
                [40, 80, 250]
            };
            for (x, y) in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                picture.put_pixel(x, y, Rgb(color));
            }
            let id = 2 * image + index as u32;
            annotations.push(annotation(id, image, [x, y, width, height]));
        }
        let name = format!("{image}.png");
        picture.save(photos.join(&name)).expect("a picture");
        images.push(json!({ "id": image, "file_name": name, "width": WIDTH, "height": HEIGHT }));
    }
    let categories = json!([{ "id": 7, "name": "red" }, { "id": 9, "name": "blue" }]);
    let mut file =
        json!({ "images": images, "annotations": annotations, "categories": categories });
    change(&mut file);
    fs::write(root.join("objects.json"), file.to_string()).expect("a file");
}

/// A detector of it.
pub fn configuration(root: &Path, head: &str) -> PathBuf {
    let path = root.join("objects.toml");
    let config = format!(
        r#"
backbone = {{ name = "swin_mini" }}
method = {{ name = "e3va" }}
head = {{ name = "{head}", channels = 16 }}
loader = {{ batch_size = 2 }}
optimizer = {{ total_batch = 2 }}
augment = {{ scales = [[96, 72], [80, 60]] }}
evaluation = {{ scale = [96, 72], batch_size = 3 }}
train = {{ epochs = 2 }}

[data]
format = "coco"
root = "{}"
train_images = "photos"
val_images = "photos"
train_annotations = "objects.json"
val_annotations = "objects.json"
"#,
        root.display()
    );
    fs::write(&path, config).expect("a file");
    path
}
