//! Element types, and their conversion to 32-bit floats.

use half::{bf16, f16};
use safetensors::Dtype;

/// The element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// An element type: its size in bytes, the class of PyTorch's storages for it (if there is one), PyTorch's name
/// and safetensors' type.
type Line = (Element, usize, Option<&'static str>, &'static str, Dtype);

#[rustfmt::skip]
static TABLE: [Line; 13] = [
    (Element::F64, 8, Some("DoubleStorage"), "float64", Dtype::F64),
    (Element::F32, 4, Some("FloatStorage"), "float32", Dtype::F32),
    (Element::F16, 2, Some("HalfStorage"), "float16", Dtype::F16),
    (Element::Bf16, 2, Some("BFloat16Storage"), "bfloat16", Dtype::BF16),
    (Element::I64, 8, Some("LongStorage"), "int64", Dtype::I64),
    (Element::I32, 4, Some("IntStorage"), "int32", Dtype::I32),
    (Element::I16, 2, Some("ShortStorage"), "int16", Dtype::I16),
    (Element::I8, 1, Some("CharStorage"), "int8", Dtype::I8),
    (Element::U64, 8, None, "uint64", Dtype::U64),
    (Element::U32, 4, None, "uint32", Dtype::U32),
    (Element::U16, 2, None, "uint16", Dtype::U16),
    (Element::U8, 1, Some("ByteStorage"), "uint8", Dtype::U8),
    (Element::Bool, 1, Some("BoolStorage"), "bool", Dtype::BOOL),
];

fn find(fits: impl Fn(&Line) -> bool) -> Option<Element> {
    TABLE.iter().find(|line| fits(line)).map(|line| line.0)
}

impl Element {
    /// Returns the element type of a class of PyTorch's storages.
    pub(crate) fn of_storage(class: &str) -> Option<Self> {
        find(|line| line.2 == Some(class))
    }

    /// Returns the element type for PyTorch's name, without `torch.`.
    pub(crate) fn of_torch(name: &str) -> Option<Self> {
        find(|line| line.3 == name)
    }

    /// Returns the element type for safetensors' type.
    pub(crate) fn of_safetensors(kind: Dtype) -> Option<Self> {
        find(|line| line.4 == kind)
    }

    /// Returns the size of an element in bytes.
    pub(crate) fn bytes(self) -> usize {
        TABLE
            .iter()
            .find(|line| line.0 == self)
            .map_or(1, |line| line.1)
    }

    /// Converts little-endian elements to 32-bit floats. As in PyTorch, values that are too large become
    /// infinite, and a Boolean is true unless its byte is 0.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        macro_rules! numbers {
            ($kind:ty, $convert:expr) => {{
                let chunks = bytes.as_chunks::<{ size_of::<$kind>() }>().0;
                let values = chunks.iter().map(|bytes| <$kind>::from_le_bytes(*bytes));
                values.map($convert).collect()
            }};
        }
        match self {
            Self::F64 => numbers!(f64, |value| value as f32),
            Self::F32 => numbers!(f32, |value| value),
            Self::F16 => numbers!(f16, f16::to_f32),
            Self::Bf16 => numbers!(bf16, bf16::to_f32),
            Self::I64 => numbers!(i64, |value| value as f32),
            Self::I32 => numbers!(i32, |value| value as f32),
            Self::I16 => numbers!(i16, f32::from),
            Self::I8 => numbers!(i8, f32::from),
            Self::U64 => numbers!(u64, |value| value as f32),
            Self::U32 => numbers!(u32, |value| value as f32),
            Self::U16 => numbers!(u16, f32::from),
            Self::U8 => numbers!(u8, f32::from),
            Self::Bool => numbers!(u8, |value| f32::from(u8::from(value != 0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_keeps_its_values() {
        let signed = [-2.0, -1.0, 0.0, 1.0, 100.0];
        macro_rules! check {
            ($element:ident, $kind:ty, $values:expr) => {{
                let values: [f32; 5] = $values;
                let bytes = values.map(|value| (value as $kind).to_le_bytes());
                assert_eq!(Element::$element.decode(&bytes.concat()), values);
                assert_eq!(Element::$element.bytes(), size_of::<$kind>());
            }};
        }
        check!(F64, f64, signed.map(|value| value + 0.25));
        check!(F32, f32, signed.map(|value| value + 0.25));
        check!(I64, i64, signed);
        check!(I32, i32, signed);
        check!(I16, i16, signed);
        check!(I8, i8, signed);
        let unsigned = [0.0, 1.0, 2.0, 100.0, 255.0];
        check!(U64, u64, unsigned);
        check!(U32, u32, unsigned);
        check!(U16, u16, unsigned);
        check!(U8, u8, unsigned);
        let halves = [-2.5, 0.0, 65504.0].map(f16::from_f32);
        let bytes = halves.map(f16::to_le_bytes).concat();
        assert_eq!(Element::F16.decode(&bytes), [-2.5, 0.0, 65504.0]);
        let bytes = [-2.5, 0.0, 3e38].map(bf16::from_f32).map(bf16::to_le_bytes);
        let expected = [-2.5, 0.0, bf16::from_f32(3e38).to_f32()];
        assert_eq!(Element::Bf16.decode(&bytes.concat()), expected);
        assert_eq!(Element::Bool.decode(&[0, 1, 2, 255]), [0.0, 1.0, 1.0, 1.0]);
    }
}
