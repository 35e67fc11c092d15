//! Weights embedded in the library, so that a first run needs no download.
//!
//! `weights/NOTICE.md` states their source and licence.

/// The value of `weights` in a configuration that selects the embedded weights.
pub const EMBEDDED: &str = "embedded";

/// Embedded weights by the name of their backbone: a new file is one line of this table.
const TABLE: [(&str, &[u8]); 1] = [(
    "efficientnet_lite0",
    include_bytes!("../weights/efficientnet_lite0.safetensors"),
)];

/// Returns the names of the backbones that have embedded weights.
pub(crate) fn names() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _)| *name).collect()
}

/// Returns the embedded weights of a backbone, a `.safetensors` file in half precision.
pub(crate) fn find(backbone: &str) -> Option<&'static [u8]> {
    TABLE
        .iter()
        .find(|(name, _)| *name == backbone)
        .map(|(_, bytes)| *bytes)
}
