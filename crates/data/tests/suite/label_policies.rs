//! Masks whose classes are named by colour or by value.

use std::fs;
use std::path::Path;

use crate::common::{Opened, assert_says, config, open, write_image, write_mask, write_mask_16};
use gradway_data::{DataError, DatasetConfig, IGNORE, LabelMap, Split};
use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

const ROAD: [u8; 3] = [128, 64, 128];
const CAR: [u8; 3] = [64, 0, 128];
const TRUCK: [u8; 3] = [192, 128, 192];
const VOID: [u8; 3] = [0, 0, 0];

const COLORS: &str = r#"
    format = "folder"
    root = "ROOT"
    train_list = "list.txt"
    val_list = "list.txt"
    classes = ["road", "car"]
    labels = { colors = { car = [[64, 0, 128], [192, 128, 192]], road = [128, 64, 128] }, ignore = [0, 0, 0] }
"#;

const VALUES: &str = r#"
    format = "folder"
    root = "ROOT"
    train_list = "list.txt"
    val_list = "list.txt"
    classes = ["background", "object"]
    labels = { values = { 0 = "background", 255 = "object", 1000 = "object" }, ignore = [7] }
"#;

/// A folder of one image of 4x1 pixels, and the place of its mask.
fn fixture() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write_image(&folder.path().join("images/a.jpg"), 4, 1);
    let mask = folder.path().join("masks/a.png");
    write_mask(&mask, 4, 1, |_, _| 0);
    fs::write(folder.path().join("list.txt"), "a\n").unwrap();
    (folder, mask)
}

fn labels(config: &DatasetConfig) -> Result<LabelMap, DataError> {
    Ok(Opened(config.open(Split::Train)?).get(0)?.labels)
}

const ROW: [[u8; 3]; 4] = [ROAD, CAR, VOID, TRUCK];
const EXPECTED: [u8; 4] = [0, 1, IGNORE, 1];

#[test]
fn colors_are_classes_in_the_order_of_the_class_list() {
    let (folder, mask) = fixture();
    let config = config(folder.path(), COLORS);
    assert_eq!(open(&config, Split::Train).classes(), ["road", "car"]);
    let rgb = ImageBuffer::from_fn(4, 1, |x, _| Rgb(ROW[x as usize]));
    rgb.save(&mask).unwrap();
    assert_eq!(labels(&config).unwrap().data, EXPECTED);
    // Whatever lies under transparency.
    let rgba = ImageBuffer::from_fn(4, 1, |x, _| {
        let [r, g, b] = ROW[x as usize];
        Rgba([r, g, b, 85 * x as u8])
    });
    rgba.save(&mask).unwrap();
    assert_eq!(labels(&config).unwrap().data, EXPECTED);
    // 16 bits: the whole range, or the numbers as they are.
    for factor in [257, 1] {
        let color = |x: u32| ROW[x as usize].map(|value| u16::from(value) * factor);
        let wide: ImageBuffer<Rgb<u16>, Vec<u16>> =
            ImageBuffer::from_fn(4, 1, |x, _| Rgb(color(x)));
        wide.save(&mask).unwrap();
        assert_eq!(labels(&config).unwrap().data, EXPECTED, "{factor}");
        let wide: ImageBuffer<Rgba<u16>, Vec<u16>> = ImageBuffer::from_fn(4, 1, |x, _| {
            let [r, g, b] = color(x);
            Rgba([r, g, b, 65535])
        });
        wide.save(&mask).unwrap();
        assert_eq!(labels(&config).unwrap().data, EXPECTED, "{factor}");
    }
}

/// A palette-indexed mask, as Pascal VOC's: its colours count, in any order.
#[test]
fn palettes_and_grey_levels_stand_for_their_colors() {
    let (folder, mask) = fixture();
    let file = fs::File::create(&mask).unwrap();
    let mut encoder = png::Encoder::new(file, 4, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette([VOID, TRUCK, CAR, ROAD].concat());
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0x32, 0x01])
        .unwrap();
    assert_eq!(
        labels(&config(folder.path(), COLORS)).unwrap().data,
        EXPECTED
    );

    let white = COLORS.replace("road = [128, 64, 128]", "road = [255, 255, 255]");
    let file = fs::File::create(&mask).unwrap();
    let mut encoder = png::Encoder::new(file, 4, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0b1001_0000])
        .unwrap();
    let found = labels(&config(folder.path(), &white)).unwrap().data;
    assert_eq!(found, [0, IGNORE, IGNORE, 0]);
}

