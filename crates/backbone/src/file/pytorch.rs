//! Files of `torch.save`.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::assemble::assemble;
use super::pickle::{self, Input, Limits, Storage};
use super::zip::Archive;
use super::{Container, Fault, Location, WeightFile, legacy};

/// How zip archives start.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// How tar archives go on at byte 257.
const TAR: [u8; 5] = *b"ustar";

/// Opens a file in any of PyTorch's formats.
pub(crate) fn open(mut file: File) -> Result<WeightFile, Fault> {
    let mut start = Vec::new();
    (&file).take(262).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    if start.starts_with(&ZIP) {
        return open_zip(file);
    }
    if start.get(257..) == Some(&TAR) {
        return Err(Fault::format(
            "it is a tar archive, as PyTorch before 0.1.10 wrote; load it and save it again with another version",
        ));
    }
    match legacy::open(file)? {
        Some(opened) => Ok(opened),
        None if start.is_empty() => Err(Fault::format("it is empty")),
        None => Err(Fault::format(
            "it is not a file of torch.save: neither a zip archive nor PyTorch's older format",
        )),
    }
}

fn open_zip(file: File) -> Result<WeightFile, Fault> {
    /// Maximum size of a record that is neither a tensor nor a pickle, in bytes: it is one word.
    const WORD: u64 = 16;
    let mut archive = Archive::open(file)?;
    let folders: Vec<String> = archive
        .names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(String::from)
        .collect();
    let [folder] = folders.as_slice() else {
        return Err(Fault::format(format!(
            "it is a zip archive with {} records `data.pkl`; torch.save writes one",
            folders.len()
        )));
    };
    if archive.size(&format!("{folder}constants.pkl")).is_some() {
        return Err(Fault::format(
            "it is a TorchScript module; save the state_dict alone: torch.save(torch.jit.load(...).state_dict(), ...)",
        ));
    }
    let order = format!("{folder}byteorder");
    let big_endian = match archive.size(&order) {
        None => false,
        Some(length) => match archive.read(&order, 0..length.min(WORD))?.as_slice() {
            b"little" => false,
            b"big" => true,
            _ => {
                return Err(Fault::format(format!(
                    "record `{order}` does not state its byte order"
                )));
            }
        },
    };
    let saved = {
        let stream = archive.stream(&format!("{folder}data.pkl"))?;
        let mut input = Input::new(BufReader::new(stream), pickle::LONGEST);
        pickle::read(&mut input, Limits::LARGE)?
    };
    let place = |storage: &Storage| {
        let record = format!("{folder}data/{}", storage.key);
        let bytes = (storage.count as u64).checked_mul(storage.each as u64)?;
        match archive.size(&record) {
            // One that is missing is said when it is read.
            None => Some(Location::Record(record)),
            Some(size) if size.checked_sub(bytes)? < storage.each as u64 => {
                Some(Location::Record(record))
            }
            Some(_) => None,
        }
    };
    let mut opened = assemble(&saved, place, Container::Memory(Vec::new().into()))?;
    opened.container = Container::Zip(archive, big_endian);
    Ok(opened)
}
