//! The commands of the guide do what they are printed for.
//!
//! Every block of commands of `docs/guide/*.md` is run by a shell, page by page, in a folder of its own. A
//! comment before a block, which readers do not see, says what else is to be done with it:
//! `<!-- file: NAME -->` that it is the content of a file, `<!-- not run: REASON -->` that it is left out.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes of a configuration that trains for minutes one that trains for seconds.
const SHORTER: [(&str, &str); 2] = [
    ("train_samples = 1024", "train_samples = 8, val_samples = 4"),
    ("epochs = 10", "epochs = 1"),
];

/// A fenced block.
#[derive(Debug, Default)]
struct Block {
    language: String,
    /// Of the comment in front of it.
    comment: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut comment) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for line in page.lines() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                found.push(block);
            } else {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some(Block {
                language: language.to_string(),
                comment: std::mem::take(&mut comment),
                text: String::new(),
            });
        } else if let Some(text) = line.strip_prefix("<!-- ") {
            comment = text.trim_end_matches(" -->").to_string();
        } else if !line.trim().is_empty() {
            comment.clear();
        }
    }
    assert!(open.is_none(), "a block does not end");
    found
}

/// What the commands of the pages work on.
fn prepare(folder: &Path) {
    let photo = image::RgbImage::from_fn(60, 50, |x, y| image::Rgb([x as u8, y as u8, 9]));
    photo.save(folder.join("photo.jpg")).expect("a photo");
    let more = folder.join("folder-of-photos");
    fs::create_dir(&more).expect("a folder");
    photo.save(more.join("another.jpg")).expect("a photo");
    // Float32, [1, 3, 64, 64], as numpy writes it.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 64, 64), }";
    let mut array = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    array.extend(format!("{header:<117}\n").into_bytes());
    array.extend((0..3 * 64 * 64).flat_map(|index| (index as f32 / 1e4).to_le_bytes()));
    fs::write(folder.join("images.npy"), array).expect("an array");
    let set = folder.join("data/mine");
    for kind in ["photos", "labels"] {
        fs::create_dir_all(set.join(kind)).expect("a folder");
    }
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        let photo = set.join("photos").join(name).with_extension("jpg");
        image::RgbImage::new(40, 30).save(photo).expect("a photo");
        let label = image::Luma([index as u8]);
        let mask = set.join("labels").join(name).with_extension("png");
        image::GrayImage::from_pixel(40, 30, label)
            .save(mask)
            .expect("a mask");
    }
    fs::write(set.join("train.txt"), "a\nb\n").expect("a list");
    fs::write(set.join("val.txt"), "c\n").expect("a list");
}

/// Runs the commands of a page; how many there are.
fn run(page: &Path) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let text = fs::read_to_string(page).expect("a page");
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_gradway"));
    let mut path = vec![binary.parent().expect("a folder").to_path_buf()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path).expect("a path");
    let mut count = 0;
    for block in blocks(&text) {
        let origin = format!("{}:\n{}", page.display(), block.text);
        if let Some(name) = block.comment.strip_prefix("file: ") {
            let mut text = block.text.clone();
            for (long, short) in SHORTER {
                assert!(text.contains(long), "{origin}");
                text = text.replace(long, short);
            }
            fs::write(folder.path().join(name), text).expect("a file");
            continue;
        }
        if !block.language.is_empty() || block.comment.starts_with("not run: ") {
            continue;
        }
        let here = format!(" {}/data/", folder.path().display());
        let commands = block.text.replace("\\\n", " ").replace(" /data/", &here);
        for command in commands.lines().filter(|line| !line.trim().is_empty()) {
            assert!(command.starts_with("gradway "), "{origin}");
            let output = Command::new("sh")
                .args(["-ec", command])
                .current_dir(folder.path())
                .env("PATH", &path)
                .output()
                .expect("a shell");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{origin}\n{command}\n{errors}");
            count += 1;
        }
    }
    count
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")
}

#[test]
fn the_first_run_can_be_followed() {
    assert!(run(&guide().join("first-run.md")) >= 9);
}

#[test]
fn the_other_pages_can_be_followed() {
    let pages = fs::read_dir(guide()).expect("a folder");
    let mut commands = 0;
    for page in pages {
        let page = page.expect("a page").path();
        let is_page = page.extension().is_some_and(|end| end == "md");
        if is_page && !page.ends_with("first-run.md") {
            commands += run(&page);
        }
    }
    assert!(commands >= 1);
}
