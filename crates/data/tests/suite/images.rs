//! Images of every kind that is read have the colours that PIL gives; others say what they are.
//! `tests/golden/image_data.py` wrote the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{
    ADE, ade_fixture, ade_paths, assert_says, config, open, write_image, write_mask,
};
use gradway_data::{DataError, FileFault, Split, read};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    width: u32,
    height: u32,
    tolerance: u8,
    /// Red, green and blue of every pixel, in hexadecimal.
    rgb: String,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn golden_file(name: &str) -> PathBuf {
    golden_folder().join("images").join(name)
}

fn golden() -> BTreeMap<String, Golden> {
    let text = fs::read_to_string(golden_folder().join("images.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn colors_are_those_of_pil() {
    let golden = golden();
    assert!(golden.len() > 50);
    for (name, expected) in golden {
        let path = golden_file(&name);
        let image = read::image(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let size = (expected.width, expected.height);
        assert_eq!(image.dimensions(), size, "{name}");
        assert_eq!(read::size(&path).unwrap(), size, "{name}");
        let digits = expected.rgb.as_bytes().chunks_exact(2);
        let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
        let differences = image.as_raw().iter().zip(bytes);
        let worst = differences.map(|(found, expected)| found.abs_diff(expected.unwrap()));
        let worst = worst.max().unwrap();
        assert!(worst <= expected.tolerance, "{name}: {worst}");
    }
}

#[test]
fn turned_images_are_counted_as_such() {
    for (name, turned) in [
        ("turned1.jpg", false),
        ("turned2.jpg", true),
        ("turned6.jpg", true),
        ("turned6.png", true),
        ("turned8_after.png", true),
        ("turned6.webp", true),
        ("turned6.tif", true),
        ("turned6_before1.jpg", true),
        ("turned1_before6.jpg", false),
        ("turned6_long.jpg", true),
        ("turned6_xmp.jpg", true),
        ("turned1_xmp.jpg", false),
        ("turned6_profile.png", true),
        ("rgb.bmp", false),
    ] {
        assert_eq!(
            read::is_turned(&golden_file(name)).unwrap(),
            turned,
            "{name}"
        );
    }
}

#[test]
fn other_kinds_are_named_and_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let heic = written("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    let pointer = written(
        "lfs.jpg",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    );
    let page = written("page.jpg", b"\n<!DOCTYPE html><html>404</html>");
    let numbers = written("numbers.jpg", b"0 1 2");
    for (path, parts) in [
        (
            golden_file("refused.gif"),
            ["GIF file", "convert it to PNG or JPEG"],
        ),
        (
            golden_file("refused_palette.tif"),
            ["TIFF file", "convert it to PNG or JPEG"],
        ),
        (golden_file("refused_float.tif"), ["TIFF file", "convert"]),
        (
            golden_file("refused_grey_alpha.tif"),
            ["TIFF file", "convert it to PNG or JPEG"],
        ),
        (
            golden_file("refused_fill_order.tif"),
            [
                "TIFF file with the bits of its bytes in reverse order",
                "convert it to PNG",
            ],
        ),
        (
            golden_file("refused_planes.tif"),
            ["TIFF file in tiles of separate planes", "convert it to PNG"],
        ),
        (heic, ["HEIC", "convert it to PNG or JPEG"]),
        (pointer, ["pointer of Git LFS", "git lfs pull"]),
        (page, ["HTML", "download the image itself"]),
        (
            numbers,
            ["file of an unknown kind", "download the image itself"],
        ),
    ] {
        let error = read::image(&path).unwrap_err();
        assert_says(&error, &parts);
        let text = format!("{error} {}", error.hint().unwrap());
        assert!(text.contains("JPEG, PNG, BMP, WebP or TIFF"), "{text}");
        assert!(
            !text.contains("truncated") && !text.contains("damaged"),
            "{text}"
        );
    }
    let empty = read::image(&written("empty.jpg", b"")).unwrap_err();
    assert_says(&empty, &["the file is empty"]);
}

#[test]
fn cut_files_of_every_kind_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "rgb.png",
        "rgb444.jpg",
        "progressive.jpg",
        "lossy.webp",
        "rgb.tif",
        "rgb.bmp",
    ] {
        let whole = fs::read(golden_file(name)).unwrap();
        let path = folder.path().join(name);
        for length in [whole.len() / 4, whole.len() / 2, whole.len() * 3 / 4] {
            fs::write(&path, &whole[..length]).unwrap();
            let error = read::image(&path).err();
            let error = error.unwrap_or_else(|| panic!("{name} of {length} bytes is read"));
            assert_says(&error, &[name]);
        }
    }
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // The frame header of a baseline JPEG: marker, length, precision, height, width.
    let mut jpeg = fs::read(golden_file("rgb444.jpg")).unwrap();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x23, 0x28, 0x23, 0x28]);
    fs::write(path("a.jpg"), jpeg).unwrap();
    let parts = [
        "a.jpg",
        "9000x9000",
        "67108864",
        "GRADWAY_MAXIMUM_PIXELS=81000000",
    ];
    let error = read::image(&path("a.jpg")).unwrap_err();
    let fault = FileFault::TooManyPixels {
        width: 9000,
        height: 9000,
        limit: read::MAXIMUM_PIXELS,
    };
    assert!(
        matches!(&error, DataError::File { fault: found, .. } if *found == fault),
        "{error}"
    );
    assert_says(&error, &parts);

    let mut mask = fs::read(golden_file("grey8.png")).unwrap();
    mask[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let sum = crc(&mask[12..29]).to_be_bytes();
    mask[29..33].copy_from_slice(&sum);
    fs::write(path("a.png"), mask).unwrap();
    for error in [
        read::image(&path("a.png")).unwrap_err(),
        read::grey(&path("a.png")).unwrap_err(),
    ] {
        assert_says(&error, &["a.png", "2147483647x2147483647"]);
    }
}

