//! The stack machine of pickles.

use std::collections::HashMap;
use std::io::BufRead;
use std::rc::Rc;

use super::{Global, Input, Limits, Object, Opaque, Pickle, Value};
use crate::file::{Fault, SAVE_ALONE};

/// Reads a pickle of any of Python's protocols from 0 to 5.
///
/// # Errors
///
/// If the bytes are not a pickle, or it exceeds `limits`.
pub(crate) fn read<R: BufRead>(input: &mut Input<R>, limits: Limits) -> Result<Pickle, Fault> {
    let mut machine = Machine {
        input,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        left: limits.values,
    };
    loop {
        let operation = machine.input.byte()?;
        if operation == b'.' {
            let root = machine.pop()?;
            let objects = machine.objects;
            return Ok(Pickle { root, objects });
        }
        machine.take(operation)?;
    }
}

pub(super) struct Machine<'a, R> {
    pub(super) input: &'a mut Input<R>,
    pub(super) objects: Vec<Object>,
    stack: Vec<Value>,
    /// Stack heights of the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Number of values that may still be created.
    left: u32,
}

impl<R: BufRead> Machine<'_, R> {
    /// Runs one operation; names are those of Python's `pickletools`.
    fn take(&mut self, operation: u8) -> Result<(), Fault> {
        match operation {
            // PROTO and FRAME say how the pickle was written; READONLY_BUFFER, what may be done with it.
            0x80 => self.input.byte().map(drop),
            0x95 => self.input.array::<8>().map(drop),
            0x98 => Ok(()),

            // MARK, POP, POP_MARK, DUP
            b'(' => {
                self.pay(1)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => self.pop_mark().map(drop),
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }

            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Boolean),
            b'I' | b'L' | b'F' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b => self.number(operation),
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d => self.text(operation),
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(operation),

            b')' => self.push_object(Object::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_mark()?;
                self.push_object(Object::Tuple(items))
            }
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84);
                let mut items = vec![Value::None; count];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                self.push_object(Object::Tuple(items))
            }
            b']' => self.push_object(Object::List(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push_object(Object::List(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b'}' => self.push_object(Object::Dictionary(Vec::new())),
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.push_object(Object::Dictionary(pairs))
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![(key, value)])
            }
            b'u' => {
                let items = self.pop_mark()?;
                let pairs = self.pairs(&items)?;
                self.set(pairs)
            }
            // EMPTY_SET, ADDITEMS, FROZENSET
            0x8f => self.push_opaque("a set"),
            0x90 => self.pop_mark().map(drop),
            0x91 => {
                self.pop_mark()?;
                self.push_opaque("a set")
            }

            b'p' | b'q' | b'r' | 0x94 => {
                let place = match operation {
                    b'p' => self.decimal()?,
                    b'q' => self.input.byte()?.into(),
                    b'r' => u32::from_le_bytes(self.input.array()?),
                    _ => self.memo.len() as u32,
                };
                self.pay(1)?;
                let top = self.top()?;
                self.memo.insert(place, top);
                Ok(())
            }
            b'g' | b'h' | b'j' => {
                let place = match operation {
                    b'g' => self.decimal()?,
                    b'h' => self.input.byte()?.into(),
                    _ => u32::from_le_bytes(self.input.array()?),
                };
                let value = self.memo.get(&place).copied();
                let value =
                    value.ok_or_else(|| self.input.wrong("a value that is not in the memo"))?;
                self.push(value)
            }

            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'o' | b'i' | b'b' | b'Q' => self.build(operation),
            // PERSID: only old pickles of other programs have one.
            b'P' => {
                self.input.line()?;
                self.push_opaque("an object outside of the file")
            }
            0x82 => self.extension::<1>(),
            0x83 => self.extension::<2>(),
            0x84 => self.extension::<4>(),
            0x97 => self.push_opaque("a buffer outside of the file"),
            other => Err(self
                .input
                .wrong(&format!("no operation has the code {other}"))),
        }
    }

    /// Runs an operation that names or creates an object.
    fn build(&mut self, operation: u8) -> Result<(), Fault> {
        match operation {
            // GLOBAL, and STACK_GLOBAL, whose names lie on the stack.
            b'c' => {
                let global = self.global_lines()?;
                self.push_object(Object::Global(global))
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                match (self.text_of(module), self.text_of(name)) {
                    (Some(module), Some(name)) => {
                        self.push_object(Object::Global(Global { module, name }))
                    }
                    _ => self.push_opaque("a class without a name"),
                }
            }
            // REDUCE and NEWOBJ call with a tuple; NEWOBJ_EX with names beside.
            b'R' | 0x81 | 0x92 => {
                if operation == 0x92 {
                    self.pop()?;
                }
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(function, arguments)
            }
            // OBJ and INST, whose arguments lie above a mark.
            b'o' | b'i' => {
                let class = match operation {
                    b'i' => Some(self.global_lines()?),
                    _ => None,
                };
                let mut items = self.pop_mark()?.into_iter();
                let class = match class {
                    Some(class) => self.make(Object::Global(class))?,
                    None => items
                        .next()
                        .ok_or_else(|| self.input.wrong("an object without a class"))?,
                };
                let arguments = self.make(Object::Tuple(items.collect()))?;
                self.call(class, arguments)
            }
            // BUILD
            b'b' => {
                self.pop()?;
                let object = self.top()?;
                self.set_state(object);
                Ok(())
            }
            _ => {
                let identifier = self.pop()?;
                let object = self.persistent(identifier);
                self.push_object(object)
            }
        }
    }

    fn global_lines(&mut self) -> Result<Global, Fault> {
        let mut line = || -> Result<Rc<str>, Fault> {
            let line = self.input.line()?;
            let text = String::from_utf8(line);
            let text = text.map_err(|_| self.input.wrong("a name that is not a string"))?;
            Ok(text.into())
        };
        let (module, name) = (line()?, line()?);
        Ok(Global { module, name })
    }

    fn extension<const N: usize>(&mut self) -> Result<(), Fault> {
        self.input.array::<N>()?;
        self.push_opaque("an object of a registered class")
    }

    fn decimal(&mut self) -> Result<u32, Fault> {
        let line = self.input.line()?;
        let text = std::str::from_utf8(&line).ok();
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.input.wrong("an index that is not a number"))
    }

    /// Counts new values against the limit.
    pub(super) fn pay(&mut self, values: usize) -> Result<(), Fault> {
        let values = u32::try_from(values).ok();
        match values.and_then(|values| self.left.checked_sub(values)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self
                .input
                .wrong(&format!("more values than a weight file has; {SAVE_ALONE}"))),
        }
    }

    pub(super) fn make(&mut self, object: Object) -> Result<Value, Fault> {
        self.pay(1)?;
        let place = self.objects.len() as u32;
        self.objects.push(object);
        Ok(Value::Object(place))
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.pay(1)?;
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_object(&mut self, object: Object) -> Result<(), Fault> {
        let value = self.make(object)?;
        self.push(value)
    }

    pub(super) fn push_opaque(&mut self, what: &'static str) -> Result<(), Fault> {
        self.push_object(Object::Opaque(Opaque::Is(what)))
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let value = (self.stack.len() > floor).then(|| self.stack.pop());
        value
            .flatten()
            .ok_or_else(|| self.input.wrong("an operation without its operands"))
    }

    fn top(&self) -> Result<Value, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).unwrap_or_default();
        above
            .last()
            .copied()
            .ok_or_else(|| self.input.wrong("an operation without its operands"))
    }

    /// Pops the values above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop();
        let mark = mark.filter(|&mark| mark <= self.stack.len());
        let mark = mark.ok_or_else(|| self.input.wrong("an operation without its mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pairs(&self, items: &[Value]) -> Result<Vec<(Value, Value)>, Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.input.wrong("a key without a value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    pub(super) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(place) => self.objects.get(place as usize),
            _ => None,
        }
    }

    pub(super) fn text_of(&self, value: Value) -> Option<Rc<str>> {
        match self.object(value) {
            Some(Object::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Appends to the list on top of the stack.
    fn append(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let list = self.top()?;
        if let Value::Object(place) = list {
            match &mut self.objects[place as usize] {
                Object::List(list) => list.extend(items),
                other => other.lose_meaning(),
            }
        }
        Ok(())
    }

    /// Adds to the dictionary on top of the stack.
    fn set(&mut self, pairs: Vec<(Value, Value)>) -> Result<(), Fault> {
        let dictionary = self.top()?;
        if let Value::Object(place) = dictionary {
            match &mut self.objects[place as usize] {
                Object::Dictionary(entries) => entries.extend(pairs),
                other => other.lose_meaning(),
            }
        }
        Ok(())
    }

    /// Sets the state of an object.
    fn set_state(&mut self, object: Value) {
        if let Value::Object(place) = object {
            match &mut self.objects[place as usize] {
                // Attributes of an ordered dictionary, such as the versions of its modules.
                Object::Dictionary(_) => {}
                other => other.lose_meaning(),
            }
        }
    }
}

impl Object {
    /// Makes this object opaque, since Python would change it in a way that is not interpreted here.
    fn lose_meaning(&mut self) {
        if !matches!(self, Self::Opaque(_)) {
            *self = Self::Opaque(Opaque::Is("an object that was changed after it was made"));
        }
    }
}
