//! Arrays: numbers, text, cells and structs.

use super::element::{Cursor, Element, Fault, MATRIX};

/// Maximum depth of nested arrays.
const MAXIMUM_DEPTH: usize = 32;

/// Maximum number of arrays in a variable.
const MAXIMUM_ARRAYS: usize = 1 << 20;

/// Maximum number of dimensions of an array.
const MAXIMUM_DIMENSIONS: usize = 8;

/// An array.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Numbers and Booleans.
    Numbers(Numbers<'a>),
    /// Characters in storage order, which for a row of text is its own order.
    Text(String),
    /// Arrays in storage order.
    Cells(Vec<Value<'a>>),
    /// Structs with the same fields.
    Structs(Structs<'a>),
    /// Something that is not supported: a sparse array, an object or a function.
    Other(&'static str),
}

/// Structs with the same fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Structs<'a> {
    /// Names of the fields.
    pub fields: Vec<String>,
    /// Number of structs.
    pub count: usize,
    /// `[count, fields]`
    values: Vec<Value<'a>>,
}

/// A column-major array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers<'a> {
    /// Sizes of the dimensions, at least two; rows and columns are first.
    pub dimensions: Vec<usize>,
    kind: Kind,
    bytes: &'a [u8],
    big_endian: bool,
}

/// The storage type of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

impl Kind {
    fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::I8,
            2 => Self::U8,
            3 => Self::I16,
            4 => Self::U16,
            5 => Self::I32,
            6 => Self::U32,
            7 => Self::F32,
            9 => Self::F64,
            12 => Self::I64,
            13 => Self::U64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Decodes a number from its little-endian bytes.
    fn decode(self, bytes: &[u8]) -> f64 {
        let mut word = [0; 8];
        for (target, byte) in word.iter_mut().zip(bytes) {
            *target = *byte;
        }
        let word = u64::from_le_bytes(word);
        match self {
            Self::I8 => f64::from(word as i8),
            Self::U8 => f64::from(word as u8),
            Self::I16 => f64::from(word as i16),
            Self::U16 => f64::from(word as u16),
            Self::I32 => f64::from(word as i32),
            Self::U32 => f64::from(word as u32),
            Self::F32 => f64::from(f32::from_bits(word as u32)),
            Self::F64 => f64::from_bits(word),
            Self::I64 => word as i64 as f64,
            Self::U64 => word as f64,
        }
    }
}

impl Numbers<'_> {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.kind.size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Iterates over all numbers in storage order.
    pub fn iter(&self) -> impl Iterator<Item = f64> {
        let (kind, big_endian) = (self.kind, self.big_endian);
        self.bytes.chunks_exact(kind.size()).map(move |bytes| {
            if !big_endian {
                return kind.decode(bytes);
            }
            let mut turned = [0; 8];
            for (target, byte) in turned.iter_mut().zip(bytes.iter().rev()) {
                *target = *byte;
            }
            kind.decode(&turned[..bytes.len()])
        })
    }

    /// Returns the height and width of a matrix; `None` for arrays with more dimensions.
    pub fn size(&self) -> Option<[usize; 2]> {
        <[usize; 2]>::try_from(&self.dimensions[..]).ok()
    }

    /// Returns the numbers of a matrix row by row; `None` for arrays with more dimensions.
    pub fn rows<T: Copy + Default>(&self, number: impl Fn(f64) -> T) -> Option<Vec<T>> {
        let [height, width] = self.size()?;
        let mut rows = vec![T::default(); self.len()];
        for (index, value) in self.iter().enumerate() {
            let (x, y) = (index / height.max(1), index % height.max(1));
            if let Some(target) = rows.get_mut(y * width + x) {
                *target = number(value);
            }
        }
        Some(rows)
    }
}

impl<'a> Structs<'a> {
    /// Returns field `field` of struct `index`, both counted from 0.
    pub fn get(&self, index: usize, field: usize) -> Option<&Value<'a>> {
        if index >= self.count || field >= self.fields.len() {
            return None;
        }
        self.values.get(index * self.fields.len() + field)
    }
}

