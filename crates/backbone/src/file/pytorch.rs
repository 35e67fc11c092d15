//! Files of `torch.save`.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::zip::Archive;
use super::{Container, Fault, Place, Stored, WeightFile, legacy};
use crate::pickle::{self, Input, Leaf, Limits, Pickle, Storage};

/// How zip archives start.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// How tar archives go on at byte 257.
const TAR: [u8; 5] = *b"ustar";

/// Opens a file of whichever of PyTorch's formats.
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
    /// Bytes of the longest record that is no tensor and no pickle: one word.
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
            None => Some(Place::Record(record)),
            Some(size) if size.checked_sub(bytes)? < storage.each as u64 => {
                Some(Place::Record(record))
            }
            Some(_) => None,
        }
    };
    let mut opened = assemble(&saved, place, Container::Memory(Vec::new().into()))?;
    opened.container = Container::Zip(archive, big_endian);
    Ok(opened)
}

/// The tensors of a pickle and where their numbers are.
///
/// `place` returns nothing for a storage whose size in the file is another than its tensors say.
pub(super) fn assemble(
    saved: &Pickle,
    place: impl Fn(&Storage) -> Option<Place>,
    container: Container,
) -> Result<WeightFile, Fault> {
    let mut file = WeightFile {
        tensors: Default::default(),
        others: Default::default(),
        container,
    };
    for (name, leaf) in saved.leaves()? {
        match leaf {
            Leaf::Other(what) => {
                file.others.insert(name, what);
            }
            Leaf::Tensor(tensor) => {
                let place = place(&tensor.storage).ok_or_else(|| {
                    Fault::format(format!(
                        "tensor `{name}`: its storage `{}` has another size in the file than the pickle says",
                        tensor.storage.key
                    ))
                })?;
                let stored = Stored {
                    element: Some(tensor.element),
                    layout: tensor.layout.clone(),
                    place,
                };
                file.tensors.insert(name, stored);
            }
        }
    }
    Ok(file)
}
