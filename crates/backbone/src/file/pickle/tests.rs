use std::collections::BTreeMap;

use super::testing::{Script, script};
use super::*;
use crate::file::Fault;

fn leaves(pickle: &[u8]) -> Result<BTreeMap<String, Leaf>, Fault> {
    let mut input = Input::new(pickle, LONGEST);
    read(&mut input, Limits::LARGE)?.leaves()
}

fn refusal(pickle: &[u8]) -> String {
    leaves(pickle).expect_err("refused").to_string()
}

/// The description of an entry that is not a tensor.
fn other(pickle: &[u8], name: &str) -> String {
    match leaves(pickle).expect("a state dict").remove(name) {
        Some(Leaf::Other(what)) => what,
        found => panic!("{found:?}"),
    }
}

/// A dictionary of one entry, whose value the script creates.
fn entry(value: impl FnOnce(Script) -> Script) -> Vec<u8> {
    value(script().then(b"}").text("a")).then(b"s").end()
}

#[test]
fn a_tensor_keeps_its_storage_shape_and_strides() {
    let pickle = entry(|script| script.tensor("7", 12, &[2, 3], &[1, 2], 4));
    let Some(Leaf::Tensor(tensor)) = leaves(&pickle).unwrap().remove("a") else {
        panic!("no tensor");
    };
    assert_eq!(&*tensor.storage.key, "7");
    assert_eq!(tensor.element, Element::F32);
    let expected = Strided::new(vec![2, 3], vec![1, 2], 4, 12).unwrap();
    assert_eq!(tensor.layout, expected);
}

#[test]
fn nested_dictionaries_are_one_name() {
    let pickle = script()
        .then(b"}")
        .text("model")
        .then(b"}")
        .text("a.b")
        .tensor("0", 1, &[], &[], 0)
        .then(b"ss")
        .text("epoch")
        .integer(3)
        .then(b"s")
        .end();
    let leaves = leaves(&pickle).unwrap();
    let names: Vec<_> = leaves.keys().map(String::as_str).collect();
    assert_eq!(names, ["epoch", "model.a.b"]);
    assert_eq!(other(&pickle, "epoch"), "a number");
}

#[test]
fn the_same_name_by_two_ways_is_refused() {
    let tensor = |script: Script| script.tensor("0", 1, &[], &[], 0).then(b"s");
    let pickle = tensor(script().then(b"}").text("a.b"));
    let pickle = tensor(Script(pickle.0).text("a").then(b"}").text("b"));
    let message = refusal(&pickle.then(b"s").end());
    assert!(
        message.contains("two of its entries are called `a.b`"),
        "{message}"
    );
}

#[test]
fn a_function_is_named_and_never_called() {
    let pickle = entry(|script| {
        script
            .global("os", "system")
            .text("touch pickle-was-executed")
            .then(b"\x85R")
    });
    assert_eq!(other(&pickle, "a"), "an object of os.system");
    assert!(!std::path::Path::new("pickle-was-executed").exists());
}

#[test]
fn what_changes_a_tensor_after_it_was_made_makes_it_unreadable() {
    let tensor = |script: Script| script.tensor("0", 4, &[4], &[1], 0);
    let expected = "an object that was changed after it was made";
    // A state, an entry, an element.
    let state = entry(|script| tensor(script).then(b"}b"));
    let item = entry(|script| tensor(script).then(b"K\x00K\x01s"));
    let element = entry(|script| tensor(script).then(b"K\x00a"));
    for pickle in [state, item, element] {
        assert_eq!(other(&pickle, "a"), expected);
    }
}

#[test]
fn a_tensor_of_another_class_is_named() {
    let rebuilt = |class: (&str, &str)| {
        entry(|script| {
            script
                .global("torch._tensor", "_rebuild_from_type_v2")
                .then(b"(")
                .global("torch._utils", "_rebuild_tensor_v2")
                .global(class.0, class.1)
                .then(b"(")
                .storage("0", 4)
                .integer(0)
                .integers(&[4])
                .integers(&[1])
                .then(b"\x89Nt}tR")
        })
    };
    let plain = rebuilt(("torch", "Tensor"));
    assert!(matches!(leaves(&plain).unwrap()["a"], Leaf::Tensor(_)));
    let other_class = rebuilt(("mine", "InverseTensor"));
    assert_eq!(other(&other_class, "a"), "an object of mine.InverseTensor");
}

#[test]
fn a_view_of_negated_numbers_is_no_tensor() {
    let pickle = entry(|script| {
        script
            .global("torch._utils", "_rebuild_tensor_v2")
            .then(b"(")
            .storage("0", 4)
            .integer(0)
            .integers(&[4])
            .integers(&[1])
            .then(b"\x89N}")
            .text("neg")
            .then(b"\x88stR")
    });
    assert!(other(&pickle, "a").contains("negated"));
}

