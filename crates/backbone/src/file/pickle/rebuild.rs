//! Interprets PyTorch's functions that rebuild tensors, and a few of Python's classes.

use std::io::BufRead;
use std::rc::Rc;

use super::machine::Machine;
use super::{Global, Object, Opaque, Storage, Tensor, Value};
use crate::file::{Element, Fault, Strided};

/// Classes of storages with unsupported element types, and the sizes of their elements.
const OTHER_STORAGES: [(&str, usize); 8] = [
    ("UntypedStorage", 1),
    ("ComplexFloatStorage", 8),
    ("ComplexDoubleStorage", 16),
    ("QInt8Storage", 1),
    ("QUInt8Storage", 1),
    ("QInt32Storage", 4),
    ("QUInt4x2Storage", 1),
    ("QUInt2x4Storage", 1),
];

/// An opaque object in place of a tensor that cannot be rebuilt.
fn no_tensor(what: &'static str) -> Object {
    Object::Opaque(Opaque::Is(what))
}

impl<R: BufRead> Machine<'_, R> {
    /// Pushes the result of a function for a tuple of arguments; nothing is executed.
    pub(super) fn call(&mut self, function: Value, arguments: Value) -> Result<(), Fault> {
        let Some(Object::Global(function)) = self.object(function) else {
            return self.push_object(no_tensor("the result of an unknown function"));
        };
        let function = function.clone();
        let arguments: Vec<Value> = match self.object(arguments) {
            Some(Object::Tuple(items)) => items.clone(),
            _ => Vec::new(),
        };
        self.pay(arguments.len())?;
        // A tensor with attributes of its own: a function for the tensor, a class, arguments, attributes.
        if function.is(
            "torch._tensor",
            &["_rebuild_from_type_v2", "_rebuild_from_type"],
        ) {
            return self.call_for_class(&function, &arguments);
        }
        self.call_plain(&function, &arguments)
    }

    fn call_for_class(&mut self, outer: &Global, arguments: &[Value]) -> Result<(), Fault> {
        let global = |value: &Value| match self.object(*value) {
            Some(Object::Global(global)) => Some(global.clone()),
            _ => None,
        };
        let function = arguments.first().and_then(global);
        let class = arguments.get(1).and_then(global);
        let inner = match arguments.get(2).and_then(|value| self.object(*value)) {
            Some(Object::Tuple(items)) => Some(items.clone()),
            _ => None,
        };
        let (Some(function), Some(class), Some(inner)) = (function, class, inner) else {
            return self.push_object(Object::Opaque(Opaque::Of(outer.clone())));
        };
        self.pay(inner.len())?;
        // Another class may mean something else by its numbers.
        if class.is("torch", &["Tensor"])
            || class.is("torch._tensor", &["Tensor"])
            || class.is("torch.nn.parameter", &["Parameter", "Buffer"])
        {
            return self.call_plain(&function, &inner);
        }
        self.push_object(Object::Opaque(Opaque::Of(class)))
    }

    fn call_plain(&mut self, function: &Global, arguments: &[Value]) -> Result<(), Fault> {
        let object = match (&*function.module, &*function.name) {
            ("collections", "OrderedDict" | "defaultdict")
            | ("builtins" | "__builtin__", "dict") => self.dictionary(function, arguments)?,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                self.tensor(arguments, None)
            }
            ("torch._utils", "_rebuild_tensor_v3") => self.tensor(arguments, Some(6)),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                match arguments.first().and_then(|value| self.object(*value)) {
                    Some(Object::Tensor(tensor)) => Object::Tensor(tensor.clone()),
                    Some(Object::Opaque(opaque)) => Object::Opaque(opaque.clone()),
                    _ => no_tensor("a parameter without a tensor"),
                }
            }
            _ => Object::Opaque(Opaque::Of(function.clone())),
        };
        self.push_object(object)
    }

    /// Creates a dictionary from pairs, or an empty one.
    fn dictionary(&mut self, class: &Global, arguments: &[Value]) -> Result<Object, Fault> {
        // The first argument of a default dictionary says what its defaults are.
        let arguments = match &*class.name {
            "defaultdict" => arguments.get(1..).unwrap_or_default(),
            _ => arguments,
        };
        let Some(&first) = arguments.first() else {
            return Ok(Object::Dictionary(Vec::new()));
        };
        let pairs = match self.object(first) {
            Some(Object::Dictionary(entries)) => Some(entries.clone()),
            Some(Object::List(items)) => {
                let pair = |item: &Value| match self.object(*item) {
                    Some(Object::List(pair) | Object::Tuple(pair)) => match pair.as_slice() {
                        &[key, value] => Some((key, value)),
                        _ => None,
                    },
                    _ => None,
                };
                items.iter().map(pair).collect()
            }
            _ => None,
        };
        let Some(pairs) = pairs else {
            return Ok(Object::Opaque(Opaque::Of(class.clone())));
        };
        self.pay(pairs.len())?;
        Ok(Object::Dictionary(pairs))
    }

    /// Creates a tensor from storage, offset, shape and strides; its type is that of the storage, or an argument.
    ///
    /// Further arguments are whether it requires a gradient, hooks, and since 1.13 a dictionary with the
    /// negation and conjugation flags.
    fn tensor(&self, arguments: &[Value], kind: Option<usize>) -> Object {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return no_tensor("a tensor without a shape");
        };
        let Some(Object::Storage(storage)) = self.object(storage) else {
            return no_tensor("a tensor without a storage");
        };
        let metadata = arguments.get(kind.unwrap_or(5) + 1);
        match metadata.map(|value| (value, self.object(*value))) {
            None | Some((Value::None, _)) => {}
            Some((_, Some(Object::Dictionary(entries)))) if entries.is_empty() => {}
            _ => return no_tensor("a tensor whose numbers are to be negated or conjugated"),
        }
        let element = match kind.map(|place| arguments.get(place)) {
            None => storage.element,
            Some(kind) => match kind.and_then(|value| self.object(*value)) {
                Some(Object::Global(kind)) if &*kind.module == "torch" => {
                    Element::of_torch(&kind.name)
                }
                _ => None,
            },
        };
        let Some(element) = element else {
            return no_tensor("a tensor of an unsupported type");
        };
        let (Some(offset), Some(shape), Some(strides)) = (
            whole(offset),
            self.whole_numbers(shape),
            self.whole_numbers(strides),
        ) else {
            return no_tensor("a tensor whose shape is not a tuple of integers");
        };
        let bytes = storage.available.saturating_mul(storage.each);
        // A view may start inside of its storage; strides and offset count from there.
        let start = storage.start.saturating_mul(storage.each) / element.bytes();
        let available = start.saturating_add(bytes / element.bytes());
        let offset = start.saturating_add(offset);
        match Strided::new(shape, strides, offset, available) {
            Ok(layout) => Object::Tensor(Rc::new(Tensor {
                storage: storage.clone(),
                element,
                layout,
            })),
            Err(reason) => no_tensor(reason),
        }
    }

    fn whole_numbers(&self, value: Value) -> Option<Vec<usize>> {
        /// More than the maximum number of axes of a tensor; a longer tuple is not copied.
        const MOST: usize = 100;
        match self.object(value) {
            Some(Object::Tuple(items) | Object::List(items)) if items.len() <= MOST => {
                items.iter().map(|item| whole(*item)).collect()
            }
            _ => None,
        }
    }

    /// Creates the storage that a tuple describes: `("storage", class, key, device, count)`. In the older
    /// format a view follows, which is `None` or `(key, start, count)`.
    pub(super) fn persistent(&self, identifier: Value) -> Object {
        self.storage(identifier)
            .map_or(no_tensor("an object outside of the file"), Object::Storage)
    }

    fn storage(&self, identifier: Value) -> Option<Storage> {
        let Some(Object::Tuple(parts)) = self.object(identifier) else {
            return None;
        };
        let &[what, class, key, _, count, ..] = parts.as_slice() else {
            return None;
        };
        let Some(Object::Global(class)) = self.object(class) else {
            return None;
        };
        let element = Element::of_storage(&class.name);
        let other = OTHER_STORAGES.iter().find(|line| line.0 == &*class.name);
        let each = element.map(Element::bytes).or(other.map(|line| line.1))?;
        let count = whole(count)?;
        let (start, available) = match parts.get(5) {
            None | Some(Value::None) => (0, count),
            Some(view) => match self.object(*view) {
                Some(Object::Tuple(view)) => match view.as_slice() {
                    &[_, start, length] => (whole(start)?, whole(length)?),
                    _ => return None,
                },
                _ => return None,
            },
        };
        start.checked_add(available).filter(|&end| end <= count)?;
        (&*self.text_of(what)? == "storage").then_some(Storage {
            key: self.text_of(key)?,
            element,
            each,
            count,
            start,
            available,
        })
    }
}

fn whole(value: Value) -> Option<usize> {
    match value {
        Value::Integer(integer) => usize::try_from(integer).ok(),
        _ => None,
    }
}

impl Global {
    fn is(&self, module: &str, names: &[&str]) -> bool {
        &*self.module == module && names.contains(&&*self.name)
    }
}
