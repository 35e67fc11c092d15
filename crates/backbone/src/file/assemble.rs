//! From what a pickle of PyTorch says to the tensors of a file.

use super::pickle::{Leaf, Pickle, Storage};
use super::{Container, Fault, Place, Stored, WeightFile};

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