#[test]
fn a_tensor_beyond_its_storage_is_no_tensor() {
    for (shape, strides, offset) in [
        (vec![2, 3], vec![3, 1], 1),
        (vec![i32::MAX, i32::MAX, i32::MAX], vec![1, 1, 1], 0),
        (vec![i32::MAX, i32::MAX, i32::MAX], vec![0, 0, 0], 0),
        (vec![-1], vec![1], 0),
        (vec![2], vec![-1], 1),
        (vec![2], vec![1], -1),
        (vec![1; 65], vec![1; 65], 0),
    ] {
        let pickle = entry(|script| script.tensor("0", 6, &shape, &strides, offset));
        let what = other(&pickle, "a");
        assert!(what.starts_with("a tensor "), "{what}");
    }
}

#[test]
fn what_is_no_dictionary_is_refused_by_what_it_is() {
    let list = script()
        .then(b"]")
        .tensor("0", 1, &[], &[], 0)
        .then(b"a")
        .end();
    let message = refusal(&list);
    assert!(
        message.contains("it holds a list, not a dictionary"),
        "{message}"
    );
    assert!(message.contains("save the state_dict alone"), "{message}");
    let model = script()
        .global("models.swin", "Swin")
        .then(b")\x81}b")
        .end();
    let message = refusal(&model);
    assert!(
        message.contains("an object of models.swin.Swin"),
        "{message}"
    );
}

#[test]
fn a_hundred_thousand_dictionaries_inside_each_other_cost_no_stack() {
    const DEPTH: usize = 100_000;
    let nested = script().then(b"}").text("a");
    let nested = (1..DEPTH).fold(nested, |script, _| script.then(b"}").text("a"));
    let nested = nested.then(b"N").then(vec![b's'; DEPTH]);
    let message = refusal(&nested.clone().end());
    assert!(message.contains("more than 32 deep"), "{message}");
    assert!(message.len() < 300, "{message}");
    // In a list they are passed over.
    let list = entry(|script| {
        let list = (0..DEPTH).fold(script, |script, _| script.then(b"]"));
        list.then(vec![b'a'; DEPTH - 1])
    });
    assert_eq!(other(&list, "a"), "a list");
}

/// A value that holds itself twice, nested sixty times: 2^60 values in some hundred bytes.
fn doubled(first: &[u8], pair: impl Fn(Script) -> Script) -> Script {
    let start = script().then(first).then(b"q\x00");
    (0..60).fold(start, |script, _| pair(script.then(b"0")).then(b"q\x00"))
}

#[test]
fn values_that_are_doubled_through_the_memo_are_not_unfolded() {
    let tuples = doubled(b")", |script| script.then(b"h\x00h\x00\x86"));
    let beside = tuples
        .then(b"0}")
        .text("a")
        .tensor("0", 1, &[], &[], 0)
        .then(b"s")
        .text("b")
        .then(b"h\x00s")
        .end();
    assert_eq!(other(&beside, "b"), "a tuple");
    assert!(matches!(leaves(&beside).unwrap()["a"], Leaf::Tensor(_)));

    let dictionaries = doubled(b"}", |script| {
        let first = script.then(b"}").text("a").then(b"h\x00s");
        first.text("b").then(b"h\x00s")
    });
    let message = refusal(&dictionaries.end());
    assert!(message.contains("its dictionaries"), "{message}");
}

#[test]
fn a_dictionary_inside_itself_is_refused() {
    let pickle = script().then(b"}q\x00").text("a").then(b"h\x00s").end();
    let message = refusal(&pickle);
    assert!(message.contains("more than 32 deep"), "{message}");
}

#[test]
fn a_wide_dictionary_of_long_shared_names_is_bounded() {
    // A thousand keys of four thousand bytes in each of a thousand dictionaries that are one.
    let name = "n".repeat(4000);
    let mut inner = script().then(b"}q\x00(");
    for index in 0..1000 {
        inner = inner.text(&format!("{name}{index:03}")).then(b"N");
    }
    let mut outer = inner.then(b"u0}(");
    for index in 0..1000 {
        outer = outer.text(&format!("{name}{index:03}")).then(b"h\x00");
    }
    let message = refusal(&outer.then(b"u").end());
    assert!(
        message.contains("longer names") || message.contains("more entries"),
        "{message}"
    );
}

#[test]
fn lengths_beyond_the_file_ask_for_no_memory() {
    let huge = u64::MAX.to_le_bytes();
    let wide = u32::MAX.to_le_bytes();
    for (operation, length) in [
        (0x8d, huge.as_slice()),
        (0x8e, &huge),
        (0x96, &huge),
        (b'X', &wide),
        (b'T', &wide),
        (b'B', &wide),
        (0x8b, &wide),
    ] {
        let pickle = script().then([operation]).then(length).then(b"abc").end();
        let message = refusal(&pickle);
        assert!(message.contains("of the pickle"), "{message}");
    }
    assert!(refusal(&script().then(b"Labc").end()).contains("cut short"));
}

