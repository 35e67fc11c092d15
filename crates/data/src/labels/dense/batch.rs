//! Labels of one task of a batch.

/// Labels of one task, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchLabels {
    /// `[count, height, width]` classes, parts, saliency or edges; [`IGNORE`](crate::IGNORE) where there is none.
    Classes(Vec<u8>),
    /// Numbers that are no classes, such as normals or distances; 0 in every channel where there is none.
    Values {
        /// 3 for normals, 1 for distances.
        channels: usize,
        /// `[count, channels, height, width]`
        data: Vec<f32>,
    },
}

impl BatchLabels {
    /// The classes, `[count, height, width]`; none where these are values.
    pub fn classes(&self) -> Option<&[u8]> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Values { .. } => None,
        }
    }

    /// The values, `[count, channels, height, width]`; none where these are classes.
    pub fn values(&self) -> Option<&[f32]> {
        match self {
            Self::Values { data, .. } => Some(data),
            Self::Classes(_) => None,
        }
    }
}
