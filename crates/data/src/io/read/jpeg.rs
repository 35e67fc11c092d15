//! Detection of truncated JPEGs.

/// Checks that a JPEG is complete by walking its segments up to the end-of-image marker.
///
/// Decoders fill the missing part of a truncated file with grey and report success, so a half-grey image would
/// be used unnoticed. Searching the file for the marker's bytes is not enough, since a thumbnail in the
/// metadata has its own end marker.
pub(super) fn check_is_complete(bytes: &[u8]) -> Result<(), &'static str> {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let truncated = "the JPEG data ends before its end-of-image marker,";
    let mut position = 2;
    let mut in_scan = false;
    loop {
        let first = *bytes.get(position).ok_or(truncated)?;
        let second = *bytes.get(position + 1).ok_or(truncated)?;
        if first != 0xFF {
            // Entropy-coded data, or stray bytes between segments, which decoders skip too.
            position += 1;
            continue;
        }
        match second {
            END_OF_IMAGE => return Ok(()),
            // Any number of 0xFF may precede a marker.
            0xFF => position += 1,
            // A stuffed byte and the restart markers belong to the entropy-coded data.
            0x00 | 0xD0..=0xD7 if in_scan => position += 2,
            // Markers without a length: temporary, start of image.
            0x01 | 0xD8 => position += 2,
            marker => {
                let high = *bytes.get(position + 2).ok_or(truncated)?;
                let low = *bytes.get(position + 3).ok_or(truncated)?;
                position += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
                in_scan = marker == START_OF_SCAN;
            }
        }
    }
}