#[test]
fn more_values_than_weights_have_are_refused() {
    let pickle = script()
        .then(b"(")
        .then(vec![b'N'; 5_000_000])
        .then(b"l")
        .end();
    let message = refusal(&pickle);
    assert!(message.contains("more values"), "{message}");
    // A long list that is copied again and again costs what it copies.
    let list = script()
        .then(b"](")
        .then(b"N".repeat(100_000))
        .then(b"tq\x000");
    let call = Script::default().global("a", "b").then(b"h\x00R0").0;
    let message = refusal(&list.then(call.repeat(100)).end());
    assert!(message.contains("more values"), "{message}");
}

#[test]
fn every_protocol_writes_the_same_dictionary() {
    // {"a": -2, "b": (True, 2.5, None)} by Python's pickle.dumps, protocols 0 to 5.
    let pickles: [&[u8]; 6] = [
        b"(dp0\nVa\np1\nI-2\nsVb\np2\n(I01\nF2.5\nNtp3\ns.",
        b"}q\x00(X\x01\x00\x00\x00aq\x01J\xfe\xff\xff\xffX\x01\x00\x00\x00bq\x02(I01\nG@\x04\x00\x00\x00\x00\x00\x00Ntq\x03u.",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01J\xfe\xff\xff\xffX\x01\x00\x00\x00bq\x02\x88G@\x04\x00\x00\x00\x00\x00\x00N\x87q\x03u.",
        b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01J\xfe\xff\xff\xffX\x01\x00\x00\x00bq\x02\x88G@\x04\x00\x00\x00\x00\x00\x00N\x87q\x03u.",
        b"\x80\x04\x95!\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94J\xfe\xff\xff\xff\x8c\x01b\x94\x88G@\x04\x00\x00\x00\x00\x00\x00N\x87\x94u.",
        b"\x80\x05\x95!\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94J\xfe\xff\xff\xff\x8c\x01b\x94\x88G@\x04\x00\x00\x00\x00\x00\x00N\x87\x94u.",
    ];
    for pickle in pickles {
        let read = read(&mut Input::new(pickle, LONGEST), Limits::SMALL).unwrap();
        let Some(Object::Dictionary(entries)) = read.object(read.root) else {
            panic!("{read:?}");
        };
        let names = entries.iter().map(|entry| match read.object(entry.0) {
            Some(Object::Text(text)) => text.to_string(),
            other => panic!("{other:?}"),
        });
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(entries[0].1, Value::Integer(-2)));
        let Some(Object::Tuple(items)) = read.object(entries[1].1) else {
            panic!("{read:?}");
        };
        let [first, second, third] = items.as_slice() else {
            panic!("{items:?}");
        };
        assert!(matches!(first, Value::Boolean), "{items:?}");
        assert!(matches!(second, Value::Float), "{items:?}");
        assert!(matches!(third, Value::None), "{items:?}");
    }
}

#[test]
fn integers_keep_their_sign_and_size() {
    for (bytes, expected) in [
        (vec![], 0),
        (vec![5], 5),
        (vec![0xff], -1),
        (vec![0xff, 0], 255),
        (vec![0, 0x80], -32768),
        (i64::MIN.to_le_bytes().to_vec(), i64::MIN),
    ] {
        let length = bytes.len() as u8;
        let pickle = script().then([0x8a, length]).then(bytes).end();
        let read = read(&mut Input::new(pickle.as_slice(), LONGEST), Limits::SMALL).unwrap();
        assert!(matches!(read.root, Value::Integer(found) if found == expected));
    }
}

/// Pickles that are cut anywhere or have any byte changed are read or rejected without a panic.
#[test]
fn damaged_pickles_are_read_or_refused() {
    let pickle = script()
        .then(b"}(")
        .text("a")
        .tensor("0", 6, &[2, 3], &[3, 1], 0)
        .text("b")
        .global("collections", "OrderedDict")
        .then(b")Rq\x05")
        .text("c")
        .then(b"h\x05")
        .text("d")
        .then(b"(K\x01G\x00\x00\x00\x00\x00\x00\x00\x00\x8a\x01\x05I12\nl")
        .then(b"u")
        .end();
    assert!(leaves(&pickle).is_ok());
    for length in 0..pickle.len() {
        assert!(leaves(&pickle[..length]).is_err(), "cut at {length}");
    }
    for place in 0..pickle.len() {
        for byte in 0..=u8::MAX {
            let mut changed = pickle.clone();
            changed[place] = byte;
            let _ = leaves(&changed);
        }
    }
}