#[test]
fn an_unknown_color_is_named_with_its_pixel() {
    let (folder, mask) = fixture();
    let config = config(folder.path(), COLORS);
    let mut row = ROW;
    row[3] = [128, 64, 127];
    let rgb = ImageBuffer::from_fn(4, 1, |x, _| Rgb(row[x as usize]));
    rgb.save(&mask).unwrap();
    let parts = [
        "a.png",
        "[128, 64, 127]",
        "x=3, y=0",
        "labels.colors",
        "labels.ignore",
    ];
    assert_says(&labels(&config).unwrap_err(), &parts);
    // 16 bits are not cut to 8.
    let wide: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(4, 1, |x, _| {
        Rgb(ROW[x as usize].map(|value| u16::from(value) * 257 + 1))
    });
    wide.save(&mask).unwrap();
    assert_says(
        &labels(&config).unwrap_err(),
        &["[32897, 16449, 32897]", "x=0, y=0"],
    );
}

/// Decoders fill in black, which may be a class.
#[test]
fn an_index_beyond_the_palette_has_no_color() {
    let (folder, mask) = fixture();
    let config = config(folder.path(), COLORS);
    let write = |indices: [u8; 4]| {
        let mut encoder = png::Encoder::new(fs::File::create(&mask).unwrap(), 4, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Two);
        encoder.set_palette([ROAD, CAR].concat());
        let packed = indices.iter().fold(0, |byte, index| byte << 2 | index);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&[packed])
            .unwrap();
    };
    write([0, 1, 1, 0]);
    assert_eq!(labels(&config).unwrap().data, [0, 1, 1, 0]);
    write([0, 1, 3, 0]);
    let parts = [
        "a.png",
        "palette index 3",
        "x=2, y=0",
        "2 colours",
        "complete palette",
    ];
    assert_says(&labels(&config).unwrap_err(), &parts);
}

#[test]
fn values_are_the_classes_that_they_name() {
    let (folder, mask) = fixture();
    let config = config(folder.path(), VALUES);
    write_mask(&mask, 4, 1, |x, _| [0, 255, 7, 255][x as usize]);
    assert_eq!(labels(&config).unwrap().data, [0, 1, IGNORE, 1]);
    write_mask_16(&mask, 4, 1, |x, _| [0, 1000, 7, 255][x as usize]);
    assert_eq!(labels(&config).unwrap().data, [0, 1, IGNORE, 1]);
    write_mask_16(&mask, 4, 1, |x, _| [0, 1000, 256, 255][x as usize]);
    let parts = [
        "label 256",
        "x=2, y=0",
        "0 (background), 255 (object)",
        "7 (ignore)",
        "labels.values",
    ];
    assert_says(&labels(&config).unwrap_err(), &parts);
    // Grey with an alpha channel that says nothing.
    let grey = |alpha: [u8; 4]| {
        ImageBuffer::from_fn(4, 1, |x, _| {
            LumaA([[0, 255, 7, 0][x as usize], alpha[x as usize]])
        })
    };
    grey([255; 4]).save(&mask).unwrap();
    assert_eq!(labels(&config).unwrap().data, [0, 1, IGNORE, 0]);
    grey([255, 0, 255, 255]).save(&mask).unwrap();
    let parts = ["8-bit grayscalealpha PNG", "without its alpha channel"];
    assert_says(&labels(&config).unwrap_err(), &parts);
}

#[test]
fn a_mask_of_another_kind_says_what_to_do() {
    let (folder, mask) = fixture();
    let config = config(folder.path(), VALUES);
    let rgb = ImageBuffer::from_fn(4, 1, |x, _| Rgb(ROW[x as usize]));
    rgb.save(&mask).unwrap();
    assert_says(
        &labels(&config).unwrap_err(),
        &["8-bit rgb PNG", "labels = { colors = {"],
    );
    let jpeg = mask.with_extension("jpg");
    write_image(&jpeg, 4, 1);
    fs::rename(jpeg, &mask).unwrap();
    assert_says(
        &labels(&config).unwrap_err(),
        &["a.png is a JPEG file", "JPEG changes values"],
    );
    let bitmap = mask.with_extension("bmp");
    write_image(&bitmap, 4, 1);
    fs::rename(bitmap, &mask).unwrap();
    assert_says(
        &labels(&config).unwrap_err(),
        &["a.png is a BMP file", "convert it to PNG"],
    );
}

#[test]
fn policies_that_do_not_fit_the_class_list_are_refused() {
    let (folder, _) = fixture();
    let error = |labels: &str, classes: &str| {
        let text = format!(
            "format = \"folder\"\nroot = \"ROOT\"\ntrain_list = \"list.txt\"\nclasses = {classes}\nlabels = {labels}"
        );
        config(folder.path(), &text)
            .open(Split::Train)
            .err()
            .unwrap()
    };
    let two = "[\"road\", \"car\"]";
    assert_says(
        &error("{ colors = { road = [1, 2, 3], cars = [4, 5, 6] } }", two),
        &["`colors` names the class `cars`", "(road, car)"],
    );
    assert_says(
        &error("{ colors = { road = [1, 2, 3] } }", two),
        &["`colors` has no colour of class `car`"],
    );
    assert_says(
        &error("{ colors = { road = [1, 2, 3], car = [] } }", two),
        &["`colors` has no colour of class `car`"],
    );
    assert_says(
        &error("{ colors = { road = [1, 2, 3], car = [1, 2, 3] } }", two),
        &["colour [1, 2, 3] is both `car` and `road`"],
    );
    assert_says(
        &error(
            "{ colors = { road = [1, 2, 3], car = [0, 0, 0] }, ignore = [0, 0, 0] }",
            two,
        ),
        &["colour [0, 0, 0] is both `car` and `ignore`"],
    );
    assert_says(
        &error("{ values = { 1 = \"road\", 2 = \"tram\" } }", two),
        &["`values` names the class `tram`", "(road, car)"],
    );
    assert_says(
        &error("{ values = { 1 = \"road\" } }", two),
        &["`values` has no value of class `car`"],
    );
    assert_says(
        &error(
            "{ values = { 1 = \"road\", 2 = \"car\" }, ignore = 2 }",
            two,
        ),
        &["value 2 is both `car` and `ignore`"],
    );
}

