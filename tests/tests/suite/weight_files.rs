//! Weight files as people have them, against what PyTorch reads from them.
//!
//! `golden/weight_files.py` writes the files and says what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{AnyBackbone, Checkpoint, ImportReport, hash_module, import};
use gradway_tests::{Golden, Plain, Tensors, checkpoint, golden_path};

fn path(name: &str) -> PathBuf {
    golden_path(&format!("weight_files/{name}.pth"))
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&path(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// What PyTorch reads from a file.
fn expected(name: &str) -> Tensors {
    let tensors = Golden::open("weight_files/values").below(&format!("{name}/"));
    assert!(!tensors.is_empty());
    tensors
}

fn read(file: &Checkpoint) -> Tensors {
    let read = |key: &str| (key.to_string(), file.read(key).unwrap());
    file.keys().map(read).collect()
}

fn assert_same(actual: &Tensors, expected: &Tensors) {
    let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(actual), names(expected));
    for (name, expected) in expected {
        assert_eq!(&actual[name], expected, "{name}");
    }
}

#[test]
fn views_of_any_strides_have_pytorchs_values() {
    for form in ["zip", "old", "unchecked", "deflated"] {
        let name = format!("strided_{form}");
        assert_same(&read(&open(&name)), &expected(&name));
    }
}

#[test]
fn numbers_of_every_type_have_pytorchs_values() {
    for name in ["types_zip", "types_old"] {
        assert_same(&read(&open(name)), &expected(name));
    }
}

#[test]
fn weights_beside_anything_are_read_in_every_protocol() {
    for form in ["zip", "old"] {
        for protocol in 2..=5 {
            let name = format!("beside_{form}_{protocol}");
            assert_same(&read(&open(&name)), &expected(&name));
        }
    }
}

/// A file of these bytes in a folder of its own.
fn file_of(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("weights.pth");
    fs::write(&path, bytes).unwrap();
    path
}

fn try_read(path: &Path) -> Result<Tensors, String> {
    let file = Checkpoint::open(path).map_err(|error| error.to_string())?;
    let read = |key: &str| match file.read(key) {
        Ok(data) => Ok((key.to_string(), data)),
        Err(error) => Err(error.to_string()),
    };
    file.keys().map(read).collect()
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["strided_zip", "strided_old", "beside_old_4"] {
        let whole = fs::read(path(name)).unwrap();
        for length in 0..whole.len() {
            let path = file_of(folder.path(), &whole[..length]);
            let error = try_read(&path).expect_err(&format!("{name} cut at {length}"));
            assert!(error.contains("weights.pth"), "{error}");
        }
    }
}

#[test]
fn a_changed_byte_of_a_zip_archive_never_changes_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected("strided_zip");
    let whole = fs::read(path("strided_zip")).unwrap();
    let mut refused = 0;
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        match try_read(&file_of(folder.path(), &changed)) {
            Ok(tensors) => assert_same(&tensors, &expected),
            Err(_) => refused += 1,
        }
    }
    // Most bytes are numbers, the pickle, or the directory.
    assert!(refused > whole.len() / 4, "{refused} of {}", whole.len());
}

#[test]
fn a_damaged_record_is_named_beside_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(path("strided_zip")).unwrap();
    let expected = expected("strided_zip");
    let number = expected["plain"].as_slice::<f32>().unwrap()[20].to_le_bytes();
    let place = bytes.windows(4).position(|part| part == number).unwrap();
    bytes[place + 2] ^= 1;
    let error = try_read(&file_of(folder.path(), &bytes)).unwrap_err();
    for part in ["weights.pth", "record `strided_zip/data/", "checksum"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_changed_byte_of_the_older_format_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(path("strided_old")).unwrap();
    let names: BTreeSet<String> = expected("strided_old").into_keys().collect();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        // It has no checksums: a number can be another. What is read has the names and shapes of the pickle.
        if let Ok(tensors) = try_read(&file_of(folder.path(), &changed)) {
            assert!(tensors.len() <= names.len());
        }
    }
}

#[test]
fn what_is_no_file_of_torch_save_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let page = b"<!DOCTYPE html><html>404</html>".to_vec();
    let pickle = b"\x80\x04}\x94.".to_vec();
    for (bytes, expected) in [
        (vec![], "it is empty"),
        (page, "not a file of torch.save"),
        (pickle, "not a file of torch.save"),
        (tar, "tar archive"),
    ] {
        let error = try_read(&file_of(folder.path(), &bytes)).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("weights.pth"), "{error}");
    }
}

#[test]
fn a_parameter_that_is_no_tensor_is_named_with_what_it_is() {
    let refused = import(tiny_swin(), &open("unreadable"));
    let message = refused.expect_err("refused").to_string();
    for part in [
        "unreadable.pth",
        "`patch_embed.proj.weight`",
        "numpy",
        "save the state_dict alone",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

fn tiny_swin() -> AnyBackbone<Plain> {
    let config = SwinConfig::new(4, vec![1, 1], vec![1, 2]).with_window(4);
    AnyBackbone::Swin(config.init(&Default::default()))
}

fn load(file: &Checkpoint) -> (String, ImportReport) {
    let (backbone, report) = import(tiny_swin(), file).unwrap_or_else(|error| panic!("{error}"));
    (hash_module(&backbone), report)
}

#[test]
fn a_segmentor_of_open_mmlab_gives_timms_weights() {
    let timm = checkpoint("timm", &expected("timm"));
    let (hash, report) = load(&open("open_mmlab"));
    assert_eq!(hash, load(&timm).0);
    assert_eq!(report.place, "state_dict.backbone");
    assert_eq!(report.applied.len(), timm.keys().count());
    let skipped: Vec<&str> = report.skipped.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "state_dict.decode_head.*",
        "state_dict.auxiliary_head.*",
        "optimizer.*",
        "meta.*",
        "message_hub.*",
        "param_schedulers",
        "norm1.weight",
        "stages.0.blocks.0.attn.w_msa.relative_position_index",
    ] {
        assert!(skipped.contains(&key), "{key}: {skipped:?}");
    }
}
