//! PyTorch's format before 1.6: consecutive pickles, then the elements of every storage.
//!
//! The pickles are a magic number, the version, the system that wrote the file, the saved object, and the keys
//! of its storages. Each storage is its number of elements and their bytes. There are no checksums.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::rc::Rc;

use super::assemble::assemble;
use super::pickle::{self, Input, Limits, Storage};
use super::{Container, Fault, Location, WeightFile, cut_short, read_at};

/// What the first pickle holds.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Maximum size of the first three pickles in bytes; they have about two hundred.
const LONGEST_PREAMBLE: u64 = 4096;

/// Opens a file; returns `None` if it does not start with the magic number of this format.
pub(super) fn open(mut file: File) -> Result<Option<WeightFile>, Fault> {
    file.seek(SeekFrom::Start(0))?;
    let mut input = Input::new(BufReader::new(&file), LONGEST_PREAMBLE);
    let first = pickle::read(&mut input, Limits::SMALL).ok();
    if first.and_then(|pickle| pickle.wide_integer()) != Some(MAGIC) {
        return Ok(None);
    }
    for _ in ["version", "system"] {
        pickle::read(&mut input, Limits::SMALL)?;
    }
    input.allow(pickle::LONGEST);
    let saved = pickle::read(&mut input, Limits::LARGE)?;
    let keys = pickle::read(&mut input, Limits::LARGE)?;
    let keys = keys.texts();
    let keys = keys.ok_or_else(|| Fault::format("the list of its storages is damaged"))?;
    let start = input.position();
    drop(input);

    let mut storages: HashMap<&str, &Storage> = HashMap::new();
    for storage in saved.storages() {
        storages.insert(&storage.key, storage);
    }
    let places = locate(&mut file, start, &keys, &storages)?;
    let place = |storage: &Storage| places.get(&storage.key).map(|&start| Location::Byte(start));
    assemble(&saved, place, Container::File(file)).map(Some)
}

/// Finds the start of each storage.
fn locate(
    file: &mut File,
    start: u64,
    keys: &[Rc<str>],
    storages: &HashMap<&str, &Storage>,
) -> Result<HashMap<Rc<str>, u64>, Fault> {
    /// Size of the number of elements before each storage, in bytes.
    const COUNT: u64 = 8;
    let length = file.metadata()?.len();
    let mut places = HashMap::new();
    let mut position = start;
    for key in keys {
        let storage = storages
            .get(&**key)
            .ok_or_else(|| Fault::format(format!("no tensor has its storage `{key}`")))?;
        let count = read_at(file, position, COUNT)?;
        let count = u64::from_le_bytes(*count.first_chunk().ok_or_else(cut_short)?);
        if count != storage.count as u64 {
            return Err(Fault::format(format!(
                "its storage `{key}` has {count} elements, its tensors say {}",
                storage.count
            )));
        }
        let bytes = count.checked_mul(storage.each as u64);
        let end = bytes.and_then(|bytes| (position + COUNT).checked_add(bytes));
        let end = end.filter(|&end| end <= length).ok_or_else(cut_short)?;
        places.insert(key.clone(), position + COUNT);
        position = end;
    }
    Ok(places)
}
