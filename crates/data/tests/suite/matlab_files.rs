//! Files of MATLAB, against what an independent script wrote: `tests/golden/dense_data.py`.

use std::fs;

use crate::common::{expected, golden};
use gradway_data::io::mat::{MatFile, Value};

#[test]
fn matlab_files_of_every_kind_of_array() {
    let expected = &expected()["kinds"];
    for name in ["kinds.plain.mat", "kinds.compressed.mat"] {
        let file = MatFile::read(&golden().join(name)).unwrap();
        for (kind, values) in expected.as_object().unwrap() {
            let value = file.variable(kind).unwrap();
            let numbers = value.numbers().unwrap();
            assert_eq!(numbers.size(), Some([2, 3]), "{kind}");
            let values: Vec<f64> = serde_json::from_value(values.clone()).unwrap();
            assert_eq!(numbers.rows(|value| value).unwrap(), values, "{kind}");
        }
        let truth = file.variable("truth").unwrap();
        let truth: Vec<f64> = truth.numbers().unwrap().iter().collect();
        assert_eq!(truth, [1.0, 0.0]);
        let text = file.variable("text").unwrap();
        assert_eq!(text.text(), Some("words, \u{e4}\u{f6}\u{3b1}"));
        let Value::Cells(cells) = file.variable("cell").unwrap() else {
            panic!("no cells");
        };
        assert_eq!((cells.len(), cells[0].text()), (2, Some("inner")));
        let record = file.variable("struct").unwrap();
        let record = record.structs().unwrap();
        assert_eq!(record.fields, ["first", "second"]);
        assert_eq!(record.get(0, 1).unwrap().text(), Some("two"));
        let cube = file.variable("cube").unwrap();
        assert_eq!(cube.numbers().unwrap().dimensions, [2, 3, 4]);
        assert_eq!(cube.numbers().unwrap().size(), None);
        assert_eq!(file.variable("complex").unwrap().kind(), "complex numbers");
        assert!(file.variable("empty").unwrap().is_empty());
    }
}

#[test]
fn matlab_files_cut_or_damaged_anywhere_do_not_panic() {
    for name in [
        "kinds.compressed.mat",
        "pascal_mt/human_parts/2008_000001.mat",
    ] {
        let bytes = fs::read(golden().join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mat");
        let exercise = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            if let Ok(file) = MatFile::read(&path) {
                for variable in ["anno", "struct", "uint16", "text"] {
                    let _ = file.variable(variable).map(|value| value.is_empty());
                }
            }
        };
        for length in 0..bytes.len() {
            exercise(&bytes[..length]);
        }
        for place in 120..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            exercise(&damaged);
        }
    }
}
