//! Weights that are part of the library, so that a first run needs no download.
//!
//! `weights/NOTICE.md` says where they come from and under which licence.

/// What `weights` in a configuration says to use the embedded ones.
pub const EMBEDDED: &str = "embedded";

/// Embedded weights by the name of their backbone: a new file is one line.
const TABLE: [(&str, &[u8]); 1] = [(
    "efficientnet_lite0",
    include_bytes!("../weights/efficientnet_lite0.safetensors"),
)];

/// Names of the backbones that have embedded weights.
pub(crate) fn names() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _)| *name).collect()
}

/// The embedded weights of a backbone, a `.safetensors` file of half precision.
pub(crate) fn find(backbone: &str) -> Option<&'static [u8]> {
    TABLE
        .iter()
        .find(|(name, _)| *name == backbone)
        .map(|(_, bytes)| *bytes)
}
