//! From what a pickle of PyTorch says to the tensors of a file.

use super::pickle::{Leaf, Pickle, Storage};
use super::{Container, Fault, Location, Stored, WeightFile};

/// Collects the tensors of a pickle with the locations of their storages.
///
/// `place` returns `None` for a storage whose size in the file differs from the pickle's.
pub(super) fn assemble(
    saved: &Pickle,
    place: impl Fn(&Storage) -> Option<Location>,
    container: Container,
) -> Result<WeightFile, Fault> {
    let mut file = WeightFile {
        tensors: Default::default(),
        others: Default::default(),
        words: Default::default(),
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
