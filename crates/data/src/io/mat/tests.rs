use super::*;

fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut element = kind.to_le_bytes().to_vec();
    element.extend((bytes.len() as u32).to_le_bytes());
    element.extend(bytes);
    element.resize(element.len().next_multiple_of(8), 0);
    element
}

fn array(class: u32, dimensions: &[u32], name: &str, rest: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut body = element(6, &words(&[class, 0]));
    body.extend(element(5, &words(dimensions)));
    body.extend(element(1, name.as_bytes()));
    body.extend(rest.concat());
    element(MATRIX, &body)
}

fn file(arrays: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0x00, 0x01, b'I', b'M']);
    bytes.extend(arrays.concat());
    bytes
}

fn parse(bytes: &[u8]) -> Result<MatFile, String> {
    MatFile::parse(Path::new("x.mat"), bytes)
}

/// Calls every accessor of a file, which may return errors but must not panic.
fn exercise(bytes: &[u8]) -> bool {
    fn visit(value: &Value<'_>) {
        match value {
            Value::Numbers(numbers) => {
                assert_eq!(numbers.iter().count(), numbers.len());
                if let Some(rows) = numbers.rows(|value| value) {
                    assert_eq!(rows.len(), numbers.len());
                }
            }
            Value::Cells(cells) => cells.iter().for_each(visit),
            Value::Structs(structs) => {
                for index in 0..structs.count.min(9) {
                    for field in 0..structs.fields.len() {
                        visit(structs.get(index, field).unwrap());
                    }
                    assert!(structs.get(index, structs.fields.len()).is_none());
                }
            }
            Value::Text(_) | Value::Other(_) => {}
        }
    }
    let Ok(file) = parse(bytes) else {
        return false;
    };
    let mut whole = true;
    for name in ["a", "s", "missing"] {
        match file.variable(name) {
            Ok(value) => visit(&value),
            Err(_) => whole = whole && name == "missing",
        }
    }
    whole
}

/// A matrix `a` and a struct `s` of text, a cell and an empty array.
fn sample() -> Vec<u8> {
    let matrix = array(
        12,
        &[2, 3],
        "a",
        &[element(4, &[1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 0, 1])],
    );
    let text = array(4, &[1, 2], "", &[element(16, b"hi")]);
    let one = array(6, &[1, 1], "", &[element(9, &2.5f64.to_le_bytes())]);
    let cell = array(1, &[1, 1], "", &[one]);
    // A length in a small element, then the names.
    let small = [5u16.to_le_bytes(), 4u16.to_le_bytes()].concat();
    let length = [small, 4u32.to_le_bytes().to_vec()].concat();
    let names = element(1, b"t\0\0\0cel\0non\0");
    let fields = vec![length, names, text, cell, element(MATRIX, &[])];
    file(&[matrix, array(2, &[1, 1], "s", &fields)])
}

#[test]
fn arrays_of_every_class() {
    let bytes = sample();
    assert!(exercise(&bytes));
    let file = parse(&bytes).unwrap();
    let value = file.variable("a").unwrap();
    let numbers = value.numbers().unwrap();
    assert_eq!(numbers.size(), Some([2, 3]));
    let rows = numbers.rows(|value| value).unwrap();
    assert_eq!(rows, [1.0, 2.0, 3.0, 4.0, 5.0, 256.0]);
    let value = file.variable("s").unwrap();
    let structs = value.structs().unwrap();
    assert_eq!(structs.fields, ["t", "cel", "non"]);
    assert_eq!(structs.get(0, 0).unwrap().text(), Some("hi"));
    let Some(Value::Cells(cells)) = structs.get(0, 1) else {
        panic!("{:?}", structs.get(0, 1));
    };
    let inner: Vec<f64> = cells[0].numbers().unwrap().iter().collect();
    assert_eq!(inner, [2.5]);
    assert!(structs.get(0, 2).unwrap().is_empty());
    let error = file.variable("b").unwrap_err().to_string();
    assert!(error.contains("no variable `b` (found: a, s)"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = sample();
    for length in 0..bytes.len() {
        let whole = exercise(&bytes[..length]);
        // Only the padding at the very end may be missing.
        assert!(
            !whole || length + 8 > bytes.len(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let bytes = sample();
    for place in 0..bytes.len() {
        for value in [0, 1, 2, 5, 14, 15, 17, 0x7F, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            exercise(&damaged);
            damaged[place] = bytes[place] ^ value;
            exercise(&damaged);
        }
    }
    // Several at once, by a small generator of its own.
    let mut state = 1u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next(4) {
            let place = 128 + next(bytes.len() - 128);
            damaged[place] = next(256) as u8;
        }
        exercise(&damaged);
    }
}

#[test]
fn sizes_are_believed_only_as_far_as_there_are_bytes() {
    let huge = array(1, &[1 << 20, 1 << 19], "a", &[]);
    let error = parse(&file(&[huge])).unwrap().variable("a").unwrap_err();
    assert!(error.to_string().contains("arrays in 0 bytes"), "{error}");
    let huge = array(9, &[u32::MAX, u32::MAX], "a", &[]);
    let error = parse(&file(&[huge])).unwrap().variable("a").unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    let mut deep = array(6, &[0, 0], "", &[element(9, &[])]);
    for _ in 0..40 {
        deep = array(1, &[1, 1], "a", &[deep]);
    }
    let error = parse(&file(&[deep])).unwrap().variable("a").unwrap_err();
    assert!(error.to_string().contains("deeper than 32"), "{error}");
}

#[test]
fn other_formats_are_named() {
    let fault = |bytes: &[u8]| parse(bytes).err().unwrap();
    let mut bytes = sample();
    bytes[125] = 2;
    assert!(fault(&bytes).contains("7.3"), "{}", fault(&bytes));
    bytes[126] = 0;
    assert!(fault(&bytes).contains("byte 126"), "{}", fault(&bytes));
    assert!(fault(b"\x89HDF\r\n").contains("HDF5"));
    assert!(fault(b"").contains("0 bytes"));
}