impl<'a> Value<'a> {
    /// Returns the type in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Text(_) => "text",
            Self::Cells(_) => "cells",
            Self::Structs(_) => "structs",
            Self::Other(kind) => kind,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.is_empty(),
            Self::Text(text) => text.is_empty(),
            Self::Cells(cells) => cells.is_empty(),
            Self::Structs(structs) => structs.count == 0,
            Self::Other(_) => false,
        }
    }

    /// Returns the numbers, if it is an array of numbers.
    pub fn numbers(&self) -> Option<&Numbers<'a>> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// Returns the structs, if it is an array of structs.
    pub fn structs(&self) -> Option<&Structs<'a>> {
        match self {
            Self::Structs(structs) => Some(structs),
            _ => None,
        }
    }

    /// Returns the text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The header of an array.
struct Head {
    class: u8,
    is_complex: bool,
    dimensions: Vec<usize>,
    /// Product of the dimensions.
    count: usize,
    name: String,
}

/// Reads the name of the array at the cursor.
pub(super) fn name(cursor: &mut Cursor<'_>) -> Result<String, Fault> {
    Ok(head(cursor)?.name)
}

/// Parses the body of an array.
pub(super) fn parse(bytes: &[u8], big_endian: bool) -> Result<Value<'_>, Fault> {
    let mut arrays = 0;
    array(Cursor::new(bytes, 0, big_endian), 0, &mut arrays)
}

fn head(cursor: &mut Cursor<'_>) -> Result<Head, Fault> {
    let flags = cursor.element()?;
    let words = cursor.words(&flags)?;
    let Some(&word) = words.first() else {
        return Err(cursor.fault("an array without flags"));
    };
    let class = (word & 0xFF) as u8;
    // Objects of the newer kind have neither dimensions nor a name at this place.
    if class == OPAQUE {
        return Ok(Head {
            class,
            is_complex: false,
            dimensions: vec![0, 0],
            count: 0,
            name: String::new(),
        });
    }
    let element = cursor.element()?;
    let words = cursor.words(&element)?;
    if !(2..=MAXIMUM_DIMENSIONS).contains(&words.len()) {
        let found = words.len();
        return Err(cursor.fault(format!(
            "an array of {found} dimensions; expected 2 to {MAXIMUM_DIMENSIONS}"
        )));
    }
    let dimensions: Vec<usize> = words.iter().map(|&word| word as usize).collect();
    let count = dimensions.iter().try_fold(1usize, |product, &size| {
        product
            .checked_mul(size)
            .filter(|product| *product < 1 << 40)
    });
    let Some(count) = count else {
        return Err(cursor.fault(format!("an array of {dimensions:?} numbers is too large")));
    };
    let name = cursor.element()?;
    Ok(Head {
        class,
        is_complex: word & 0x0800 != 0,
        dimensions,
        count,
        name: String::from_utf8_lossy(name.bytes).into_owned(),
    })
}

const OPAQUE: u8 = 17;

fn array<'a>(mut cursor: Cursor<'a>, depth: usize, arrays: &mut usize) -> Result<Value<'a>, Fault> {
    *arrays += 1;
    if depth > MAXIMUM_DEPTH {
        return Err(cursor.fault(format!("arrays in arrays deeper than {MAXIMUM_DEPTH}")));
    }
    if *arrays > MAXIMUM_ARRAYS {
        return Err(cursor.fault(format!("more than {MAXIMUM_ARRAYS} arrays")));
    }
    // An empty array of a cell or a struct may be no bytes at all.
    if cursor.left() == 0 {
        return Ok(Value::Numbers(Numbers {
            dimensions: vec![0, 0],
            kind: Kind::F64,
            bytes: &[],
            big_endian: cursor.big_endian(),
        }));
    }
    let head = head(&mut cursor)?;
    match head.class {
        1 => Ok(Value::Cells(items(&mut cursor, head.count, depth, arrays)?)),
        2 => structs(cursor, &head, depth, arrays),
        3 | OPAQUE => Ok(Value::Other("an object")),
        4 => text(cursor, &head),
        5 => Ok(Value::Other("a sparse array")),
        6..=15 => numbers(cursor, head),
        16 => Ok(Value::Other("a function")),
        other => Err(cursor.fault(format!("an array of the unknown class {other}"))),
    }
}

