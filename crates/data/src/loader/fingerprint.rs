//! Fingerprints that identify a dataset independently of its location.

use sha2::{Digest, Sha256};

use super::{Loader, Pipeline};
use crate::error::DataError;

impl<P: Pipeline> Loader<P> {
    /// Returns a hash of the identifiers of all samples, in their order, and of the pixels of the first, the
    /// middle and the last image, as lowercase hexadecimal.
    ///
    /// It does not change if a dataset is moved. It changes if the dataset has more samples, other samples, or
    /// other images with the same names.
    ///
    /// # Errors
    /// The error of one of the three samples.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let (pipeline, samples) = (self.pipeline(), self.samples());
        let mut hasher = Sha256::new();
        for index in 0..samples {
            let id = pipeline.id(index);
            hasher.update((id.len() as u64).to_le_bytes());
            hasher.update(id);
        }
        let mut looked_at = [0, samples / 2, samples.saturating_sub(1)].to_vec();
        looked_at.dedup();
        for index in looked_at {
            let image = pipeline.image(index)?;
            hasher.update(image.width().to_le_bytes());
            hasher.update(image.height().to_le_bytes());
            hasher.update(image.as_raw());
        }
        let digest = hasher.finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
