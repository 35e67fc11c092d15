//! `gradway data check`, from the outside.

use std::fs;

use crate::common::{run, text};

#[test]
fn data_check_reports_a_mask_of_another_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for split in ["training", "validation"] {
        let (images, masks) = (format!("images/{split}"), format!("annotations/{split}"));
        fs::create_dir_all(root.join(&images)).expect("a folder");
        fs::create_dir_all(root.join(&masks)).expect("a folder");
        let picture = image::RgbImage::new(8, 6);
        picture
            .save(root.join(images).join("a.png"))
            .expect("a picture");
        let width = if split == "training" { 8 } else { 7 };
        let mask = image::GrayImage::from_pixel(width, 6, image::Luma([1]));
        mask.save(root.join(masks).join("a.png")).expect("a mask");
    }
    let arguments = [
        "data",
        "check",
        text(root),
        "--format",
        "ade20k",
        "--set",
        "data.classes=[\"one\", \"two\"]",
    ];
    let output = run(&arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed.contains("train: 1 sample, 1 readable"), "{printed}");
    assert!(printed.contains("val: 1 sample, 0 readable"), "{printed}");
    assert!(
        printed.contains("8x6") && printed.contains("7x6"),
        "{printed}"
    );
}

/// The words of a command as a shell splits them: quotes, and lines that go on.
fn words_of(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in command.replace("\\\n", " ").chars() {
        match character {
            '\'' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The guide's command, on a dataset as the guide describes it.
#[test]
fn data_check_runs_as_the_guide_prints_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    for name in ["photos", "labels"] {
        fs::create_dir(root.join(name)).expect("a folder");
    }
    for id in ["a", "b"] {
        let picture = image::RgbImage::new(8, 6);
        picture
            .save(root.join(format!("photos/{id}.png")))
            .expect("a picture");
        let mask = image::GrayImage::from_fn(8, 6, |x, _| image::Luma([(x % 2) as u8]));
        mask.save(root.join(format!("labels/{id}.png")))
            .expect("a mask");
    }
    fs::write(root.join("train.txt"), "a\n").expect("a list");
    fs::write(root.join("val.txt"), "photos/b.png\n").expect("a list");
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/your-data.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let commands = guide
        .split("```\n")
        .filter(|block| block.starts_with("gradway data check"));
    let mut ran = 0;
    for command in commands {
        let words = words_of(&command.replace("/data/mine", text(root)));
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let output = run(&arguments);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(printed.contains("val: 1 sample, 1 readable"), "{printed}");
        assert!(
            printed.contains("warning: 1 of 3 classes never occurs: tree"),
            "{printed}"
        );
        ran += 1;
    }
    assert_eq!(ran, 1);
}
