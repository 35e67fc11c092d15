//! Reading Python's pickles, as far as a state dict needs it.
//!
//! A pickle is a program for a small stack machine, and Python's own machine may call any function. This one
//! calls none: it interprets PyTorch's few functions that rebuild tensors, and everything else becomes an
//! [opaque](Object::Opaque) object that is skipped. All objects are in one list and refer to each other by
//! index, so that neither depth nor cycles use the call stack, and the number of values is [limited](Limits).

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

/// The limits on the size of a pickle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Number of values that may be pushed to the stack, stored in the memo, or copied.
    values: u32,
}

impl Limits {
    /// Limits for a pickle of a few numbers.
    pub(crate) const SMALL: Self = Self { values: 1000 };
    /// Limits for a training checkpoint with hundreds of thousands of tensors.
    pub(crate) const LARGE: Self = Self { values: 1 << 22 };
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle {
    root: Value,
    objects: Vec<Object>,
}

/// A value, or its index in the list of objects.
#[derive(Debug, Clone, Copy)]
enum Value {
    None,
    /// Its value is not kept.
    Boolean,
    Integer(i64),
    /// Its value is not kept.
    Float,
    Object(u32),
}

/// An object that has parts, or does not fit in a [`Value`].
#[derive(Debug)]
enum Object {
    /// A string that is short enough for a name.
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
    /// An object that is not interpreted.
    Opaque(Opaque),
}

/// Name of a class or function.
#[derive(Debug, Clone)]
struct Global {
    module: Rc<str>,
    name: Rc<str>,
}

/// The description of an object that is not interpreted.
#[derive(Debug, Clone)]
enum Opaque {
    /// An instance of a class, or the result of a function.
    Of(Global),
    /// A description in words.
    Is(&'static str),
}

/// A storage: elements of one type that tensors are views of.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// Name in the file.
    pub(crate) key: Rc<str>,
    /// Element type; `None` for an unsupported type.
    element: Option<Element>,
    /// Size of an element in bytes.
    pub(crate) each: usize,
    /// Number of elements of the whole storage.
    pub(crate) count: usize,
    /// Start of this view in the storage.
    start: usize,
    /// Number of elements in this view.
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

    /// Returns the pickled integer of more than 64 bits.
    pub(crate) fn wide_integer(&self) -> Option<i128> {
        match self.object(self.root) {
            Some(Object::WideInteger(integer)) => Some(*integer),
            _ => None,
        }
    }

    /// Returns the pickled list of strings.
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

    /// Returns every storage that the pickle refers to.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}
