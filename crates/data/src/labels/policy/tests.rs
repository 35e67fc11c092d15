//! Forms of a policy, and what they make of values.

use super::*;
use crate::labels::LabelTable;

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// The classes of some values, of so many classes; or the first value that is none.
fn apply(policy: &LabelPolicy, values: &[u16], classes: usize) -> Result<Vec<u8>, u16> {
    let table: LabelTable = policy.table(&names(classes)).unwrap();
    let class = |&value: &u16| table.class_of_value(value).ok_or(value);
    values.iter().map(class).collect()
}

#[test]
fn reduce_zero_shifts_and_ignores_zero() {
    let labels = apply(&LabelPolicy::ReduceZero, &[0, 1, 3, 255], 3);
    assert_eq!(labels, Ok(vec![IGNORE, 0, 2, IGNORE]));
}

#[test]
fn direct_keeps_classes_and_maps_its_ignore_value() {
    let labels = apply(&LabelPolicy::Direct { ignore: 11 }, &[0, 10, 11], 11);
    assert_eq!(labels, Ok(vec![0, 10, IGNORE]));
}

#[test]
fn the_first_bad_value_is_reported() {
    assert_eq!(apply(&LabelPolicy::ReduceZero, &[0, 1, 4, 5], 3), Err(4));
    // 255 is not silently taken for ignore where the policy names another value.
    assert_eq!(
        apply(&LabelPolicy::Direct { ignore: 11 }, &[255], 11),
        Err(255)
    );
    // Nor is a value of 16 bits for its lower byte.
    assert_eq!(apply(&LabelPolicy::ReduceZero, &[257], 3), Err(257));
}

#[test]
fn an_ignore_value_cannot_be_a_class() {
    let policy = LabelPolicy::Direct { ignore: 11 };
    let error = policy.table(&names(12)).unwrap_err().to_string();
    assert!(error.contains("class list of 12 names"), "{error}");
    assert!(error.contains("value 11 as ignore"), "{error}");
    assert!(LabelPolicy::ReduceZero.table(&[]).is_err());
    assert!(LabelPolicy::ReduceZero.table(&names(256)).is_err());
    let policy = LabelPolicy::Direct { ignore: 255 };
    assert!(policy.table(&names(255)).is_ok());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Data {
    labels: LabelPolicy,
}

fn parse(text: &str) -> Result<LabelPolicy, String> {
    let data: Result<Data, _> = toml::from_str(&format!("labels = {text}"));
    data.map(|data| data.labels)
        .map_err(|error| error.to_string())
}

#[test]
fn every_form_is_written_as_it_is_read() {
    for text in [
        "\"reduce_zero\"",
        "{ direct = { ignore = 11 } }",
        "{ values = { 0 = \"background\", 255 = \"object\" } }",
        "{ values = { 7 = \"a\", 8 = \"b\", 300 = \"b\" }, ignore = [0, 65535] }",
        "{ colors = { road = [128, 64, 0], \"pole 1\" = [0, 0, 1] } }",
        "{ colors = { road = [[128, 64, 0], [1, 1, 1]] }, ignore = [[0, 0, 0], [9, 9, 9]] }",
    ] {
        let policy = parse(text).unwrap();
        let written = toml::to_string(&Data {
            labels: policy.clone(),
        });
        let written = written.unwrap();
        let read: Data = toml::from_str(&written).unwrap();
        assert_eq!(read.labels, policy, "{written}");
    }
    // One value or colour need not be a list.
    let one = parse("{ values = { 1 = \"a\" }, ignore = 0 }").unwrap();
    assert_eq!(
        one,
        parse("{ values = { 1 = \"a\" }, ignore = [0] }").unwrap()
    );
    let one = parse("{ colors = { a = [1, 2, 3] }, ignore = [0, 0, 0] }").unwrap();
    let list = parse("{ colors = { a = [[1, 2, 3]] }, ignore = [[0, 0, 0]] }").unwrap();
    assert_eq!(one, list);
}

#[test]
fn what_is_no_policy_says_what_would_be() {
    for (text, parts) in [
        ("\"keep\"", ["`keep`", "`reduce_zero`"]),
        ("{ direct = {} }", ["`ignore`", "missing"]),
        ("{ color = { a = [1, 2, 3] } }", ["`color`", "`colors`"]),
        ("{ values = { 70000 = \"a\" } }", ["`70000`", "0 to 65535"]),
        ("{ values = { a = \"0\" } }", ["`a`", "0 to 65535"]),
        (
            "{ values = { 1 = \"a\", 01 = \"b\" } }",
            ["value 1", "twice"],
        ),
        ("{ colors = { road = [128, 64] } }", ["`road`", "[128, 64]"]),
        (
            "{ colors = { road = [128, 64, 256] } }",
            ["[128, 64, 256]", "0 to 255"],
        ),
        ("{ colors = { road = \"red\" } }", ["such as", "[0, 0, 0]"]),
        ("{ ignore = 0 }", ["`direct`", "`values`"]),
        (
            "{ direct = { ignore = 0 }, ignore = 1 }",
            ["one of", "`direct`"],
        ),
        ("7", ["label policy", "reduce_zero"]),
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{text}: {error}"
        );
    }
}