/// Both policies in the other formats that have masks.
#[test]
fn every_format_with_masks_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let rgb = ImageBuffer::from_fn(4, 1, |x, _| Rgb(ROW[x as usize]));
    for path in ["images/training/a.jpg", "JPEGImages/a.jpg"] {
        write_image(&root.join(path), 4, 1);
    }
    for path in ["annotations/training/a.png", "SegmentationClass/a.png"] {
        write_mask(&root.join(path), 1, 1, |_, _| 0);
        rgb.save(root.join(path)).unwrap();
    }
    let lists = root.join("ImageSets/Segmentation");
    fs::create_dir_all(&lists).unwrap();
    fs::write(
        lists.join("train.txt"),
        "/JPEGImages/a.jpg /SegmentationClass/a.png\n",
    )
    .unwrap();
    for format in ["ade20k", "pascal_voc"] {
        let rest = COLORS.split("classes").nth(1).unwrap();
        let text = format!("format = \"{format}\"\nroot = \"ROOT\"\nclasses{rest}");
        assert_eq!(
            labels(&config(root, &text)).unwrap().data,
            EXPECTED,
            "{format}"
        );
    }
}

/// A mask of one and the same value everywhere is what a wrong policy makes of 0 and 255.
#[test]
fn classes_that_never_occur_are_told() {
    let (folder, mask) = fixture();
    write_mask(&mask, 4, 1, |x, _| [0, 255, 255, 0][x as usize]);
    let direct = "labels = { direct = { ignore = 255 } }";
    let named = VALUES.split("labels").next().unwrap();
    let report = config(folder.path(), &format!("{named}{direct}"));
    let report = report.check(Split::Train).unwrap();
    assert_eq!(report.problems, []);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    assert_eq!(warning.message, "1 of 2 classes never occurs: object");
    let hint = warning.hint.as_deref().unwrap();
    assert!(
        hint.contains("50.00 % of the pixels are ignored") && hint.contains("values = {"),
        "{hint}"
    );
    let report = config(folder.path(), VALUES).check(Split::Train).unwrap();
    assert_eq!(report.warnings, []);
    assert_eq!(report.labels[1].pixels, 2);
}

/// The original masks of a public data set of streets, in colours, become the classes of its converted ones.
#[test]
fn real_masks_in_colors_have_the_classes_of_those_in_values() {
    let Some(root) = std::env::var_os("GRADWAY_DATA").map(std::path::PathBuf::from) else {
        return;
    };
    let source = root.join("camvid/annotations/validation");
    let Some(first) = fs::read_dir(&source)
        .ok()
        .and_then(|mut files| files.next())
    else {
        return;
    };
    let mask = first.unwrap().path();
    let values = gradway_data::read::grey(&mask).unwrap();
    let palette: Vec<[u8; 3]> = (0..12).map(|class| [17 * class, 255 - class, 3]).collect();
    let (folder, target) = fixture();
    let colored = ImageBuffer::from_fn(values.width, values.height, |x, y| {
        Rgb(palette[usize::from(values.get(x, y).unwrap())])
    });
    colored.save(&target).unwrap();
    let grey: ImageBuffer<Luma<u8>, Vec<u8>> = ImageBuffer::new(values.width, values.height);
    grey.save(Path::new(folder.path()).join("images/a.jpg"))
        .unwrap();
    let names: Vec<String> = (0..11).map(|class| format!("\"{class}\"")).collect();
    let colors: Vec<String> = (0..11)
        .map(|class| format!("{class} = {:?}", palette[class]))
        .collect();
    let text = format!(
        "format = \"folder\"\nroot = \"ROOT\"\ntrain_list = \"list.txt\"\nclasses = [{}]\n\
         labels = {{ colors = {{ {} }}, ignore = {:?} }}",
        names.join(", "),
        colors.join(", "),
        palette[11]
    );
    let found = labels(&config(folder.path(), &text)).unwrap();
    let expected: Vec<u8> = values
        .data
        .iter()
        .map(|v| if *v == 11 { IGNORE } else { *v })
        .collect();
    assert!(found.data == expected);
}
