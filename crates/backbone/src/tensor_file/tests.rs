use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::TensorData;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::checksum::CHECKSUM;
use super::*;

fn tensors() -> BTreeMap<String, TensorData> {
    let floats = TensorData::new(vec![1.0f32, -2.5, 3e-9, 0.0], [2, 2]);
    let bytes = TensorData::new(vec![7u8, 0, 255], [3]);
    BTreeMap::from([("a.weight".to_string(), floats), ("b".to_string(), bytes)])
}

fn metadata() -> HeaderMetadata {
    HeaderMetadata::from([
        ("state".to_string(), r#"{"step":3}"#.to_string()),
        ("other".to_string(), String::new()),
    ])
}

fn read(path: &Path) -> Result<(HeaderMetadata, Vec<TensorData>), TensorFileError> {
    let file = TensorFile::open(path)?;
    let tensors = file.names().map(|name| match name {
        "b" => file.bytes(name).map(|bytes| {
            let count = bytes.len();
            TensorData::new(bytes, [count])
        }),
        _ => file.floats(name),
    });
    let tensors = tensors.collect::<Result<_, _>>()?;
    file.verify()?;
    Ok((file.metadata().clone(), tensors))
}

#[test]
fn what_is_written_is_read_and_the_same_content_is_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    write_tensors(&first, &tensors(), Some(metadata())).unwrap();
    let (mut found, values) = read(&first).unwrap();
    assert_eq!(found.remove(CHECKSUM).map(|sum| sum.len()), Some(64));
    assert_eq!(found, metadata());
    assert_eq!(values, tensors().into_values().collect::<Vec<_>>());
    write_tensors(&second, &tensors(), Some(metadata())).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

#[test]
fn no_flipped_bit_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_tensors(&path, &tensors(), Some(metadata())).unwrap();
    let whole = fs::read(&path).unwrap();
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, damaged).unwrap();
        assert!(read(&path).is_err(), "bit {bit} of {}", 8 * whole.len());
    }
}

#[test]
fn a_file_of_no_tensors_has_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_tensors(&path, &BTreeMap::new(), None).unwrap();
    assert!(read(&path).unwrap().1.is_empty());
}

#[test]
fn a_file_without_a_checksum_is_told_from_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let values = 1.0f32.to_le_bytes();
    let view = TensorView::new(Dtype::F32, vec![1], &values).unwrap();
    fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
    let error = read(&path).unwrap_err();
    assert!(
        matches!(error, TensorFileError::NoChecksum { .. }),
        "{error}"
    );
}

#[test]
fn another_type_and_what_is_no_number_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (kind, bytes) in [
        (Dtype::BF16, 2),
        (Dtype::F16, 2),
        (Dtype::F64, 8),
        (Dtype::I64, 8),
    ] {
        let values = vec![0; bytes];
        let view = TensorView::new(kind, vec![1], &values).unwrap();
        fs::write(&path, safetensors::serialize([("a", view)], None).unwrap()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        let expected = format!("tensor `a` is {kind}; expected F32");
        assert!(error.ends_with(&expected), "{error}");
    }
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let data = TensorData::new(vec![0.0, value], [2]);
        let tensors = BTreeMap::from([("a".to_string(), data)]);
        write_tensors(&path, &tensors, None).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("tensor `a` holds {word}")),
            "{error}"
        );
    }
}