/// The checksum of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[test]
fn labels_belong_to_the_upright_picture() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let (image, mask) = ade_paths(folder.path(), "training", "s000");
    let config = config(folder.path(), ADE);
    // Stored as 48x32, shown as 32x48.
    fs::copy(golden_file("turned6.jpg"), &image).unwrap();
    write_mask(&mask, 32, 48, |_, _| 1);
    let sample = open(&config, Split::Train).get(0).unwrap();
    assert_eq!(sample.image.dimensions(), (32, 48));
    let report = config.check(Split::Train).unwrap();
    assert_eq!((report.turned, report.readable), (1, 1));
    assert_eq!(config.check(Split::Val).unwrap().turned, 0);

    write_mask(&mask, 48, 32, |_, _| 1);
    let error = open(&config, Split::Train).get(0).unwrap_err();
    let parts = [
        "s000.jpg is 32x48",
        "EXIF orientation",
        "s000.png is 48x32",
        "as it is stored",
    ];
    assert_says(&error, &parts);
    // Of another size altogether: the orientation has nothing to do with it.
    write_mask(&mask, 48, 31, |_, _| 1);
    let error = open(&config, Split::Train).get(0).unwrap_err();
    assert!(matches!(error, DataError::SizeMismatch { .. }), "{error}");
}

#[test]
fn one_pixel_is_an_image() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"] {
        let path = folder.path().join(name);
        write_image(&path, 1, 1);
        assert_eq!(read::image(&path).unwrap().dimensions(), (1, 1), "{name}");
    }
}

#[test]
fn images_of_every_ending_are_found() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 0, 1);
    for (id, name) in [
        ("a", "a.bmp"),
        ("b", "b.TIF"),
        ("c", "c.webp"),
        ("d", "d.tiff"),
        ("e", "e.JPEG"),
    ] {
        write_image(&folder.path().join("images/training").join(name), 8, 6);
        write_mask(&ade_paths(folder.path(), "training", id).1, 8, 6, |_, _| 2);
    }
    let dataset = open(&config(folder.path(), ADE), Split::Train);
    let ids: Vec<String> = (0..dataset.len()).map(|index| dataset.id(index)).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    for index in 0..dataset.len() {
        assert_eq!(dataset.get(index).unwrap().image.dimensions(), (8, 6));
    }
}

#[test]
fn an_image_of_another_kind_is_not_called_missing() {
    let folder = tempfile::tempdir().unwrap();
    ade_fixture(folder.path(), 1, 1);
    let image = folder.path().join("images/training/pond.gif");
    fs::copy(golden_file("refused.gif"), image).unwrap();
    write_mask(
        &ade_paths(folder.path(), "training", "pond").1,
        8,
        6,
        |_, _| 2,
    );
    let error = config(folder.path(), ADE).open(Split::Train).err().unwrap();
    assert_says(
        &error,
        &["pond.gif", "GIF file", "convert it to PNG or JPEG"],
    );
}

/// Of masks the values count, not what viewers make of them.
#[test]
fn masks_keep_their_values_at_every_depth() {
    for (name, depth) in [
        ("grey1", 1),
        ("grey2", 2),
        ("grey4", 4),
        ("grey8", 8),
        ("palette1", 1),
        ("palette2", 2),
        ("palette4", 4),
        ("palette8", 8),
        ("palette_transparent", 4),
        ("grey2_interlaced", 2),
        ("palette4_interlaced", 4),
    ] {
        let map = read::grey(&golden_file(&format!("{name}.png"))).unwrap();
        assert_eq!((map.width, map.height), (13, 7), "{name}");
        let expected: Vec<u8> = (0..91u32)
            .map(|pixel| (pixel * 5 % (1 << depth)) as u8)
            .collect();
        assert_eq!(map.data, expected, "{name}");
    }
}
