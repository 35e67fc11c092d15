//! Pickles written by hand.

/// Consecutive operations of a pickle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(pub(crate) Vec<u8>);

impl Script {
    /// Adds raw operations.
    pub(crate) fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.then(b"X").then(length).then(text)
    }

    pub(crate) fn integer(self, integer: i32) -> Self {
        self.then(b"J").then(integer.to_le_bytes())
    }

    pub(crate) fn integers(self, integers: &[i32]) -> Self {
        let script = integers
            .iter()
            .fold(self.then(b"("), |script, &integer| script.integer(integer));
        script.then(b"t")
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.then(format!("c{module}\n{name}\n"))
    }

    /// A storage of 32-bit floats in the file.
    pub(crate) fn storage(self, key: &str, count: i32) -> Self {
        self.then(b"(")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .integer(count)
            .then(b"tQ")
    }

    /// A tensor of 32-bit floats.
    pub(crate) fn tensor(
        self,
        key: &str,
        count: i32,
        shape: &[i32],
        strides: &[i32],
        offset: i32,
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .then(b"(")
            .storage(key, count)
            .integer(offset)
            .integers(shape)
            .integers(strides)
            .then(b"\x89Nt")
            .then(b"R")
    }

    /// The pickle.
    pub(crate) fn end(self) -> Vec<u8> {
        self.then(b".").0
    }
}

/// The start of every pickle here.
pub(crate) fn script() -> Script {
    Script::default().then([0x80, 2])
}