fn numbers(mut cursor: Cursor<'_>, head: Head) -> Result<Value<'_>, Fault> {
    if head.is_complex {
        return Ok(Value::Other("complex numbers"));
    }
    let element = cursor.element()?;
    let at = |reason: String| Fault {
        position: element.position,
        reason,
    };
    let Some(kind) = Kind::of(element.kind) else {
        return Err(at(format!("numbers of the unknown kind {}", element.kind)));
    };
    if head.count.checked_mul(kind.size()) != Some(element.bytes.len()) {
        return Err(at(format!(
            "{} bytes for an array of {:?} numbers of {} bytes each",
            element.bytes.len(),
            head.dimensions,
            kind.size()
        )));
    }
    Ok(Value::Numbers(Numbers {
        dimensions: head.dimensions,
        kind,
        bytes: element.bytes,
        big_endian: cursor.big_endian(),
    }))
}

fn text<'a>(mut cursor: Cursor<'a>, head: &Head) -> Result<Value<'a>, Fault> {
    if head.count == 0 {
        return Ok(Value::Text(String::new()));
    }
    let element = cursor.element()?;
    let units = |size: usize| {
        let bytes = element.bytes.chunks_exact(size);
        bytes.map(|bytes| match cursor.big_endian() {
            true => bytes
                .iter()
                .fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)),
            false => bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
        })
    };
    let text = match element.kind {
        1 | 2 | 16 => String::from_utf8_lossy(element.bytes).into_owned(),
        4 | 17 => {
            let units: Vec<u16> = units(2).map(|unit| unit as u16).collect();
            String::from_utf16_lossy(&units)
        }
        18 => units(4)
            .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        other => {
            return Err(Fault {
                position: element.position,
                reason: format!("characters of the unknown kind {other}"),
            });
        }
    };
    Ok(Value::Text(text))
}

fn structs<'a>(
    mut cursor: Cursor<'a>,
    head: &Head,
    depth: usize,
    arrays: &mut usize,
) -> Result<Value<'a>, Fault> {
    let length = cursor.element()?;
    let length = match cursor.words(&length)?.first() {
        Some(&length) if length > 0 => length as usize,
        _ => return Err(cursor.fault("field names of no length")),
    };
    let names = cursor.element()?;
    let fields: Vec<String> = names.bytes.chunks_exact(length).map(field_name).collect();
    let total = head.count.saturating_mul(fields.len());
    Ok(Value::Structs(Structs {
        count: head.count,
        values: items(&mut cursor, total, depth, arrays)?,
        fields,
    }))
}

/// Reads a name, which ends at the first zero byte.
fn field_name(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Reads the next `count` arrays.
fn items<'a>(
    cursor: &mut Cursor<'a>,
    count: usize,
    depth: usize,
    arrays: &mut usize,
) -> Result<Vec<Value<'a>>, Fault> {
    // Every array has a tag at least.
    if count > cursor.left() / 8 {
        return Err(cursor.fault(format!("{count} arrays in {} bytes", cursor.left())));
    }
    let mut values = Vec::new();
    for _ in 0..count {
        let Element {
            kind,
            bytes,
            position,
        } = cursor.element()?;
        if kind != MATRIX {
            return Err(Fault {
                position,
                reason: format!("an element of kind {kind} in the place of an array"),
            });
        }
        let inner = Cursor::new(bytes, 0, cursor.big_endian());
        let value = array(inner, depth + 1, arrays);
        // Inner places count from the inner array: say where they are in the outer one.
        values.push(value.map_err(|fault| Fault {
            position: position + fault.position,
            ..fault
        })?);
    }
    Ok(values)
}
