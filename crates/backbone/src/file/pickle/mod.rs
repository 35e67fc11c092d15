//! Python's pickles, as far as a state dict needs them.
//!
//! A pickle is a program for a small stack machine, and Python's own may call any function. This one calls
//! none: it knows what PyTorch's few functions that rebuild tensors make of their arguments, and everything
//! else becomes an [opaque](Object::Opaque) object that can be passed over. What is built lies in one list
//! and refers to its parts by their places, so that neither depth nor cycles cost stack, and the number of
//! values is [limited](Limits).

mod input;
mod literals;
mod machine;
mod rebuild;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tree;

use std::rc::Rc;

pub(crate) use input::{Input, LONGEST};
pub(crate) use machine::read;
pub(crate) use tree::Leaf;

use crate::file::{Element, Strided};

/// What a pickle may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Values that may be put on the stack, into memory, or copied.
    values: u32,
}

impl Limits {
    /// For a pickle of a few numbers.
    pub(crate) const SMALL: Self = Self { values: 1000 };
    /// For a training checkpoint of hundreds of thousands of tensors.
    pub(crate) const LARGE: Self = Self { values: 1 << 22 };
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle {
    root: Value,
    objects: Vec<Object>,
}

/// A value: itself, or where it is in the list of objects.
#[derive(Debug, Clone, Copy)]
enum Value {
    None,
    /// Which one does not matter.
    Truth,
    Integer(i64),
    /// Which one does not matter.
    Float,
    Object(u32),
}

/// What has parts, or does not fit in a [`Value`].
#[derive(Debug)]
enum Object {
    /// Text of a length that a name can have.
    Text(Rc<str>),
    /// An integer of more than 64 bits.
    WideInteger(i128),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
    /// A class or function.
    Global(Global),
    Storage(Storage),
    Tensor(Rc<Tensor>),
    /// What is not understood, and need not be.
    Opaque(Opaque),
}

/// Name of a class or function.
#[derive(Debug, Clone)]
struct Global {
    module: Rc<str>,
    name: Rc<str>,
}

/// What is known of an object that is not understood.
#[derive(Debug, Clone)]
enum Opaque {
    /// Of a class, or the result of a function.
    Of(Global),
    /// In words.
    Is(&'static str),
}

/// Numbers of one type that tensors are views of.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// Name in the file.
    pub(crate) key: Rc<str>,
    /// Type of the numbers; none where it is one that is not read.
    element: Option<Element>,
    /// Bytes of a number.
    pub(crate) each: usize,
    /// Numbers of the whole storage.
    pub(crate) count: usize,
    /// Where the view of the storage starts that this is.
    start: usize,
    /// Numbers in that view.
    available: usize,
}

/// A tensor in a pickle.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) storage: Storage,
    pub(crate) element: Element,
    pub(crate) layout: Strided,
}

impl Pickle {
    fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(place) => self.objects.get(place as usize),
            _ => None,
        }
    }

    /// The integer of more than 64 bits that was pickled.
    pub(crate) fn wide_integer(&self) -> Option<i128> {
        match self.object(self.root) {
            Some(Object::WideInteger(integer)) => Some(*integer),
            _ => None,
        }
    }

    /// The list of texts that was pickled.
    pub(crate) fn texts(&self) -> Option<Vec<Rc<str>>> {
        let Some(Object::List(items)) = self.object(self.root) else {
            return None;
        };
        let text = |&item: &Value| match self.object(item) {
            Some(Object::Text(text)) => Some(text.clone()),
            _ => None,
        };
        items.iter().map(text).collect()
    }

    /// Every storage that the pickle refers to.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}
